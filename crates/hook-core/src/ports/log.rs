//! The durable log: where events rest between `serve` and `smash`.

use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    BoxFuture,
    names::{CursorName, Glob, TopicName},
};

/// Where a record stands. Offsets of one partition count from 0 without gaps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The topic.
    pub topic: TopicName,
    /// The partition of the topic.
    pub partition: u32,
    /// The place within the partition.
    pub offset: u64,
}

/// A record to be stored.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Where it goes.
    pub topic: TopicName,
    /// Records of one key share a partition. `None` promises no order.
    pub key: Option<Bytes>,
    /// The record's time.
    pub time: Timestamp,
    /// Small, ours: opaque to the log.
    pub header: Bytes,
    /// The body as received: opaque to the log.
    pub body: Bytes,
}

/// A stored record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// As it was appended.
    pub key: Option<Bytes>,
    /// As it was appended, to the millisecond or better.
    pub time: Timestamp,
    /// As it was appended.
    pub header: Bytes,
    /// As it was appended.
    pub body: Bytes,
}

impl Record {
    /// The record that a log makes of a new one when it gives it a place.
    pub fn of(new: NewRecord, partition: u32, offset: u64) -> Self {
        let NewRecord { topic, key, time, header, body } = new;
        Self { position: Position { topic, partition, offset }, key, time, header, body }
    }
}

/// A key by which copies are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupKey {
    /// The first 16 bytes of a cryptographic digest of what identifies the delivery.
    pub digest: [u8; 16],
    /// Until when a copy is one.
    pub expires_at: Timestamp,
}

/// Records that are stored together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// The records. May be empty where only `commit` matters.
    pub records: Vec<NewRecord>,
    /// Sixteen bytes by which a later copy is told of this append: the event's id.
    pub id: [u8; 16],
    /// If any of these keys was stored before and has not expired, nothing is stored.
    pub dedup: Vec<DedupKey>,
    /// Cursor progress that becomes durable together with the records.
    pub commit: Option<Commit>,
}

impl Append {
    /// One record without deduplication.
    pub fn one(record: NewRecord) -> Self {
        Self { records: vec![record], ..Self::default() }
    }
}

/// Progress of a cursor.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Whose progress.
    pub cursor: CursorName,
    /// What is done, in any order. The log keeps the low watermark and the set of what is done above it.
    pub done: Vec<Position>,
}

/// The answer to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Durable, at these places, in the order of the records.
    Stored(Vec<Position>),
    /// Nothing was stored: a durable append with this id has one of the keys.
    DuplicateOf([u8; 16]),
}

/// Where a new cursor begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the oldest record that there is.
    Earliest,
    /// Behind the newest.
    Now,
    /// At the first record of that time or later.
    Time(Timestamp),
}

/// Which topics a subscription reads.
#[derive(Debug, Clone, Default)]
pub struct TopicFilter {
    /// A topic matches any of these.
    pub include: Vec<Glob>,
    /// Never matched, even by `*`, unless a pattern names it literally.
    pub unless_literal: Vec<TopicName>,
}

impl TopicFilter {
    /// Only this topic.
    pub fn only(topic: &TopicName) -> Self {
        Self { include: vec![Glob::new(topic.as_str())], unless_literal: Vec::new() }
    }

    /// Whether the filter takes that topic.
    pub fn matches(&self, topic: &TopicName) -> bool {
        let is_guarded = self.unless_literal.contains(topic);
        self.include.iter().any(|glob| glob.matches(topic.as_str()) && (!is_guarded || glob.is_literal()))
    }
}

/// A durable reader: a consumer group of one.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// Its name.
    pub name: CursorName,
    /// What it reads.
    pub topics: TopicFilter,
    /// Where it begins. Read only when the cursor does not exist yet.
    pub from: From,
}

/// The log.
///
/// What every implementation promises, and the conformance suite checks:
/// - `append` resolves with `Stored` only after every record of it is durable; a failed append leaves nothing behind
///   that a subscriber sees, and no mark for deduplication. (On Kafka that holds for an append that commits. Without a
///   commit its records go one by one: some may stay when others fail, and one that failed for time may be stored yet.)
/// - Of two appends with an equal unexpired key exactly one is stored, also when they run at once; `DuplicateOf` is
///   answered only when the first is durable. (Kafka stores both; its relay removes the copy.)
/// - Offsets of a partition rise and are never given twice. The embedded log leaves no gaps; on Kafka the marks of
///   transactions take places that no record has.
/// - A subscriber sees every durable record of its topics from its cursor on, each partition in order, none that is done,
///   and none that is not durable.
pub trait Log: Send + Sync + 'static {
    /// Stores a batch; resolves when it is durable. Dropping the future does not take the batch back.
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Appended, LogError>>;

    /// Stores a record some time soon, without an answer. Where the queue is full the record is dropped and counted.
    fn note(&self, record: NewRecord);

    /// Makes durable, and so readable, whatever was given to `note` before the call.
    fn flush(&self) -> BoxFuture<'_, Result<(), LogError>>;

    /// Makes a cursor where it does not exist; durable when this resolves. `true` where it was made.
    fn create_cursor(&self, cursor: &Cursor) -> BoxFuture<'_, Result<bool, LogError>>;

    /// Reads on from a cursor, which must exist. Each cursor has at most one subscription at a time.
    fn subscribe(&self, cursor: &Cursor) -> Result<Box<dyn Subscription>, LogError>;

    /// Forgets a cursor.
    fn delete_cursor(&self, name: &CursorName) -> BoxFuture<'_, Result<(), LogError>>;

    /// Reads once through what is durable now, oldest first, without a cursor.
    fn scan(&self, topics: TopicFilter, from: From) -> Result<Box<dyn Scan>, LogError>;

    /// Reads once through what is durable now, oldest first, each partition from a place of its own: from the one that `starts`
    /// names, or from its beginning. What retention has removed is passed over.
    fn scan_from(&self, topics: TopicFilter, starts: Vec<Position>) -> Result<Box<dyn Scan>, LogError>;

    /// Reads single records again; `None` for one that retention has removed.
    fn read(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Option<Record>>, LogError>>;

    /// Resolves when a record that `topics` matches becomes durable after this call. Followers of the log wait with it.
    fn appended(&self, topics: TopicFilter) -> BoxFuture<'static, ()>;

    /// What the log looks like now.
    fn state(&self) -> LogState;

    /// Writes out what is buffered, cursors included, and ends. Later calls fail with [`LogError::Closed`].
    fn close(&self) -> BoxFuture<'_, Result<(), LogError>>;
}

