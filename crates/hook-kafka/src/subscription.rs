//! The state of one subscription: what its thread has fetched, what its reader has taken, what is done.
//!
//! ```text
//!  thread (consume.rs)                       reader (a worker of a role)
//!  poll ──▶ waiting records ───────next────▶ delivered ──▶ attempt
//!  commit ◀── progress of each partition ◀──commit───────────┘
//!  revoked ──▶ revocations ────────────────▶ finish or give up, then release
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hook_core::{
    BoxFuture,
    names::CursorName,
    ports::log::{DedupKey, LogError, Position, Record, Revocation, Revocations, Subscription},
    progress::Progress,
};
use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::Notify;

use crate::{
    copies::{Entry, Remembered},
    restore::Restored,
    view::{Partition, View, partition_of},
};

/// So many records wait for the reader at most.
const MOST_WAITING: usize = 512;

/// What the thread, the reader and transactions share.
pub(crate) struct Shared {
    pub(crate) cursor: CursorName,
    view: Arc<View>,
    /// How many bytes wait for the reader at most; one record always may.
    most_bytes: usize,
    state: Mutex<State>,
    /// Something came for the reader, or the subscription has ended.
    arrived: Notify,
    /// A revocation came for the reader.
    revoked: Notify,
    /// The reader has done something that the thread waits for.
    moved: Condvar,
    /// Held while something is committed: a later commit must not be overtaken by an earlier one.
    commits: Mutex<()>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Record>,
    bytes: usize,
    parts: BTreeMap<Partition, Part>,
    /// Who we are in the group, as of the last assignment.
    member: Option<Arc<ConsumerGroupMetadata>>,
    /// Partitions that go, each until when they are held for the reader.
    revocations: VecDeque<(Vec<Partition>, Instant)>,
    /// Whether somebody takes revocations; otherwise a partition goes at once.
    has_listener: bool,
    /// Revocations that were handed out and are not released.
    held: usize,
    /// Why no more records come.
    ended: Option<LogError>,
    must_stop: bool,
    /// The group is to be left and joined again.
    must_rejoin: bool,
    is_over: bool,
    /// So long a copy is one at most.
    window_ms: i64,
    /// How many partitions the topic of what tells copies has.
    memory_partitions: u32,
}

/// A partition that is ours now.
struct Part {
    progress: Progress,
    /// Where the next record is expected. What lies between it and the one that comes is nothing that is ever delivered.
    read_to: u64,
    /// Records below were handed to the reader since the partition became ours.
    delivered_to: u64,
    is_dirty: bool,
    /// By what copies are told; `None` where they are delivered.
    remembered: Option<Remembered>,
}

/// Progress to be committed for a partition.
pub(crate) type Marks = Vec<(Partition, Progress)>;

/// What a transaction may commit.
pub(crate) enum Claim {
    /// This, under this membership.
    Taken(Taken),
    /// Nothing: these partitions are not ours any more.
    Revoked(Vec<Partition>),
    /// Nothing is to be committed.
    Nothing,
}

/// Progress that a transaction commits.
pub(crate) struct Taken {
    pub(crate) marks: Marks,
    pub(crate) member: Arc<ConsumerGroupMetadata>,
    /// What tells copies of what is done, and the partition in which it is written down.
    pub(crate) keys: Vec<(Partition, Entry, u32)>,
}

