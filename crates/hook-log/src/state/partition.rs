//! The bounds of a partition, and a sparse index into it.

use std::collections::VecDeque;

use hook_core::names::TopicName;

use crate::format::{IndexPartition, Place};

/// There is an index entry for a record that stands at least so far behind the last one that has an entry.
pub(crate) const INDEX_STRIDE: u64 = 64 << 10;

/// A topic partition.
pub(crate) struct Partition {
    pub(crate) topic: TopicName,
    pub(crate) number: u32,
    /// The oldest offset that is kept.
    pub(crate) start: u64,
    /// The offset that the next record gets.
    pub(crate) end: u64,
    /// The latest time of all its records. Times of records need not grow, this does.
    latest_us: i64,
    index: VecDeque<Entry>,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) offset: u64,
    /// The latest time of all records before this one.
    latest_before_us: i64,
}

impl Partition {
    pub(crate) fn new(topic: TopicName, number: u32, start: u64) -> Self {
        Self { topic, number, start, end: start, latest_us: i64::MIN, index: VecDeque::new() }
    }

    /// Takes the next record in.
    pub(super) fn push(&mut self, place: Place, time_us: i64) {
        self.enter(place);
        self.latest_us = self.latest_us.max(time_us);
        self.end += 1;
    }

    /// Takes in that the records up to `end` were lost. Whoever reads them is led to the frame that says so.
    pub(super) fn skip(&mut self, place: Place, end: u64) {
        self.enter(place);
        self.end = end;
    }

    fn enter(&mut self, place: Place) {
        let is_far = self.index.back().is_none_or(|last| {
            last.place.segment != place.segment || place.position - last.place.position >= INDEX_STRIDE
        });
        if is_far {
            self.index.push_back(Entry { place, offset: self.end, latest_before_us: self.latest_us });
        }
    }

    /// Takes all its records of a sealed segment in.
    pub(super) fn push_indexed(&mut self, segment: u64, index: &IndexPartition) {
        self.index.extend(index.entries.iter().map(|&(offset, position, latest_before_us)| Entry {
            place: Place { segment, position },
            offset,
            latest_before_us,
        }));
        self.latest_us = index.latest_us;
        self.end = index.last + 1;
    }

    /// What the index of a sealed segment says of this partition, which has the records from `first` to `last` in it.
    pub(crate) fn indexed(&self, segment: u64, first: u64, last: u64) -> IndexPartition {
        let from = self.index.partition_point(|entry| entry.place.segment < segment);
        let to = self.index.partition_point(|entry| entry.place.segment <= segment);
        // The first record of every segment has an entry, so the one behind knows the latest time before itself.
        let latest_us = self.index.get(to).map_or(self.latest_us, |next| next.latest_before_us);
        let entries = self.index.range(from..to);
        let entries = entries.map(|entry| (entry.offset, entry.place.position, entry.latest_before_us)).collect();
        IndexPartition { topic: self.topic.as_str().to_owned(), number: self.number, first, last, latest_us, entries }
    }

    /// Forgets what stood in that segment and the ones before. `last` is the last offset in it.
    pub(super) fn remove(&mut self, segment: u64, last: u64) {
        self.start = self.start.max(last + 1);
        while self.index.front().is_some_and(|entry| entry.place.segment <= segment) {
            self.index.pop_front();
        }
    }

    /// The last entry that is not behind `offset`; `None` where that offset is not kept.
    pub(crate) fn at_offset(&self, offset: u64) -> Option<Entry> {
        if offset < self.start || offset >= self.end {
            return None;
        }
        let behind = self.index.partition_point(|entry| entry.offset <= offset);
        self.index.get(behind.checked_sub(1)?).copied()
    }

    /// An entry that is not behind the first record of that time or later; `None` where there is no such record.
    pub(crate) fn at_time(&self, time_us: i64) -> Option<Entry> {
        if self.latest_us < time_us || self.start == self.end {
            return None;
        }
        let behind = self.index.partition_point(|entry| entry.latest_before_us < time_us);
        self.index.get(behind.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(times: &[i64]) -> Partition {
        let mut partition = Partition::new(TopicName::new("t").unwrap(), 0, 0);
        for (number, time) in times.iter().enumerate() {
            partition.push(Place { segment: 1, position: number as u64 * INDEX_STRIDE }, *time);
        }
        partition
    }

    #[test]
    fn a_time_is_found_also_where_times_step_back() {
        let partition = partition(&[10, 50, 20, 60]);
        let found = |time| partition.at_time(time).map(|entry| entry.offset);
        assert_eq!(found(5), Some(0));
        assert_eq!(found(15), Some(1));
        assert_eq!(found(50), Some(1));
        assert_eq!(found(55), Some(3));
        assert_eq!(found(61), None);
    }

    #[test]
    fn what_was_removed_is_not_found() {
        let mut partition = partition(&[10, 20]);
        partition.remove(1, 1);
        assert!(partition.at_offset(1).is_none());
        assert!(partition.at_time(0).is_none());
    }
}
