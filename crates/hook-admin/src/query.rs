//! Questions about stored events that the log alone can answer, so that they work with and without a running pipeline.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use hook_core::{
    Timestamp,
    envelope::{DeadLetter, Envelope, Layout},
    event::EventId,
    names::{Glob, SourceName, TopicName},
    ports::log::{From, Log, LogError, Position, Record, Scan, TopicFilter},
};
use hook_runtime::travel::Redriven;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// So many records are read at once.
const READ: usize = 256;
/// How many answers there are where nobody says how many.
const DEFAULT_LIMIT: usize = 20;

/// The topics of a pipeline that are its own.
#[derive(Debug, Clone)]
pub struct OwnTopics {
    /// Dead letters.
    pub dead_letters: TopicName,
    /// The journal.
    pub journal: TopicName,
}

impl OwnTopics {
    /// Every topic that holds events.
    pub fn events(&self) -> TopicFilter {
        let unless_literal = vec![self.dead_letters.clone(), self.journal.clone()];
        TopicFilter { include: vec![Glob::new("*")], unless_literal }
    }
}

/// Which events are asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EventQuery {
    /// Only of this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// Only of event types that match this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Only in topics that match this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Only received at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// At most so many, the newest ones. 20 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl EventQuery {
    /// The topics to read.
    pub fn topics(&self, own: &OwnTopics) -> TopicFilter {
        let mut topics = own.events();
        if let Some(pattern) = &self.topic {
            topics.include = vec![Glob::new(pattern)];
        }
        topics
    }

    fn from(&self) -> From {
        self.since.map_or(From::Earliest, From::Time)
    }

    fn takes(&self, event: &Envelope) -> bool {
        let header = &event.header;
        self.source.as_ref().is_none_or(|source| *source == header.source)
            && self.event_type.as_ref().is_none_or(|glob| Glob::new(glob).matches(header.event_type.as_str()))
            && self.since.is_none_or(|since| header.received_at >= since)
    }
}

/// An event with its place in the log.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Where it stands.
    pub position: Position,
    /// The event.
    pub event: Envelope,
}

impl StoredEvent {
    /// The event of a record; `None` where the record holds something else.
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self { position: record.position.clone(), event: Envelope::from_record(record).ok()? })
    }

    /// One JSON line: the envelope, with `topic`, `partition` and `offset` beside its keys.
    pub fn to_line(&self) -> Vec<u8> {
        let Position { topic, partition, offset } = &self.position;
        let mut out = format!("{{\"topic\":\"{topic}\",\"partition\":{partition},\"offset\":{offset},").into_bytes();
        self.event.write_fields(Layout::OneLine, &mut out);
        out.extend_from_slice(b"}\n");
        out
    }
}

/// The newest events that a query takes, oldest first.
pub async fn events(log: &Arc<dyn Log>, own: &OwnTopics, query: &EventQuery) -> Result<Vec<StoredEvent>, LogError> {
    let scan = log.scan(query.topics(own), query.from())?;
    newest(scan, query.limit, |record| StoredEvent::of(record).filter(|stored| query.takes(&stored.event))).await
}

/// Every record of one event: one a topic, and one more for each replay.
pub async fn event(log: &Arc<dyn Log>, own: &OwnTopics, id: EventId) -> Result<Vec<StoredEvent>, LogError> {
    let scan = log.scan(own.events(), around(id))?;
    newest(scan, Some(usize::MAX), |record| StoredEvent::of(record).filter(|stored| stored.event.header.id == id)).await
}

/// Follows the log: events that become durable after the call, as they come.
pub struct Tail {
    log: Arc<dyn Log>,
    topics: TopicFilter,
    query: EventQuery,
    /// For each topic partition, what has been seen.
    seen: HashMap<(TopicName, u32), u64>,
}

impl Tail {
    /// Begins behind the newest record.
    pub fn new(log: Arc<dyn Log>, own: &OwnTopics, query: EventQuery) -> Self {
        let topics = query.topics(own);
        let ends = log.state().partitions.into_iter();
        let seen = ends.map(|partition| ((partition.topic, partition.partition), partition.end)).collect();
        Self { topics, query, seen, log }
    }