impl Shared {
    pub(crate) fn new(cursor: CursorName, view: Arc<View>, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            cursor,
            view,
            most_bytes,
            state: Mutex::default(),
            arrived: Notify::new(),
            revoked: Notify::new(),
            moved: Condvar::new(),
            commits: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds off every other commit of this cursor.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the thread does.

    /// Partitions have become ours, with what was done in each.
    pub(crate) fn assign(&self, parts: impl IntoIterator<Item = (Partition, Progress)>) {
        let mut state = self.state();
        for (partition, progress) in parts {
            let read_to = progress.watermark();
            let part = Part { progress, read_to, delivered_to: read_to, is_dirty: false, remembered: None };
            state.parts.insert(partition, part);
        }
    }

    /// Copies of what is remembered are not delivered from now on.
    pub(crate) fn remember(&self, restored: Restored, window: Duration) {
        let mut state = self.state();
        state.window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        state.memory_partitions = restored.partitions;
        for (partition, remembered) in restored.remembered {
            if let Some(part) = state.parts.get_mut(&partition) {
                part.remembered = Some(remembered);
            }
        }
    }

    pub(crate) fn set_member(&self, member: Option<ConsumerGroupMetadata>) {
        self.state().member = member.map(Arc::new);
    }

    /// Partitions are going: what waits of them is dropped, and the reader is told. Resolves when the reader has let go, or
    /// at the end of its time.
    pub(crate) fn revoke(&self, partitions: &[Partition], patience: Duration) {
        let mut state = self.state();
        state.drop_waiting(partitions);
        if !state.has_listener || state.must_stop || partitions.is_empty() {
            return;
        }
        let deadline = Instant::now() + patience;
        state.revocations.push_back((partitions.to_vec(), deadline));
        self.revoked.notify_one();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let is_through = state.revocations.is_empty() && state.held == 0;
            if is_through || state.must_stop || !state.has_listener || left.is_zero() {
                return;
            }
            state = self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Partitions were lost: somebody else may have them already. The reader is told, and nothing waits for it.
    pub(crate) fn lose(&self, partitions: &[Partition]) {
        let mut state = self.state();
        state.drop_waiting(partitions);
        partitions.iter().for_each(|partition| drop(state.parts.remove(partition)));
        if state.has_listener {
            state.revocations.push_back((partitions.to_vec(), Instant::now()));
            self.revoked.notify_one();
        }
    }

    /// Partitions are not ours any more.
    pub(crate) fn forget(&self, partitions: &[Partition]) {
        let mut state = self.state();
        partitions.iter().for_each(|partition| drop(state.parts.remove(partition)));
    }

    /// Takes a record in that was fetched, with the keys by which copies of it are told.
    pub(crate) fn take_in(&self, record: Record, dedup: &[DedupKey]) {
        let partition = partition_of(&record.position);
        let offset = record.position.offset;
        let mut state = self.state();
        let window_ms = state.window_ms;
        let Some(part) = state.parts.get_mut(&partition) else { return };
        if offset < part.read_to {
            return;
        }
        // Marks of transactions, and what retention or compaction has removed, are never delivered.
        part.progress.finish(part.read_to..offset);
        part.read_to = offset + 1;
        if part.progress.is_done(offset) {
            return;
        }
        let remembered = part.remembered.as_mut();
        if remembered.is_some_and(|remembered| remembered.is_copy(offset, record.time, dedup, window_ms)) {
            part.progress.finish(offset..offset + 1);
            part.is_dirty = true;
            self.view.set_progress(&self.cursor, &partition, &part.progress);
            self.view.remove_copy();
            return;
        }
        state.bytes += size(&record);
        state.waiting.push_back(record);
        drop(state);
        self.view.raise_end(&partition, offset + 1);
    }

    /// Wakes the reader after records were taken in.
    pub(crate) fn announce(&self) {
        self.arrived.notify_one();
    }

    pub(crate) fn has_room(&self) -> bool {
        let state = self.state();
        state.waiting.len() < MOST_WAITING && state.bytes < self.most_bytes
    }

    /// Waits until the reader has made room, or the thread has something else to do.
    pub(crate) fn wait_for_room(&self, patience: Duration) -> bool {
        let state = self.state();
        let is_full = |state: &mut State| {
            !state.must_stop && (state.waiting.len() >= MOST_WAITING || state.bytes >= self.most_bytes)
        };
        let waited = self.moved.wait_timeout_while(state, patience, is_full);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// What has been done since the last commit.
    pub(crate) fn take_dirty(&self) -> Marks {
        let mut state = self.state();
        let dirty = state.parts.iter_mut().filter(|(_, part)| part.is_dirty);
        dirty
            .map(|(partition, part)| {
                part.is_dirty = false;
                (partition.clone(), part.progress.clone())
            })
            .collect()
    }

    /// A commit has failed: what it held is committed again, as far as it is still ours.
    pub(crate) fn give_back(&self, marks: &Marks) {
        let mut state = self.state();
        for (partition, _) in marks {
            if let Some(part) = state.parts.get_mut(partition) {
                part.is_dirty = true;
            }
        }
    }

    /// No more records come.
    pub(crate) fn end(&self, why: LogError) {
        let mut state = self.state();
        state.ended.get_or_insert(why);
        state.waiting.clear();
        state.bytes = 0;
        state.parts.clear();
        drop(state);
        self.arrived.notify_waiters();
        self.arrived.notify_one();
    }

    pub(crate) fn must_stop(&self) -> bool {
        let state = self.state();
        state.must_stop || state.ended.is_some()
    }

    /// Whether the group is to be left and joined again, since the last time.
    pub(crate) fn takes_rejoin(&self) -> bool {
        std::mem::take(&mut self.state().must_rejoin)
    }

    /// The thread is over: another subscription may begin.
    pub(crate) fn set_over(&self) {
        self.state().is_over = true;
        self.moved.notify_all();
    }

    // What others do.

    /// Asks the thread to end.
    pub(crate) fn stop(&self) {
        self.state().must_stop = true;
        self.moved.notify_all();
    }

    /// Asks the thread to leave the group and to join it again, so that all partitions are divided anew.
    pub(crate) fn rejoin(&self) {
        self.state().must_rejoin = true;
    }

    /// Waits until the thread is over; `false` where it is not in time.
    pub(crate) fn wait_until_over(&self, patience: Duration) -> bool {
        let waited = self.moved.wait_timeout_while(self.state(), patience, |state| !state.is_over);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// What may be committed of this, in a transaction. Hold [`Shared::turn`] until it has ended.
    pub(crate) fn claim(&self, done: &[Position]) -> Claim {
        let state = self.state();
        let mut gone = Vec::new();
        let mut marks: BTreeMap<Partition, Progress> = BTreeMap::new();
        let mut keys = Vec::new();
        for position in done {
            let partition = partition_of(position);
            let part = state.parts.get(&partition).filter(|part| position.offset < part.delivered_to);
            match part {
                Some(part) => {
                    let pending = part.remembered.as_ref().map_or(&[][..], |all| all.pending(position.offset));
                    let number = partition.1 % state.memory_partitions.max(1);
                    keys.extend(pending.iter().map(|entry| (partition.clone(), *entry, number)));
                    let progress = marks.entry(partition).or_insert_with(|| part.progress.clone());
                    progress.finish(position.offset..position.offset + 1);
                }
                // What does not exist yet cannot be done; what was delivered earlier belongs to somebody else now.
                None if self.view.bounds(&partition).is_none_or(|bounds| position.offset >= bounds.end) => {}
                None if !gone.contains(&partition) => gone.push(partition),
                None => {}
            }
        }
        match &state.member {
            _ if !gone.is_empty() => Claim::Revoked(gone),
            _ if marks.is_empty() => Claim::Nothing,
            Some(member) => {
                Claim::Taken(Taken { marks: marks.into_iter().collect(), member: Arc::clone(member), keys })
            }
            None => Claim::Revoked(marks.into_keys().collect()),
        }
    }

    /// A transaction has committed this.
    pub(crate) fn confirm(&self, taken: &Taken) {
        let mut state = self.state();
        for (partition, entry, _) in &taken.keys {
            let remembered = state.parts.get_mut(partition).and_then(|part| part.remembered.as_mut());
            remembered.into_iter().for_each(|remembered| remembered.written(entry.offset));
        }
        for (partition, committed) in &taken.marks {
            if let Some(part) = state.parts.get_mut(partition) {
                part.progress.raise(committed.watermark());
                committed.above().iter().for_each(|range| part.progress.finish(range));
                self.view.set_progress(&self.cursor, partition, &part.progress);
            }
        }
    }

    fn commit(&self, done: &[Position]) -> Result<(), LogError> {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Err(why.clone());
        }
        let mut touched: Vec<Partition> = Vec::new();
        for position in done {
            let partition = partition_of(position);
            let part = state.parts.get_mut(&partition).filter(|part| position.offset < part.delivered_to);
            // Nothing is committed for a partition that was taken away.
            let Some(part) = part else { continue };
            part.progress.finish(position.offset..position.offset + 1);
            part.is_dirty = true;
            part.remembered.iter_mut().for_each(|remembered| remembered.written(position.offset));
            if !touched.contains(&partition) {
                touched.push(partition);
            }
        }
        for partition in touched {
            self.view.set_progress(&self.cursor, &partition, &state.parts[&partition].progress);
        }
        Ok(())
    }

    fn take(&self, max: usize) -> Result<Vec<Record>, LogError> {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Err(why.clone());
        }
        // First the reader lets go of what it had: it could not tell older records of a partition that has come back.
        if !state.revocations.is_empty() {
            return Ok(Vec::new());
        }
        let count = max.max(1).min(state.waiting.len());
        let records: Vec<_> = state.waiting.drain(..count).collect();
        state.bytes -= records.iter().map(size).sum::<usize>();
        for record in &records {
            if let Some(part) = state.parts.get_mut(&partition_of(&record.position)) {
                part.delivered_to = part.delivered_to.max(record.position.offset + 1);
            }
        }
        drop(state);
        if count > 0 {
            self.moved.notify_all();
        }
        Ok(records)
    }
}

impl State {
    fn drop_waiting(&mut self, partitions: &[Partition]) {
        self.waiting.retain(|record| !partitions.contains(&partition_of(&record.position)));
        self.bytes = self.waiting.iter().map(size).sum();
    }
}

fn size(record: &Record) -> usize {
    record.header.len() + record.body.len() + 256
}

/// The reader's end.
pub(crate) struct KafkaSubscription {
    shared: Arc<Shared>,
}

impl KafkaSubscription {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Drop for KafkaSubscription {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Subscription for KafkaSubscription {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        Box::pin(async move {
            loop {
                let arrived = self.shared.arrived.notified();
                let records = self.shared.take(max)?;
                if !records.is_empty() {
                    return Ok(records);
                }
                arrived.await;
            }
        })
    }

    fn commit(&mut self, done: Vec<Position>) -> Result<(), LogError> {
        self.shared.commit(&done)
    }

    fn revocations(&mut self) -> Option<Box<dyn Revocations>> {
        self.shared.state().has_listener = true;
        Some(Box::new(KafkaRevocations { shared: Arc::clone(&self.shared) }))
    }
}

/// The reader's other end.
struct KafkaRevocations {
    shared: Arc<Shared>,
}

impl Revocations for KafkaRevocations {
    fn next(&mut self) -> BoxFuture<'_, Revocation> {
        Box::pin(async move {
            loop {
                let revoked = self.shared.revoked.notified();
                {
                    let mut state = self.shared.state();
                    if let Some((partitions, until)) = state.revocations.pop_front() {
                        state.held += 1;
                        drop(state);
                        self.shared.arrived.notify_one();
                        return Revocation::new(partitions, until, Held { shared: Arc::clone(&self.shared) });
                    }
                }
                revoked.await;
            }
        })
    }
}

impl Drop for KafkaRevocations {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.has_listener = false;
        state.revocations.clear();
        drop(state);
        self.shared.moved.notify_all();
        self.shared.arrived.notify_one();
    }
}

/// A revocation that the reader has not released.
struct Held {
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.state().held -= 1;
        self.shared.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hook_core::{Timestamp, names::TopicName};

