//! Retention: the oldest segments go, one at a time, unless a cursor that pins still needs a record in them.

use std::{sync::atomic::Ordering, time::Duration};

use tracing::{debug, warn};

use super::writer::Writer;
use crate::{format::ChainKind, options::WhenPinned, state::State};

/// Retention looks this often.
pub(super) const PERIOD: Duration = Duration::from_secs(60);
/// Between two segments that go: unlinking many at once would stall the syncs.
const PACE: Duration = Duration::from_millis(50);
/// Pinned bytes are counted again after so many new ones.
const COUNT_EVERY: u64 = 1 << 20;

impl Writer {
    /// Lets at most one segment go, where one is due.
    pub(super) fn retain(&mut self) {
        if self.retain_at > self.chain.timer.now() {
            return;
        }
        self.retain_at = self.chain.timer.now() + PERIOD;
        self.count();
        let Some(reason) = self.oldest_may_go() else { return };
        match self.remove_oldest(reason) {
            Ok(true) => self.retain_at = self.chain.timer.now() + PACE,
            Ok(false) => {}
            Err(error) => warn!(chain = self.chain.kind.folder(), %error, "old segment not removed"),
        }
    }

    /// Counts pinned bytes again, where enough has changed.
    pub(super) fn count_pinned(&mut self) {
        if self.blocked.is_some() || self.active.end >= self.counted_at_end + COUNT_EVERY.min(self.limits.max_pinned) {
            self.count();
        }
    }

    fn count(&mut self) {
        self.counted_at_end = self.active.end;
        let pinned = {
            let state = self.chain.state();
            pinned_bytes(&state, first_needed(&state, self.chain.kind))
        };
        let max = self.limits.max_pinned;
        if pinned <= max {
            return self.block(None);
        }
        match self.limits.when_pinned {
            WhenPinned::Block => self.block(Some(format!(
                "undelivered events take {pinned} bytes of the {} chain, and `max_pinned` allows {max}",
                self.chain.kind.folder()
            ))),
            WhenPinned::DropOldest => self.retain_at = self.retain_at.min(self.chain.timer.now() + PACE),
        }
    }

    fn oldest_may_go(&self) -> Option<Reason> {
        let state = self.chain.state();
        let oldest = state.segments.front().filter(|_| state.segments.len() > 1)?;
        let needed = first_needed(&state, self.chain.kind);
        let is_pinned = needed.is_some_and(|needed| needed <= oldest.number);
        if self.limits.when_pinned == WhenPinned::DropOldest && pinned_bytes(&state, needed) > self.limits.max_pinned {
            return Some(if is_pinned { Reason::Dropped } else { Reason::Bytes });
        }
        if is_pinned {
            return None;
        }
        let max_age_us = i64::try_from(self.limits.retention.max_age.as_micros()).unwrap_or(i64::MAX);
        if oldest.latest_us.saturating_add(max_age_us) < self.chain.now_us() {
            return Some(Reason::Age);
        }
        let is_over = self.limits.retention.max_bytes.is_some_and(|max| state.written() > max);
        is_over.then_some(Reason::Bytes)
    }

    /// Removes the oldest segment. `false` where it must stay for the keys in it.
    fn remove_oldest(&mut self, reason: Reason) -> std::io::Result<bool> {
        let now_us = self.chain.now_us();
        let oldest = self.chain.state().segments.front().cloned();
        let Some(oldest) = oldest else { return Ok(false) };
        if oldest.keys_until_us > now_us {
            let keys = self.seen.of_segment(oldest.number, now_us);
            // Where most of the segment is keys, writing them again would only make the next one.
            let is_mostly_keys = keys.len() as u64 * 128 > oldest.end;
            if is_mostly_keys && reason != Reason::Dropped {
                debug!(segment = oldest.number, "old segment kept: it holds keys of deduplication");
                return Ok(false);
            }
            if !keys.is_empty() {
                self.store_keys(&keys)?;
            }
        }
        let records: u64 = oldest.spans.iter().map(|(_, first, last)| last - first + 1).sum();
        // First nobody is told of it any more, then it goes. A reader that is in it keeps the file.
        self.chain.state().remove_oldest();
        self.chain.disk.remove(&self.chain.path(oldest.number))?;
        let (chain, segment, bytes) = (self.chain.kind.folder(), oldest.number, oldest.end);
        match reason {
            Reason::Dropped => {
                self.chain.dropped_records.fetch_add(records, Ordering::Relaxed);
                warn!(chain, segment, records, bytes, "undelivered events dropped: too many are pinned");
            }
            _ => debug!(chain, segment, records, bytes, ?reason, "old segment removed"),
        }
        Ok(true)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Age,
    Bytes,
    Dropped,
}

/// The oldest segment that a pinning cursor needs.
fn first_needed(state: &State, kind: ChainKind) -> Option<u64> {
    let none = crate::state::Cursor::default();
    let mut needed: Option<u64> = None;
    for name in &*state.pinning {
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

fn pinned_bytes(state: &State, needed: Option<u64>) -> u64 {
    let Some(needed) = needed else { return 0 };
    state.segments.iter().filter(|segment| segment.number >= needed).map(|segment| segment.end).sum()
}
