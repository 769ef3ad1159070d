//! What cursors that pin still need.

use super::{Cursor, State};
use crate::format::ChainKind;

/// The oldest segment that a pinning cursor needs.
pub(crate) fn first_needed(state: &State, kind: ChainKind) -> Option<u64> {
    let none = Cursor::default();
    let mut needed: Option<u64> = None;
    for name in state.pinning.iter().flat_map(|names| names.iter()) {
        // The chain of events says which cursors exist; in the others, one may have no progress yet.
        let cursor = match state.cursors.get(name) {
            Some(cursor) => cursor,
            None if kind == ChainKind::Events => continue,
            None => &none,
        };
        // As long as nobody has said what it reads, it may read everything.
        let filter = state.filters.get(name);
        for (index, partition) in state.partitions.iter().enumerate() {
            if filter.is_some_and(|topics| !topics.matches(&partition.topic)) {
                continue;
            }
            let open = state.first_open(cursor, index, partition.start);
            let segment = partition.at_offset(open).map(|entry| entry.place.segment);
            needed = [needed, segment].into_iter().flatten().min();
        }
    }
    needed
}

/// The bytes from the oldest needed segment on.
pub(crate) fn pinned_bytes(state: &State, needed: Option<u64>) -> u64 {
    let Some(needed) = needed else { return 0 };
    state.segments.iter().filter(|segment| segment.number >= needed).map(|segment| segment.end).sum()
}
