//! What the cursors of a plan that keep events still owe.

use hook_contract::plan::Plan;
use hook_core::ports::log::{Cursor, LogState};
use hook_runtime::{cursors, lag};

pub use hook_runtime::lag::{Progress, progress, readers as active};

/// The cursors whose undelivered events are kept.
pub fn pinning(plan: &Plan) -> Vec<Cursor> {
    cursors::pinning(plan).into_iter().filter_map(|name| lag::reader(plan, name)).collect()
}

/// How many deliveries a log still owes to the required destinations of a plan, and how many events to its relay.
pub fn undelivered(plan: &Plan, state: &LogState) -> u64 {
    lag::of(plan, state).iter().filter(|lag| lag.pins).map(|lag| lag.behind).sum()
}
