//! Why each route takes an event, or does not: told from the contract in force, so that nothing of it is written down for events
//! that simply succeed.

use hook_contract::plan::{EventFilter, Plan, ServeRoute, SmashRoute, Taking};
use hook_core::{
    envelope::{Envelope, EventHeader},
    names::{Glob, TopicName},
    ports::log::Position,
};

use super::{RouteStory, Side};

/// What every active route makes of an event that stands there.
pub(super) fn of(plan: &Plan, event: &Envelope, stored: &[Position]) -> Vec<RouteStory> {
    let mut topics: Vec<&TopicName> = stored.iter().map(|position| &position.topic).collect();
    topics.sort_unstable();
    topics.dedup();
    let serve = plan.serve.routes.iter().map(|route| serve(route, &event.header));
    serve.chain(plan.smash.routes.iter().map(|route| smash(route, event, &topics))).collect()
}

fn serve(route: &ServeRoute, header: &EventHeader) -> RouteStory {
    let (source, event_type) = (header.source.as_str(), header.event_type.as_str());
    let (takes, reason) = if !route.source_match.matches(source) {
        (false, format!("{source} is not `{}`", route.source_match))
    } else if !route.event_type_pattern.matches(event_type) {
        (false, format!("{event_type} is not `{}`", route.event_type_pattern))
    } else {
        let topic = route.target.topic_for(&header.source).map_or(String::new(), |topic| format!(", into {topic}"));
        (
            true,
            format!("{source} is `{}` and {event_type} is `{}`{topic}", route.source_match, route.event_type_pattern),
        )
    };
    RouteStory { side: Side::Serve, route: route.id.to_string(), takes, reason }
}

fn smash(route: &SmashRoute, event: &Envelope, stored: &[&TopicName]) -> RouteStory {
    let read: Vec<_> = stored.iter().filter(|topic| route.topics.matches(topic)).map(ToString::to_string).collect();
    let (source, event_type) = (&event.header.source, event.header.event_type.as_str());
    let (takes, reason) = if read.is_empty() {
        let read: Vec<_> = route.topics.include.iter().map(Glob::to_string).collect();
        let stored: Vec<_> = stored.iter().map(ToString::to_string).collect();
        (false, format!("it reads `{}`, and the event stands in {}", read.join("`, `"), stored.join(", ")))
    } else if route.event_filters.is_empty() {
        (true, format!("it reads {} and has no filter", read.join(", ")))
    } else {
        match route.event_filters.iter().find(|filter| filter.look(event.into()) == Taking::Taken) {
            Some(filter) => (true, format!("it reads {}, and the filter `{}` takes it", read.join(", "), text(filter))),
            None => {
                let filters: Vec<_> = route.event_filters.iter().map(text).collect();
                let unanswered = route.event_filters.iter().filter_map(|filter| filter.unanswered(event.into()));
                let unanswered: String = unanswered.map(|error| format!("; {error}")).collect();
                (false, format!("no filter takes {source}:{event_type}: it has `{}`{unanswered}", filters.join("`, `")))
            }
        }
    };
    RouteStory { side: Side::Smash, route: route.id.to_string(), takes, reason }
}

fn text(filter: &EventFilter) -> String {
    match filter {
        EventFilter::Pattern { source: Some(source), event_type } => format!("{source}:{event_type}"),
        EventFilter::Pattern { source: None, event_type } => event_type.to_string(),
        EventFilter::Expression(expression) => format!("cel:{}", expression.text()),
    }
}
