//! The port, over three chains.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
};

use hook_core::{
    BoxFuture, Timestamp,
    names::{CursorName, TopicName},
    ports::log::{
        Append, Appended, Commit, Cursor, CursorProgress, CursorState, From, Log, LogError, LogState, NewRecord,
        PartitionState, Position, Record, Scan, Subscription, TopicFilter,
    },
    progress::{Progress, Ranges},
};
use tokio::sync::{oneshot, watch};

use crate::{
    chain::{AppendRequest, Chain, CursorStart, Limits, MakeCursor, Request, Shared, Writer, by_partition, size},
    disk::{Disk, RealDisk},
    error::OpenError,
    format::ChainKind,
    keeper::Keeper,
    options::Options,
    owner::Ownership,
    read::{Begin, ChainScan, ChainSubscription, first_at_time, read, wait_for},
    salt::Salts,
    steps::Steps,
    timer::Timer,
};

/// The largest record, with key and header.
const MAX_RECORD_BYTES: u64 = 64 << 20;
/// A log that is read while its owner writes may look damaged for a moment.
const READ_ONLY_TRIES: u32 = 4;

/// The embedded log: the port [`Log`] over segment files in one directory.
///
/// [`Log::close`] ends it in order. Dropped without that, it does the same and blocks for it.
pub struct EmbeddedLog {
    /// In the order of [`ChainKind::ALL`].
    chains: [Arc<Chain>; 3],
    topics: OwnTopics,
    changed: Arc<watch::Sender<u64>>,
    /// Held while a cursor is made or forgotten, chain by chain: what of it happens to two at once would be of neither.
    cursors: tokio::sync::Mutex<()>,
    owned: Option<Mutex<Owned>>,
}

/// The topics that have a chain of their own.
#[derive(Clone)]
struct OwnTopics {
    dead_letters: TopicName,
    journal: TopicName,
}

impl OwnTopics {
    fn chain_of(&self, topic: &TopicName) -> ChainKind {
        if *topic == self.dead_letters {
            ChainKind::DeadLetters
        } else if *topic == self.journal {
            ChainKind::Journal
        } else {
            ChainKind::Events
        }
    }

    /// The chains that can hold a topic which the filter takes.
    fn chains_of(&self, topics: &TopicFilter) -> impl Iterator<Item = ChainKind> {
        let dead_letters = topics.matches(&self.dead_letters).then_some(ChainKind::DeadLetters);
        let journal = topics.matches(&self.journal).then_some(ChainKind::Journal);
        [Some(ChainKind::Events), dead_letters, journal].into_iter().flatten()
    }
}

/// What ends with the log.
#[derive(Default)]
struct Owned {
    threads: Vec<JoinHandle<()>>,
    ownership: Option<Ownership>,
}

/// A log that nobody works for yet.
struct Prepared {
    log: EmbeddedLog,
    writers: Vec<Writer>,
    keeper: Keeper,
}

