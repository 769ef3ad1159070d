//! Which topics are written, bridged and read.

use std::collections::{BTreeMap, BTreeSet};

use hook_core::{
    names::{CursorName, SourceName, TopicName},
    problem::codes,
};

use crate::{
    Check, RelayOptions,
    plan::{RelayPlan, ServeRoute, SmashRoute, SourcePlan, Unrouted},
    profile::Active,
    read::{Written, find},
    tree::Node,
    ways::Ways,
    written,
};

/// What is active, as far as it can be read.
pub(crate) struct Flow<'p> {
    pub(crate) sources: &'p BTreeMap<SourceName, SourcePlan>,
    pub(crate) serve: &'p [ServeRoute],
    pub(crate) smash: &'p [SmashRoute],
}

/// A topic that an active serve route writes.
pub(crate) struct Stored<'p> {
    pub(crate) route: &'p ServeRoute,
    pub(crate) topic: TopicName,
    pub(crate) sources: BTreeSet<&'p SourceName>,
}

impl<'p> Flow<'p> {
    /// The sources that a route can match.
    pub(crate) fn sources_of(&self, route: &ServeRoute) -> BTreeSet<&'p SourceName> {
        self.sources.keys().filter(|source| route.source_match.matches(source.as_str())).collect()
    }

    pub(crate) fn stored(&self) -> Vec<Stored<'p>> {
        let mut stored: Vec<Stored<'p>> = Vec::new();
        for route in self.serve {
            let sources = self.sources_of(route);
            if !route.target.0.contains("{source}") {
                stored.extend(TopicName::new(&route.target.0).ok().map(|topic| Stored { route, topic, sources }));
                continue;
            }
            for source in sources {
                let topic = route.target.topic_for(source);
                stored.extend(topic.map(|topic| Stored { route, topic, sources: BTreeSet::from([source]) }));
            }
        }
        stored
    }

    pub(crate) fn readers(&self, topic: &TopicName) -> impl Iterator<Item = &'p SmashRoute> {
        self.smash.iter().filter(move |route| route.topics.matches(topic))
    }
}

/// Derives the relay and checks the way of every event. `None` where no topic needs a relay.
pub(crate) fn relay(
    check: &mut Check<'_, '_>,
    written: &Written<'_>,
    active: &Active<'_, '_>,
    flow: &Flow<'_>,
) -> Option<RelayPlan> {
    let stored = flow.stored();
    reserved_targets(check, written, &stored);
    let relay = plan(check, written, flow, &stored);
    let ways = Ways { written, active, flow, stored: &stored, relay: relay.as_ref() };
    ways.read_twice(check);
    ways.relayed_twice(check);
    if !written.policies.allow_no_output {
        ways.never_read(check);
    }
    ways.unreached(check);
    ways.two_routes(check);
    if check.is_kafka {
        ways.never_deduplicated(check);
    }
    relay
}

