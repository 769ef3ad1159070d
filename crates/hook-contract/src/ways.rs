//! Has every event exactly one way to a destination? Warnings and problems where it has none, or two.

use std::collections::BTreeSet;

use hook_core::{
    names::{Glob, SourceName, TopicName},
    problem::codes,
};

use crate::{
    Check,
    overlap::can_match_one_text,
    plan::{EventFilter, RelayPlan, ServeRoute, SmashRoute},
    profile::Active,
    read::{Written, find},
    suggest::listed,
    topics::{Flow, Stored},
    tree::Node,
};

/// The ways of events through topics, for the checks that need all of them.
pub(crate) struct Ways<'c, 't, 'p> {
    pub(crate) written: &'c Written<'t>,
    pub(crate) active: &'c Active<'c, 't>,
    pub(crate) flow: &'c Flow<'p>,
    pub(crate) stored: &'c [Stored<'p>],
    pub(crate) relay: Option<&'c RelayPlan>,
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
    pub(crate) fn read_twice(&self, check: &mut Check<'_, '_>) {
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
    pub(crate) fn relayed_twice(&self, check: &mut Check<'_, '_>) {
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
    pub(crate) fn never_read(&self, check: &mut Check<'_, '_>) {
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

    /// On Kafka the relay removes copies: what does not pass it keeps them.
    pub(crate) fn never_deduplicated(&self, check: &mut Check<'_, '_>) {
        let mut seen = BTreeSet::new();
        for stored in self.stored {
            let is_read = self.flow.readers(&stored.topic).next().is_some();
            if !is_read || self.inputs().contains(&stored.topic) || !seen.insert((&stored.route.id, &stored.topic)) {
                continue;
            }
            let span = self.serve_node(stored.route).map(|node| node.span_of("target_topic"));
            let message = format!(
                "an event that is sent twice is delivered twice: on Kafka the relay removes copies, and `{}` is read \
                 without it",
                stored.topic
            );
            let help = "store events in a topic of their source, such as `webhooks.{source}`, and let the relay write \
                        the topic that is read";
            check.findings.warning(&codes::NOT_DEDUPLICATED, span, message, help);
        }
    }

    /// Routes that no event can reach.
    pub(crate) fn unreached(&self, check: &mut Check<'_, '_>) {
        for route in self.flow.serve.iter().filter(|route| self.flow.sources_of(route).is_empty()) {
            let span = self.serve_node(route).map(|node| node.span_of("source_match"));
            let message =
                format!("no event reaches route `{}`: no source is called like `{}`", route.id, route.source_match);
            let known: Vec<&str> = self.flow.sources.keys().map(SourceName::as_str).collect();
            let help = format!("declare it as [sources.NAME], or match one of: {}", listed(&known));
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
        let help = format!("the topics that are written: {}", listed(&written.into_iter().collect::<Vec<_>>()));
        for route in unreached {
            let span = self.smash_node(route).map(|node| node.span_of("source_topic_pattern"));
            let patterns: Vec<String> = route.topics.include.iter().map(ToString::to_string).collect();
            let message =
                format!("no event reaches route `{}`: nothing writes a topic `{}`", route.id, patterns.join(", "));
            check.findings.warning(&codes::UNREACHED_ROUTE, span, message, help.clone());
        }
    }

    /// Two routes that can take one event to one destination deliver it twice.
    pub(crate) fn two_routes(&self, check: &mut Check<'_, '_>) {
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

/// Whether an event can pass both. Of expressions nobody knows, and who writes them means to tell events apart.
fn share_a_filter(first: &[EventFilter], second: &[EventFilter]) -> bool {
    let any = |glob: &Option<Glob>| glob.as_ref().map_or("*".to_owned(), ToString::to_string);
    let share = |first: &EventFilter, second: &EventFilter| match (first, second) {
        (
            EventFilter::Pattern { source: one, event_type: first },
            EventFilter::Pattern { source: other, event_type: second },
        ) => can_match_one_text(&any(one), &any(other)) && can_match_one_text(&first.to_string(), &second.to_string()),
        _ => false,
    };
    first.is_empty() || second.is_empty() || first.iter().any(|first| second.iter().any(|second| share(first, second)))
}