impl EmbeddedLog {
    /// Opens the log for its one owner, and makes it where there is none. Reads the indexes of what
    /// is sealed, and all of what is not; blocks meanwhile.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Self::open_on(options, RealDisk)
    }

    /// Opens the log on another disk. Only the lock is taken on the real one.
    pub fn open_on(options: Options, disk: impl Disk) -> Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let dir = options.dir.clone();
        disk.create_dir(&dir).map_err(OpenError::io("create", &dir))?;
        let ownership = Ownership::take(&dir)?;
        let Prepared { mut log, writers, keeper } =
            Self::prepare(options, &Shared::new(disk, Timer::System, Salts::Random))?;
        let mut owned = Owned { threads: Vec::new(), ownership: Some(ownership) };
        let threads = writers.into_iter().map(Writer::spawn).chain(std::iter::once_with(|| keeper.spawn()));
        for thread in threads {
            match thread {
                Ok(thread) => owned.threads.push(thread),
                Err(error) => {
                    owned.end(&log.chains);
                    return Err(OpenError::io("start a thread for", &dir)(error));
                }
            }
        }
        log.owned = Some(Mutex::new(owned));
        Ok(log)
    }

    /// Opens the log without threads and without a lock: it works when [`Steps`] tells it to. For simulations, in which the
    /// same steps must always do the same, to the last byte: salts are made of `seed`, which must be another one each time.
    pub fn open_stepped(options: Options, disk: impl Disk, seed: u64) -> Result<(Self, Steps), OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(disk);
        disk.create_dir(&options.dir).map_err(OpenError::io("create", &options.dir))?;
        let shared = Shared::new(disk, Timer::turned(), Salts::seeded(seed));
        let Prepared { mut log, writers, keeper } = Self::prepare(options, &shared)?;
        log.owned = Some(Mutex::default());
        Ok((log, Steps::new(writers, keeper, shared.timer)))
    }

    /// Opens the chains. Nobody writes to them before the writers get turns.
    fn prepare(options: Options, shared: &Shared) -> Result<Prepared, OpenError> {
        let (dir, disk) = (options.dir.clone(), &shared.disk);
        let capacity = disk.capacity(&dir).map_err(OpenError::io("ask for the size of", &dir))?;
        let open = |kind| Chain::open(kind, &options, Limits::of(&options, kind, capacity), shared);
        let opened = ChainKind::ALL.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        disk.sync_dir(&dir).map_err(OpenError::io("sync", &dir))?;
        let (chains, writers): (Vec<_>, _) = opened.into_iter().unzip();
        let keeper = Keeper::new(&chains, shared, options.scrub_bytes_per_second);
        Ok(Prepared { log: Self::assemble(chains, options, shared), writers, keeper })
    }

    /// Opens the log for reading, as it stands now. Takes no lock, writes nothing, cuts nothing; appends and commits fail.
    /// What the owner's last write has not made durable may be seen.
    pub fn open_read_only(options: Options) -> Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let mut tries = 1;
        loop {
            let shared = Shared::new(Arc::clone(&disk), Timer::System, Salts::Random);
            let open = |kind| Chain::open_read_only(kind, &options, &shared);
            match ChainKind::ALL.into_iter().map(open).collect::<Result<Vec<_>, _>>() {
                Ok(chains) => return Ok(Self::assemble(chains, options, &shared)),
                Err(OpenError::Version { file, found, known }) => {
                    return Err(OpenError::Version { file, found, known });
                }
                Err(error) if tries == READ_ONLY_TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    fn assemble(chains: Vec<Arc<Chain>>, options: Options, shared: &Shared) -> Self {
        let chains = chains.try_into().unwrap_or_else(|_| unreachable!("one for each of ChainKind::ALL"));
        let topics = OwnTopics { dead_letters: options.dead_letters, journal: options.journal };
        let changed = Arc::clone(&shared.changed);
        Self { chains, topics, changed, cursors: tokio::sync::Mutex::default(), owned: None }
    }

    /// Says which cursors keep what they have not done from being removed by retention. Cursors that are not named pin
    /// nothing. Until this is said, nothing goes at all.
    pub fn set_pinning(&self, cursors: Vec<CursorName>) {
        let cursors: Arc<[CursorName]> = cursors.into();
        for chain in &self.chains {
            chain.state().pinning = Some(Arc::clone(&cursors));
            chain.ask_keeper();
        }
    }

    /// What a cursor has done in each partition, to the record; `None` where there is no such cursor.
    pub fn progress(&self, cursor: &CursorName) -> Option<BTreeMap<(TopicName, u32), Progress>> {
        self.must_exist(cursor).ok()?;
        let mut all = BTreeMap::new();
        for chain in &self.chains {
            let state = chain.state();
            let Some(known) = state.cursors.get(cursor) else { continue };
            all.extend(known.progress.iter().map(|(&index, progress)| {
                let partition = &state.partitions[index];
                ((partition.topic.clone(), partition.number), progress.clone())
            }));
        }
        Some(all)
    }

    /// The topics whose records stand among the dead letters, and how many there are. Under an earlier contract they may have
    /// had another name.
    pub fn dead_letter_topics(&self) -> BTreeMap<TopicName, u64> {
        self.records_in(ChainKind::DeadLetters)
    }

    /// The topics of events, and how many records each has.
    pub fn event_topics(&self) -> BTreeMap<TopicName, u64> {
        self.records_in(ChainKind::Events)
    }

    fn records_in(&self, kind: ChainKind) -> BTreeMap<TopicName, u64> {
        let mut records = BTreeMap::new();
        for partition in &self.chain(kind).state().partitions {
            *records.entry(partition.topic.clone()).or_default() += partition.end - partition.start;
        }
        records
    }

    /// How many undelivered records were dropped because too many were pinned.
    pub fn dropped_records(&self) -> u64 {
        self.chains.iter().map(|chain| chain.dropped_records.load(Ordering::Relaxed)).sum()
    }

    /// The data directory's segment files, oldest first, chain by chain.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = |chain: &Arc<Chain>| -> Vec<_> {
            chain.state().segments.iter().map(|segment| chain.path(segment.number)).collect()
        };
        self.chains.iter().flat_map(files).collect()
    }

    fn chain(&self, kind: ChainKind) -> &Arc<Chain> {
        &self.chains[kind as usize]
    }

    fn begin(&self, topics: &TopicFilter, begin: &Begin) -> Result<Box<dyn Scan>, LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        let part = |kind| ChainScan::new(Arc::clone(self.chain(kind)), topics.clone(), begin.clone());
        let parts = self.topics.chains_of(topics).map(part).collect();
        Ok(Box::new(EmbeddedScan { parts }))
    }

    async fn append_batch(&self, mut batch: Append) -> Result<Appended, LogError> {
        check_size(&batch)?;
        let kind = batch
            .records
            .first()
            .map(|record| &record.topic)
            .or_else(|| batch.commit.as_ref()?.done.first().map(|position| &position.topic))
            .map_or(ChainKind::Events, |topic| self.topics.chain_of(topic));
        let is_elsewhere = |topic: &TopicName| self.topics.chain_of(topic) != kind;
        if batch.records.iter().any(|record| is_elsewhere(&record.topic)) {
            return self.append_spanning(batch).await;
        }
        // Progress in another chain moves after the records are durable, never before.
        let mut after = None;
        if let Some(commit) = &mut batch.commit {
            let is_other = |position: &mut Position| is_elsewhere(&position.topic);
            let done: Vec<_> = commit.done.extract_if(.., is_other).collect();
            if !done.is_empty() || kind != ChainKind::Events {
                self.must_exist(&commit.cursor)?;
                after = Some(Commit { cursor: commit.cursor.clone(), done });
            }
        }
        if kind != ChainKind::Events {
            // Which cursors exist is known to the chain of events only.
            let here = batch.commit.take();
            let appended = self.append_to(kind, batch).await?;
            here.into_iter().chain(after).try_for_each(|commit| self.finish(&commit))?;
            return Ok(appended);
        }
        let appended = self.append_to(kind, batch).await?;
        after.iter().try_for_each(|commit| self.finish(commit))?;
        Ok(appended)
    }

    /// Records of several chains are stored one chain after the other, events last: what was not answered may then stand
    /// in the other chains twice, and is never missing from them.
    async fn append_spanning(&self, mut batch: Append) -> Result<Appended, LogError> {
        let order: Vec<TopicName> = batch.records.iter().map(|record| record.topic.clone()).collect();
        let mut stored = Vec::new();
        for kind in [ChainKind::DeadLetters, ChainKind::Journal] {
            let is_here = |record: &mut NewRecord| self.topics.chain_of(&record.topic) == kind;
            let records: Vec<_> = batch.records.extract_if(.., is_here).collect();
            if records.is_empty() {
                continue;
            }
            let part = Append { records, id: batch.id, ..Append::default() };
            if let Appended::Stored(positions) = self.append_to(kind, part).await? {
                stored.extend(positions);
            }
        }
        match self.append_to(ChainKind::Events, batch).await? {
            Appended::Stored(positions) => stored.extend(positions),
            duplicate => return Ok(duplicate),
        }
        // Answered in the order in which it was asked.
        let next = |topic: &TopicName| {
            let at = stored.iter().position(|position| position.topic == *topic)?;
            Some(stored.remove(at))
        };
        Ok(Appended::Stored(order.iter().filter_map(next).collect()))
    }

    async fn append_to(&self, kind: ChainKind, append: Append) -> Result<Appended, LogError> {
        let bytes = append.records.iter().map(size).sum::<u64>();
        let (answer, answered) = oneshot::channel();
        let request = Request::Append(AppendRequest { append, answer });
        self.ask(kind, request, usize::try_from(bytes).unwrap_or(usize::MAX), answered).await
    }

    async fn ask<T>(
        &self,
        kind: ChainKind,
        request: Request,
        bytes: usize,
        answered: oneshot::Receiver<Result<T, LogError>>,
    ) -> Result<T, LogError> {
        self.writable()?;
        self.chain(kind).queue.push(request, bytes).await?;
        answered.await.unwrap_or(Err(LogError::Closed))
    }

    async fn make_cursor(&self, cursor: &Cursor) -> Result<bool, LogError> {
        self.writable()?;
        self.remember(cursor);
        let _turn = self.cursors.lock().await;
        if self.must_exist(&cursor.name).is_ok() {
            return Ok(false);
        }
        // The chain of events comes last: it says which cursors exist.
        for kind in [ChainKind::DeadLetters, ChainKind::Journal] {
            if cursor.topics.matches(self.own_topic(kind)) {
                self.drop_in(kind, &cursor.name).await?;
                self.make_in(kind, cursor).await?;
            }
        }
        self.make_in(ChainKind::Events, cursor).await
    }

    async fn make_in(&self, kind: ChainKind, cursor: &Cursor) -> Result<bool, LogError> {
        let chain = self.chain(kind);
        let start = match cursor.from {
            From::Earliest => CursorStart::Offsets(Vec::new()),
            From::Now => CursorStart::Ends(cursor.topics.clone()),
            From::Time(time) => {
                let partitions: Vec<_> = chain
                    .state()
                    .matching(&cursor.topics)
                    .map(|(_, partition)| (partition.topic.clone(), partition.number))
                    .collect();
                let mut offsets = Vec::new();
                for (topic, number) in partitions {
                    let offset = first_at_time(chain, &topic, number, time.as_microsecond()).await?;
                    offsets.push((topic, number, offset));
                }
                CursorStart::Offsets(offsets)
            }
        };
        let (answer, answered) = oneshot::channel();
        let request = MakeCursor { name: cursor.name.clone(), start, answer };
        self.ask(kind, Request::MakeCursor(request), 0, answered).await
    }

    async fn drop_in(&self, kind: ChainKind, name: &CursorName) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        self.ask(kind, Request::DropCursor { name: name.clone(), answer }, 0, answered).await
    }

    fn own_topic(&self, kind: ChainKind) -> &TopicName {
        match kind {
            ChainKind::Journal => &self.topics.journal,
            ChainKind::DeadLetters | ChainKind::Events => &self.topics.dead_letters,
        }
    }

    /// Remembers what a cursor reads: retention must know what it pins.
    fn remember(&self, cursor: &Cursor) {
        for chain in &self.chains {
            chain.state().filters.insert(cursor.name.clone(), cursor.topics.clone());
        }
    }

    fn must_exist(&self, cursor: &CursorName) -> Result<(), LogError> {
        let exists = self.chain(ChainKind::Events).state().cursors.contains_key(cursor);
        if exists { Ok(()) } else { Err(LogError::NoCursor(cursor.clone())) }
    }

    fn finish(&self, commit: &Commit) -> Result<(), LogError> {
        finish(&self.chains, &self.topics, commit)
    }

    fn writable(&self) -> Result<(), LogError> {
        match &self.owned {
            Some(_) if self.is_closed() => Err(LogError::Closed),
            Some(_) => Ok(()),
            None => Err(LogError::Unavailable("the log is open for reading only".to_owned())),
        }
    }

    /// Whether the log was closed. A log that is open for reading never is.
    fn is_closed(&self) -> bool {
        self.owned.is_some() && self.chain(ChainKind::Events).queue.is_closing()
    }
}

