//! What of each partition is on its way into the log, what is done, and what may be committed.
//!
//! Records of one lane go in one after the other: those of one ordering key, and those of a partition that have none. An offset is
//! committed when everything before it is in the log or in the dead letters.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// A partition as the cluster calls it.
pub(super) type Partition = (String, i32);

/// Bytes of values that may be on their way at once, over all partitions.
const MOST_BYTES: usize = 8 << 20;

/// What is on its way. `J` is the work for one record.
pub(super) struct Intake<J> {
    state: Mutex<State<J>>,
    /// Rings when something has ended.
    ended: Condvar,
    max_in_flight: usize,
}

struct State<J> {
    partitions: HashMap<Partition, Part<J>>,
    /// Tells a partition that was lost and came back from what it was before.
    next_tenure: u64,
    in_flight: usize,
    bytes: usize,
    failure: Option<String>,
}

struct Part<J> {
    tenure: u64,
    /// Taken, and not done.
    open: BTreeSet<i64>,
    /// Behind the last that was taken.
    next: Option<i64>,
    /// What the group has: at first, where we began.
    committed: Option<i64>,
    lanes: HashMap<Option<String>, VecDeque<Work<J>>>,
    /// Lanes that work now.
    busy: usize,
    over: watch::Sender<bool>,
}

/// One record on its way.
pub(super) struct Work<J> {
    pub(super) offset: i64,
    pub(super) bytes: usize,
    pub(super) job: J,
}

/// A lane that has begun: whoever holds it works until [`Intake::done`] or [`Intake::given_up`] has no more for it.
pub(super) struct Lane {
    partition: Partition,
    tenure: u64,
    key: Option<String>,
    over: watch::Receiver<bool>,
}

impl Lane {
    /// Resolves when the partition is given up: what is not in the log yet is for whoever has it next.
    pub(super) async fn over(&mut self) {
        // Without its sender there is no partition any more.
        let _ = self.over.wait_for(|over| *over).await;
    }
}

impl<J> Intake<J> {
    pub(super) fn new(max_in_flight: usize) -> Self {
        let state = State { partitions: HashMap::new(), next_tenure: 0, in_flight: 0, bytes: 0, failure: None };
        Self { state: Mutex::new(state), ended: Condvar::new(), max_in_flight }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another record may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.is_free(&self.state())
    }

    fn is_free(&self, state: &State<J>) -> bool {
        state.in_flight < self.max_in_flight && state.bytes < MOST_BYTES
    }

    /// Waits until there is room, but not longer; says whether there is.
    pub(super) fn wait_for_room(&self, limit: Duration) -> bool {
        let (state, _) = self
            .ended
            .wait_timeout_while(self.state(), limit, |state| !self.is_free(state))
            .unwrap_or_else(PoisonError::into_inner);
        self.is_free(&state)
    }

    /// Begins with partitions of which nothing is on its way.
    pub(super) fn assign(&self, partitions: impl IntoIterator<Item = Partition>) {
        let mut state = self.state();
        for partition in partitions {
            let tenure = state.next_tenure;
            state.next_tenure += 1;
            let part = Part {
                tenure,
                open: BTreeSet::new(),
                next: None,
                committed: None,
                lanes: HashMap::new(),
                busy: 0,
                over: watch::channel(false).0,
            };
            state.forget(&partition);
            state.partitions.insert(partition, part);
        }
    }

    /// Takes a record of a partition that is ours. The lane and its work come back where nobody works on the lane yet.
    pub(super) fn take(&self, partition: Partition, key: Option<String>, work: Work<J>) -> Option<(Lane, Work<J>)> {
        let mut state = self.state();
        let part = state.partitions.get_mut(&partition)?;
        let (offset, bytes) = (work.offset, work.bytes);
        part.open.insert(offset);
        part.next = part.next.max(Some(offset + 1));
        part.committed.get_or_insert(offset);
        let begun = match part.lanes.get_mut(&key) {
            Some(waiting) => {
                waiting.push_back(work);
                None
            }
            None => {
                part.lanes.insert(key.clone(), VecDeque::new());
                part.busy += 1;
                let (tenure, over) = (part.tenure, part.over.subscribe());
                Some((Lane { partition, tenure, key, over }, work))
            }
        };
        state.in_flight += 1;
        state.bytes += bytes;
        begun
    }

