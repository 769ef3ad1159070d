//! A log in memory: the port, without a disk. It ends with the process.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hook_core::{
    BoxFuture, Timestamp,
    clock::SharedClock,
    names::{CursorName, TopicName},
    ports::log::{
        Append, Appended, Commit, Cursor, CursorProgress, CursorState, From, Log, LogError, LogState, NewRecord,
        PartitionState, Position, Record, Revocation, Revocations, Scan, Subscription, TopicFilter,
    },
    progress::Progress,
};
use tokio::sync::{mpsc, oneshot, watch};

/// The log in memory.
///
/// Everything is kept, in one partition a topic. [`MemoryLog::fail_with`] makes it refuse, as a full disk would;
/// [`MemoryLog::revoke`] takes a topic from a reader, as another process would.
pub struct MemoryLog {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// In the order in which they came.
    records: Vec<Record>,
    /// Topic → offset → index of `records`.
    topics: BTreeMap<TopicName, Vec<usize>>,
    seen: HashMap<[u8; 16], ([u8; 16], Timestamp)>,
    cursors: BTreeMap<CursorName, BTreeMap<TopicName, Progress>>,
    unavailable: Option<String>,
    dropped_notes: u64,
    is_closed: bool,
    /// Where each reader is told of topics that go.
    revoking: HashMap<CursorName, mpsc::Sender<Revocation>>,
    /// What another process reads.
    elsewhere: HashSet<(CursorName, TopicName)>,
}

impl MemoryLog {
    /// An empty log. The clock tells which deduplication keys have expired.
    pub fn new(clock: SharedClock) -> Self {
        let shared = Shared { clock, state: Mutex::default(), changed: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Appends fail with this text until [`MemoryLog::recover`].
    pub fn fail_with(&self, why: &str) {
        self.shared.state().unavailable = Some(why.to_owned());
    }

    /// Takes a topic from the reader of a cursor: nothing of it is delivered any more. Resolves when the reader lets it go;
    /// the reader is told that this happens by itself after `patience`.
    pub fn revoke(
        &self,
        cursor: &CursorName,
        topic: &TopicName,
        patience: Duration,
    ) -> impl Future<Output = ()> + use<> {
        let (held, released) = oneshot::channel::<()>();
        let mut state = self.shared.state();
        state.elsewhere.insert((cursor.clone(), topic.clone()));
        let until = tokio::time::Instant::now() + patience;
        if let Some(reader) = state.revoking.get(cursor) {
            // A reader that has gone, or has not taken the one before, lets go at once.
            let _ = reader.try_send(Revocation::new(vec![(topic.clone(), 0)], until.into_std(), held));
        }
        async move { drop(released.await) }
    }

    /// Appends work again.
    pub fn recover(&self) {
        self.shared.state().unavailable = None;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, batch: Append) -> Result<Appended, LogError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.check_writable()?;
        if let Some(commit) = &batch.commit {
            state.must_exist(&commit.cursor)?;
        }
        let first = batch.dedup.iter().find_map(|key| state.seen.get(&key.digest).filter(|(_, until)| *until > now));
        if let Some((first, _)) = first {
            return Ok(Appended::DuplicateOf(*first));
        }
        let seen = batch.dedup.iter().map(|key| (key.digest, (batch.id, key.expires_at)));
        state.seen.extend(seen);
        let positions = batch.records.into_iter().map(|record| state.push(record)).collect();
        if let Some(commit) = batch.commit {
            state.finish(&commit)?;
        }
        drop(state);
        self.publish();
        Ok(Appended::Stored(positions))
    }

    fn publish(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl State {
    fn check_open(&self) -> Result<(), LogError> {
        if self.is_closed { Err(LogError::Closed) } else { Ok(()) }
    }

    fn check_writable(&self) -> Result<(), LogError> {
        self.check_open()?;
        self.unavailable.clone().map_or(Ok(()), |why| Err(LogError::Unavailable(why)))
    }

    fn must_exist(&self, cursor: &CursorName) -> Result<(), LogError> {
        if self.cursors.contains_key(cursor) { Ok(()) } else { Err(LogError::NoCursor(cursor.clone())) }
    }

    fn push(&mut self, record: NewRecord) -> Position {
        let offsets = self.topics.entry(record.topic.clone()).or_default();
        let record = Record::of(record, 0, offsets.len() as u64);
        offsets.push(self.records.len());
        let position = record.position.clone();
        self.records.push(record);
        position
    }

    fn finish(&mut self, commit: &Commit) -> Result<(), LogError> {
        let cursor = self.cursors.get_mut(&commit.cursor).ok_or(LogError::NoCursor(commit.cursor.clone()))?;
        for Position { topic, partition, offset } in &commit.done {
            let end = self.topics.get(topic).map_or(0, Vec::len) as u64;
            // What does not exist yet cannot be done.
            if *partition == 0 && *offset < end {
                cursor.entry(topic.clone()).or_default().finish(*offset..offset + 1);
            }
        }
        Ok(())
    }

    /// Where a cursor or a scan begins in a topic.
    fn start(&self, topic: &TopicName, from: From) -> u64 {
        let offsets = &self.topics[topic];
        let start = match from {
            From::Earliest => 0,
            From::Now => offsets.len(),
            From::Time(time) => {
                offsets.iter().position(|&index| self.records[index].time >= time).unwrap_or(offsets.len())
            }
        };
        start as u64
    }

    /// Everything that there is now, each topic from its start.
    fn read_through(&self, starts: &HashMap<TopicName, u64>) -> MemoryScan {
        let is_in =
            |record: &&Record| starts.get(&record.position.topic).is_some_and(|start| record.position.offset >= *start);
        let mut records: Vec<_> = self.records.iter().filter(is_in).cloned().collect();
        records.reverse();
        MemoryScan { records }
    }

    fn matching(&self, filter: &TopicFilter) -> Vec<TopicName> {
        self.topics.keys().filter(|topic| filter.matches(topic)).cloned().collect()
    }
}

impl Log for MemoryLog {
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Appended, LogError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.append(batch) })
    }

