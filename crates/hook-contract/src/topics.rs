//! Which topics are written, bridged and read, and whether every event has one way through them.

use std::collections::{BTreeMap, BTreeSet};

use hook_core::{
    names::{SourceName, TopicName},
    problem::codes,
};

use crate::{
    Check,
    overlap::can_match_one_text,
    plan::{EventFilter, RelayPlan, ServeRoute, SmashRoute, SourcePlan},
    profile::Active,
    read::{Written, find},
    tree::Node,
    written,
};

/// What is active, as far as it can be read.
pub(crate) struct Flow<'p> {
    pub(crate) sources: &'p BTreeMap<SourceName, SourcePlan>,
    pub(crate) serve: &'p [ServeRoute],
    pub(crate) smash: &'p [SmashRoute],
}

/// A topic that an active serve route writes.
struct Stored<'p> {
    route: &'p ServeRoute,
    topic: TopicName,
    sources: BTreeSet<&'p SourceName>,
}

impl<'p> Flow<'p> {
    /// The sources that a route can match.
    pub(crate) fn sources_of(&self, route: &ServeRoute) -> BTreeSet<&'p SourceName> {
        self.sources.keys().filter(|source| route.source_match.matches(source.as_str())).collect()
    }

    fn stored(&self) -> Vec<Stored<'p>> {
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

    fn readers(&self, topic: &TopicName) -> impl Iterator<Item = &'p SmashRoute> {
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
    relay
}

