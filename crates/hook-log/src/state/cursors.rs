//! Progress of cursors, and what of it is not written yet.

use std::{collections::BTreeMap, mem, time::Instant};

use hook_core::{
    names::{CursorName, TopicName},
    progress::{Progress, Ranges},
};

use super::{Partition, State};

/// A cursor as far as it concerns this chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cursor {
    /// By index of the partition. Without an entry, nothing is done.
    pub(crate) progress: BTreeMap<usize, Progress>,
    /// Done, and not written.
    dirty: BTreeMap<usize, Ranges>,
}

/// Progress that is to be written.
pub(crate) struct Dirty {
    pub(crate) cursor: CursorName,
    pub(crate) topic: TopicName,
    pub(crate) number: u32,
    pub(crate) done: Ranges,
    partition: usize,
}

impl State {
    /// Marks offsets as done and remembers to write it. `false` where there is no such cursor.
    pub(crate) fn finish(&mut self, name: &CursorName, partition: usize, done: &Ranges, now: Instant) -> bool {
        let Some(cursor) = self.cursors.get_mut(name) else { return false };
        let bounds = &self.partitions[partition];
        let progress = cursor.progress.entry(partition).or_insert_with(|| Progress::at(bounds.start));
        let dirty = cursor.dirty.entry(partition).or_default();
        // What does not exist yet cannot be done: it would be skipped when it comes.
        for range in done.iter().map(|range| range.start..range.end.min(bounds.end)) {
            progress.finish(range.clone());
            dirty.insert(range);
        }
        self.dirty_since.get_or_insert(now);
        true
    }

    /// Takes what is to be written.
    pub(crate) fn take_dirty(&mut self) -> Vec<Dirty> {
        if self.dirty_since.take().is_none() {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for (cursor, entry) in &mut self.cursors {
            for (partition, done) in mem::take(&mut entry.dirty).into_iter().filter(|(_, done)| !done.is_empty()) {
                let Partition { topic, number, .. } = &self.partitions[partition];
                taken.push(Dirty { cursor: cursor.clone(), topic: topic.clone(), number: *number, done, partition });
            }
        }
        taken
    }

    /// Takes back what could not be written.
    pub(crate) fn put_back(&mut self, dirty: Vec<Dirty>, now: Instant) {
        for Dirty { cursor, partition, done, .. } in dirty {
            self.finish(&cursor, partition, &done, now);
        }
    }

    /// Whether a cursor has done that offset.
    pub(crate) fn is_done(&self, cursor: &Cursor, partition: usize, offset: u64) -> bool {
        offset < self.partitions[partition].start
            || cursor.progress.get(&partition).is_some_and(|progress| progress.is_done(offset))
    }

    /// The lowest offset of a partition, from `from` on, that a cursor has not done.
    pub(crate) fn first_open(&self, cursor: &Cursor, partition: usize, from: u64) -> u64 {
        let from = from.max(self.partitions[partition].start);
        cursor.progress.get(&partition).map_or(from, |progress| progress.first_open(from))
    }

    /// Raises all cursors to the starts of the partitions: what is gone needs no set of what was done in it.
    pub(crate) fn raise_cursors(&mut self) {
        for cursor in self.cursors.values_mut() {
            for (&partition, progress) in &mut cursor.progress {
                progress.raise(self.partitions[partition].start);
            }
        }
    }
}
