//! What is known of one segment file.

use std::time::Instant;

use crate::format::{Header, checksum_seed};

/// A segment.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Tells it from any other file of that number.
    pub(crate) salt: u64,
    /// What its checksums begin with.
    pub(crate) seed: u32,
    /// The position behind its last valid batch.
    pub(crate) end: u64,
    /// The length of the file, where more is allocated than written.
    pub(crate) allocated: u64,
    /// The latest time of its records; before there are any, the time at which it was made.
    pub(crate) latest_us: i64,
    /// Whether `latest_us` is that of a record.
    pub(crate) has_records: bool,
    /// How many deduplication keys stand in it.
    pub(crate) keys: u64,
    /// Whether its index is on disk. Only that of a sealed segment ever is.
    pub(crate) is_indexed: bool,
    /// When it was made.
    pub(crate) made_at_us: i64,
    /// Whether its deduplication keys, where it has any, stand in a digest run. Only those of a sealed segment ever do.
    pub(crate) has_run: bool,
    /// When all of it was read last, since the log was opened.
    pub(crate) checked_at: Option<Instant>,
    /// The offsets that stand in it, by index of the partition: first and last.
    pub(crate) spans: Vec<(usize, u64, u64)>,
}

impl Segment {
    pub(crate) fn new(header: &Header, end: u64) -> Self {
        Self {
            number: header.number,
            salt: header.salt,
            seed: checksum_seed(header.salt),
            end,
            allocated: end,
            latest_us: header.made_at_us,
            has_records: false,
            keys: 0,
            is_indexed: false,
            made_at_us: header.made_at_us,
            has_run: false,
            checked_at: None,
            spans: Vec::new(),
        }
    }

    /// Takes a record in.
    pub(super) fn push(&mut self, partition: usize, offset: u64, time_us: i64) {
        self.latest_us = if self.has_records { self.latest_us.max(time_us) } else { time_us };
        self.has_records = true;
        self.skip(partition, offset, offset);
    }

    /// Takes in offsets that stand in it: records, or the word that they were lost.
    pub(super) fn skip(&mut self, partition: usize, first: u64, last: u64) {
        match self.spans.iter_mut().find(|(index, ..)| *index == partition) {
            Some((.., known)) => *known = last,
            None => self.spans.push((partition, first, last)),
        }
    }
}
