//! What the relay remembers so that a copy of an event reaches its output once.
//!
//! Serve stores every copy here, with the keys by which copies are told in the Kafka header `hook.dedup`. Copies meet in one
//! partition. Whoever reads that partition for the cursor of the relay keeps the keys of what it has delivered; a record with
//! one of them is done without being delivered. The keys are written to a compacted topic in the transaction that writes the
//! output and the progress, and are read back by whoever is assigned the partition next.
//!
//! | record of `hook.dedup.CURSOR` | holds |
//! |---|---|
//! | partition | the number of the source's partition, modulo the number of partitions |
//! | key | the source's topic, a zero byte, its partition (4 bytes, big end first), the key of the copies (16 bytes) |
//! | value | the offset of the first copy, until when a copy is one in milliseconds (8 bytes each, big end first) |

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use hook_core::{
    Timestamp,
    names::TopicName,
    ports::log::{DedupKey, NewRecord},
};

use crate::{settings::MOST_WINDOW, view::Partition};

/// Records of one partition may be so much out of the order of their times.
const SLACK_MS: i64 = 10 * 60 * 1000;

/// The keys of one partition.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// Where the first copy stands, and until when others are copies of it.
    keys: HashMap<[u8; 16], (u64, i64)>,
    /// In the order in which they came.
    order: VecDeque<([u8; 16], i64)>,
    /// Keys of what was delivered and is not done yet, by its offset.
    pending: BTreeMap<u64, Vec<Entry>>,
}

/// A key, as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) digest: [u8; 16],
    pub(crate) offset: u64,
    pub(crate) expires_ms: i64,
}

impl Entry {
    /// Of an event that stands in another log: no record here is the first copy. Nobody remembers longer than a day here.
    pub(crate) fn elsewhere(key: &DedupKey, received_at: Timestamp) -> Self {
        let most_ms = i64::try_from(MOST_WINDOW.as_millis()).unwrap_or(i64::MAX);
        let expires_ms = key.expires_at.as_millisecond().min(received_at.as_millisecond().saturating_add(most_ms));
        Self { digest: key.digest, offset: u64::MAX, expires_ms }
    }
}

impl Remembered {
    /// Takes in what was read back.
    pub(crate) fn restore(&mut self, entry: Entry) {
        if self.keys.insert(entry.digest, (entry.offset, entry.expires_ms)).is_none() {
            self.order.push_back((entry.digest, entry.expires_ms));
        }
    }

    /// Whether a record is a copy of an earlier one. If not, its keys are remembered.
    pub(crate) fn is_copy(&mut self, offset: u64, time: Timestamp, keys: &[DedupKey], window_ms: i64) -> bool {
        if keys.is_empty() {
            return false;
        }
        let now_ms = time.as_millisecond();
        let is_known = |key: &DedupKey| {
            // The first copy itself, delivered again, is none.
            self.keys.get(&key.digest).is_some_and(|&(first, expires_ms)| first != offset && now_ms < expires_ms)
        };
        if keys.iter().any(is_known) {
            return true;
        }
        let entry = |key: &DedupKey| Entry {
            digest: key.digest,
            offset,
            expires_ms: key.expires_at.as_millisecond().min(now_ms.saturating_add(window_ms)),
        };
        let entries: Vec<_> = keys.iter().map(entry).collect();
        entries.iter().for_each(|entry| self.restore(*entry));
        self.pending.insert(offset, entries);
        self.forget_older_than(now_ms - SLACK_MS);
        false
    }

    fn forget_older_than(&mut self, time_ms: i64) {
        while let Some(&(digest, expires_ms)) = self.order.front()
            && expires_ms < time_ms
        {
            self.order.pop_front();
            // A key that was stored again since stays until its turn comes.
            match self.keys.get(&digest) {
                Some(&(_, expires_ms)) if expires_ms >= time_ms => self.order.push_back((digest, expires_ms)),
                _ => drop(self.keys.remove(&digest)),
            }
        }
    }

    /// What is to be written down when a record is done.
    pub(crate) fn pending(&self, offset: u64) -> &[Entry] {
        self.pending.get(&offset).map_or(&[], Vec::as_slice)
    }

    /// It is written down.
    pub(crate) fn written(&mut self, offset: u64) {
        self.pending.remove(&offset);
    }

    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }
}

/// The record of a key. Its partition is chosen by whoever sends it.
pub(crate) fn record(topic: &TopicName, source: &Partition, entry: &Entry, time: Timestamp) -> NewRecord {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&entry.offset.to_be_bytes());
    value[8..].copy_from_slice(&entry.expires_ms.to_be_bytes());
    let mut key = prefix(source);
    key.extend_from_slice(&entry.digest);
    NewRecord {
        topic: topic.clone(),
        key: Some(key.into()),
        time,
        header: Bytes::new(),
        body: Bytes::copy_from_slice(&value),
    }
}

