//! The port, over a cluster.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use hook_core::{
    BoxFuture,
    clock::SharedClock,
    names::{CursorName, TopicName},
    ports::log::{
        Append, Appended, Commit, Cursor, DedupKey, From, Log, LogError, LogState, NewRecord, Position, Record, Scan,
        Subscription, TopicFilter,
    },
    progress::Progress,
};
use rdkafka::{
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::{
    carry::Carrier,
    client::{Clients, Health, Reader, SESSION_TIMEOUT, connect},
    cluster::{self, PATIENCE},
    consume,
    cursors::{self, Beginning},
    error::{OpenError, unavailable},
    produce::{Producer, encode},
    read::Singles,
    refresh::{Desk, Refresh},
    scan::{KafkaScan, Stretch},
    settings::Settings,
    subscription::{KafkaSubscription, Shared},
    topics::Topics,
    transaction::Transactions,
    view::{Broker, Partition, View},
};

/// A subscription that ends may take so long to commit and to leave its group.
const LEAVING: Duration = Duration::from_secs(15);

/// The log on Kafka.
pub struct KafkaLog {
    clients: Clients,
    view: Arc<View>,
    health: Health,
    topics: Arc<Topics>,
    producer: Arc<Producer>,
    /// Answers questions; never assigned anything.
    asker: Arc<Reader>,
    singles: Arc<Mutex<Singles>>,
    desk: Arc<Desk>,
    notes: Mutex<Notes>,
    running: Mutex<Running>,
    is_closed: AtomicBool,
}

/// What runs on its own.
#[derive(Default)]
struct Running {
    subscriptions: BTreeMap<CursorName, Reading>,
    transactions: BTreeMap<CursorName, Transactions>,
    refresh: Option<JoinHandle<()>>,
}

/// A subscription, and its thread.
struct Reading {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Tells when notes are through. Each round of notes holds a sender; when all of a round are through, it is gone.
struct Notes {
    round: Arc<watch::Sender<()>>,
    earlier: Vec<watch::Receiver<()>>,
}

impl KafkaLog {
    /// Connects, and checks the topics that are expected. Blocks no task.
    pub async fn open(settings: Settings, clock: SharedClock) -> Result<Self, OpenError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(OpenError::Settings(problems));
        }
        let brokers = settings.brokers.join(", ");
        let health = Health::default();
        let clients = Clients::new(Arc::new(settings), health.clone(), clock);
        let view = Arc::new(View::new());
        let asker = Arc::new(connect(&clients.reader(), clients.context())?);
        let producer = Producer::new(&clients.producer(), clients.context(), Arc::clone(&view), clients.names.clone())?;
        let topics = Arc::new(Topics::new(clients.clone(), Arc::clone(&view)));
        let desk = Arc::new(Desk::default());
        let producer = Arc::new(producer);
        let mut refresh = Refresh {
            clients: clients.clone(),
            view: Arc::clone(&view),
            health: health.clone(),
            asker: Arc::clone(&asker),
            topics: Arc::clone(&topics),
            producer: Arc::clone(&producer),
            desk: Arc::clone(&desk),
            runtime: tokio::runtime::Handle::current(),
            strangers: HashSet::new(),
            reading: None,
        };
        let known = health.clone();
        let looked = blocking(move || {
            let mut look = || refresh.look().and_then(|topics| refresh.look_at_cursors().map(|()| topics));
            let topics = match look() {
                // On a busy machine a broker that is there may leave the first question without an answer.
                Err(error) if is_slow(&error) && known.unavailable().is_none() => {
                    warn!(%error, "no answer from Kafka: asking again");
                    look()
                }
                answer => answer,
            };
            // How far cursors are behind is worth less than a start.
            if topics.is_ok()
                && let Err(error) = refresh.look_at_marks(|_| true)
            {
                debug!(%error, "what is behind the last records is not known");
            }
            Ok((refresh, topics))
        });
        let unreachable = |reason: String| OpenError::Unreachable { brokers: brokers.clone(), reason };
        let (refresh, found) = looked.await.map_err(|error| unreachable(error.to_string()))?;
        let found = found.map_err(|error| unreachable(health.unavailable().unwrap_or_else(|| error.to_string())))?;
        let problems = topics.check(&found).await;
        if !problems.is_empty() {
            return Err(OpenError::Topics(problems));
        }
        health.set(None);
        let thread = std::thread::Builder::new().name("kafka/refresh".into()).spawn(move || refresh.run());
        let thread = thread.map_err(|error| unreachable(format!("no thread: {error}")))?;
        let singles = Arc::new(Mutex::new(Singles::new(clients.clone(), Arc::clone(&view))));
        let running = Mutex::new(Running { refresh: Some(thread), ..Running::default() });
        Ok(Self {
            clients,
            view,
            health,
            topics,
            producer,
            asker,
            singles,
            desk,
            notes: Mutex::new(Notes { round: Arc::new(watch::Sender::new(())), earlier: Vec::new() }),
            running,
            is_closed: AtomicBool::new(false),
        })
    }

    /// The brokers of the cluster, as of a few seconds ago.
    pub fn brokers(&self) -> Vec<Broker> {
        self.view.brokers()
    }

    /// How many copies of events were not delivered since the log was opened.
    pub fn removed_copies(&self) -> u64 {
        self.view.removed_copies()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scans partitions to what is durable now.
    fn read_through(
        &self,
        partitions: &[Partition],
        starts: impl FnOnce() -> rdkafka::error::KafkaResult<BTreeMap<Partition, u64>>,
    ) -> Result<Box<dyn Scan>, LogError> {
        self.must_be_open()?;
        if let Some(why) = self.health.unavailable() {
            return Err(LogError::Unavailable(why));
        }
        // Asked now and not in the scan's thread: what is durable when a scan begins is what it reads.
        let ends = cluster::starts(&self.asker, &self.clients.names, partitions, From::Now).map_err(unavailable)?;
        let starts = starts().map_err(unavailable)?;
        let stretch = |(partition, start): (Partition, u64)| {
            let end = ends.get(&partition).copied().unwrap_or_default();
            let known = self.view.bounds(&partition).map_or(0, |bounds| bounds.end);
            let committed_to = if known > end { known } else { 0 };
            (partition, Stretch { start, end: end.max(known), committed_to })
        };
        Ok(Box::new(KafkaScan::begin(self.clients.clone(), starts.into_iter().map(stretch).collect())?))
    }

    fn must_be_open(&self) -> Result<(), LogError> {
        if self.is_closed.load(Ordering::Acquire) { Err(LogError::Closed) } else { Ok(()) }
    }

    async fn store(&self, records: Vec<NewRecord>, dedup: Vec<DedupKey>) -> Result<Appended, LogError> {
        self.must_be_open()?;
        let encoded = encode(&records, &dedup)?;
        if !self.topics.are_known(&records) {
            self.topics.ensure(&records).await?;
        }
        let sent = self.producer.send(&records, encoded);
        sent.await.map_err(|_| LogError::Closed)?.map(Appended::Stored)
    }

    async fn store_and_commit(&self, records: Vec<NewRecord>, commit: Commit) -> Result<Appended, LogError> {
        self.must_be_open()?;
        self.must_exist(&commit.cursor).await?;
        self.topics.ensure(&records).await?;
        let subscription = self.running().subscriptions.get(&commit.cursor).map(|reading| Arc::clone(&reading.shared));
        let Some(subscription) = subscription else {
            // Only who reads a partition may commit for it.
            let mut partitions: Vec<_> = commit.done.iter().map(crate::view::partition_of).collect();
            partitions.sort_unstable();
            partitions.dedup();
            return Err(LogError::Revoked(partitions));
        };
        let transactions = self.transactions(&commit.cursor)?;
        transactions.append(records, commit.done, subscription).await.map(Appended::Stored)
    }

    fn transactions(&self, cursor: &CursorName) -> Result<Transactions, LogError> {
        let mut running = self.running();
        if let Some(transactions) = running.transactions.get(cursor) {
            return Ok(transactions.clone());
        }
        let transactions = Transactions::start(self.clients.clone(), Arc::clone(&self.view), cursor.clone())?;
        running.transactions.insert(cursor.clone(), transactions.clone());
        Ok(transactions)
    }

    async fn must_exist(&self, cursor: &CursorName) -> Result<(), LogError> {
        if self.view.has_cursor(cursor) {
            return Ok(());
        }
        let (clients, view, name) = (self.clients.clone(), Arc::clone(&self.view), cursor.clone());
        blocking(move || must_exist(&clients, &view, &name)).await
    }

    /// Takes records over from the log of that id.
    pub fn carrier(&self, from: &str) -> Carrier {
        let parts = (self.clients.clone(), Arc::clone(&self.view), Arc::clone(&self.asker));
        Carrier::new(parts, Arc::clone(&self.topics), from)
    }

    /// Makes a cursor that goes on where it stood in another log. Durable when this resolves; `true` where it was made. What of
    /// the marks above a watermark finds no room beside the offset is delivered again.
    pub async fn create_cursor_at(
        &self,
        cursor: Cursor,
        progress: BTreeMap<(TopicName, u32), Progress>,
    ) -> Result<bool, LogError> {
        self.make_cursor(cursor, progress).await
    }

    /// What a cursor has done, as the cluster has it; `None` where there is no such cursor.
    pub async fn progress(&self, name: &CursorName) -> Result<Option<BTreeMap<(TopicName, u32), Progress>>, LogError> {
        let (clients, view, name) = (self.clients.clone(), Arc::clone(&self.view), name.clone());
        blocking(move || cursors::marks(&clients, &view, &name).map_err(unavailable)).await
    }

    /// What tells the cluster from every other; `None` where it does not say.
    pub async fn cluster_id(&self) -> Result<Option<String>, LogError> {
        let asker = Arc::clone(&self.asker);
        blocking(move || Ok(asker.client().fetch_cluster_id(PATIENCE))).await
    }

    async fn make_cursor(&self, cursor: Cursor, beginning: Beginning) -> Result<bool, LogError> {
        self.must_be_open()?;
        let (asker, name) = (Arc::clone(&self.asker), self.clients.names.cursors());
        let shape = blocking(move || cluster::describe_one(&asker, &name).map_err(unavailable)).await?;
        if shape.is_none() {
            self.topics.make_cursors().await?;
        }
        let (clients, view, asker) = (self.clients.clone(), Arc::clone(&self.view), Arc::clone(&self.asker));
        blocking(move || cursors::create(&clients, &view, &asker, &cursor, &beginning)).await
    }

    async fn drop_cursor(&self, name: CursorName) -> Result<(), LogError> {
        self.must_be_open()?;
        let (reading, transactions) = {
            let mut running = self.running();
            (running.subscriptions.remove(&name), running.transactions.remove(&name))
        };
        drop(transactions);
        if let Some(reading) = reading {
            reading.shared.stop();
            blocking(move || Ok(reading.shared.wait_until_over(LEAVING))).await?;
        }
        cursors::delete(&self.topics, &self.clients, &name).await?;
        self.desk.forget(&name);
        self.view.remove_cursor(&name);
        Ok(())
    }

    fn start_reading(&self, cursor: &Cursor) -> Result<KafkaSubscription, LogError> {
        // Who has died in a transaction left a memory of copies that nobody may read until that one has ended.
        if self.clients.keeps_memory_of(&cursor.name) {
            self.transactions(&cursor.name)?.fence();
        }
        let mut running = self.running();
        let before = running.subscriptions.remove(&cursor.name);
        let shared = Shared::new(cursor.name.clone(), Arc::clone(&self.view), self.clients.fetch_share());
        self.desk.read_here(cursor, &shared);
        let run = {
            let (clients, view) = (self.clients.clone(), Arc::clone(&self.view));
            let (cursor, shared) = (cursor.clone(), Arc::clone(&shared));
            move || {
                // What the one before has done is committed before this one asks where to begin.
                let is_free = before.is_none_or(|before: Reading| {
                    before.shared.stop();
                    before.shared.wait_until_over(LEAVING)
                });
                match is_free {
                    true => consume::run(&clients, &cursor, &shared, &view),
                    false => shared.end(LogError::Unavailable(format!("{} is still being read", cursor.name))),
                }
                shared.set_over();
            }
        };
        let thread = std::thread::Builder::new().name("kafka/consume".into()).spawn(run);
        let thread = thread.map_err(|error| LogError::Unavailable(format!("no thread for a subscription: {error}")))?;
        let reading = Reading { shared: Arc::clone(&shared), thread: Some(thread) };
        running.subscriptions.insert(cursor.name.clone(), reading);
        Ok(KafkaSubscription::new(shared))
    }

    /// Ends every subscription; what is done is committed. Blocks.
    fn end_reading(running: Running) {
        let Running { subscriptions, transactions, refresh } = running;
        drop(transactions);
        subscriptions.values().for_each(|reading| reading.shared.stop());
        for (_, mut reading) in subscriptions {
            reading.shared.wait_until_over(LEAVING);
            reading.shared.end(LogError::Closed);
            // A thread that has panicked has said so.
            let _ = reading.thread.take().map(JoinHandle::join);
        }
        let _ = refresh.map(JoinHandle::join);
    }
}

fn is_slow(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
}

fn must_exist(clients: &Clients, view: &View, cursor: &CursorName) -> Result<(), LogError> {
    if !cursors::exists(clients, cursor)? {
        return Err(LogError::NoCursor(cursor.clone()));
    }
    view.add_cursor(cursor);
    Ok(())
}

/// Runs what waits for the cluster where it keeps no task from running.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LogError::Unavailable(format!("the work was given up: {error}")))?
}

