//! The contract that is measured: webhooks straight into the core topic, and from there to every destination.

use std::{fmt::Write, net::SocketAddr};

/// The variable that holds [`SECRET`].
pub const SECRET_VARIABLE: &str = "HMAC_SECRET_GITHUB";
/// What the load signs with.
pub const SECRET: &str = "bench-secret";
/// Where the load sends to.
pub const PATH: &str = "/webhook/github";

/// A destination of the contract.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its id.
    pub id: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// More keys of its adapter, as they stand in a contract.
    pub settings: String,
}

impl Destination {
    /// A destination with the settings that a contract has by default.
    pub fn new(id: impl Into<String>, address: SocketAddr) -> Self {
        Self { id: id.into(), address, settings: String::new() }
    }
}

/// A contract with these destinations. `sections` is added as it is.
pub fn contract(destinations: &[Destination], sections: &str) -> String {
    let mut adapters = String::new();
    for Destination { id, address, settings } in destinations {
        let adapter = format!("[[smash.egress_adapters]]\nid = \"{id}\"\ndriver = \"http_output\"\n");
        // Writing into a string cannot fail.
        let _ = writeln!(adapters, "{adapter}url = \"http://{address}/\"\n{settings}");
    }
    let ids: Vec<&str> = destinations.iter().map(|destination| destination.id.as_str()).collect();
    with_adapters(&adapters, &ids, sections)
}

/// A contract whose only destination, `stream`, has these keys.
pub fn streaming(keys: &str) -> String {
    with_adapters(&format!("[[smash.egress_adapters]]\nid = \"stream\"\n{keys}\n"), &["stream"], "")
}

fn with_adapters(adapters: &str, ids: &[&str], sections: &str) -> String {
    let list = |each: &dyn Fn(&&str) -> String| ids.iter().map(each).collect::<Vec<_>>().join(", ");
    let active = list(&|id| format!("\"{id}\""));
    let targets = list(&|id| format!("{{ adapter_id = \"{id}\" }}"));
    format!(
        r#"
[app]
id = "measured"
name = "What is measured"
version = "1.0.0"

[admin]
bind = "127.0.0.1:0"

[[serve.ingress_adapters]]
id = "in"
driver = "http_webhook_ingress"
bind = "127.0.0.1:0"

[[serve.routes]]
id = "all"
source_match = "*"
event_type_pattern = "*"
target_topic = "webhooks.core"

{adapters}
[[smash.routes]]
id = "out"
source_topic_pattern = "webhooks.core"
destinations = [{targets}]

[profiles.default]
label = "Measured"
serve_adapters = ["in"]
smash_adapters = [{active}]
serve_routes = ["all"]
smash_routes = ["out"]

{sections}
"#
    )
}

#[cfg(test)]
mod tests {
    use hook_cli::catalog::default_catalog;

    use super::*;

    #[test]
    fn the_contract_is_one_that_hook_takes() {
        let mut first = Destination::new("first", "127.0.0.1:1".parse().unwrap());
        first.settings = "concurrency = 3\n".to_owned();
        let second = Destination::new("second", "127.0.0.1:2".parse().unwrap());
        let text = contract(&[first, second], "[log]\nsegment_bytes = 1048576\n");
        let checked = hook_contract::check("contract.toml", &text, &default_catalog(), &Default::default());
        assert!(checked.plan.is_some(), "{:?}", checked.problems);
    }
}
