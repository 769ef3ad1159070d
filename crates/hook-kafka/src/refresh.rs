//! Keeps the view fresh: asks the cluster from time to time, more often while somebody follows the log.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hook_core::{
    names::{CursorName, TopicName},
    ports::log::{Cursor, NewRecord, TopicFilter},
};
use rdkafka::error::KafkaResult;
use tokio::{runtime::Handle, sync::watch};
use tracing::debug;

use crate::{
    client::{Clients, Health, Reader, serve},
    cluster::{self, Shape},
    cursors,
    groups::{self, Group},
    produce::Producer,
    read::{self, Reading},
    subscription::Shared,
    topics::Topics,
    view::{Partition, View},
};

/// Topics, brokers and bounds are asked for this often.
const EVERY: Duration = Duration::from_secs(5);
/// Bounds are asked for this often while somebody waits for records.
const FOLLOWED_EVERY: Duration = Duration::from_millis(500);
/// Cursors of other processes are asked for this often: each is a connection of its own.
const CURSORS_EVERY: Duration = Duration::from_secs(30);
/// And the first time, when who reads here has joined the groups.
const CURSORS_FIRST: Duration = Duration::from_secs(10);
/// Groups that are no cursors are looked at again after so many rounds.
const FORGET_AFTER: u32 = 20;
/// So many offsets behind what is done may be nothing but marks of transactions.
const MOST_MARKS: u64 = 16;
/// So many notes wait for their topic to be made.
const MOST_NOTES: usize = 1000;

/// What the thread needs.
pub(crate) struct Refresh {
    pub(crate) clients: Clients,
    pub(crate) view: Arc<View>,
    pub(crate) health: Health,
    pub(crate) asker: Arc<Reader>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) producer: Arc<Producer>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) runtime: Handle,
    pub(crate) strangers: HashSet<CursorName>,
    /// Looks at the last records of partitions; there when it is needed first.
    pub(crate) reading: Option<Reading>,
}

/// What others ask of the thread.
#[derive(Default)]
pub(crate) struct Desk {
    asked: Mutex<Asked>,
    changed: Condvar,
    followers: AtomicUsize,
}

#[derive(Default)]
struct Asked {
    must_stop: bool,
    notes: VecDeque<(NewRecord, Arc<watch::Sender<()>>)>,
    /// Cursors that are read in this process: it knows them better than the cluster.
    read_here: HashMap<CursorName, (TopicFilter, Arc<Shared>)>,
}

impl Desk {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop(&self) {
        self.asked().must_stop = true;
        self.changed.notify_all();
    }

    /// Leaves a note whose topic is not there yet; `false` where too many wait.
    pub(crate) fn leave(&self, record: NewRecord, all: Arc<watch::Sender<()>>) -> bool {
        let mut asked = self.asked();
        if asked.must_stop || asked.notes.len() >= MOST_NOTES {
            return false;
        }
        asked.notes.push_back((record, all));
        self.changed.notify_all();
        true
    }

    /// A cursor is read in this process from now on.
    pub(crate) fn read_here(&self, cursor: &Cursor, shared: &Arc<Shared>) {
        self.asked().read_here.insert(cursor.name.clone(), (cursor.topics.clone(), Arc::clone(shared)));
    }

    /// A cursor is gone.
    pub(crate) fn forget(&self, cursor: &CursorName) {
        self.asked().read_here.remove(cursor);
    }

    /// Somebody waits for records, until this is dropped.
    pub(crate) fn follow(self: &Arc<Self>) -> Following {
        self.followers.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_all();
        Following { desk: Arc::clone(self) }
    }
}

