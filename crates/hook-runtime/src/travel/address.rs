//! Where a selected event goes: into which topic, for which destinations.

use std::collections::BTreeSet;

use hook_contract::plan::{Plan, ServeRoute, SmashRoute};
use hook_core::{
    envelope::{DeadLetterHeader, Envelope, EventHeader, UNROUTED},
    job::{DeadLetterClass, JobKind, Selection, Target},
    names::{AdapterId, Glob, TopicName},
    ports::log::{LogState, TopicFilter},
};

use super::TravelError;

/// What the routes of a plan make of events that go out again.
pub(super) struct Addressing {
    target: Target,
    routes: Vec<SmashRoute>,
    serve: Vec<ServeRoute>,
    /// What the relay reads, and what it writes.
    relayed: Vec<TopicName>,
    output: Option<TopicName>,
    own: Vec<TopicName>,
    /// Every topic of the log that holds events.
    stored: BTreeSet<TopicName>,
}

/// Where an event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addressed {
    /// The topic that it is stored in again.
    pub(super) topic: TopicName,
    /// The destinations that it is for alone; all that take it where there is none.
    pub(super) to: Vec<String>,
    /// The destinations that will get it, for people.
    pub(super) destinations: Vec<String>,
}

impl Addressing {
    /// Reads the plan. A target that it does not have is refused, with those that it has.
    pub(super) fn new(plan: &Plan, log: &LogState, target: &Target) -> Result<Self, TravelError> {
        let everything = crate::cursors::everything(plan);
        let stored = log.partitions.iter().map(|partition| &partition.topic);
        Ok(Self {
            target: resolve(plan, target)?,
            routes: plan.smash.routes.clone(),
            serve: plan.serve.routes.clone(),
            relayed: plan.relay.iter().flat_map(|relay| relay.inputs.clone()).collect(),
            output: plan.relay.as_ref().map(|relay| relay.output.clone()),
            own: vec![plan.dead_letters.clone(), plan.journal.clone()],
            stored: stored.filter(|topic| everything.matches(topic)).cloned().collect(),
        })
    }

    /// The target, with a destination by its whole name.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The destinations that dead letters can be redriven to.
    pub(super) fn reaches(&self) -> Vec<String> {
        let names = self.routes.iter().flat_map(names);
        names.chain([UNROUTED.to_owned()]).collect()
    }

    /// The topics that a job reads.
    pub(super) fn topics(&self, kind: JobKind, selection: &Selection) -> TopicFilter {
        if kind == JobKind::Redrive {
            return TopicFilter { include: vec![Glob::new(self.own[0].as_str())], unless_literal: Vec::new() };
        }
        let include = match &selection.topic {
            Some(pattern) => vec![Glob::new(pattern)],
            None => {
                let read = self.stored.iter().filter(|topic| self.is_read(topic));
                let read: Vec<_> = read.map(|topic| Glob::new(topic.as_str())).collect();
                if read.is_empty() { self.unread() } else { read }
            }
        };
        TopicFilter { include, unless_literal: self.own.clone() }
    }

    /// Whether those for whom the events are read events from there anyway.
    fn is_read(&self, topic: &TopicName) -> bool {
        match &self.target {
            Target::Destination(name) => self.route_of(name).is_some_and(|route| route.topics.matches(topic)),
            Target::Same | Target::Url(_) => self.routes.iter().any(|route| route.topics.matches(topic)),
        }
    }

    /// What nobody reads, without what the relay takes from: that stands in its output again.
    fn unread(&self) -> Vec<Glob> {
        let topics = self.stored.iter().filter(|topic| !self.relayed.contains(topic));
        topics.map(|topic| Glob::new(topic.as_str())).collect()
    }

    fn route_of(&self, destination: &str) -> Option<&SmashRoute> {
        self.routes.iter().find(|route| names(route).any(|name| name == destination))
    }

    /// Where an event of a topic goes; `None` where nobody takes it.
    pub(super) fn of_event(&self, topic: &TopicName, event: &Envelope) -> Option<Addressed> {
        match &self.target {
            Target::Same => self.of_routes(topic.clone(), event),
            Target::Destination(name) => self.of_destination(name, &event.header, Some(topic)),
            Target::Url(url) => {
                Some(Addressed { topic: topic.clone(), to: Vec::new(), destinations: vec![url.shown()] })
            }
        }
    }

