//! What is known of one segment file.

/// A segment.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) number: u64,
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
    /// The latest time at which one of the keys that it has seen expires.
    pub(crate) keys_until_us: i64,
    /// The offsets that stand in it, by index of the partition: first and last.
    pub(crate) spans: Vec<(usize, u64, u64)>,
}

impl Segment {
    pub(crate) fn new(number: u64, seed: u32, end: u64, made_at_us: i64) -> Self {
        Self {
            number,
            seed,
            end,
            allocated: end,
            latest_us: made_at_us,
            has_records: false,
            keys_until_us: i64::MIN,
            spans: Vec::new(),
        }
    }

    /// Takes a record in.
    pub(super) fn push(&mut self, partition: usize, offset: u64, time_us: i64) {
        self.latest_us = if self.has_records { self.latest_us.max(time_us) } else { time_us };
        self.has_records = true;
        match self.spans.iter_mut().find(|(index, ..)| *index == partition) {
            Some((.., last)) => *last = offset,
            None => self.spans.push((partition, offset, offset)),
        }
    }
}