    use super::*;

    fn partition() -> Partition {
        (TopicName::new("t").unwrap(), 0)
    }

    fn position(offset: u64) -> Position {
        Position { topic: partition().0, partition: 0, offset }
    }

    fn record(offset: u64) -> Record {
        let empty = Bytes::new();
        Record {
            position: position(offset),
            key: None,
            time: Timestamp::UNIX_EPOCH,
            header: empty.clone(),
            body: empty,
        }
    }

    fn assigned(progress: Progress) -> Arc<Shared> {
        let view = Arc::new(View::new());
        let cursor = CursorName::new("c").unwrap();
        view.add_cursor(&cursor);
        let shared = Shared::new(cursor, view, 1 << 20);
        shared.assign([(partition(), progress)]);
        shared
    }

    fn offsets(records: &[Record]) -> Vec<u64> {
        records.iter().map(|record| record.position.offset).collect()
    }

    fn progress(shared: &Shared) -> Progress {
        shared.state().parts[&partition()].progress.clone()
    }

    #[test]
    fn what_lies_between_records_is_done_with_them() {
        let shared = assigned(Progress::at(3));
        [3, 4, 7].into_iter().for_each(|offset| shared.take_in(record(offset), &[]));
        assert_eq!(offsets(&shared.take(9).unwrap()), [3, 4, 7]);
        shared.commit(&[position(3), position(4)]).unwrap();
        assert_eq!(progress(&shared).watermark(), 7);
        shared.commit(&[position(7)]).unwrap();
        assert_eq!(progress(&shared), Progress::at(8));
    }