impl Log for KafkaLog {
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Appended, LogError>> {
        let Append { records, commit, dedup, .. } = batch;
        match commit {
            // By far the most: its future is small.
            None => Box::pin(self.store(records, dedup)),
            Some(commit) => Box::pin(self.store_and_commit(records, commit)),
        }
    }

    fn note(&self, record: NewRecord) {
        if self.must_be_open().is_err() {
            self.view.drop_note();
            return;
        }
        let round = Arc::clone(&self.notes.lock().unwrap_or_else(PoisonError::into_inner).round);
        let is_taken = match self.view.knows(&record.topic) {
            true => self.producer.note(&record, round),
            false => self.desk.leave(record, round),
        };
        if !is_taken {
            self.view.drop_note();
        }
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), LogError>> {
        let rounds = {
            let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            let round = notes.round.subscribe();
            notes.earlier.push(round);
            notes.round = Arc::new(watch::Sender::new(()));
            notes.earlier.retain(|round| round.has_changed().is_ok());
            notes.earlier.clone()
        };
        Box::pin(async move {
            for mut round in rounds {
                // Nothing is ever sent: it ends when the last note of the round is through.
                let _ = round.changed().await;
            }
            Ok(())
        })
    }

    fn create_cursor(&self, cursor: &Cursor) -> BoxFuture<'_, Result<bool, LogError>> {
        Box::pin(self.make_cursor(cursor.clone(), Beginning::new()))
    }

    fn subscribe(&self, cursor: &Cursor) -> Result<Box<dyn Subscription>, LogError> {
        self.must_be_open()?;
        if !self.view.has_cursor(&cursor.name) {
            // Whoever subscribes has made the cursor first, so that this is asked only where something is wrong.
            must_exist(&self.clients, &self.view, &cursor.name)?;
        }
        Ok(Box::new(self.start_reading(cursor)?))
    }

    fn delete_cursor(&self, name: &CursorName) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(self.drop_cursor(name.clone()))
    }

    fn scan(&self, topics: TopicFilter, from: From) -> Result<Box<dyn Scan>, LogError> {
        let partitions = self.view.partitions(&topics);
        self.read_through(&partitions, || cluster::starts(&self.asker, &self.clients.names, &partitions, from))
    }

    fn scan_from(&self, topics: TopicFilter, starts: Vec<Position>) -> Result<Box<dyn Scan>, LogError> {
        let partitions = self.view.partitions(&topics);
        self.read_through(&partitions, || {
            let mut from = cluster::starts(&self.asker, &self.clients.names, &partitions, From::Earliest)?;
            for Position { topic, partition, offset } in starts {
                from.entry((topic, partition)).and_modify(|oldest| *oldest = offset.max(*oldest));
            }
            Ok(from)
        })
    }

    fn read(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Option<Record>>, LogError>> {
        Box::pin(async move {
            self.must_be_open()?;
            let singles = Arc::clone(&self.singles);
            blocking(move || singles.lock().unwrap_or_else(PoisonError::into_inner).read(&positions)).await
        })
    }

    fn appended(&self, topics: TopicFilter) -> BoxFuture<'static, ()> {
        let (view, mut raised) = (Arc::clone(&self.view), self.view.ends_raised());
        let before = view.ends(&topics);
        let following = self.desk.follow();
        Box::pin(async move {
            let _following = following;
            while view.ends(&topics) <= before {
                if raised.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        })
    }

    fn state(&self) -> LogState {
        let (dropped_records, dropped_notes) = self.view.dropped();
        let unavailable = match self.must_be_open() {
            Ok(()) => self.health.unavailable(),
            Err(closed) => Some(closed.to_string()),
        };
        LogState {
            unavailable,
            brokers: self.view.brokers().into_iter().map(|broker| broker.address).collect(),
            partitions: self.view.partition_states(),
            cursors: self.view.cursor_states(),
            dropped_notes,
            dropped_records,
            damage: self.view.damage(),
            ..LogState::default()
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            if self.is_closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            let flushed = tokio::time::timeout(PATIENCE, self.flush()).await;
            self.desk.stop();
            let running = std::mem::take(&mut *self.running());
            blocking(move || {
                Self::end_reading(running);
                Ok(())
            })
            .await?;
            flushed.unwrap_or_else(|_| Err(LogError::Unavailable("the last notes were not acknowledged".into())))
        })
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.desk.stop();
        let running = std::mem::take(&mut *self.running());
        running.subscriptions.values().for_each(|reading| reading.shared.stop());
    }
}

const _: () = assert!(LEAVING.as_secs() > SESSION_TIMEOUT.as_secs(), "a session ends before patience does");
