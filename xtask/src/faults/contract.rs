//! The contract of a run: signed webhooks in, HTTP destinations out.

use std::net::SocketAddr;

/// From the serve route to the core topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topology {
    /// Straight into the core topic.
    Direct,
    /// Into a topic of the source, and through the relay into the core topic.
    Relayed,
}

/// An HTTP destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination {
    /// The adapter's id.
    pub(super) id: &'static str,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// The text. `rest` holds more sections, such as `[log]`.
pub(super) fn text(topology: Topology, destinations: &[Destination], rest: &str) -> String {
    let topic = match topology {
        Topology::Direct => "webhooks.core",
        Topology::Relayed => "webhooks.{source}",
    };
    let adapters: String = destinations.iter().map(adapter).collect();
    let joined = |each: fn(&Destination) -> String| destinations.iter().map(each).collect::<Vec<_>>().join(", ");
    let active = joined(|destination| format!("\"{}\"", destination.id));
    let routed = joined(|destination| format!("{{ adapter_id = \"{}\" }}", destination.id));
    format!(
        r#"[app]
id = "faults"
name = "Faults"
version = "1.0.0"

[[serve.ingress_adapters]]
id = "in"
driver = "http_webhook_ingress"
bind = "127.0.0.1:0"

[[serve.routes]]
id = "all"
source_match = "*"
event_type_pattern = "*"
target_topic = "{topic}"

{adapters}[[smash.routes]]
id = "out"
source_topic_pattern = "webhooks.core"
destinations = [{routed}]

{rest}

[profiles.default]
label = "Faults"
serve_adapters = ["in"]
smash_adapters = [{active}]
serve_routes = ["all"]
smash_routes = ["out"]
"#
    )
}

/// Retries that outlast every fault of a run: what a destination refuses for good is dead-lettered all the same.
fn adapter(destination: &Destination) -> String {
    let Destination { id, address } = destination;
    format!(
        r#"[[smash.egress_adapters]]
id = "{id}"
driver = "http_output"
url = "http://{address}/"
timeout_seconds = 2
retry = {{ max_retries = 1000, base_ms = 50, cap_ms = 1000 }}

"#
    )
}
