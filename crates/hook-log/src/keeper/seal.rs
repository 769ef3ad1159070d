//! Writes what stands beside a sealed segment: its index, and the run of its deduplication keys.

use std::{io, time::Duration};

use super::{Kept, PERIOD};
use crate::{
    digests::RunError,
    disk::write_whole,
    format::{Index, index_name},
    state::Segment,
};

impl Kept {
    /// Indexes every sealed segment that has no index, writes every run that is not written, and merges runs where there
    /// are too many. A log that is opened before that is done reads the segments instead.
    pub(super) fn seal(&mut self) -> io::Result<Duration> {
        while let Some(index) = self.next_to_index() {
            write_whole(&*self.chain.shared.disk, self.chain.dir(), &index_name(index.number), &[&index.encode()])?;
            self.mark(index.number, |segment| segment.is_indexed = true);
        }
        let digests = &self.chain.digests;
        let io_error = |error| {
            if let RunError::Damaged(damage) = &error {
                self.chain.found(damage);
            }
            io_error(error)
        };
        while let Some(segment) = digests.write_next().map_err(io_error)? {
            self.mark(segment, |segment| segment.has_run = true);
        }
        let is_ending = || self.chain.shared.keeper.is_closed();
        let oldest = self.chain.state().segments.front().map_or(0, |oldest| oldest.number);
        while !is_ending() && digests.tidy(oldest, self.chain.now_us(), is_ending).map_err(io_error)? {}
        Ok(PERIOD)
    }

    fn next_to_index(&self) -> Option<Index> {
        let state = self.chain.state();
        let sealed = state.segments.len().saturating_sub(1);
        let segment = state.segments.iter().take(sealed).find(|segment| !segment.is_indexed)?;
        Some(state.index_of(self.chain.kind, segment))
    }

    fn mark(&self, number: u64, change: impl FnOnce(&mut Segment)) {
        let mut state = self.chain.state();
        if let Some(segment) = state.segments.iter_mut().find(|segment| segment.number == number) {
            change(segment);
        }
    }
}

fn io_error(error: RunError) -> io::Error {
    match error {
        RunError::Damaged(damage) => io::Error::other(damage),
        RunError::Io { source, .. } => source,
    }
}