fn plan(check: &mut Check<'_, '_>, written: &Written<'_>, flow: &Flow<'_>, stored: &[Stored<'_>]) -> Option<RelayPlan> {
    let section = &written.relay;
    let node = written.root.get("relay");
    let said = &check.options.relay;
    let is_named = node.is_some_and(|node| node.get("output_topic").is_some());
    let written_output = if is_named { &section.output_topic } else { &check.core_topic };
    let output = said.output_topic.as_ref().unwrap_or(written_output).clone();
    let reserved = [check.dead_letters.clone(), check.journal.clone()];
    let is_reserved = |topic: &TopicName| reserved.contains(topic);
    let mut inputs: Vec<TopicName> = Vec::new();
    match &section.topics {
        _ if !said.topics.is_empty() => {
            let (refused, taken) =
                said.topics.iter().cloned().partition::<Vec<_>, _>(|topic| *topic == output || is_reserved(topic));
            inputs = taken;
            for topic in refused {
                loops(check, &topic, None, "leave it out of --topics");
            }
        }
        None => {
            let unread = stored.iter().filter(|stored| flow.readers(&stored.topic).next().is_none());
            inputs.extend(
                unread.map(|stored| stored.topic.clone()).filter(|topic| *topic != output && !is_reserved(topic)),
            );
        }
        Some(topics) => {
            let nodes = node.and_then(|node| node.get("topics")).map(Node::items).unwrap_or_default();
            let mut refused = Vec::new();
            for (topic, node) in topics.iter().zip(nodes) {
                for topic in expand(topic, flow) {
                    match topic == output || is_reserved(&topic) {
                        true => refused.push((topic, node)),
                        false => inputs.push(topic),
                    }
                }
            }
            for (topic, node) in refused {
                loops(check, &topic, Some(node), "leave it out of `topics`");
            }
        }
    }
    inputs.sort();
    inputs.dedup();
    if !inputs.is_empty() && is_reserved(&output) {
        let span = node.map(|node| node.span_of("output_topic"));
        let message = format!("the relay cannot write `{output}`: it is kept for dead letters or the journal");
        check.findings.error(&codes::RESERVED_TOPIC, span, message, "name another topic");
        return None;
    }
    if let (true, Some(node)) = (inputs.is_empty(), node.and_then(|node| node.get("output_topic"))) {
        let message = "`output_topic` has no effect: no topic needs the relay";
        let help = "leave it out; every stored event is read where it is";
        check.findings.warning(&codes::NO_EFFECT, node.span.clone(), message, help);
    }
    let RelayOptions { group, retry, .. } = said.clone();
    if let Some(group) = &group {
        belongs_to_another(check, written, flow, group);
    }
    let relay = (!inputs.is_empty()).then_some(RelayPlan { inputs, output, group, retry });
    if let Some(relay) = &relay {
        let shown = serde_json::json!({ "topics": relay.inputs, "output_topic": relay.output });
        check.resolved.add("relay", &shown, node, &check.findings);
    }
    relay
}

fn loops(check: &mut Check<'_, '_>, topic: &TopicName, node: Option<&Node>, help: &str) {
    let message = format!("the relay cannot read `{topic}`: it would read what it or a failed delivery writes");
    check.findings.error(&codes::RELAY_LOOP, node.map(|node| node.span.clone()), message, help);
}

/// Two who read with one cursor divide the records: each would miss what the other gets.
fn belongs_to_another(check: &mut Check<'_, '_>, written: &Written<'_>, flow: &Flow<'_>, group: &CursorName) {
    let Some(app) = &written.app else { return };
    let is_of = |route: &&SmashRoute| {
        let mut destinations = route.destinations.iter();
        destinations.any(|destination| CursorName::of_destination(&app.id, &route.id, &destination.adapter) == *group)
    };
    if let Some(route) = flow.smash.iter().find(is_of) {
        let message = format!("the relay cannot read with `{group}`: a destination of route `{}` does", route.id);
        check.findings.error(&codes::DUPLICATE_ID, None, message, "give --group-id a name of its own");
    }
}

/// `{source}` stands for every source that an active route can match.
fn expand(topic: &str, flow: &Flow<'_>) -> Vec<TopicName> {
    if !topic.contains("{source}") {
        return TopicName::new(topic).into_iter().collect();
    }
    let sources: BTreeSet<&SourceName> = flow.serve.iter().flat_map(|route| flow.sources_of(route)).collect();
    sources.into_iter().filter_map(|source| TopicName::new(topic.replace("{source}", source.as_str())).ok()).collect()
}

fn reserved_targets(check: &mut Check<'_, '_>, written: &Written<'_>, stored: &[Stored<'_>]) {
    for stored in stored.iter().filter(|stored| stored.topic == check.dead_letters || stored.topic == check.journal) {
        let span = find(&written.serve_routes, stored.route.id.as_str()).map(|item| item.node.span_of("target_topic"));
        let message =
            format!("events cannot be stored in `{}`: it is kept for dead letters or the journal", stored.topic);
        check.findings.error(&codes::RESERVED_TOPIC, span, message, "name another topic");
    }
}

/// What becomes of stored events that no route takes.
pub(crate) fn unrouted(policies: &written::Policies) -> Unrouted {
    match policies.no_output_sink {
        Some(written::NoOutputSink::Dlq) => Unrouted::DeadLetter,
        Some(written::NoOutputSink::Discard) | None => Unrouted::Count,
    }
}