fn check_size(batch: &Append) -> Result<(), LogError> {
    match batch.records.iter().map(size).find(|&bytes| bytes > MAX_RECORD_BYTES) {
        Some(bytes) => Err(LogError::TooLarge { bytes: bytes as usize, limit: MAX_RECORD_BYTES as usize }),
        None => Ok(()),
    }
}

/// Marks positions as done, chain by chain.
fn finish(chains: &[Arc<Chain>; 3], topics: &OwnTopics, commit: &Commit) -> Result<(), LogError> {
    for ((topic, partition), offsets) in by_partition(&commit.done) {
        let done: Ranges = offsets.into_iter().collect();
        chains[topics.chain_of(topic) as usize].finish(&commit.cursor, topic.as_str(), partition, &done)?;
    }
    Ok(())
}

impl Owned {
    /// Ends the threads, then gives the directory back. Blocks.
    fn end(&mut self, chains: &[Arc<Chain>]) {
        chains.iter().for_each(|chain| chain.queue.close());
        chains.iter().for_each(|chain| chain.shared.keeper.close());
        for thread in self.threads.drain(..) {
            // A thread that has panicked has said so; there is nothing left to end.
            let _ = thread.join();
        }
        self.ownership = None;
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        if let Some(owned) = &mut self.owned {
            owned.get_mut().unwrap_or_else(PoisonError::into_inner).end(&self.chains);
        }
    }
}

