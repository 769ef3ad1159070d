//! Retention: the oldest segments go, one at a time, unless a cursor that pins still needs a record in them.

use std::{io, sync::atomic::Ordering, time::Duration};

use tracing::{debug, warn};

use super::{Kept, PACE, PERIOD};
use crate::{
    chain::Chain,
    format::index_name,
    options::WhenPinned,
    state::{Segment, first_needed, pinned_bytes},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Age,
    Bytes,
    Dropped,
}

impl Kept {
    /// Lets at most one segment go, where one is due. Returns when it wants to look again.
    pub(super) fn retain(&mut self) -> io::Result<Duration> {
        // A gap in the numbers is damage: as long as one file has not gone, no later one goes.
        if let Some(gone) = &self.gone {
            unlink(&self.chain, gone)?;
            self.gone = None;
        }
        let Some(reason) = self.oldest_may_go() else { return Ok(PERIOD) };
        self.removed_at = self.chain.shared.timer.now();
        self.remove_oldest(reason)?;
        Ok(PACE)
    }

    fn oldest_may_go(&self) -> Option<Reason> {
        let limits = &self.chain.limits;
        let state = self.chain.state();
        let oldest = state.segments.front().filter(|_| state.segments.len() > 1 && state.pinning.is_some())?;
        // Its keys outlive its records, so they must be in a file of their own first.
        if !oldest.has_run {
            return None;
        }
        let needed = first_needed(&state, self.chain.kind);
        let is_pinned = needed.is_some_and(|needed| needed <= oldest.number);
        if limits.when_pinned == WhenPinned::DropOldest && pinned_bytes(&state, needed) > limits.max_pinned {
            return Some(if is_pinned { Reason::Dropped } else { Reason::Bytes });
        }
        if is_pinned {
            return None;
        }
        let max_age_us = i64::try_from(limits.retention.max_age.as_micros()).unwrap_or(i64::MAX);
        if oldest.latest_us.saturating_add(max_age_us) < self.chain.now_us() {
            return Some(Reason::Age);
        }
        let is_over = limits.retention.max_bytes.is_some_and(|max| state.written() > max);
        is_over.then_some(Reason::Bytes)
    }

    fn remove_oldest(&mut self, reason: Reason) -> io::Result<()> {
        // First nobody is told of it any more, then it goes. A reader that is in it keeps the file.
        let Some(oldest) = self.chain.state().remove_oldest() else { return Ok(()) };
        // The writer may refuse appends for want of room.
        self.chain.queue.poke();
        let records: u64 = oldest.spans.iter().map(|(_, first, last)| last - first + 1).sum();
        let (chain, segment, bytes) = (self.chain.kind.folder(), oldest.number, oldest.end);
        match reason {
            Reason::Dropped => {
                self.chain.dropped_records.fetch_add(records, Ordering::Relaxed);
                warn!(chain, segment, records, bytes, "undelivered events dropped: too many are pinned");
            }
            Reason::Age | Reason::Bytes => debug!(chain, segment, records, bytes, ?reason, "old segment removed"),
        }
        let removed = unlink(&self.chain, &oldest);
        self.gone = removed.is_err().then_some(oldest);
        removed
    }
}

/// Removes the files of a segment. The directory is synced each time, so that a crash leaves no gap either.
fn unlink(chain: &Chain, segment: &Segment) -> io::Result<()> {
    let disk = &chain.shared.disk;
    let index = chain.dir().join(index_name(segment.number));
    for path in [chain.path(segment.number), index] {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    disk.sync_dir(chain.dir())
}
