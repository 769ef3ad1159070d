//! What was acknowledged, what arrived where, and what follows from comparing the two.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hook_bench::latency::{Latencies, Summary};
use serde::Serialize;

/// The id of an event, without its dashes.
pub(super) type EventId = u128;

/// Reads an event's id as it stands in answers and envelopes.
pub(super) fn parse_id(text: &str) -> Option<EventId> {
    u128::from_str_radix(&text.replace('-', ""), 16).ok()
}

/// One event: the how many-th of which key. Of one key, an event is sent only when the one before it was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: u32,
    pub(super) nth: usize,
}

/// What the senders were answered.
pub(super) struct Ledger {
    requests: AtomicU64,
    unanswered: AtomicU64,
    refused: AtomicU64,
    duplicates: AtomicU64,
    acknowledged: AtomicU64,
    answers: Mutex<Answers>,
    latencies: Mutex<Latencies>,
    copies: Copies,
}

/// What becomes of a copy of an event that is stored already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Copies {
    /// It is answered with the id of the first: what arrives has the id that was acknowledged.
    #[default]
    Recognised,
    /// It is stored under an id of its own, and removed later: of an event that had to be sent twice the other copy may arrive.
    Removed,
}

/// How many events of each key were acknowledged at a moment.
pub(super) struct Acknowledged(Vec<usize>);

struct Answers {
    /// For each key the ids of what was acknowledged, in order.
    ids: Vec<Vec<EventId>>,
    /// Answers that a sender should never see here, and how often it did.
    unexpected: BTreeMap<String, u64>,
}

impl Ledger {
    pub(super) fn new(keys: u32, copies: Copies) -> Self {
        let answers = Answers { ids: vec![Vec::new(); keys as usize], unexpected: BTreeMap::new() };
        Self {
            requests: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            answers: Mutex::new(answers),
            latencies: Mutex::default(),
            copies,
        }
    }

