//! How far a reader has come in one partition: a low watermark, and what is done above it.

use std::{collections::BTreeMap, ops::Range};

/// A set of offsets, kept as ranges that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// First offset → the one behind the last.
    ends: BTreeMap<u64, u64>,
    count: u64,
}

impl Ranges {
    /// Adds every offset of `range`.
    pub fn insert(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        if let Some((&before, &before_end)) = self.ends.range(..=start).next_back()
            && before_end >= start
        {
            if before_end >= end {
                return;
            }
            start = before;
        }
        while let Some((&touching, &touching_end)) = self.ends.range(start..=end).next() {
            self.remove(touching, touching_end);
            end = end.max(touching_end);
        }
        self.ends.insert(start, end);
        self.count += end - start;
    }

    /// Whether `offset` is in the set.
    pub fn contains(&self, offset: u64) -> bool {
        self.end_of(offset).is_some()
    }

    /// How many offsets are in the set.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The ranges, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ends.iter().map(|(&start, &end)| start..end)
    }

    /// The end of the range that holds `offset`.
    fn end_of(&self, offset: u64) -> Option<u64> {
        self.ends.range(..=offset).next_back().map(|(_, &end)| end).filter(|&end| end > offset)
    }

    fn first(&self) -> Option<(u64, u64)> {
        self.ends.first_key_value().map(|(&start, &end)| (start, end))
    }

    fn remove(&mut self, start: u64, end: u64) {
        self.ends.remove(&start);
        self.count -= end - start;
    }
}

impl FromIterator<u64> for Ranges {
    fn from_iter<I: IntoIterator<Item = u64>>(offsets: I) -> Self {
        let mut ranges = Self::default();
        offsets.into_iter().for_each(|offset| ranges.insert(offset..offset.saturating_add(1)));
        ranges
    }
}

/// The progress of a cursor in one partition. Everything below the watermark is done, the offset at the watermark is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    watermark: u64,
    above: Ranges,
}

impl Progress {
    /// Everything below `watermark` is done, and nothing else.
    pub fn at(watermark: u64) -> Self {
        Self { watermark, above: Ranges::default() }
    }

    /// Marks every offset of `range` as done. What was done stays done.
    pub fn finish(&mut self, range: Range<u64>) {
        if range.end <= self.watermark {
            return;
        }
        if range.start > self.watermark {
            self.above.insert(range);
            return;
        }
        self.raise(range.end);
    }

    /// Marks everything below `watermark` as done.
    pub fn raise(&mut self, watermark: u64) {
        self.watermark = self.watermark.max(watermark);
        while let Some((start, end)) = self.above.first().filter(|&(start, _)| start <= self.watermark) {
            self.above.remove(start, end);
            self.watermark = self.watermark.max(end);
        }
    }

    /// Everything below this offset is done.
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// What is done above the watermark.
    pub fn above(&self) -> &Ranges {
        &self.above
    }

    /// Whether `offset` is done.
    pub fn is_done(&self, offset: u64) -> bool {
        offset < self.watermark || self.above.contains(offset)
    }

    /// The lowest offset from `offset` on that is not done.
    pub fn first_open(&self, offset: u64) -> u64 {
        let offset = offset.max(self.watermark);
        // Ranges never touch, so that behind the end of one there is always an offset that is not done.
        self.above.end_of(offset).unwrap_or(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_waits_for_the_lowest_open_offset() {
        let mut progress = Progress::at(0);
        progress.finish(1..4);
        assert_eq!((progress.watermark(), progress.above().count()), (0, 3));
        assert_eq!(progress.first_open(1), 4);
        progress.finish(0..1);
        assert_eq!((progress.watermark(), progress.above().count()), (4, 0));
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let ranges: Ranges = [5, 1, 3, 2, 4, 9].into_iter().collect();
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [1..6, 9..10]);
        assert_eq!(ranges.count(), 6);
    }
}