    #[test]
    fn what_is_done_is_not_delivered_again() {
        let mut progress = Progress::at(0);
        progress.finish(1..3);
        let shared = assigned(progress);
        (0..5).for_each(|offset| shared.take_in(record(offset), &[]));
        assert_eq!(offsets(&shared.take(9).unwrap()), [0, 3, 4]);
    }

    #[test]
    fn nothing_is_committed_for_what_was_taken_away_or_not_delivered() {
        let shared = assigned(Progress::at(0));
        (0..3).for_each(|offset| shared.take_in(record(offset), &[]));
        assert_eq!(offsets(&shared.take(2).unwrap()), [0, 1]);
        shared.commit(&[position(2)]).unwrap();
        assert!(shared.take_dirty().is_empty());
        shared.revoke(&[partition()], Duration::ZERO);
        assert!(shared.take(9).unwrap().is_empty(), "what waits goes with its partition");
        shared.commit(&[position(0)]).unwrap();
        assert_eq!(shared.take_dirty(), [(partition(), Progress::at(1))], "it is still ours until it is forgotten");
        shared.forget(&[partition()]);
        shared.commit(&[position(1)]).unwrap();
        assert!(shared.take_dirty().is_empty());
        // It comes back: what was delivered before is not ours to commit.
        shared.assign([(partition(), Progress::at(1))]);
        shared.commit(&[position(1)]).unwrap();
        assert!(shared.take_dirty().is_empty());
    }

    #[test]
    fn a_transaction_claims_only_what_is_ours() {
        let shared = assigned(Progress::at(0));
        (0..2).for_each(|offset| shared.take_in(record(offset), &[]));
        shared.take(9).unwrap();
        assert!(matches!(shared.claim(&[position(5)]), Claim::Nothing), "what does not exist cannot be done");
        shared.forget(&[partition()]);
        shared.view.raise_end(&partition(), 2);
        assert!(matches!(shared.claim(&[position(0), position(1)]), Claim::Revoked(gone) if gone == [partition()]));
    }

    #[tokio::test]
    async fn a_revocation_waits_until_it_is_released() {
        let shared = assigned(Progress::at(0));
        let mut subscription = KafkaSubscription::new(Arc::clone(&shared));
        let mut revocations = subscription.revocations().unwrap();
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.revoke(&[partition()], Duration::from_secs(60)))
        };
        let revocation = revocations.next().await;
        assert_eq!(revocation.partitions, [partition()]);
        assert!(!thread.is_finished());
        drop(revocation);
        thread.join().unwrap();
        shared.revoke(&[partition()], Duration::from_millis(1));
        assert_eq!(revocations.next().await.partitions, [partition()], "its time was over before it was taken");
    }
}