    /// A request goes out.
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// No answer came: whether the event was stored nobody knows.
    pub(super) fn no_answer(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// 503: the log cannot take it now.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// 202, or 200 where an earlier copy had been stored.
    pub(super) fn acknowledge(&self, place: Place, id: EventId, is_duplicate: bool, took: Duration) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).record(took);
        let mut answers = self.answers();
        let ids = &mut answers.ids[place.key as usize];
        debug_assert_eq!(ids.len(), place.nth, "events of one key are acknowledged one after the other");
        ids.push(id);
        drop(answers);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.duplicates.fetch_add(u64::from(is_duplicate), Ordering::Relaxed);
    }

    /// An answer that breaks the contract with the sender.
    pub(super) fn unexpected(&self, what: String) {
        *self.answers().unexpected.entry(what).or_default() += 1;
    }

    /// How many were acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// What is acknowledged now.
    pub(super) fn now(&self) -> Acknowledged {
        Acknowledged(self.answers().ids.iter().map(Vec::len).collect())
    }

    /// The ids of all acknowledged events.
    pub(super) fn ids(&self) -> HashSet<EventId> {
        self.answers().ids.iter().flatten().copied().collect()
    }

    /// From the first sending to the acknowledgement, of all that were acknowledged since this was asked last.
    pub(super) fn take_latencies(&self) -> Summary {
        std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner)).summary()
    }

    /// One of the acknowledged events, if there is any.
    pub(super) fn any_acknowledged(&self, random: &mut fastrand::Rng) -> Option<EventId> {
        let answers = self.answers();
        let key = random.usize(..answers.ids.len());
        let ids = answers.ids[key..].iter().chain(&answers.ids[..key]).find(|ids| !ids.is_empty())?;
        random.choice(ids).copied()
    }

    /// How often 503 was answered so far.
    pub(super) fn refusals(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Answers that should not have been, in words.
    pub(super) fn complaints(&self) -> Vec<String> {
        let said = |(what, times): (&String, &u64)| format!("a sender was answered {what}, {times} times");
        self.answers().unexpected.iter().map(said).collect()
    }

    /// Compares what was acknowledged with what arrived at one destination. Events of keys that it refuses are left out.
    pub(super) fn compare(&self, arrivals: &Arrivals, refuses: fn(u32) -> bool) -> Counts {
        let (answers, arrived) = (self.answers(), arrivals.keys());
        let mut counts = Counts {
            requests: self.requests.load(Ordering::Relaxed),
            unanswered: self.unanswered.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            duplicate_answers: self.duplicates.load(Ordering::Relaxed),
            ..Counts::default()
        };
        for ((key, ids), at) in (0u32..).zip(&answers.ids).zip(&*arrived) {
            counts.acknowledged += ids.len() as u64;
            counts.out_of_order += at.out_of_order;
            counts.stored_twice += at.stored_twice;
            counts.delivered += at.first.iter().flatten().count() as u64;
            counts.delivered_again += at.again;
            if !refuses(key) {
                let is_there = |(nth, id): (usize, &EventId)| {
                    let arrived = at.first.get(nth).copied().flatten();
                    arrived.is_some_and(|arrived| arrived == *id || self.copies == Copies::Removed)
                };
                counts.lost += ids.iter().enumerate().filter(|event| !is_there(*event)).count() as u64;
            }
        }
        counts
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one destination took.
pub(super) struct Arrivals {
    distinct: AtomicU64,
    keys: Mutex<Vec<OfKey>>,
    latencies: Mutex<Latencies>,
    replays: Mutex<HashSet<EventId>>,
}

#[derive(Default, Clone)]
struct OfKey {
    /// By their place in the key: the id with which each came first.
    first: Vec<Option<EventId>>,
    again: u64,
    out_of_order: u64,
    stored_twice: u64,
}

impl Arrivals {
    pub(super) fn new(keys: u32) -> Self {
        Self {
            distinct: AtomicU64::new(0),
            keys: Mutex::new(vec![OfKey::default(); keys as usize]),
            latencies: Mutex::default(),
            replays: Mutex::default(),
        }
    }

    /// Notes that an operator's replay was taken. It may stand anywhere among the events of its key.
    pub(super) fn note_replay(&self, id: EventId) {
        self.replays.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// Those of these replays that have not come.
    pub(super) fn missing(&self, replays: &[EventId]) -> usize {
        let came = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        replays.iter().filter(|id| !came.contains(id)).count()
    }

    /// From sending to arrival, of all that came first since this was asked last.
    pub(super) fn take_latencies(&self) -> Summary {
        std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner)).summary()
    }

    /// Notes that an event was taken, which was sent so long ago.
    pub(super) fn note(&self, place: Place, id: EventId, took: Duration) {
        let mut keys = self.keys();
        let Some(of_key) = keys.get_mut(place.key as usize) else { return };
        match of_key.first.get(place.nth).copied().flatten() {
            Some(first) if first == id => of_key.again += 1,
            // Of one delivery the log has two events: a copy was not recognised.
            Some(_) => of_key.stored_twice += 1,
            None => {
                // A later event of this key was here before.
                of_key.out_of_order += u64::from(of_key.first.len() > place.nth);
                of_key.first.resize(of_key.first.len().max(place.nth + 1), None);
                of_key.first[place.nth] = Some(id);
                self.distinct.fetch_add(1, Ordering::Relaxed);
                self.latencies.lock().unwrap_or_else(PoisonError::into_inner).record(took);
            }
        }
    }

    /// Whether everything has come that was acknowledged then.
    pub(super) fn have(&self, acknowledged: &Acknowledged) -> bool {
        let has = |(key, count): (&OfKey, &usize)| {
            key.first.get(..*count).is_some_and(|first| first.iter().all(Option::is_some))
        };
        self.keys().iter().zip(&acknowledged.0).all(has)
    }

    /// How many different events came so far.
    pub(super) fn distinct(&self) -> u64 {
        self.distinct.load(Ordering::Relaxed)
    }

    fn keys(&self) -> MutexGuard<'_, Vec<OfKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a comparison.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Requests sent, those that were sent again included.
    pub(super) requests: u64,
    /// Requests without an answer: they were sent again under the same delivery id.
    pub(super) unanswered: u64,
    /// Requests answered with 503.
    pub(super) refused: u64,
    /// Events answered with 202, or with 200 as a copy of one that is stored.
    pub(super) acknowledged: u64,
    /// Those of them answered with 200.
    pub(super) duplicate_answers: u64,
    /// Different events that arrived. May be more than were acknowledged: the last answers of a killed process are lost.
    pub(super) delivered: u64,
    /// Arrivals of an event that had arrived before.
    pub(super) delivered_again: u64,
    /// Acknowledged, and never arrived under the id that the acknowledgement named.
    pub(super) lost: u64,
    /// Events that came first after a later one of their key had come.
    pub(super) out_of_order: u64,
    /// Arrivals of one delivery under a second event id: deduplication failed.
    pub(super) stored_twice: u64,
}

impl Counts {
    /// What must never be, in words.
    pub(super) fn complaints(&self) -> Vec<String> {
        let Self { lost, out_of_order, stored_twice, acknowledged, .. } = self;
        let all = [
            (*lost > 0).then(|| format!("{lost} acknowledged events were lost")),
            (*out_of_order > 0).then(|| format!("{out_of_order} events came out of the order of their key")),
            (*stored_twice > 0).then(|| format!("{stored_twice} deliveries were stored a second time")),
            (*acknowledged == 0).then(|| "nothing was acknowledged: the run shows nothing".to_owned()),
        ];
        all.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(acknowledged: &[(u32, EventId)], arrived: &[(u32, usize, EventId)]) -> Counts {
        compared_where(Copies::Recognised, acknowledged, arrived)
    }

    fn compared_where(copies: Copies, acknowledged: &[(u32, EventId)], arrived: &[(u32, usize, EventId)]) -> Counts {
        let (ledger, arrivals) = (Ledger::new(2, copies), Arrivals::new(2));
        let mut next = [0, 0];
        for &(key, id) in acknowledged {
            ledger.acknowledge(Place { key, nth: next[key as usize] }, id, false, Duration::ZERO);
            next[key as usize] += 1;
        }
        arrived.iter().for_each(|&(key, nth, id)| arrivals.note(Place { key, nth }, id, Duration::ZERO));
        ledger.compare(&arrivals, |_| false)
    }

    #[test]
    fn what_arrives_again_is_no_fault() {
        let counts = compared(&[(0, 1), (0, 2)], &[(0, 0, 1), (0, 1, 2), (0, 0, 1), (0, 1, 2), (1, 0, 9)]);
        assert_eq!((counts.delivered, counts.delivered_again), (3, 2));
        assert_eq!(counts.complaints(), Vec::<String>::new());
    }

    #[test]
    fn an_acknowledged_event_that_never_came_is_lost() {
        assert_eq!(compared(&[(0, 1), (0, 2)], &[(0, 0, 1)]).lost, 1);
        assert_eq!(compared(&[(0, 1)], &[(0, 0, 7)]).lost, 1, "another event came in its place");
    }

    #[test]
    fn where_copies_are_removed_the_other_one_may_arrive() {
        assert_eq!(compared_where(Copies::Removed, &[(0, 1)], &[(0, 0, 7)]).lost, 0);
        assert_eq!(compared_where(Copies::Removed, &[(0, 1)], &[]).lost, 1);
    }

    #[test]
    fn everything_of_a_moment_has_come_or_something_is_missing() {
        let (ledger, arrivals) = (Ledger::new(2, Copies::Recognised), Arrivals::new(2));
        ledger.acknowledge(Place { key: 1, nth: 0 }, 1, false, Duration::ZERO);
        let then = ledger.now();
        ledger.acknowledge(Place { key: 1, nth: 1 }, 2, false, Duration::ZERO);
        assert!(!arrivals.have(&then));
        arrivals.note(Place { key: 1, nth: 0 }, 1, Duration::ZERO);
        assert!(arrivals.have(&then) && !arrivals.have(&ledger.now()));
        assert_eq!((ledger.ids(), ledger.take_latencies().count), (HashSet::from([1, 2]), 2));
    }

    #[test]
    fn an_event_behind_a_later_one_of_its_key_is_out_of_order() {
        let counts = compared(&[(0, 1), (0, 2)], &[(0, 1, 2), (1, 0, 3), (0, 0, 1)]);
        assert_eq!((counts.out_of_order, counts.lost), (1, 0));
    }

    #[test]
    fn a_second_id_for_one_delivery_is_told() {
        assert_eq!(compared(&[(0, 1)], &[(0, 0, 1), (0, 0, 2)]).stored_twice, 1);
    }

    #[test]
    fn a_replay_that_did_not_come_is_missed() {
        let arrivals = Arrivals::new(1);
        arrivals.note_replay(1);
        assert_eq!(arrivals.missing(&[1, 2]), 1);
    }

    #[test]
    fn a_run_without_an_acknowledgement_shows_nothing() {
        assert_eq!(compared(&[], &[]).complaints().len(), 1);
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        assert_eq!(parse_id("00000000-0000-0000-0000-0000000000ff"), Some(255));
        assert_eq!(parse_id("not an id"), None);
    }
}