/// How the keys of a partition begin.
pub(crate) fn prefix(source: &Partition) -> Vec<u8> {
    let mut prefix = source.0.as_str().as_bytes().to_vec();
    prefix.push(0);
    prefix.extend_from_slice(&source.1.to_be_bytes());
    prefix
}

/// The key in a record, where it begins so.
pub(crate) fn entry(prefix: &[u8], key: &[u8], value: &[u8]) -> Option<Entry> {
    let digest = key.strip_prefix(prefix)?.try_into().ok()?;
    let (offset, expires_ms) = value.split_at_checked(8)?;
    Some(Entry {
        digest,
        offset: u64::from_be_bytes(offset.try_into().ok()?),
        expires_ms: i64::from_be_bytes(expires_ms.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(digest: u8, expires_at: i64) -> DedupKey {
        DedupKey { digest: [digest; 16], expires_at: at(expires_at) }
    }

    #[test]
    fn a_copy_is_one_until_its_key_expires_or_the_window_ends() {
        let mut remembered = Remembered::default();
        assert!(!remembered.is_copy(0, at(0), &[key(1, 60)], HOUR_MS));
        assert!(remembered.is_copy(1, at(59), &[key(1, 119)], HOUR_MS));
        assert!(!remembered.is_copy(2, at(60), &[key(1, 120)], HOUR_MS));
        assert!(!remembered.is_copy(3, at(60), &[key(2, 999_999)], HOUR_MS));
        assert!(remembered.is_copy(4, at(3659), &[key(2, 999_999)], HOUR_MS));
        assert!(!remembered.is_copy(5, at(3660), &[key(2, 999_999)], HOUR_MS));
    }

    #[test]
    fn any_key_makes_a_copy_and_the_first_is_none_of_itself() {
        let mut remembered = Remembered::default();
        assert!(!remembered.is_copy(7, at(0), &[key(1, 60), key(2, 60)], HOUR_MS));
        assert!(remembered.is_copy(8, at(0), &[key(3, 60), key(2, 60)], HOUR_MS));
        assert!(!remembered.is_copy(9, at(0), &[key(3, 60)], HOUR_MS), "a copy leaves no mark");
        assert!(!remembered.is_copy(7, at(1), &[key(1, 60), key(2, 60)], HOUR_MS), "it is delivered again");
        assert!(!remembered.is_copy(10, at(0), &[], HOUR_MS));
    }

    #[test]
    fn a_copy_of_what_stands_in_another_log_is_one_for_a_day_at_most() {
        let mut remembered = Remembered::default();
        remembered.restore(Entry::elsewhere(&key(1, 60), at(0)));
        remembered.restore(Entry::elsewhere(&key(2, 999_999), at(0)));
        assert!(remembered.is_copy(0, at(59), &[key(1, 119)], HOUR_MS));
        assert!(!remembered.is_copy(1, at(60), &[key(1, 120)], HOUR_MS));
        assert!(remembered.is_copy(2, at(24 * 3600 - 1), &[key(2, 999_999)], HOUR_MS));
        assert!(!remembered.is_copy(3, at(24 * 3600), &[key(2, 999_999)], HOUR_MS));
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let mut first = Remembered::default();
        first.is_copy(7, at(0), &[key(1, 60), key(2, 60)], HOUR_MS);
        let (topic, source) = (TopicName::new("hook.dedup.app.relay").unwrap(), (TopicName::new("in").unwrap(), 3));
        let mut second = Remembered::default();
        for pending in first.pending(7) {
            let record = record(&topic, &source, pending, at(0));
            assert_eq!(entry(&prefix(&(source.0.clone(), 4)), &record.key.clone().unwrap(), &record.body), None);
            let read = entry(&prefix(&source), &record.key.unwrap(), &record.body).unwrap();
            assert_eq!(read, *pending);
            second.restore(read);
        }
        assert!(second.is_copy(8, at(59), &[key(2, 60)], HOUR_MS));
        first.written(7);
        assert!(first.pending(7).is_empty());
        assert_eq!(entry(b"in", b"in short", b""), None);
    }

    #[test]
    fn what_has_expired_is_forgotten() {
        let mut remembered = Remembered::default();
        for second in 0..10_000_i64 {
            let mut digest = [0; 16];
            digest[..8].copy_from_slice(&second.to_le_bytes());
            let key = DedupKey { digest, expires_at: at(second + 100) };
            remembered.is_copy(second.unsigned_abs(), at(second), &[key], HOUR_MS);
        }
        assert!(remembered.count() <= 100 + 600 + 1, "{} keys", remembered.count());
    }
}