    fn note(&self, record: NewRecord) {
        let mut state = self.shared.state();
        if state.check_writable().is_err() {
            state.dropped_notes += 1;
            return;
        }
        state.push(record);
        drop(state);
        self.shared.publish();
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async { Ok(()) })
    }

    fn create_cursor(&self, cursor: &Cursor) -> BoxFuture<'_, Result<bool, LogError>> {
        let cursor = cursor.clone();
        Box::pin(async move {
            let mut state = self.shared.state();
            state.check_writable()?;
            if state.cursors.contains_key(&cursor.name) {
                return Ok(false);
            }
            let topics = state.matching(&cursor.topics).into_iter();
            let progress =
                topics.map(|topic| (topic.clone(), Progress::at(state.start(&topic, cursor.from)))).collect();
            state.cursors.insert(cursor.name, progress);
            Ok(true)
        })
    }

    fn subscribe(&self, cursor: &Cursor) -> Result<Box<dyn Subscription>, LogError> {
        let mut state = self.shared.state();
        state.check_open()?;
        state.must_exist(&cursor.name)?;
        let (revoking, revocations) = mpsc::channel(1);
        state.revoking.insert(cursor.name.clone(), revoking);
        Ok(Box::new(MemorySubscription {
            shared: Arc::clone(&self.shared),
            changed: self.shared.changed.subscribe(),
            cursor: cursor.clone(),
            next: 0,
            revocations: Some(revocations),
        }))
    }

    fn delete_cursor(&self, name: &CursorName) -> BoxFuture<'_, Result<(), LogError>> {
        let name = name.clone();
        Box::pin(async move {
            let mut state = self.shared.state();
            state.check_writable()?;
            state.cursors.remove(&name);
            Ok(())
        })
    }

    fn scan(&self, topics: TopicFilter, from: From) -> Result<Box<dyn Scan>, LogError> {
        let state = self.shared.state();
        state.check_open()?;
        let starts = state.matching(&topics).into_iter().map(|topic| (topic.clone(), state.start(&topic, from)));
        Ok(Box::new(state.read_through(&starts.collect())))
    }

    fn scan_from(&self, topics: TopicFilter, starts: Vec<Position>) -> Result<Box<dyn Scan>, LogError> {
        let state = self.shared.state();
        state.check_open()?;
        let mut from: HashMap<_, _> = state.matching(&topics).into_iter().map(|topic| (topic, 0)).collect();
        for start in starts {
            from.entry(start.topic).and_modify(|offset| *offset = start.offset);
        }
        Ok(Box::new(state.read_through(&from)))
    }

    fn read(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Option<Record>>, LogError>> {
        Box::pin(async move {
            let state = self.shared.state();
            state.check_open()?;
            let find = |position: &Position| {
                let offsets = state.topics.get(&position.topic).filter(|_| position.partition == 0)?;
                let index = offsets.get(usize::try_from(position.offset).ok()?)?;
                Some(state.records[*index].clone())
            };
            Ok(positions.iter().map(find).collect())
        })
    }

    fn appended(&self, topics: TopicFilter) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.shared);
        let mut changed = shared.changed.subscribe();
        let count = move || {
            let state = shared.state();
            state.matching(&topics).iter().map(|topic| state.topics[topic].len()).sum::<usize>()
        };
        let before = count();
        Box::pin(async move {
            while count() == before {
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        })
    }

    fn state(&self) -> LogState {
        let state = self.shared.state();
        let partition = |(topic, offsets): (&TopicName, &Vec<usize>)| PartitionState {
            topic: topic.clone(),
            partition: 0,
            start: 0,
            end: offsets.len() as u64,
        };
        let progress = |(topic, progress): (&TopicName, &Progress)| CursorProgress {
            topic: topic.clone(),
            partition: 0,
            watermark: progress.watermark(),
            done_above: progress.above().count(),
        };
        let cursor = |(name, partitions): (&CursorName, &BTreeMap<TopicName, Progress>)| CursorState {
            name: name.clone(),
            partitions: partitions.iter().map(progress).collect(),
        };
        LogState {
            unavailable: state.check_writable().err().map(|error| error.to_string()),
            partitions: state.topics.iter().map(partition).collect(),
            cursors: state.cursors.iter().map(cursor).collect(),
            bytes: state.records.iter().map(|record| (record.header.len() + record.body.len()) as u64).sum(),
            dropped_notes: state.dropped_notes,
            ..LogState::default()
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.shared.state().is_closed = true;
            self.shared.publish();
            Ok(())
        })
    }
}

