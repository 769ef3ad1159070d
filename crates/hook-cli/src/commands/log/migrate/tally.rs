//! Counts and checksums of records, the same whatever order they are read in.

use hook_admin::transfer::identity;
use hook_core::{
    Timestamp,
    ports::log::{Position, Record},
};

/// What was read of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) records: u64,
    /// Keys, headers and bodies.
    pub(super) bytes: u64,
    sum: u128,
}

impl Tally {
    /// Adds a record at its place in the embedded log. Its time is no part of it: Kafka keeps milliseconds, and one that is
    /// old gets another.
    pub(super) fn add(&mut self, record: &Record) {
        let timeless = Record { time: Timestamp::UNIX_EPOCH, ..record.clone() };
        let Position { partition, offset, .. } = record.position;
        let digest = u128::from_be_bytes(identity(&timeless)).rotate_left(partition);
        self.records += 1;
        self.bytes += size(record);
        // Odd, so that nothing of the digest is lost: records that changed places are told.
        self.sum = self.sum.wrapping_add(digest.wrapping_mul((u128::from(offset) << 1) | 1));
    }

    /// The checksum, as it is shown.
    pub(super) fn checksum(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

pub(super) fn size(record: &Record) -> u64 {
    let key = record.key.as_ref().map_or(0, bytes::Bytes::len);
    (key + record.header.len() + record.body.len()) as u64
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hook_core::names::TopicName;

    use super::*;

    fn tally(records: &[(u64, &'static str)]) -> Tally {
        let mut tally = Tally::default();
        for &(offset, body) in records {
            let position = Position { topic: TopicName::new("t").unwrap(), partition: 0, offset };
            let (time, header) = (Timestamp::from_second(offset as i64).unwrap(), Bytes::new());
            let record = Record { position, key: None, time, header, body: Bytes::from_static(body.as_bytes()) };
            tally.add(&record);
        }
        tally
    }

    #[test]
    fn the_order_of_reading_does_not_matter_and_everything_else_does() {
        let all = tally(&[(0, "a"), (1, "b")]);
        assert_eq!(all, tally(&[(1, "b"), (0, "a")]));
        for other in [&[(0, "b"), (1, "a")][..], &[(0, "a"), (2, "b")], &[(0, "a"), (1, "c")], &[(0, "a")]] {
            assert_ne!(all.checksum(), tally(other).checksum());
        }
    }
}