    /// The next events; waits for them.
    pub async fn next(&mut self) -> Result<Vec<StoredEvent>, LogError> {
        loop {
            // Subscribed before the look, so that nothing falls between the two.
            let appended = self.log.appended(self.topics.clone());
            let events = self.look().await?;
            if !events.is_empty() {
                return Ok(events);
            }
            appended.await;
        }
    }

    async fn look(&mut self) -> Result<Vec<StoredEvent>, LogError> {
        let mut positions = Vec::new();
        for partition in self.log.state().partitions.iter().filter(|partition| self.topics.matches(&partition.topic)) {
            let key = (partition.topic.clone(), partition.partition);
            let from = self.seen.get(&key).copied().unwrap_or(0).max(partition.start);
            let to = partition.end.min(from + READ as u64);
            positions.extend((from..to).map(|offset| Position {
                topic: partition.topic.clone(),
                partition: partition.partition,
                offset,
            }));
            self.seen.insert(key, to.max(from));
        }
        let records = self.log.read(positions).await?;
        let events = records.iter().flatten().filter_map(StoredEvent::of);
        Ok(events.filter(|stored| self.query.takes(&stored.event)).collect())
    }
}

/// Which dead letters are asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeadLetterQuery {
    /// Only of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// Only of destinations that match this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Only failed at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// At most so many, the newest ones. 20 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl DeadLetterQuery {
    fn takes(&self, letter: &DeadLetter) -> bool {
        let header = &letter.header;
        self.event_id.is_none_or(|id| id == header.event.id)
            && self.destination.as_ref().is_none_or(|glob| Glob::new(glob).matches(&header.destination))
            && self.since.is_none_or(|since| header.failed_at >= since)
    }
}

/// The newest dead letters that a query takes, oldest first.
pub async fn dead_letters(
    log: &Arc<dyn Log>,
    own: &OwnTopics,
    query: &DeadLetterQuery,
) -> Result<Vec<StoredLetter>, LogError> {
    let redriven = Redriven::read(log, &own.journal).await?;
    let scan = log.scan(TopicFilter::only(&own.dead_letters), query.since.map_or(From::Earliest, From::Time))?;
    let limit = if query.event_id.is_some() { query.limit.or(Some(usize::MAX)) } else { query.limit };
    let stored = |record: &Record| {
        let letter = DeadLetter::from_record(record).ok().filter(|letter| query.takes(letter))?;
        let redriven_by = redriven.by(&letter, &record.position);
        Some(StoredLetter { letter, redriven_by })
    };
    newest(scan, limit, stored).await
}

/// A dead letter, and what has become of it.
#[derive(Debug, Clone)]
pub struct StoredLetter {
    /// The letter.
    pub letter: DeadLetter,
    /// The job that has redriven it.
    pub redriven_by: Option<Uuid>,
}

/// Where the records of an event begin. A clock that stepped back is allowed for.
pub(crate) fn around(id: EventId) -> From {
    let a_minute = hook_core::SignedDuration::from_secs(60);
    id.made_at().map_or(From::Earliest, |at| From::Time(at - a_minute))
}

/// The last answers of a scan, in its order.
async fn newest<T>(
    mut scan: Box<dyn Scan>,
    limit: Option<usize>,
    mut answer: impl FnMut(&Record) -> Option<T>,
) -> Result<Vec<T>, LogError> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let mut kept = VecDeque::new();
    loop {
        let records = scan.next(READ).await?;
        if records.is_empty() {
            return Ok(kept.into());
        }
        for found in records.iter().filter_map(&mut answer) {
            if kept.len() == limit {
                kept.pop_front();
            }
            kept.push_back(found);
        }
    }
}

/// A dead letter as one JSON line: the `DlqEnvelope`, with `redriven_by` beside its keys where it was.
pub fn dead_letter_line(stored: &StoredLetter) -> Bytes {
    let mut line = stored.letter.to_json(Layout::OneLine);
    if let Some(job) = stored.redriven_by {
        line.pop();
        line.extend_from_slice(format!(",\"redriven_by\":\"{job}\"}}").as_bytes());
    }
    line.push(b'\n');
    line.into()
}