    /// Where the event of a dead letter goes; `None` where the contract has no place for it.
    pub(super) fn of_letter(&self, letter: &DeadLetterHeader, event: &Envelope) -> Option<Addressed> {
        let class = letter.class();
        // It holds a message, which is no event of its sender.
        if class == DeadLetterClass::Unreadable {
            return None;
        }
        match &self.target {
            Target::Same if class == DeadLetterClass::Unrouted => {
                let taking = self.routes.iter().filter(|route| route.takes(event));
                let mut topics = taking.filter_map(|route| self.topic_for(route, &letter.event, None));
                topics.find_map(|topic| self.of_routes(topic, event))
            }
            Target::Same => self.of_destination(&letter.destination, &letter.event, None),
            Target::Destination(name) => self.of_destination(name, &letter.event, None),
            Target::Url(url) => {
                Some(Addressed { topic: self.own[0].clone(), to: Vec::new(), destinations: vec![url.shown()] })
            }
        }
    }

    /// To every destination whose route takes it from that topic.
    fn of_routes(&self, topic: TopicName, event: &Envelope) -> Option<Addressed> {
        let taking = self.routes.iter().filter(|route| route.topics.matches(&topic) && route.takes(event));
        let destinations: Vec<_> = taking.flat_map(names).collect();
        (!destinations.is_empty()).then_some(Addressed { topic, to: Vec::new(), destinations })
    }

    fn of_destination(&self, name: &str, header: &EventHeader, stored_in: Option<&TopicName>) -> Option<Addressed> {
        let topic = self.topic_for(self.route_of(name)?, header, stored_in)?;
        Some(Addressed { topic, to: vec![name.to_owned()], destinations: vec![name.to_owned()] })
    }

    /// A topic that a route reads: where the event stands, where such an event would be stored, or any other.
    fn topic_for(&self, route: &SmashRoute, header: &EventHeader, stored_in: Option<&TopicName>) -> Option<TopicName> {
        let serving = self.serve.iter().filter(|serve| {
            serve.source_match.matches(header.source.as_str())
                && serve.event_type_pattern.matches(header.event_type.as_str())
        });
        let served = serving.filter_map(|serve| serve.target.topic_for(&header.source));
        let literal = route.topics.include.iter().filter(|glob| glob.is_literal());
        let literal = literal.filter_map(|glob| TopicName::new(glob.to_string()).ok());
        let candidates = stored_in.cloned().into_iter().chain(self.output.clone()).chain(served);
        let mut candidates = candidates.chain(literal).chain(self.stored.iter().cloned());
        // What the relay reads it would bring to others as well.
        candidates.find(|topic| route.topics.matches(topic) && !self.relayed.contains(topic))
    }
}

fn names(route: &SmashRoute) -> impl Iterator<Item = String> + '_ {
    route.destinations.iter().map(|destination| name(route, &destination.adapter))
}

fn name(route: &SmashRoute, adapter: &AdapterId) -> String {
    format!("{}/{adapter}", route.id)
}

/// Finds the destination that is meant by its adapter.
fn resolve(plan: &Plan, target: &Target) -> Result<Target, TravelError> {
    let Target::Destination(wanted) = target else { return Ok(target.clone()) };
    let all: Vec<_> = plan.smash.routes.iter().flat_map(names).collect();
    let is_it = |name: &&String| *name == wanted || name.split_once('/').is_some_and(|(_, adapter)| adapter == wanted);
    let found: Vec<_> = all.iter().filter(is_it).collect();
    match found[..] {
        [one] => Ok(Target::Destination(one.clone())),
        [] => Err(TravelError::Refused(format!(
            "no route of the contract delivers to {wanted}; there are {}",
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        ))),
        _ => {
            let names: Vec<_> = found.into_iter().map(String::as_str).collect();
            Err(TravelError::Refused(format!("{wanted} is the adapter of several routes: say {}", names.join(" or "))))
        }
    }
}
