//! How far the cursors of a plan are behind. What each reads is told by routes and relay, as it is stored nowhere.

use std::collections::BTreeMap;

use hook_contract::plan::Plan;
use hook_core::{
    names::{CursorName, Glob},
    ports::log::{Cursor, CursorProgress, CursorState, From, LogState, PartitionState, TopicFilter},
};
use serde::{Deserialize, Serialize};

use crate::cursors;

/// How far a cursor is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The cursor.
    pub cursor: CursorName,
    /// The destination that it is of, as `ROUTE/ADAPTER`; `relay` and `unrouted` for what has none.
    pub destination: String,
    /// Records that it has not done.
    pub behind: u64,
    /// Partitions in which there are some.
    pub partitions_behind: u64,
    /// The most in one partition: where it is about as much as in all, one key or one broker is slow.
    pub most: u64,
    /// Whether what it has not done is kept, however old it is.
    pub pins: bool,
}

/// Where a cursor stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Everything below is done.
    pub watermark: u64,
    /// So many are done at and above it.
    pub done_above: u64,
    /// So many are not.
    pub behind: u64,
}

/// How far each cursor of a plan is behind, of those that exist.
pub fn of(plan: &Plan, state: &LogState) -> Vec<Lag> {
    let pinning = cursors::pinning(plan);
    let states: BTreeMap<_, _> = state.cursors.iter().map(|cursor| (&cursor.name, cursor)).collect();
    let lag = |reads: &Cursor| {
        let cursor = states.get(&reads.name)?;
        let places = state.partitions.iter();
        let behind: Vec<u64> = places.filter_map(|place| Some(progress(cursor, place, Some(reads))?.behind)).collect();
        Some(Lag {
            cursor: reads.name.clone(),
            destination: destination(plan, &reads.name),
            behind: behind.iter().sum(),
            partitions_behind: behind.iter().filter(|behind| **behind > 0).count() as u64,
            most: behind.iter().copied().max().unwrap_or(0),
            pins: pinning.contains(&reads.name),
        })
    };
    readers(plan).iter().filter_map(lag).collect()
}

/// Every cursor that the plan reads with, and which topics.
pub fn readers(plan: &Plan) -> Vec<Cursor> {
    cursors::active(plan).into_iter().filter_map(|name| reader(plan, name)).collect()
}

/// A cursor with what it reads; `None` for that of a relay which has nothing to bridge.
pub fn reader(plan: &Plan, name: CursorName) -> Option<Cursor> {
    let topics = if name == plan.relay_cursor() {
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
        plan.smash.routes.iter().find(is_of).map_or_else(|| cursors::everything(plan), |route| route.topics.clone())
    };
    Some(Cursor { name, topics, from: From::Earliest })
}

/// Where a cursor stands in a partition; `None` where it has done nothing there and does not read it.
pub fn progress(cursor: &CursorState, partition: &PartitionState, reads: Option<&Cursor>) -> Option<Progress> {
    let is_here =
        |progress: &&CursorProgress| progress.topic == partition.topic && progress.partition == partition.partition;
    let found = cursor.partitions.iter().find(is_here);
    if found.is_none() && !reads.is_some_and(|cursor| cursor.topics.matches(&partition.topic)) {
        return None;
    }
    let (watermark, done_above) = found.map_or((0, 0), |progress| (progress.watermark, progress.done_above));
    let behind = partition.end.saturating_sub(watermark.max(partition.start)).saturating_sub(done_above);
    Some(Progress { watermark, done_above, behind })
}

fn destination(plan: &Plan, cursor: &CursorName) -> String {
    for route in &plan.smash.routes {
        for destination in &route.destinations {
            if CursorName::of_destination(&plan.app.id, &route.id, &destination.adapter) == *cursor {
                return format!("{}/{}", route.id, destination.adapter);
            }
        }
    }
    if *cursor == plan.relay_cursor() { "relay" } else { "unrouted" }.to_owned()
}
