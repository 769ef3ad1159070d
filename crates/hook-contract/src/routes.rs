//! Active routes, and the destinations that they name.

use hook_core::{ports::log::TopicFilter, problem::codes};
use hook_expressions::cel::Expression;
use serde_json::json;

use crate::{
    Check, format,
    plan::{Destination, ServeRoute, SmashRoute},
    profile::Active,
    read::{Item, Written, find, ids},
    suggest,
    tree::Node,
    written,
};

/// The active serve routes that can be read.
pub(crate) fn serve(check: &mut Check<'_, '_>, active: &Active<'_, '_>) -> Vec<ServeRoute> {
    let routes = active.serve_routes.iter().filter_map(|item| {
        let route = item.written.as_ref()?;
        check.resolved.add(
            &format!("serve.routes.{}", route.id),
            &without_id(json!(route)),
            Some(item.node),
            &check.findings,
        );
        Some(ServeRoute {
            id: route.id.clone(),
            source_match: route.source_match.clone(),
            event_type_pattern: route.event_type_pattern.clone(),
            target: format::target_topic(&route.target_topic).ok()?,
        })
    });
    routes.collect()
}

/// The active smash routes that can be read, with the destinations that are active.
pub(crate) fn smash(check: &mut Check<'_, '_>, active: &Active<'_, '_>) -> Vec<SmashRoute> {
    let routes = active.smash_routes.iter().filter_map(|item| {
        let route = item.written.as_ref()?;
        check.resolved.add(
            &format!("smash.routes.{}", route.id),
            &without_id(json!(route)),
            Some(item.node),
            &check.findings,
        );
        let is_active = |id: &str| active.egress.iter().any(|adapter| adapter.id == id);
        let mut destinations: Vec<Destination> = Vec::new();
        for destination in route.destinations.iter().filter(|destination| is_active(destination.adapter_id.as_str())) {
            // Named twice, it would share one cursor; the second was found.
            if destinations.iter().all(|earlier| earlier.adapter != destination.adapter_id) {
                destinations.push(Destination {
                    adapter: destination.adapter_id.clone(),
                    required: destination.required,
                    from: destination.from.as_deref().and_then(|from| format::start_from(from).ok()),
                });
            }
        }
        Some(SmashRoute {
            id: route.id.clone(),
            topics: TopicFilter {
                include: vec![route.source_topic_pattern.clone()],
                unless_literal: vec![check.dead_letters.clone(), check.journal.clone()],
            },
            event_filters: route.event_filters.iter().filter_map(|filter| format::event_filter(filter).ok()).collect(),
            destinations,
        })
    });
    routes.collect()
}

/// Every expression among the filters compiles. One that does not is an error in every mode: without it a route would take
/// other events than it says.
pub(crate) fn expressions(check: &mut Check<'_, '_>, written: &Written<'_>, active: Option<&Active<'_, '_>>) {
    for route in &written.smash_routes {
        let is_active = active.is_none_or(|active| active.smash_routes.iter().any(|other| other.id == route.id));
        let filters = route.node.get("event_filters").map(Node::items).unwrap_or_default();
        for node in filters {
            let Some(text) = node.text().and_then(|text| text.strip_prefix(format::CEL)) else { continue };
            let Err(error) = Expression::compile(text) else { continue };
            // In a basic string without escapes, the expression stands in the contract as it is.
            let start = check.findings.text.at(node.span.clone()).find(text).map(|at| node.span.start + at);
            let span = match start {
                Some(start) if !error.span.is_empty() => start + error.span.start..start + error.span.end,
                _ => node.span.clone(),
            };
            let message = format!("`event_filters` of route `{}`: {error}", route.id);
            match is_active {
                true => check.findings.error(&codes::EXPRESSION, span, message, error.help),
                false => check.findings.lenient(&codes::EXPRESSION, span, message, error.help),
            }
        }
    }
}

fn without_id(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("id");
    }
    value
}

/// Every destination names an adapter that is there, and where its route is active, one that is active too.
pub(crate) fn destinations(check: &mut Check<'_, '_>, written: &Written<'_>, active: Option<&Active<'_, '_>>) {
    for route in &written.smash_routes {
        let is_active = active.is_some_and(|active| active.smash_routes.iter().any(|other| other.id == route.id));
        let nodes = route.node.get("destinations").map(Node::items).unwrap_or_default();
        let mut seen: Vec<&str> = Vec::new();
        for node in nodes.iter().filter_map(|node| node.get("adapter_id")) {
            let Some(id) = node.text() else { continue };
            if seen.contains(&id) {
                let message = format!("route `{}` names destination `{id}` twice", route.id);
                check.findings.error(&codes::DUPLICATE_ID, node.span.clone(), message, "leave one of the two out");
                continue;
            }
            seen.push(id);
            destination(check, written, active.filter(|_| is_active), (route, node, id));
        }
    }
}

fn destination(
    check: &mut Check<'_, '_>,
    written: &Written<'_>,
    active: Option<&Active<'_, '_>>,
    (route, node, id): (&Item<'_, written::SmashRoute>, &Node, &str),
) {
    if find(&written.egress, id).is_none() {
        let message = format!("there is no egress adapter `{id}`");
        let help = suggest::help(id, ids(&written.egress), "the egress adapters of this contract");
        match active {
            Some(_) => check.findings.error(&codes::UNKNOWN_ADAPTER, node.span.clone(), message, help),
            None => check.findings.lenient(&codes::UNKNOWN_ADAPTER, node.span.clone(), message, help),
        }
        return;
    }
    if let Some(active) = active
        && !active.egress.iter().any(|adapter| adapter.id == id)
    {
        let profile = &active.profile.id;
        let message =
            format!("route `{}` is active in profile `{profile}`, but its destination `{id}` is not", route.id);
        let help = format!("add `{id}` to `smash_adapters` of the profile, or take the route out of it");
        let destinations = route.written.as_ref().map(|route| route.destinations.as_slice()).unwrap_or_default();
        let is_optional = destinations.iter().any(|other| other.adapter_id.as_str() == id && !other.required);
        match is_optional {
            true => check.findings.warning(&codes::INACTIVE_DESTINATION, node.span.clone(), message, help),
            false => check.findings.error(&codes::INACTIVE_DESTINATION, node.span.clone(), message, help),
        }
    }
}