    /// A record is in the log or the dead letters; the next of its lane.
    pub(super) fn done(&self, lane: &Lane, offset: i64, bytes: usize) -> Option<Work<J>> {
        let mut state = self.state();
        state.release(1, bytes);
        let next = state.of(lane).and_then(|part| {
            part.open.remove(&offset);
            let next = part.lanes.get_mut(&lane.key).and_then(VecDeque::pop_front);
            if next.is_none() {
                part.lanes.remove(&lane.key);
                part.busy -= 1;
            }
            next
        });
        self.ended.notify_all();
        next
    }

    /// A record was not stored before its partition was given up: neither it nor what waits behind it is committed.
    pub(super) fn given_up(&self, lane: &Lane, bytes: usize) {
        let mut state = self.state();
        state.release(1, bytes);
        let waiting = state.of(lane).and_then(|part| {
            part.busy -= 1;
            part.lanes.remove(&lane.key)
        });
        for work in waiting.into_iter().flatten() {
            state.release(1, work.bytes);
        }
        self.ended.notify_all();
    }

    /// Says that work cannot go on, for a reason that is nobody's but ours.
    pub(super) fn fail(&self, reason: &str) {
        self.state().failure = Some(reason.to_owned());
        self.ended.notify_all();
    }

    /// Why work cannot go on; said once.
    pub(super) fn failure(&self) -> Option<String> {
        self.state().failure.take()
    }

    /// Tells the lanes of partitions to end, and waits until they have, but not longer.
    pub(super) fn give_up(&self, partitions: &[Partition], limit: Duration) {
        let state = self.state();
        for part in partitions.iter().filter_map(|partition| state.partitions.get(partition)) {
            part.over.send_replace(true);
        }
        let deadline = Instant::now() + limit;
        let is_busy = |state: &mut State<J>| {
            let mut parts = partitions.iter().filter_map(|partition| state.partitions.get(partition));
            Instant::now() < deadline && parts.any(|part| part.busy > 0)
        };
        drop(self.ended.wait_timeout_while(state, limit, is_busy));
    }

    /// Forgets partitions: what still works for them counts for nothing.
    pub(super) fn forget(&self, partitions: &[Partition]) {
        let mut state = self.state();
        partitions.iter().for_each(|partition| state.forget(partition));
        self.ended.notify_all();
    }

    /// Every partition that is ours.
    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.state().partitions.keys().cloned().collect()
    }

    /// How far partitions can be committed, where that is further than before.
    pub(super) fn to_commit(&self) -> Vec<(Partition, i64)> {
        let state = self.state();
        let further = state.partitions.iter().filter_map(|(partition, part)| {
            let offset = part.open.first().copied().or(part.next)?;
            (Some(offset) > part.committed).then(|| (partition.clone(), offset))
        });
        further.collect()
    }

    /// The group has these offsets.
    pub(super) fn committed(&self, offsets: impl IntoIterator<Item = (Partition, i64)>) {
        let mut state = self.state();
        for (partition, offset) in offsets {
            if let Some(part) = state.partitions.get_mut(&partition) {
                part.committed = part.committed.max(Some(offset));
            }
        }
    }
}

impl<J> State<J> {
    /// The partition of a lane, where it is still the one that the lane began with.
    fn of(&mut self, lane: &Lane) -> Option<&mut Part<J>> {
        self.partitions.get_mut(&lane.partition).filter(|part| part.tenure == lane.tenure)
    }

    fn release(&mut self, records: usize, bytes: usize) {
        self.in_flight -= records;
        self.bytes -= bytes;
    }

