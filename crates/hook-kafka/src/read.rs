//! Reads here and there: single records by their positions, and once through from a place to an end.
//!
//! Every partition has a queue of its own, so that what ends is known to be that partition's end. A queue is split off
//! before the partition is assigned: what is fetched then goes there and nowhere else.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use hook_core::{
    names::TopicName,
    ports::log::{LogError, Position, Record},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer, base_consumer::PartitionQueue},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::BorrowedMessage,
};

use crate::{
    client::{Clients, Context, Reader, connect},
    cluster::{PATIENCE, list, number},
    error::unavailable,
    view::{Partition, View, partition_of},
    wire,
};

/// One question is asked for so long before the clients' other events are served.
const SLICE: Duration = Duration::from_millis(100);
/// The mark of a transaction reaches its partitions after the answer: so long a record that is known to be durable is
/// waited for.
const MARKED_WITHIN: Duration = Duration::from_secs(1);
/// Up to so many records between two that are wanted are read over; a larger gap is jumped.
const GAP: u64 = 200;

/// Several partitions being read, each in its order.
pub(crate) struct Reading {
    reader: Arc<Reader>,
    names: crate::names::Names,
}

/// One of them.
pub(crate) struct Part {
    pub(crate) partition: Partition,
    queue: PartitionQueue<Context>,
}

/// What comes next of a partition.
pub(crate) enum Next<T = Record> {
    Record(T),
    /// There is nothing at or after the place that was read.
    End,
    /// The place that was to be read is gone, or was never there.
    Gone,
    /// Nothing has come yet.
    Nothing,
}

impl Reading {
    pub(crate) fn new(clients: &Clients) -> KafkaResult<Self> {
        let reader = Arc::new(connect(&clients.reader(), clients.context())?);
        Ok(Self { reader, names: clients.names.clone() })
    }

    /// Reads these partitions from these offsets, and no others any more.
    pub(crate) fn begin(&self, starts: &BTreeMap<Partition, u64>) -> KafkaResult<Vec<Part>> {
        self.reader.assign(&TopicPartitionList::new())?;
        let split = |partition: &Partition| {
            let name = self.names.topic(&partition.0);
            let queue = self.reader.split_partition_queue(&name, number(partition.1));
            queue.map(|queue| Part { partition: partition.clone(), queue })
        };
        let parts: Option<Vec<_>> = starts.keys().map(split).collect();
        let parts = parts.ok_or_else(|| KafkaError::Subscription("a partition has no queue".into()))?;
        let offset =
            |(partition, start): (_, &u64)| (partition, Offset::Offset(i64::try_from(*start).unwrap_or(i64::MAX)));
        self.reader.assign(&list(&self.names, starts.iter().map(offset)))?;
        Ok(parts)
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Lets go of what is being read.
    pub(crate) fn end(&self) {
        // A list without partitions is always taken.
        let _ = self.reader.assign(&TopicPartitionList::new());
    }

    /// Serves what is not a record.
    pub(crate) fn serve(&self) {
        // What comes here are errors of connections, which the context has seen, and nothing of the partitions.
        let _ = self.reader.poll(Duration::ZERO);
    }

    pub(crate) fn jump(&self, partition: &Partition, offset: u64) -> KafkaResult<()> {
        self.seek(partition, Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)))
    }

    pub(crate) fn jump_to_oldest(&self, partition: &Partition) -> KafkaResult<()> {
        self.seek(partition, Offset::Beginning)
    }

    fn seek(&self, partition: &Partition, offset: Offset) -> KafkaResult<()> {
        self.reader.seek(&self.names.topic(&partition.0), number(partition.1), offset, PATIENCE)
    }
}

impl Part {
    pub(crate) fn next(&self, wait: Duration) -> KafkaResult<Next> {
        self.next_as(wait, wire::decode)
    }

    /// The next record, as `decode` makes it of the message.
    pub(crate) fn next_as<T>(
        &self,
        wait: Duration,
        decode: impl Fn(TopicName, &BorrowedMessage<'_>) -> T,
    ) -> KafkaResult<Next<T>> {
        match self.queue.poll(wait) {
            None => Ok(Next::Nothing),
            Some(Ok(message)) => Ok(Next::Record(decode(self.topic(), &message))),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Next::End),
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => Ok(Next::Gone),
            Some(Err(error)) => Err(error),
        }
    }

    fn topic(&self) -> TopicName {
        self.partition.0.clone()
    }
}

/// Up to where there are records, of partitions that are read from there on to what is their end now. Behind that are marks
/// of transactions alone.
pub(crate) fn last_records(
    reading: &Reading,
    starts: &BTreeMap<Partition, u64>,
) -> KafkaResult<BTreeMap<Partition, u64>> {
    let mut found = BTreeMap::new();
    for part in reading.begin(starts)? {
        let mut up_to = starts.get(&part.partition).copied().unwrap_or_default();
        let deadline = Instant::now() + MARKED_WITHIN;
        while Instant::now() < deadline {
            reading.serve();
            match part.next(SLICE)? {
                Next::Record(record) => up_to = record.position.offset + 1,
                Next::End => {
                    found.insert(part.partition.clone(), up_to);
                    break;
                }
                Next::Gone => break,
                Next::Nothing => {}
            }
        }
    }
    reading.end();
    Ok(found)
}

