//! Which cursors a plan has, where new ones begin, and which were left behind by an older contract.

use std::{collections::BTreeSet, sync::Arc};

use hook_contract::plan::{BackboneDriver, Plan, Role, SmashRoute, StartFrom};
use hook_core::{
    names::{AdapterId, AppId, CursorName, Glob, TopicName},
    ports::log::{Cursor, CursorProgress, CursorState, From, Log, LogError, LogState, Position, TopicFilter},
};
use tracing::{info, warn};

use crate::{relay, status::Orphan};

/// The cursor that looks for events that no route takes.
pub(crate) fn unrouted_name(app: &AppId) -> CursorName {
    CursorName::new(format!("{app}.unrouted")).expect("an app id is part of any cursor name")
}

pub(crate) fn unrouted(plan: &Plan, from: From) -> Cursor {
    Cursor { name: unrouted_name(&plan.app.id), topics: everything(plan), from }
}

/// Everything that holds events. What the relay reads is among it, so that a contract without the relay does not take what
/// was bridged long ago for events that nobody takes. Kafka holds topics of others as well: there it is what the contract
/// names.
pub fn everything(plan: &Plan) -> TopicFilter {
    let include = match plan.backbone.driver {
        BackboneDriver::Embedded => vec![Glob::new("*")],
        BackboneDriver::Kafka(_) => event_topics(plan).iter().map(|topic| Glob::new(topic.as_str())).collect(),
    };
    let unless_literal = vec![plan.dead_letters.clone(), plan.journal.clone()];
    TopicFilter { include, unless_literal }
}

/// Every topic that a plan names or writes.
pub fn topics(plan: &Plan) -> BTreeSet<TopicName> {
    let mut topics = event_topics(plan);
    if plan.has_ends() {
        topics.extend([plan.dead_letters.clone(), plan.journal.clone()]);
    }
    topics
}

/// Those that hold events.
fn event_topics(plan: &Plan) -> BTreeSet<TopicName> {
    let stored = plan.serve.routes.iter().flat_map(|route| {
        let sources = plan.sources.keys().filter(|source| route.source_match.matches(source.as_str()));
        sources.filter_map(|source| route.target.topic_for(source))
    });
    let relayed = plan.relay.iter().flat_map(|relay| relay.inputs.iter().chain([&relay.output]).cloned());
    let read = plan.smash.routes.iter().flat_map(|route| {
        let literal = route.topics.include.iter().filter(|glob| glob.is_literal());
        literal.filter_map(|glob| TopicName::new(glob.to_string()).ok())
    });
    stored.chain(relayed).chain(read).collect()
}

/// The cursors whose undelivered events must be kept: the relay's, and those of required destinations.
pub fn pinning(plan: &Plan) -> Vec<CursorName> {
    let relay = plan.relay.iter().map(|_| plan.relay_cursor());
    let required = plan.smash.routes.iter().flat_map(|route| {
        let destinations = route.destinations.iter().filter(|destination| destination.required);
        destinations.map(|destination| CursorName::of_destination(&plan.app.id, &route.id, &destination.adapter))
    });
    relay.chain(required).collect()
}

/// Makes every cursor of the plan that does not exist yet. Cursors exist before any ingress opens, so that no event can
/// come before them.
pub(crate) async fn create(plan: &Plan, log: &Arc<dyn Log>) -> Result<(), LogError> {
    // The cursor that is made last says that all of them were made once: a first start that was killed is still the first.
    let last = unrouted_name(&plan.app.id);
    let is_first_start = !log.state().cursors.iter().any(|cursor| cursor.name == last);
    let default = if is_first_start { From::Earliest } else { From::Now };
    for route in &plan.smash.routes {
        for destination in &route.destinations {
            let from = destination.from.map_or(default, start);
            let cursor = of_destination(&plan.app.id, route, &destination.adapter, from);
            if log.create_cursor(&cursor).await? {
                info!(cursor = %cursor.name, from = ?cursor.from, "cursor made");
            }
        }
    }
    if let Some(plan_of_relay) = &plan.relay {
        log.create_cursor(&relay::cursor(plan.relay_cursor(), plan_of_relay)).await?;
    }
    // Who only relays delivers nothing: the first start of the others is still to come.
    if plan.has_ends() {
        log.create_cursor(&unrouted(plan, default)).await?;
    }
    Ok(())
}

pub(crate) fn of_destination(app: &AppId, route: &SmashRoute, adapter: &AdapterId, from: From) -> Cursor {
    Cursor { name: CursorName::of_destination(app, &route.id, adapter), topics: route.topics.clone(), from }
}

fn start(from: StartFrom) -> From {
    match from {
        StartFrom::Now => From::Now,
        StartFrom::Earliest => From::Earliest,
        StartFrom::Time(at) => From::Time(at),
    }
}

/// Every cursor that the plan reads with.
pub fn active(plan: &Plan) -> Vec<CursorName> {
    let app = &plan.app.id;
    let destinations = plan.smash.routes.iter().flat_map(|route| {
        route.destinations.iter().map(|destination| CursorName::of_destination(app, &route.id, &destination.adapter))
    });
    destinations.chain([plan.relay_cursor(), unrouted_name(app)]).collect()
}

/// Finds cursors of this app that no active destination has, and warns of each.
pub(crate) async fn orphans(plan: &Plan, roles: &[Role], log: &Arc<dyn Log>) -> Vec<Orphan> {
    if !roles.contains(&Role::Smash) {
        return Vec::new();
    }
    let known = active(plan);
    let state = log.state();
    let mut orphans = Vec::new();
    for cursor in &state.cursors {
        if cursor.name.belongs_to(&plan.app.id) && !known.contains(&cursor.name) {
            let orphan = orphan(plan, cursor, &state, log).await;
            warn!(
                cursor = %orphan.cursor,
                undelivered = orphan.undelivered,
                from = orphan.from,
                "no active destination has this cursor; set `from` on a new destination to deliver what it has left"
            );
            orphans.push(orphan);
        }
    }
    orphans
}

async fn orphan(plan: &Plan, cursor: &CursorState, state: &LogState, log: &Arc<dyn Log>) -> Orphan {
    let mut undelivered = 0;
    let mut oldest = Vec::new();
    for partition in &state.partitions {
        let is_same =
            |progress: &&CursorProgress| progress.topic == partition.topic && progress.partition == partition.partition;
        let progress = cursor.partitions.iter().find(is_same);
        // What a cursor reads is not stored. Where it has done nothing yet, the routes of today tell what it would read.
        if progress.is_none() && !plan.smash.routes.iter().any(|route| route.topics.matches(&partition.topic)) {
            continue;
        }
        let (watermark, done_above) = progress.map_or((0, 0), |progress| (progress.watermark, progress.done_above));
        let first = watermark.max(partition.start);
        let left = partition.end.saturating_sub(first).saturating_sub(done_above);
        undelivered += left;
        if left > 0 {
            oldest.push(Position { topic: partition.topic.clone(), partition: partition.partition, offset: first });
        }
    }
    let records = log.read(oldest).await.unwrap_or_default();
    let from = records.into_iter().flatten().map(|record| record.time).min().map(|time| time.to_string());
    Orphan { cursor: cursor.name.clone(), undelivered, from }
}
