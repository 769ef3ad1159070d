//! No adapter fetches what the Kafka log stores, and none writes what it reads.

use std::collections::BTreeSet;

use hook_core::{
    names::{SourceName, TopicName},
    problem::codes,
};
use serde_json::Value;

use crate::{
    Check,
    plan::{Backbone, BackboneDriver, Kafka, RelayPlan, ServePlan, SmashPlan, SourcePlan},
    read::{Written, find},
    topics::Flow,
};

/// What passes through a process.
pub(crate) struct Roles<'p> {
    pub(crate) sources: &'p std::collections::BTreeMap<SourceName, SourcePlan>,
    pub(crate) serve: &'p ServePlan,
    pub(crate) relay: Option<&'p RelayPlan>,
    pub(crate) smash: &'p SmashPlan,
}

/// Finds adapters that share a topic with the log.
pub(crate) fn find_loops(
    check: &mut Check<'_, '_>,
    written: &Written<'_>,
    backbone: Option<&Backbone>,
    roles: &Roles<'_>,
) {
    let Some(BackboneDriver::Kafka(kafka)) = backbone.map(|backbone| &backbone.driver) else { return };
    let flow = Flow { sources: roles.sources, serve: &roles.serve.routes, smash: &roles.smash.routes };
    let mut stored: BTreeSet<TopicName> = flow.stored().into_iter().map(|stored| stored.topic).collect();
    stored.extend(roles.relay.map(|relay| relay.output.clone()));
    stored.extend([check.dead_letters.clone(), check.journal.clone()]);
    let is_read = |topic: &TopicName| {
        roles.relay.is_some_and(|relay| relay.inputs.contains(topic)) || flow.readers(topic).next().is_some()
    };
    for adapter in &roles.serve.adapters {
        let named = shared(kafka, &adapter.settings, "topics").into_iter().filter(|topic| stored.contains(topic));
        for topic in named {
            let span = find(&written.ingress, adapter.id.as_str()).map(|item| item.node.span_of("topics"));
            let message =
                format!("ingress adapter `{}` would fetch what the log stores in `{topic}`, for ever", adapter.id);
            let help = "name a topic that others write, or give the log a `namespace` under [backbone]";
            check.findings.error(&codes::ADAPTER_LOOP, span, message, help);
        }
    }
    for adapter in &roles.smash.adapters {
        let named = shared(kafka, &adapter.settings, "topic").into_iter();
        for topic in named.filter(|topic| is_read(topic) || stored.contains(topic)) {
            let span = find(&written.egress, adapter.id.as_str()).map(|item| item.node.span_of("topic"));
            let message = format!("egress adapter `{}` would write into the log's own topic `{topic}`", adapter.id);
            let help = "name a topic that others read, or give the log a `namespace` under [backbone]";
            check.findings.error(&codes::ADAPTER_LOOP, span, message, help);
        }
    }
}

/// The topics that an adapter names on the cluster of the log, as the log calls them.
fn shared(kafka: &Kafka, settings: &Value, key: &str) -> Vec<TopicName> {
    let brokers = texts(&settings["brokers"]);
    if !kafka.brokers.iter().any(|broker| brokers.contains(broker)) {
        return Vec::new();
    }
    let namespace = kafka.namespace.as_ref().map_or("", TopicName::as_str);
    let own = texts(&settings[key]).into_iter();
    own.filter_map(|topic| TopicName::new(topic.strip_prefix(namespace)?).ok()).collect()
}

/// A list, or one text with commas.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