/// Reads single records.
pub(crate) struct Singles {
    clients: Clients,
    view: Arc<View>,
    reading: Option<Reading>,
    /// What was read lately: the events of a lane are read one after the other.
    cache: Cache,
}

impl Singles {
    pub(crate) fn new(clients: Clients, view: Arc<View>) -> Self {
        Self { clients, view, reading: None, cache: Cache::default() }
    }

    /// The records at these positions; `None` for one that is not there.
    pub(crate) fn read(&mut self, positions: &[Position]) -> Result<Vec<Option<Record>>, LogError> {
        let mut found: BTreeMap<Position, Record> = BTreeMap::new();
        let mut wanted: BTreeMap<Partition, VecDeque<u64>> = BTreeMap::new();
        for position in positions {
            if let Some(record) = self.cache.get(position) {
                found.insert(position.clone(), record);
                continue;
            }
            let bounds = self.view.bounds(&partition_of(position));
            // What is behind the end that is known may be durable by now; what has no partition is not.
            if bounds.is_some_and(|bounds| position.offset >= bounds.start) {
                wanted.entry(partition_of(position)).or_default().push_back(position.offset);
            }
        }
        if !wanted.is_empty() {
            let result = self.fetch(wanted, &mut found);
            if result.is_err() {
                self.reading = None;
            }
            result.map_err(unavailable)?;
        }
        Ok(positions.iter().map(|position| found.get(position).cloned()).collect())
    }

    fn fetch(
        &mut self,
        mut wanted: BTreeMap<Partition, VecDeque<u64>>,
        found: &mut BTreeMap<Position, Record>,
    ) -> KafkaResult<()> {
        wanted.values_mut().for_each(|offsets| offsets.make_contiguous().sort_unstable());
        let reading = match self.reading.take() {
            Some(reading) => reading,
            None => Reading::new(&self.clients)?,
        };
        let starts = wanted.iter().map(|(partition, offsets)| (partition.clone(), offsets[0])).collect();
        let parts = reading.begin(&starts)?;
        let deadline = Instant::now() + PATIENCE;
        for part in parts {
            let offsets = wanted.remove(&part.partition).unwrap_or_default();
            let end = self.view.bounds(&part.partition).map_or(0, |bounds| bounds.end);
            fetch_part(&reading, &part, Wanted { offsets, end, deadline }, &mut self.cache, found)?;
        }
        reading.end();
        self.reading = Some(reading);
        Ok(())
    }
}

/// What is read of one partition.
struct Wanted {
    /// In their order.
    offsets: VecDeque<u64>,
    /// What is below is known to be durable.
    end: u64,
    deadline: Instant,
}

fn fetch_part(
    reading: &Reading,
    part: &Part,
    wanted: Wanted,
    cache: &mut Cache,
    found: &mut BTreeMap<Position, Record>,
) -> KafkaResult<()> {
    let Wanted { mut offsets, end, deadline } = wanted;
    let mut met_end_at = None;
    while let Some(&wanted) = offsets.front() {
        if Instant::now() >= deadline {
            return Err(KafkaError::NoMessageReceived);
        }
        reading.serve();
        match part.next(SLICE)? {
            Next::Nothing => {
                if met_end_at.is_some_and(|at: Instant| at.elapsed() >= MARKED_WITHIN) {
                    return Ok(());
                }
            }
            Next::End if wanted >= end => return Ok(()),
            Next::End => drop(met_end_at.get_or_insert_with(Instant::now)),
            Next::Gone => {
                offsets.pop_front();
                if let Some(&next) = offsets.front() {
                    reading.jump(&part.partition, next)?;
                }
            }
            Next::Record(record) => {
                let at = record.position.offset;
                // What is not there was passed.
                while offsets.front().is_some_and(|wanted| *wanted < at) {
                    offsets.pop_front();
                }
                if offsets.front() == Some(&at) {
                    offsets.pop_front();
                    found.insert(record.position.clone(), record.clone());
                }
                cache.put(record);
                if let Some(&next) = offsets.front()
                    && next > at.max(wanted) + GAP
                {
                    reading.jump(&part.partition, next)?;
                }
            }
        }
    }
    // What came with the last one is asked for next, as a rule, and is here already.
    while let Ok(Next::Record(record)) = part.next(Duration::ZERO) {
        cache.put(record);
    }
    Ok(())
}

/// A few records that were read lately.
#[derive(Default)]
struct Cache {
    records: BTreeMap<Position, Record>,
    order: VecDeque<Position>,
    bytes: usize,
}

/// So many bytes of bodies are kept at most.
const MOST_CACHED: usize = 2 << 20;

impl Cache {
    fn get(&self, position: &Position) -> Option<Record> {
        self.records.get(position).cloned()
    }

    fn put(&mut self, record: Record) {
        let size = |record: &Record| record.header.len() + record.body.len() + 256;
        let position = record.position.clone();
        self.bytes += size(&record);
        if let Some(before) = self.records.insert(position.clone(), record) {
            self.bytes -= size(&before);
        } else {
            self.order.push_back(position);
        }
        while self.bytes > MOST_CACHED {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(gone) = self.records.remove(&oldest) {
                self.bytes -= size(&gone);
            }
        }
    }
}
