//! What the cursors of a plan read: told by routes and relay, as it is stored nowhere.

use hook_contract::plan::Plan;
use hook_core::{
    names::{CursorName, Glob},
    ports::log::{Cursor, CursorProgress, CursorState, From, LogState, PartitionState, TopicFilter},
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

/// Where a cursor stands in a partition.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Everything below is done.
    pub watermark: u64,
    /// So many are done at and above it.
    pub done_above: u64,
    /// So many are not.
    pub behind: u64,
}

/// How many deliveries a log still owes to the required destinations of a plan, and how many events to its relay.
pub fn undelivered(plan: &Plan, state: &LogState) -> u64 {
    let of_cursor = |reads: &Cursor| {
        let cursor = state.cursors.iter().find(|cursor| cursor.name == reads.name)?;
        let behind = |partition| Some(progress(cursor, partition, Some(reads))?.behind);
        Some(state.partitions.iter().filter_map(behind).sum::<u64>())
    };
    pinning(plan).iter().filter_map(of_cursor).sum()
}

/// A cursor with what it reads; `None` for that of a relay which has nothing to bridge.
fn cursor(plan: &Plan, name: CursorName) -> Option<Cursor> {
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