impl Log for EmbeddedLog {
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Appended, LogError>> {
        Box::pin(self.append_batch(batch))
    }

    fn note(&self, record: NewRecord) {
        self.chain(self.topics.chain_of(&record.topic)).queue.note(record);
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            // Notes go with the next batch of their chain, whatever is in it; one that is being written comes before it.
            for kind in ChainKind::ALL {
                self.append_to(kind, Append::default()).await?;
            }
            Ok(())
        })
    }

    fn create_cursor(&self, cursor: &Cursor) -> BoxFuture<'_, Result<bool, LogError>> {
        let cursor = cursor.clone();
        Box::pin(async move { self.make_cursor(&cursor).await })
    }

    fn subscribe(&self, cursor: &Cursor) -> Result<Box<dyn Subscription>, LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        self.must_exist(&cursor.name)?;
        self.remember(cursor);
        let part = |kind| ChainSubscription::new(Arc::clone(self.chain(kind)), cursor.name.clone(), &cursor.topics);
        Ok(Box::new(EmbeddedSubscription {
            // Taken before the parts look at the log: a change in between is then seen as one.
            changed: self.changed.subscribe(),
            parts: self.topics.chains_of(&cursor.topics).map(part).collect(),
            turn: 0,
            cursor: cursor.name.clone(),
            chains: self.chains.clone(),
            topics: self.topics.clone(),
        }))
    }

    fn delete_cursor(&self, name: &CursorName) -> BoxFuture<'_, Result<(), LogError>> {
        let name = name.clone();
        Box::pin(async move {
            let _turn = self.cursors.lock().await;
            // The chain of events says which cursors exist, so it comes last.
            for kind in [ChainKind::DeadLetters, ChainKind::Journal, ChainKind::Events] {
                self.drop_in(kind, &name).await?;
            }
            Ok(())
        })
    }

    fn scan(&self, topics: TopicFilter, from: From) -> Result<Box<dyn Scan>, LogError> {
        self.begin(&topics, &Begin::At(from))
    }

    fn scan_from(&self, topics: TopicFilter, starts: Vec<Position>) -> Result<Box<dyn Scan>, LogError> {
        let starts = starts.into_iter().map(|start| ((start.topic, start.partition), start.offset)).collect();
        self.begin(&topics, &Begin::Offsets(starts))
    }

    fn read(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Option<Record>>, LogError>> {
        Box::pin(async move {
            if self.is_closed() {
                return Err(LogError::Closed);
            }
            let mut records = vec![None; positions.len()];
            for kind in ChainKind::ALL {
                let here = positions.iter().enumerate();
                let (places, wanted): (Vec<_>, Vec<_>) = here
                    .filter(|(_, position)| self.topics.chain_of(&position.topic) == kind)
                    .map(|(place, position)| (place, position.clone()))
                    .unzip();
                for (place, record) in places.into_iter().zip(read(self.chain(kind), &wanted).await?) {
                    records[place] = record;
                }
            }
            Ok(records)
        })
    }

    fn appended(&self, topics: TopicFilter) -> BoxFuture<'static, ()> {
        let mut changed = self.changed.subscribe();
        let chains: Vec<_> = self.topics.chains_of(&topics).map(|kind| Arc::clone(self.chain(kind))).collect();
        let ends = move || -> u64 {
            let of_chain = |chain: &Arc<Chain>| -> u64 {
                chain.state().matching(&topics).map(|(_, partition)| partition.end).sum()
            };
            chains.iter().map(of_chain).sum()
        };
        let before = ends();
        Box::pin(async move {
            while ends() == before {
                if changed.changed().await.is_err() {
                    // The log is gone: nothing will ever be appended.
                    std::future::pending::<()>().await;
                }
            }
        })
    }

    fn state(&self) -> LogState {
        let mut log = LogState::default();
        let mut cursors: Vec<CursorState> = Vec::new();
        for chain in &self.chains {
            let state = chain.state();
            if log.unavailable.is_none() {
                log.unavailable.clone_from(&state.unavailable);
            }
            log.partitions.extend(state.partitions.iter().map(|partition| PartitionState {
                topic: partition.topic.clone(),
                partition: partition.number,
                start: partition.start,
                end: partition.end,
            }));
            log.bytes += state.bytes();
            let known = chain.digests.live();
            let active = state.segments.back().filter(|active| active.keys > 0);
            let deduplication = log.deduplication.get_or_insert_default();
            deduplication.keys += known.len() + active.map_or(0, |active| active.keys);
            let since_us = known.since_us().into_iter().chain(active.map(|active| active.made_at_us)).min();
            let since = since_us.and_then(|since| Timestamp::from_microsecond(since).ok());
            deduplication.complete_since = deduplication.complete_since.into_iter().chain(since).min();
            log.damage.extend(state.damage.iter().map(ToString::to_string));
            log.dropped_notes += chain.queue.dropped_notes();
            log.dropped_records += chain.dropped_records.load(Ordering::Relaxed);
            if chain.kind == ChainKind::Events {
                let cursor = |name: &CursorName| CursorState { name: name.clone(), partitions: Vec::new() };
                cursors.extend(state.cursors.keys().map(cursor));
                cursors.sort_unstable_by(|left, right| left.name.cmp(&right.name));
            }
            for cursor in &mut cursors {
                let Some(known) = state.cursors.get(&cursor.name) else { continue };
                let progress = |(&index, progress): (&usize, &Progress)| CursorProgress {
                    topic: state.partitions[index].topic.clone(),
                    partition: state.partitions[index].number,
                    watermark: progress.watermark(),
                    done_above: progress.above().count(),
                };
                cursor.partitions.extend(known.progress.iter().map(progress));
            }
        }
        log.partitions
            .sort_unstable_by(|left, right| (&left.topic, left.partition).cmp(&(&right.topic, right.partition)));
        for cursor in &mut cursors {
            cursor.partitions.sort_unstable_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        }
        log.cursors = cursors;
        if self.is_closed() {
            log.unavailable = Some(LogError::Closed.to_string());
        }
        log
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            let Some(owned) = &self.owned else { return Ok(()) };
            self.chains.iter().for_each(|chain| chain.queue.close());
            let mut result = Ok(());
            for chain in &self.chains {
                result = result.and(chain.ended().await);
            }
            // The writers have ended; joining their threads does not wait for anything any more.
            owned.lock().unwrap_or_else(PoisonError::into_inner).end(&self.chains);
            result
        })
    }
}