/// A reader with a durable cursor.
pub trait Subscription: Send {
    /// The next records, at least one and at most `max`; waits for them. Dropping the future loses nothing.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;

    /// Marks records as done. Returns at once; becomes durable soon, and at the latest when the log is closed. What belongs
    /// to a partition that was taken away is passed over.
    fn commit(&mut self, done: Vec<Position>) -> Result<(), LogError>;

    /// Where partitions are announced that go to another process; taken once, before the first `next`. `None` where the
    /// log never takes one away. Without it a partition goes at once, whatever is in flight.
    fn revocations(&mut self) -> Option<Box<dyn Revocations>> {
        None
    }
}

/// Announces partitions that go to another process.
pub trait Revocations: Send {
    /// The next announcement; waits for it. Dropping the future loses nothing. No record is delivered while one waits, and
    /// none of its partitions afterwards, until they come back: then from what was committed.
    fn next(&mut self) -> BoxFuture<'_, Revocation>;
}

/// Partitions that go to another process when this is dropped, or at its end. Until then their work in flight can be
/// finished and committed; what has not begun is to be forgotten.
#[must_use = "dropping it gives the partitions up"]
pub struct Revocation {
    /// Topic and number of each.
    pub partitions: Vec<(TopicName, u32)>,
    /// When the log gives them up by itself. What is in flight then is to be given up too: another process may be at it. In
    /// the past for partitions that are lost already.
    pub until: Instant,
    _held: Box<dyn Send>,
}

impl Revocation {
    /// The partitions, and what tells the log by being dropped that they are let go.
    pub fn new(partitions: Vec<(TopicName, u32)>, until: Instant, held: impl Send + 'static) -> Self {
        Self { partitions, until, _held: Box::new(held) }
    }

    /// Whether a position is in one of the partitions.
    pub fn covers(&self, position: &Position) -> bool {
        self.partitions.iter().any(|(topic, partition)| *topic == position.topic && *partition == position.partition)
    }
}

/// A reader without a cursor.
pub trait Scan: Send {
    /// The next records, at most `max`; none at the end of what was durable when the scan began.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;
}

/// What a log looks like now.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogState {
    /// Whether it takes appends now; otherwise why not.
    pub unavailable: Option<String>,
    /// The brokers that keep it, as `HOST:PORT`; none where it is on this machine's disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brokers: Vec<String>,
    /// Every topic partition with its bounds.
    pub partitions: Vec<PartitionState>,
    /// Every cursor.
    pub cursors: Vec<CursorState>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Records given to `note` that were dropped because the queue was full.
    pub dropped_notes: u64,
    /// Records that retention removed although a cursor that pins had not done them.
    pub dropped_records: u64,
    /// Damage that was found since the log was opened: each with its file, its position, and what is wrong there.
    pub damage: Vec<String>,
    /// What is known for deduplication; `None` where the log cannot tell.
    pub deduplication: Option<Deduplication>,
}

/// The bounds of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// The oldest offset that is kept.
    pub start: u64,
    /// The offset that the next record gets.
    pub end: u64,
}

/// The progress of one cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorState {
    /// The cursor.
    pub name: CursorName,
    /// Progress in each partition that it has read from.
    pub partitions: Vec<CursorProgress>,
}

/// What a log remembers so that nothing is stored twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deduplication {
    /// About how many keys are remembered.
    pub keys: u64,
    /// Every key that was stored since then is remembered until it expires; `None` where there is none.
    pub complete_since: Option<Timestamp>,
}

/// The progress of a cursor in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorProgress {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// Everything below this offset is done.
    pub watermark: u64,
    /// How many records at or above the watermark are done.
    pub done_above: u64,
}

/// Why the log could not do it.
#[derive(Debug, Clone, Error)]
pub enum LogError {
    /// It may work again: the disk is full, the broker is away. Ingress answers 503.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// The stored bytes are wrong. Names the file and the place.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// There is no such cursor.
    #[error("there is no cursor {0}")]
    NoCursor(CursorName),
    /// Nothing was stored, because what it commits belongs to partitions that were taken away: another process reads them.
    #[error("{} partitions of what was to be committed belong to another process now", .0.len())]
    Revoked(Vec<(TopicName, u32)>),
    /// A record is larger than the log takes.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_topic_is_matched_only_by_its_literal_name() {
        let dead_letters = TopicName::new("webhooks.dlq").unwrap();
        let filter =
            |pattern| TopicFilter { include: vec![Glob::new(pattern)], unless_literal: vec![dead_letters.clone()] };
        assert!(!filter("webhooks.*").matches(&dead_letters));
        assert!(filter("webhooks.dlq").matches(&dead_letters));
        assert!(filter("webhooks.*").matches(&TopicName::new("webhooks.core").unwrap()));
    }
}