    fn forget(&mut self, partition: &Partition) {
        let Some(part) = self.partitions.remove(partition) else { return };
        for work in part.lanes.into_values().flatten() {
            self.release(1, work.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(partition: i32) -> Partition {
        ("orders".to_owned(), partition)
    }

    fn work(offset: i64) -> Work<()> {
        Work { offset, bytes: 10, job: () }
    }

    fn intake() -> Intake<()> {
        let intake = Intake::new(4);
        intake.assign([orders(0)]);
        intake
    }

    fn take(intake: &Intake<()>, key: Option<&str>, offset: i64) -> Option<Lane> {
        intake.take(orders(0), key.map(str::to_owned), work(offset)).map(|(lane, _)| lane)
    }

    #[test]
    fn an_offset_is_committed_when_everything_before_it_is_done() {
        let intake = intake();
        let a = take(&intake, Some("a"), 5).unwrap();
        let b = take(&intake, Some("b"), 7).unwrap();
        assert_eq!(intake.to_commit(), []);
        assert!(intake.done(&b, 7, 10).is_none());
        assert_eq!(intake.to_commit(), [], "5 is on its way");
        assert!(intake.done(&a, 5, 10).is_none());
        assert_eq!(intake.to_commit(), [(orders(0), 8)]);
        intake.committed(intake.to_commit());
        assert_eq!(intake.to_commit(), []);
        let again = take(&intake, Some("a"), 9).unwrap();
        assert_eq!(intake.to_commit(), [(orders(0), 9)], "what is between them is no record");
        drop(again);
    }

    #[test]
    fn records_of_one_lane_go_one_after_the_other() {
        let intake = intake();
        let a = take(&intake, Some("a"), 0).unwrap();
        assert!(take(&intake, Some("a"), 1).is_none());
        let none = take(&intake, None, 2).unwrap();
        assert!(take(&intake, None, 3).is_none());
        assert_eq!(intake.done(&a, 0, 10).unwrap().offset, 1);
        assert_eq!(intake.done(&none, 2, 10).unwrap().offset, 3);
        assert!(intake.done(&a, 1, 10).is_none());
        assert!(take(&intake, Some("a"), 4).is_some(), "the lane had ended");
    }

    #[test]
    fn only_so_much_is_on_its_way() {
        let intake = intake();
        let lanes: Vec<_> = (0..4).filter_map(|offset| take(&intake, Some(&offset.to_string()), offset)).collect();
        assert!(!intake.has_room());
        intake.done(&lanes[0], 0, 10);
        assert!(intake.has_room());
        intake.take(orders(0), None, Work { offset: 9, bytes: MOST_BYTES, job: () });
        assert!(!intake.wait_for_room(Duration::ZERO));
    }

    #[test]
    fn nothing_is_committed_for_a_partition_that_is_lost() {
        let intake = intake();
        let a = take(&intake, Some("a"), 0).unwrap();
        assert!(take(&intake, Some("a"), 1).is_none());
        intake.forget(&[orders(0)]);
        intake.assign([orders(0)]);
        assert!(intake.done(&a, 0, 10).is_none(), "what waited behind it is for whoever has the partition");
        assert_eq!(intake.to_commit(), []);
        let state = intake.state();
        assert_eq!((state.in_flight, state.bytes), (0, 0));
    }

    #[test]
    fn a_partition_that_is_given_up_ends_with_what_is_done() {
        let intake = intake();
        let done = take(&intake, Some("a"), 0).unwrap();
        let not_done = take(&intake, Some("b"), 1).unwrap();
        assert!(take(&intake, Some("b"), 2).is_none());
        intake.done(&done, 0, 10);
        intake.given_up(&not_done, 10);
        intake.give_up(&[orders(0)], Duration::from_secs(3600));
        assert_eq!(intake.to_commit(), [(orders(0), 1)]);
        intake.forget(&[orders(0)]);
        let state = intake.state();
        assert_eq!((state.in_flight, state.bytes), (0, 0));
    }

    #[tokio::test]
    async fn a_lane_learns_that_its_partition_is_given_up() {
        let intake = intake();
        let mut lane = take(&intake, Some("a"), 0).unwrap();
        intake.give_up(&[orders(0)], Duration::ZERO);
        lane.over().await;
        let mut other = {
            intake.assign([orders(1)]);
            intake.take(orders(1), None, work(0)).unwrap().0
        };
        intake.forget(&[orders(1)]);
        other.over().await;
    }
}
