//! What the cursors of a plan read: told by routes and relay, as it is stored nowhere.

use hook_contract::plan::Plan;
use hook_core::{
    names::{CursorName, Glob},
    ports::log::{Cursor, From, TopicFilter},
};
use hook_runtime::cursors;

/// Every cursor that the plan reads with, and which topics.
pub fn active(plan: &Plan) -> Vec<Cursor> {
    cursors::active(plan).into_iter().filter_map(|name| cursor(plan, name)).collect()
}

/// The cursors whose undelivered events are kept.
pub fn pinning(plan: &Plan) -> Vec<Cursor> {
    cursors::pinning(plan).into_iter().filter_map(|name| cursor(plan, name)).collect()
}

/// A cursor with what it reads; `None` for that of a relay which has nothing to bridge.
fn cursor(plan: &Plan, name: CursorName) -> Option<Cursor> {
    let topics = if name == CursorName::of_relay(&plan.app.id) {
        let inputs = &plan.relay.as_ref()?.inputs;
        TopicFilter {
            include: inputs.iter().map(|topic| Glob::new(topic.as_str())).collect(),
            ..TopicFilter::default()
        }
    } else {
        let is_of = |route: &&hook_contract::plan::SmashRoute| {
            let mut names = route
                .destinations
                .iter()
                .map(|destination| CursorName::of_destination(&plan.app.id, &route.id, &destination.adapter));
            names.any(|own| own == name)
        };
        plan.smash.routes.iter().find(is_of).map_or_else(|| everything(plan), |route| route.topics.clone())
    };
    Some(Cursor { name, topics, from: From::Earliest })
}

/// What the cursor reads that looks for events which no route takes.
fn everything(plan: &Plan) -> TopicFilter {
    TopicFilter { include: vec![Glob::new("*")], unless_literal: vec![plan.dead_letters.clone(), plan.journal.clone()] }
}