struct MemorySubscription {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    cursor: Cursor,
    /// The index of the next record to look at.
    next: usize,
    /// Taken by the reader.
    revocations: Option<mpsc::Receiver<Revocation>>,
}

impl MemorySubscription {
    fn take(&mut self, max: usize) -> Result<Vec<Record>, LogError> {
        let state = self.shared.state();
        state.check_open()?;
        state.must_exist(&self.cursor.name)?;
        let progress = &state.cursors[&self.cursor.name];
        let mut records = Vec::new();
        for record in &state.records[self.next..] {
            if records.len() == max {
                break;
            }
            self.next += 1;
            let Position { topic, offset, .. } = &record.position;
            let is_done = progress.get(topic).is_some_and(|progress| progress.is_done(*offset));
            let is_elsewhere = state.elsewhere.contains(&(self.cursor.name.clone(), topic.clone()));
            if self.cursor.topics.matches(topic) && !is_done && !is_elsewhere {
                records.push(record.clone());
            }
        }
        Ok(records)
    }
}

impl Subscription for MemorySubscription {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        Box::pin(async move {
            loop {
                self.changed.mark_unchanged();
                let records = self.take(max.max(1))?;
                if !records.is_empty() {
                    return Ok(records);
                }
                self.changed.changed().await.map_err(|_| LogError::Closed)?;
            }
        })
    }

    fn commit(&mut self, done: Vec<Position>) -> Result<(), LogError> {
        let mut state = self.shared.state();
        state.check_open()?;
        state.finish(&Commit { cursor: self.cursor.name.clone(), done })
    }

    fn revocations(&mut self) -> Option<Box<dyn Revocations>> {
        self.revocations.take().map(|revocations| Box::new(MemoryRevocations { revocations }) as Box<dyn Revocations>)
    }
}

struct MemoryRevocations {
    revocations: mpsc::Receiver<Revocation>,
}

impl Revocations for MemoryRevocations {
    fn next(&mut self) -> BoxFuture<'_, Revocation> {
        Box::pin(async {
            match self.revocations.recv().await {
                Some(revocation) => revocation,
                None => std::future::pending().await,
            }
        })
    }
}

struct MemoryScan {
    /// Newest first.
    records: Vec<Record>,
}

impl Scan for MemoryScan {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        let left = self.records.len().saturating_sub(max);
        let taken = self.records.split_off(left).into_iter().rev().collect();
        Box::pin(async move { Ok(taken) })
    }
}
