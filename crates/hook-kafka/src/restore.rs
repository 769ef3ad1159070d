//! Reads back what the relay remembers of partitions that have become ours.
//!
//! Whoever had a partition before may have died in a transaction. Its keys are durable when its progress is, so that the
//! topic is read up to everything that was sent to it, after the brokers have ended whatever was open: the timeout of a
//! transaction bounds that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use hook_core::{
    SignedDuration,
    names::{CursorName, TopicName},
    ports::log::From,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tracing::info;

use crate::{
    client::{Clients, connect},
    cluster,
    copies::{self, Remembered},
    names::Names,
    read::{Next, Part, Reading},
    settings::Deduplication,
    view::Partition,
};

/// Between two looks at whether all transactions have ended.
const PAUSE: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_millis(100);

/// The topic of what one cursor remembers.
pub(crate) struct Memory {
    clients: Clients,
    topic: TopicName,
    pub(crate) window: Duration,
}

/// What was read back.
pub(crate) struct Restored {
    pub(crate) remembered: BTreeMap<Partition, Remembered>,
    /// How many partitions the topic has.
    pub(crate) partitions: u32,
}

impl Memory {
    /// The memory of a cursor; `None` where it removes no copies.
    pub(crate) fn of(clients: &Clients, cursor: &CursorName) -> Option<Self> {
        let Deduplication { window, .. } = clients.settings().deduplication.as_ref()?;
        let topic = Names::dedup(cursor).filter(|_| clients.keeps_memory_of(cursor))?;
        Some(Self { clients: clients.clone(), topic, window: *window })
    }

    /// What is remembered of these partitions. Blocks.
    pub(crate) fn restore(&self, sources: &[Partition]) -> KafkaResult<Restored> {
        let started = Instant::now();
        let reading = Reading::new(&self.clients)?;
        let shape = cluster::describe_one(reading.reader(), &self.clients.names.topic(&self.topic))?;
        let partitions = shape.map_or(0, |shape| shape.partitions);
        if partitions == 0 {
            return Err(KafkaError::Subscription(format!("topic {} does not exist", self.topic)));
        }
        let mut by_prefix: HashMap<Vec<u8>, (Partition, Remembered)> =
            sources.iter().map(|source| (copies::prefix(source), (source.clone(), Remembered::default()))).collect();
        let numbers: BTreeSet<u32> = sources.iter().map(|(_, number)| number % partitions).collect();
        let wanted: Vec<Partition> = numbers.into_iter().map(|number| (self.topic.clone(), number)).collect();
        let ends = self.ends(&reading, &wanted)?;
        let window = SignedDuration::try_from(self.window).unwrap_or(SignedDuration::MAX);
        let since = self.clients.now().checked_sub(window).unwrap_or(hook_core::Timestamp::UNIX_EPOCH);
        let mut starts = cluster::starts(reading.reader(), &self.clients.names, &wanted, From::Time(since))?;
        starts.retain(|partition, start| ends.get(partition).is_some_and(|end| *start < *end));
        for part in reading.begin(&starts)? {
            read(&reading, &part, ends[&part.partition], &mut by_prefix)?;
        }
        reading.end();
        let remembered: BTreeMap<_, _> = by_prefix.into_values().collect();
        let keys: usize = remembered.values().map(Remembered::count).sum();
        let took_ms = started.elapsed().as_millis();
        info!(partitions = sources.len(), keys, took_ms, "what tells copies was read back");
        Ok(Restored { remembered, partitions })
    }

    /// How far each partition goes, when all transactions that had begun have ended.
    fn ends(&self, reading: &Reading, wanted: &[Partition]) -> KafkaResult<BTreeMap<Partition, u64>> {
        let mut config = self.clients.reader();
        config.set("isolation.level", "read_uncommitted");
        let names = &self.clients.names;
        let sent = cluster::starts(&connect(&config, self.clients.context())?, names, wanted, From::Now)?;
        if sent.len() < wanted.len() {
            return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition));
        }
        let deadline = Instant::now() + cluster::TRANSACTIONS_END_WITHIN;
        loop {
            let committed = cluster::starts(reading.reader(), names, wanted, From::Now)?;
            if sent.iter().all(|(partition, end)| committed.get(partition).is_some_and(|committed| committed >= end)) {
                return Ok(sent);
            }
            if Instant::now() >= deadline {
                return Err(KafkaError::Subscription("a transaction of another process does not end".into()));
            }
            // Nothing is assigned yet: only events of connections are served.
            let _ = reading.reader().poll(PAUSE);
        }
    }
}

fn read(
    reading: &Reading,
    part: &Part,
    end: u64,
    by_prefix: &mut HashMap<Vec<u8>, (Partition, Remembered)>,
) -> KafkaResult<()> {
    let mut heard_at = Instant::now();
    loop {
        reading.serve();
        let record = match part.next(SLICE)? {
            Next::Record(record) if record.position.offset < end => record,
            Next::Record(_) | Next::End => return Ok(()),
            // What has expired was just removed.
            Next::Gone => {
                reading.jump_to_oldest(&part.partition)?;
                continue;
            }
            Next::Nothing if heard_at.elapsed() >= cluster::PATIENCE => return Err(KafkaError::NoMessageReceived),
            Next::Nothing => continue,
        };
        heard_at = Instant::now();
        let key = record.key.unwrap_or_default();
        let Some((prefix, _)) = key.len().checked_sub(16).map(|at| key.split_at(at)) else { continue };
        if let Some((_, remembered)) = by_prefix.get_mut(prefix)
            && let Some(entry) = copies::entry(prefix, &key, &record.body)
        {
            remembered.restore(entry);
        }
        if record.position.offset + 1 == end {
            return Ok(());
        }
    }
}