/// Somebody waits for records.
pub(crate) struct Following {
    desk: Arc<Desk>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.desk.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Refresh {
    /// Asks for everything once; the topics that there are.
    pub(crate) fn look(&self) -> KafkaResult<BTreeMap<TopicName, Shape>> {
        serve(&self.asker);
        let (brokers, topics) = cluster::describe(&self.asker, &self.clients.names)?;
        self.view.set_brokers(brokers);
        self.view.set_partitions(cluster::bounds(&self.asker, &self.clients.names, &cluster::partitions_of(&topics))?);
        Ok(topics)
    }

    /// Finds out whether what cursors have left is anything but marks of transactions. `is_idle` names partitions that are
    /// worth a look: what is still written to changes before anybody reads the answer.
    pub(crate) fn look_at_marks(&mut self, is_idle: impl Fn(&Partition) -> bool) -> KafkaResult<()> {
        let mut starts = self.view.nearly_done(MOST_MARKS);
        starts.retain(|partition, _| is_idle(partition));
        if starts.is_empty() {
            return Ok(());
        }
        let ends: BTreeMap<_, _> =
            starts.keys().filter_map(|of| Some((of.clone(), self.view.bounds(of)?.end))).collect();
        let reading = match self.reading.take() {
            Some(reading) => reading,
            None => Reading::new(&self.clients)?,
        };
        for (partition, up_to) in read::last_records(&reading, &starts)? {
            self.view.set_marks(&partition, up_to, ends[&partition]);
        }
        self.reading = Some(reading);
        Ok(())
    }

    /// Asks for the cursors of others, and for what nobody reads of those that are read here.
    pub(crate) fn look_at_cursors(&mut self) -> KafkaResult<()> {
        let mut found = BTreeMap::new();
        let read_here = self.desk.asked().read_here.clone();
        for group in groups::list(&self.asker, &self.clients.names)? {
            if let Some((topics, shared)) = read_here.get(&group.cursor) {
                self.divide_anew(&group, topics, shared);
                continue;
            }
            let cursor = group.cursor;
            if self.strangers.contains(&cursor) {
                continue;
            }
            match cursors::progress(&self.clients, &self.view, &cursor)? {
                Some(progress) => drop(found.insert(cursor, progress)),
                None => drop(self.strangers.insert(cursor)),
            }
        }
        // A cursor may have been subscribed to meanwhile.
        let read_here = self.desk.asked().read_here.clone();
        self.view.set_cursors(found, |cursor| read_here.contains_key(cursor));
        Ok(())
    }

    /// Sees to it that every partition is read by somebody. The brokers do not: a static member that comes back is given what it had.
    fn divide_anew(&self, group: &Group, topics: &TopicFilter, shared: &Shared) {
        let left_out = group.left_out(&self.view.partitions(topics));
        if !left_out.is_empty() && group.who_yields(&left_out) == Some(self.clients.instance()) {
            shared.rejoin();
        }
    }

    /// Until it is told to stop.
    pub(crate) fn run(mut self) {
        let mut cursors_at = Instant::now() + CURSORS_FIRST;
        let mut all_at = Instant::now() + EVERY;
        let mut rounds = 0_u32;
        while self.wait(all_at) {
            self.send_notes();
            // Errors of connections come here too; the context has seen them.
            let _ = self.asker.poll(Duration::ZERO);
            if all_at <= Instant::now() {
                let before = self.view.all_ends();
                let result = self.look();
                all_at = Instant::now() + EVERY;
                let answers = result.is_ok();
                self.health.set(result.err().map(|error| format!("the cluster does not answer: {error}")));
                let after = self.view.all_ends();
                let is_idle = |partition: &Partition| before.get(partition) == after.get(partition);
                if answers && let Err(error) = self.look_at_marks(is_idle) {
                    debug!(%error, "what is behind the last records is not known");
                }
            } else if self.desk.followers.load(Ordering::Relaxed) > 0 {
                self.look_at_ends();
            }
            if cursors_at <= Instant::now() {
                rounds += 1;
                if rounds.is_multiple_of(FORGET_AFTER) {
                    self.strangers.clear();
                }
                if let Err(error) = self.look_at_cursors() {
                    debug!(%error, "cursors of other processes are not known");
                }
                cursors_at = Instant::now() + CURSORS_EVERY;
            }
        }
    }

    /// Waits for something to do; `false` at the end.
    fn wait(&self, all_at: Instant) -> bool {
        let is_followed = self.desk.followers.load(Ordering::Relaxed) > 0;
        let left = all_at.saturating_duration_since(Instant::now());
        let wait = if is_followed { left.min(FOLLOWED_EVERY) } else { left };
        let asked = self.desk.asked();
        if asked.notes.is_empty() && !asked.must_stop {
            let waited = self.desk.changed.wait_timeout(asked, wait).unwrap_or_else(PoisonError::into_inner);
            return !waited.0.must_stop;
        }
        !asked.must_stop
    }

    fn look_at_ends(&self) {
        let everything = hook_core::names::Glob::new("*");
        let filter = hook_core::ports::log::TopicFilter { include: vec![everything], unless_literal: Vec::new() };
        match cluster::bounds(&self.asker, &self.clients.names, &self.view.partitions(&filter)) {
            Ok(bounds) => bounds.iter().for_each(|(partition, bounds)| self.view.raise_end(partition, bounds.end)),
            Err(error) => debug!(%error, "the ends of topics are not known"),
        }
    }

    fn send_notes(&self) {
        loop {
            let next = self.desk.asked().notes.pop_front();
            let Some((record, all)) = next else { return };
            let is_there = self.runtime.block_on(self.topics.ensure(std::slice::from_ref(&record)));
            if let Err(error) = &is_there {
                debug!(%error, "a note has no topic");
            }
            if is_there.is_err() || !self.producer.note(&record, all) {
                self.view.drop_note();
            }
        }
    }
}