struct EmbeddedSubscription {
    parts: Vec<ChainSubscription>,
    /// Whose turn is first, so that a busy chain does not shut out the others.
    turn: usize,
    changed: watch::Receiver<u64>,
    cursor: CursorName,
    chains: [Arc<Chain>; 3],
    topics: OwnTopics,
}

impl Subscription for EmbeddedSubscription {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        Box::pin(async move {
            loop {
                self.changed.mark_unchanged();
                for _ in 0..self.parts.len() {
                    let turn = self.turn % self.parts.len();
                    let part = &mut self.parts[turn];
                    let records = part.next(max.max(1)).await?;
                    if !records.is_empty() {
                        self.turn = turn + 1;
                        return Ok(records);
                    }
                    if part.chain().queue.is_closing() {
                        return Err(LogError::Closed);
                    }
                    self.turn = turn + 1;
                }
                wait_for(&mut self.changed).await?;
            }
        })
    }

    fn commit(&mut self, done: Vec<Position>) -> Result<(), LogError> {
        finish(&self.chains, &self.topics, &Commit { cursor: self.cursor.clone(), done })
    }
}

struct EmbeddedScan {
    parts: Vec<ChainScan>,
}

impl Scan for EmbeddedScan {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        Box::pin(async move {
            // Everything that waits comes first: what was taken must not be lost when the future is dropped.
            for part in &mut self.parts {
                part.peek().await?;
            }
            let mut records = Vec::new();
            while records.len() < max {
                let heads = self.parts.iter().enumerate();
                let oldest = heads.filter_map(|(index, part)| Some((part.head()?.time, index))).min();
                let Some((_, index)) = oldest else { break };
                records.extend(self.parts[index].take());
                // Which of the others is older than the next one of this chain is not known before it is read.
                if self.parts.len() > 1 && self.parts[index].head().is_none() {
                    break;
                }
            }
            Ok(records)
        })
    }
}