fn plan(check: &mut Check<'_, '_>, written: &Written<'_>, flow: &Flow<'_>, stored: &[Stored<'_>]) -> Option<RelayPlan> {
    let section = &written.relay;
    let node = written.root.get("relay");
    let output = section.output_topic.clone();
    let is_reserved = |topic: &TopicName| *topic == check.dead_letters || *topic == check.journal;
    let mut inputs: Vec<TopicName> = Vec::new();
    match &section.topics {
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
                let message =
                    format!("the relay cannot read `{topic}`: it would read what it or a failed delivery writes");
                check.findings.error(&codes::RELAY_LOOP, node.span.clone(), message, "leave it out of `topics`");
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
    let relay = (!inputs.is_empty()).then_some(RelayPlan { inputs, output });
    if let Some(relay) = &relay {
        let shown = serde_json::json!({ "topics": relay.inputs, "output_topic": relay.output });
        check.resolved.add("relay", &shown, node, &check.findings);
    }
    relay
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

/// The ways of events through topics, for the checks that need all of them.
struct Ways<'c, 't, 'p> {
    written: &'c Written<'t>,
    active: &'c Active<'c, 't>,
    flow: &'c Flow<'p>,
    stored: &'c [Stored<'p>],
    relay: Option<&'c RelayPlan>,
}

impl Ways<'_, '_, '_> {
    fn inputs(&self) -> &[TopicName] {
        self.relay.map(|relay| relay.inputs.as_slice()).unwrap_or_default()
    }

    fn serve_node(&self, route: &ServeRoute) -> Option<&Node> {
        find(&self.written.serve_routes, route.id.as_str()).map(|item| item.node)
    }

    fn smash_node(&self, route: &SmashRoute) -> Option<&Node> {
        find(&self.written.smash_routes, route.id.as_str()).map(|item| item.node)
    }

    /// A pattern that matches a relay's input and its output takes every event twice.
    fn read_twice(&self, check: &mut Check<'_, '_>) {
        let Some(relay) = self.relay else { return };
        for route in self.flow.smash.iter().filter(|route| route.topics.matches(&relay.output)) {
            let Some(input) = relay.inputs.iter().find(|input| route.topics.matches(input)) else { continue };
            let span = self.smash_node(route).map(|node| node.span_of("source_topic_pattern"));
            let message =
                format!("route `{}` reads `{input}` and `{}`, into which it is relayed", route.id, relay.output);
            let help = format!("name one of the two, such as `{}`", relay.output);
            check.findings.error(&codes::READ_TWICE, span, message, help);
        }
    }

    /// Two relay inputs that can hold one event: it reaches the output once per input.
    fn relayed_twice(&self, check: &mut Check<'_, '_>) {
        let relayed: Vec<&Stored<'_>> =
            self.stored.iter().filter(|stored| self.inputs().contains(&stored.topic)).collect();
        for (index, second) in relayed.iter().enumerate() {
            let first = relayed[..index].iter().find(|first| {
                first.topic != second.topic
                    && first.sources.intersection(&second.sources).next().is_some()
                    && can_match_one_text(
                        &first.route.event_type_pattern.to_string(),
                        &second.route.event_type_pattern.to_string(),
                    )
            });
            let Some(first) = first else { continue };
            let span = self.serve_node(second.route).map(|node| node.span_of("target_topic"));
            let message = format!(
                "one event can be stored in `{}` and in `{}`, and is then relayed twice",
                first.topic, second.topic
            );
            check.findings.warning(
                &codes::RELAYED_TWICE,
                span,
                message,
                "narrow one of the two routes, or give both one topic",
            );
        }
    }

    /// What is stored and read by nobody is not delivered.
    fn never_read(&self, check: &mut Check<'_, '_>) {
        let is_read = |topic: &TopicName| self.flow.readers(topic).next().is_some();
        let mut seen = BTreeSet::new();
        for stored in self.stored {
            let output = self.relay.filter(|relay| relay.inputs.contains(&stored.topic)).map(|relay| &relay.output);
            if is_read(&stored.topic) || output.is_some_and(is_read) || !seen.insert(&stored.topic) {
                continue;
            }
            let span = self.serve_node(stored.route).map(|node| node.span_of("target_topic"));
            let message = match output {
                Some(output) => format!("`{}` is relayed into `{output}`, which no active route reads", stored.topic),
                None => format!("events are stored in `{}`, which no active route reads", stored.topic),
            };
            let help = "add a smash route that reads it to the profile, or name the topic that one reads";
            check.findings.warning(&codes::NEVER_READ, span, message, help);
        }
    }

    /// Routes that no event can reach.
    fn unreached(&self, check: &mut Check<'_, '_>) {
        for route in self.flow.serve.iter().filter(|route| self.flow.sources_of(route).is_empty()) {
            let span = self.serve_node(route).map(|node| node.span_of("source_match"));
            let message =
                format!("no event reaches route `{}`: no source is called like `{}`", route.id, route.source_match);
            let known: Vec<&str> = self.flow.sources.keys().map(SourceName::as_str).collect();
            let help = format!("declare it as [sources.NAME], or match one of: {}", crate::suggest::listed(&known));
            check.findings.warning(&codes::UNREACHED_ROUTE, span, message, help);
        }
        if self.active.ingress.is_empty() && !self.flow.serve.is_empty() {
            let span = self.active.profile.node.span_of("serve_routes");
            let message = "no event reaches the serve routes: the profile has no ingress adapter";
            check.findings.warning(&codes::UNREACHED_ROUTE, span, message, "add one to `serve_adapters`");
        }
        // Without a serve route, events come from somewhere that the contract does not know.
        if self.stored.is_empty() {
            return;
        }
        let mut topics: Vec<&TopicName> = self.stored.iter().map(|stored| &stored.topic).collect();
        topics.extend(self.relay.map(|relay| &relay.output));
        topics.push(&check.dead_letters);
        let unreached: Vec<&SmashRoute> =
            self.flow.smash.iter().filter(|route| !topics.iter().any(|topic| route.topics.matches(topic))).collect();
        let written: BTreeSet<&str> = topics.iter().map(|topic| topic.as_str()).collect();
        let help = format!(
            "the topics that are written: {}",
            crate::suggest::listed(&written.into_iter().collect::<Vec<_>>())
        );
        for route in unreached {
            let span = self.smash_node(route).map(|node| node.span_of("source_topic_pattern"));
            let patterns: Vec<String> = route.topics.include.iter().map(ToString::to_string).collect();
            let message =
                format!("no event reaches route `{}`: nothing writes a topic `{}`", route.id, patterns.join(", "));
            check.findings.warning(&codes::UNREACHED_ROUTE, span, message, help.clone());
        }
    }

    /// Two routes that can take one event to one destination deliver it twice.
    fn two_routes(&self, check: &mut Check<'_, '_>) {
        for (index, second) in self.flow.smash.iter().enumerate() {
            for first in &self.flow.smash[..index] {
                if !self.share_an_event(first, second) {
                    continue;
                }
                let shared = second
                    .destinations
                    .iter()
                    .filter(|destination| first.destinations.iter().any(|other| other.adapter == destination.adapter));
                for destination in shared {
                    let node = self.smash_node(second).and_then(|node| node.get("destinations"));
                    let named = node.and_then(|node| {
                        node.items().iter().find(|node| {
                            node.get("adapter_id").and_then(Node::text) == Some(destination.adapter.as_str())
                        })
                    });
                    let span = named.map(|node| node.span_of("adapter_id"));
                    let message = format!(
                        "routes `{}` and `{}` can both take an event to `{}`, which then gets it twice",
                        first.id, second.id, destination.adapter
                    );
                    check.findings.warning(
                        &codes::TWO_ROUTES,
                        span,
                        message,
                        "narrow the topics or `event_filters` of one of them",
                    );
                }
            }
        }
    }

    fn share_an_event(&self, first: &SmashRoute, second: &SmashRoute) -> bool {
        let topics_of = |route: &SmashRoute| -> BTreeSet<TopicName> {
            let mut topics: BTreeSet<TopicName> = self
                .stored
                .iter()
                .map(|stored| stored.topic.clone())
                .filter(|topic| route.topics.matches(topic))
                .collect();
            if let Some(relay) = self.relay {
                // What is read after the relay is what was stored before it.
                if route.topics.matches(&relay.output) {
                    topics.extend(relay.inputs.iter().cloned());
                    topics.insert(relay.output.clone());
                }
            }
            topics
        };
        let has_topic = match self.stored.is_empty() {
            true => share_a_topic(first, second),
            false => topics_of(first).intersection(&topics_of(second)).next().is_some(),
        };
        has_topic && share_a_filter(&first.event_filters, &second.event_filters)
    }
}

fn share_a_topic(first: &SmashRoute, second: &SmashRoute) -> bool {
    let patterns =
        |route: &SmashRoute| -> Vec<String> { route.topics.include.iter().map(ToString::to_string).collect() };
    let (first, second) = (patterns(first), patterns(second));
    first.iter().any(|first| second.iter().any(|second| can_match_one_text(first, second)))
}

fn share_a_filter(first: &[EventFilter], second: &[EventFilter]) -> bool {
    let any = |glob: Option<&hook_core::names::Glob>| glob.map_or("*".to_owned(), ToString::to_string);
    first.is_empty()
        || second.is_empty()
        || first.iter().any(|first| {
            second.iter().any(|second| {
                can_match_one_text(&any(first.source.as_ref()), &any(second.source.as_ref()))
                    && can_match_one_text(&first.event_type.to_string(), &second.event_type.to_string())
            })
        })
}

/// What becomes of stored events that no route takes.
pub(crate) fn unrouted(policies: &written::Policies) -> crate::plan::Unrouted {
    match policies.no_output_sink {
        Some(written::NoOutputSink::Dlq) => crate::plan::Unrouted::DeadLetter,
        Some(written::NoOutputSink::Discard) | None => crate::plan::Unrouted::Count,
    }
}
