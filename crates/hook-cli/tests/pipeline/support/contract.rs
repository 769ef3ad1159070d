//! A contract as a test needs it: one HTTP adapter on a free port, one serve route, one smash route.

use std::fmt::Write as _;

use super::Receiver;

/// A contract in the making.
#[derive(Clone)]
pub(crate) struct Contract {
    bind: String,
    ingress: String,
    more_ingress: Vec<(String, String)>,
    serve: String,
    smash_route: String,
    smash_keys: String,
    target_topic: String,
    outputs: Vec<Output>,
    rest: String,
}

#[derive(Clone)]
struct Output {
    id: String,
    keys: String,
    destination_keys: String,
}

impl Contract {
    /// Every source into its topic, the relay into the core topic, and from there to the outputs that are added.
    pub(crate) fn new() -> Self {
        Self {
            bind: "127.0.0.1:0".into(),
            ingress: String::new(),
            more_ingress: Vec::new(),
            serve: "*".into(),
            smash_route: "core-to-all".into(),
            smash_keys: String::new(),
            target_topic: "webhooks.{source}".into(),
            outputs: Vec::new(),
            rest: String::new(),
        }
    }

    /// The address to listen on.
    pub(crate) fn bind(mut self, address: &str) -> Self {
        self.bind = address.into();
        self
    }

    /// More keys of the HTTP adapter.
    pub(crate) fn ingress(mut self, keys: &str) -> Self {
        writeln!(self.ingress, "{keys}").unwrap();
        self
    }

    /// Another adapter through which events come in.
    pub(crate) fn ingress_adapter(mut self, id: &str, keys: &str) -> Self {
        self.more_ingress.push((id.into(), keys.into()));
        self
    }

    /// Another topic for the serve route, such as the core topic itself.
    pub(crate) fn target_topic(mut self, topic: &str) -> Self {
        self.target_topic = topic.into();
        self
    }

    /// Only this source is routed.
    pub(crate) fn serves_only(mut self, source: &str) -> Self {
        self.serve = source.into();
        self
    }

    /// Another name for the smash route.
    pub(crate) fn smash_route(mut self, id: &str) -> Self {
        self.smash_route = id.into();
        self
    }

    /// More keys of the smash route.
    pub(crate) fn smash_keys(mut self, keys: &str) -> Self {
        writeln!(self.smash_keys, "{keys}").unwrap();
        self
    }

    /// An output that posts to the receiver, signed, with quick retries.
    pub(crate) fn http_output(self, id: &str, receiver: &Receiver, keys: &str) -> Self {
        let url = receiver.url();
        let retry = match keys.contains("retry =") {
            true => "",
            false => "retry = { max_retries = 3, base_ms = 20, cap_ms = 100 }\n",
        };
        let keys = format!(
            "driver = \"http_output\"\nurl = \"{url}\"\nsigning_secret_env = \"SIGNING_SECRET\"\ntimeout_seconds = 5\n{retry}{keys}"
        );
        self.output(id, &keys)
    }

    /// An output that appends to a file in the working directory.
    pub(crate) fn file_output(self, id: &str, path: &str) -> Self {
        self.output(id, &format!("driver = \"file_output\"\npath = \"{path}\""))
    }

    /// Another output.
    pub(crate) fn adapter(self, id: &str, keys: &str) -> Self {
        self.output(id, keys)
    }

    fn output(mut self, id: &str, keys: &str) -> Self {
        self.outputs.push(Output { id: id.into(), keys: keys.into(), destination_keys: String::new() });
        self
    }

    /// More keys of the destination that was added last, such as `required = false`.
    pub(crate) fn destination(mut self, keys: &str) -> Self {
        self.outputs.last_mut().unwrap().destination_keys = format!(", {keys}");
        self
    }

    /// Whatever else there is, such as `[sources.github]`.
    pub(crate) fn with(mut self, sections: &str) -> Self {
        writeln!(self.rest, "{sections}").unwrap();
        self
    }

    /// The contract as it stands in a file.
    pub(crate) fn text(&self) -> String {
        let Self { bind, ingress, more_ingress, serve, smash_route, smash_keys, target_topic, outputs, rest } = self;
        let adapters: String = outputs
            .iter()
            .map(|output| format!("[[smash.egress_adapters]]\nid = \"{}\"\n{}\n\n", output.id, output.keys))
            .collect();
        let destinations: Vec<_> = outputs
            .iter()
            .map(|output| format!("{{ adapter_id = \"{}\"{} }}", output.id, output.destination_keys))
            .collect();
        let ids: Vec<_> = outputs.iter().map(|output| format!("\"{}\"", output.id)).collect();
        let (destinations, ids) = (destinations.join(", "), ids.join(", "));
        let more: String = more_ingress
            .iter()
            .map(|(id, keys)| format!("[[serve.ingress_adapters]]\nid = \"{id}\"\n{keys}\n\n"))
            .collect();
        let ingress_ids: String = more_ingress.iter().map(|(id, _)| format!(", \"{id}\"")).collect();
        format!(
            r#"[app]
id = "tested"
name = "Tested"
version = "1.0.0"

[[serve.ingress_adapters]]
id = "http-in"
driver = "http_webhook_ingress"
bind = "{bind}"
{ingress}
{more}[[serve.routes]]
id = "by-source"
source_match = "{serve}"
event_type_pattern = "*"
target_topic = "{target_topic}"

{adapters}[[smash.routes]]
id = "{smash_route}"
source_topic_pattern = "webhooks.core"
destinations = [{destinations}]
{smash_keys}
{rest}
[profiles.default]
label = "Tested"
serve_adapters = ["http-in"{ingress_ids}]
serve_routes = ["by-source"]
smash_adapters = [{ids}]
smash_routes = ["{smash_route}"]
"#
        )
    }
}
