//! Lanes: events of one key wait for each other, keys do not. A lane keeps positions, not events.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use hook_core::{envelope::Envelope, outcome::Outcome, ports::log::Position};
use tokio::time::Instant;

use super::retry::History;

/// What events must share to be delivered in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LaneKey {
    /// Events of this route key.
    Ordered(Arc<str>),
    /// An event without one, alone in its lane.
    Alone(Position),
}

/// An event in its lane: what the breaker counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EventKey {
    pub(crate) lane: LaneKey,
    pub(crate) position: Position,
}

/// The first event of a lane.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) position: Position,
    /// The event, while it is at hand; one that had to wait is read from the log again.
    pub(crate) event: Option<Envelope>,
    pub(crate) history: History,
    /// When it was read from the log; `None` where it came behind others of its key.
    pub(crate) read_at: Option<Instant>,
}

impl Head {
    /// One that has to be read from the log again.
    fn at(position: Position) -> Self {
        Self { position, event: None, history: History::NEW, read_at: None }
    }
}

#[derive(Debug)]
struct Lane {
    /// `None` while it is being attempted.
    head: Option<Head>,
    behind: VecDeque<Position>,
    /// Whether its last attempt failed, at this head or at one that was given up.
    has_failed: bool,
}

/// All lanes of one destination.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: HashMap<LaneKey, Lane>,
    ready: VecDeque<LaneKey>,
    waiting: BTreeSet<(Instant, LaneKey)>,
    events: usize,
}

impl Lanes {
    /// How many events are in lanes, those being attempted included.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// How many lanes could be attempted now.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// How many lanes wait for a time.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many lanes are not being attempted.
    pub(crate) fn idle(&self) -> usize {
        self.ready.len() + self.waiting.len()
    }

    /// When the next waiting lane is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Takes an event in; behind others of its key only its position is kept.
    pub(crate) fn push(&mut self, key: LaneKey, position: Position, event: Envelope) {
        self.events += 1;
        match self.lanes.get_mut(&key) {
            Some(lane) => lane.behind.push_back(position),
            None => {
                let head = Head { position, event: Some(event), history: History::NEW, read_at: Some(Instant::now()) };
                let lane = Lane { head: Some(head), behind: VecDeque::new(), has_failed: false };
                self.lanes.insert(key.clone(), lane);
                self.ready.push_back(key);
            }
        }
    }

    /// Makes lanes ready whose time has come.
    pub(crate) fn wake(&mut self, now: Instant) {
        while self.waiting.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.waiting.pop_first() {
                self.ready.push_back(key);
            }
        }
    }

    /// The next lane to attempt. Its head belongs to the caller until [`Lanes::finish`] or [`Lanes::retry`].
    pub(crate) fn take(&mut self) -> Option<(LaneKey, Head)> {
        let key = self.ready.pop_front()?;
        self.take_head(key)
    }

    /// Whether a lane is ready that has not failed.
    pub(crate) fn has_untried(&self) -> bool {
        self.first_untried().is_some()
    }

    fn first_untried(&self) -> Option<usize> {
        self.ready.iter().position(|key| self.lanes.get(key).is_some_and(|lane| !lane.has_failed))
    }

    /// Notes what became of an attempt at the head that was taken. What is behind an event that was given up is no better to
    /// probe with than that was.
    pub(crate) fn note_attempt(&mut self, key: &LaneKey, outcome: &Outcome) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.has_failed = matches!(outcome, Outcome::Failed(_));
        }
    }

    /// A lane to probe a closed destination with: one that has not failed where there is one, since the others may have failed
    /// for reasons of their own; otherwise ready or waiting, and another one than `not` where there is one.
    pub(crate) fn take_probe(&mut self, not: Option<&LaneKey>) -> Option<(LaneKey, Head)> {
        if let Some(key) = self.first_untried().and_then(|at| self.ready.remove(at)) {
            return self.take_head(key);
        }
        let is_other = |key: &LaneKey| Some(key) != not;
        if let Some(at) = self.ready.iter().position(is_other) {
            let key = self.ready.remove(at)?;
            return self.take_head(key);
        }
        let waiting = self.waiting.iter().find(|(_, key)| is_other(key)).or_else(|| self.waiting.first());
        match waiting.cloned() {
            Some(entry) if self.ready.is_empty() || is_other(&entry.1) => {
                self.waiting.remove(&entry);
                self.take_head(entry.1)
            }
            _ => self.take(),
        }
    }

    /// Puts the head back, to be attempted at a time. Its event is let go: many may wait for long.
    pub(crate) fn retry(&mut self, key: LaneKey, mut head: Head, at: Instant) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            head.event = None;
            lane.head = Some(head);
            self.waiting.insert((at, key));
        }
    }

    /// Ends the head that was taken; the next of its key becomes ready.
    pub(crate) fn finish(&mut self, key: LaneKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        self.events -= 1;
        match lane.behind.pop_front() {
            Some(position) => {
                lane.head = Some(Head::at(position));
                // A key that was busy for long lets go of the memory that its queue took.
                if lane.behind.len() * 4 < lane.behind.capacity() {
                    lane.behind.shrink_to(lane.behind.len() * 2);
                }
                self.ready.push_back(key);
            }
            None => drop(self.lanes.remove(&key)),
        }
    }

    /// Gives back what an event spent. `false` where it is not the waiting head of its lane.
    pub(crate) fn give_back(&mut self, event: &EventKey, spent: u32) -> bool {
        let head = self.lanes.get_mut(&event.lane).and_then(|lane| lane.head.as_mut());
        let head = head.filter(|head| head.position == event.position);
        head.map(|head| head.history.give_back(spent)).is_some()
    }

    /// Takes every lane that is not being attempted out, but one to probe with: all of their events.
    pub(crate) fn abandon(&mut self) -> Vec<Position> {
        let mut keys: Vec<LaneKey> = self.ready.drain(..).collect();
        keys.extend(std::mem::take(&mut self.waiting).into_iter().map(|(_, key)| key));
        let kept = keys.pop();
        let mut positions = Vec::new();
        for lane in keys.into_iter().filter_map(|key| self.lanes.remove(&key)) {
            positions.extend(lane.head.map(|head| head.position));
            positions.extend(lane.behind);
        }
        // What waits behind the one that is kept goes too.
        if let Some(key) = kept {
            positions.extend(self.lanes.get_mut(&key).into_iter().flat_map(|lane| lane.behind.drain(..)));
            self.ready.push_back(key);
        }
        self.events -= positions.len();
        positions
    }

    /// Forgets every event in such a place that is not being attempted.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&Position) -> bool) {
        let before = self.events;
        self.lanes.retain(|_, lane| {
            let behind = lane.behind.len();
            lane.behind.retain(|position| !is_gone(position));
            self.events -= behind - lane.behind.len();
            if !lane.head.as_ref().is_some_and(|head| is_gone(&head.position)) {
                return true;
            }
            self.events -= 1;
            let next = lane.behind.pop_front();
            lane.head = next.map(Head::at);
            lane.head.is_some()
        });
        if self.events < before {
            self.ready.retain(|key| self.lanes.contains_key(key));
            self.waiting.retain(|(_, key)| self.lanes.contains_key(key));
        }
    }

    /// Whether there are events of that key.
    pub(crate) fn contains(&self, key: &LaneKey) -> bool {
        self.lanes.contains_key(key)
    }

    /// The keys of lanes whose head waits for a time, with what the head has been through. For the operator's eyes.
    pub(crate) fn longest_waiting(&self, most: usize) -> Vec<(LaneKey, u32)> {
        let mut found: Vec<_> = self
            .waiting
            .iter()
            .filter_map(|(_, key)| Some((key.clone(), self.lanes.get(key)?.head.as_ref()?.history.attempts)))
            .collect();
        found.sort_by_key(|(_, attempts)| std::cmp::Reverse(*attempts));
        found.truncate(most);
        found
    }

    fn take_head(&mut self, key: LaneKey) -> Option<(LaneKey, Head)> {
        let lane = self.lanes.get_mut(&key)?;
        let head = lane.head.take()?;
        Some((key, head))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hook_core::{
        Timestamp,
        envelope::{EventHeader, Meta},
        event::EventId,
        names::{EventType, SourceName, TopicName},
        outcome::FailureClass,
        payload::Payload,
    };

    use super::*;

    fn position(offset: u64) -> Position {
        Position { topic: TopicName::new("t").unwrap(), partition: 0, offset }
    }

    fn event() -> Envelope {
        Envelope {
            header: EventHeader {
                id: EventId::generate(),
                source: SourceName::new("github").unwrap(),
                event_type: EventType::unknown(),
                received_at: Timestamp::UNIX_EPOCH,
                meta: Meta::default(),
            },
            payload: Payload::from_checked(bytes::Bytes::from_static(b"{}")),
        }
    }

    fn key(name: &str) -> LaneKey {
        LaneKey::Ordered(name.into())
    }

    fn lanes(events: &[(&str, u64)]) -> Lanes {
        let mut lanes = Lanes::default();
        for (name, offset) in events {
            lanes.push(key(name), position(*offset), event());
        }
        lanes
    }

    fn take(lanes: &mut Lanes) -> Option<u64> {
        lanes.take().map(|(_, head)| head.position.offset)
    }

    #[test]
    fn events_of_one_key_wait_for_each_other_and_other_keys_do_not() {
        let mut lanes = lanes(&[("a", 0), ("a", 1), ("b", 2)]);
        assert_eq!(take(&mut lanes), Some(0));
        assert_eq!(take(&mut lanes), Some(2));
        assert_eq!(take(&mut lanes), None);
        lanes.finish(key("a"));
        assert_eq!(take(&mut lanes), Some(1));
        assert_eq!(lanes.events(), 2);
    }

    #[test]
    fn a_retry_holds_its_own_lane_until_its_time() {
        let mut lanes = lanes(&[("a", 0), ("b", 1), ("a", 2)]);
        let now = Instant::now();
        let (taken, head) = lanes.take().unwrap();
        lanes.retry(taken, head, now + Duration::from_secs(5));
        assert_eq!(take(&mut lanes), Some(1));
        lanes.wake(now);
        assert_eq!(take(&mut lanes), None);
        lanes.wake(now + Duration::from_secs(5));
        assert_eq!(take(&mut lanes), Some(0));
    }

    #[test]
    fn a_probe_takes_another_lane_where_there_is_one() {
        let mut lanes = lanes(&[("a", 0), ("b", 1)]);
        let (a, head) = lanes.take_probe(None).unwrap();
        lanes.retry(a.clone(), head, Instant::now());
        let (b, head) = lanes.take_probe(Some(&a)).unwrap();
        assert_eq!(b, key("b"));
        lanes.retry(b.clone(), head, Instant::now());
        assert_eq!(lanes.take_probe(Some(&b)).unwrap().0, a);
        lanes.finish(a);
        assert_eq!(lanes.take_probe(Some(&b)).unwrap().0, b);
    }

    #[test]
    fn what_is_behind_a_failed_event_is_not_probed_with_before_a_lane_that_has_not_failed() {
        let failed = Outcome::failed(FailureClass::Transient, "500");
        let mut lanes = lanes(&[("a", 0), ("a", 1)]);
        let (a, _) = lanes.take().unwrap();
        lanes.note_attempt(&a, &failed);
        lanes.finish(a.clone());
        assert!(!lanes.has_untried(), "its first event was given up");
        lanes.push(key("b"), position(2), event());
        assert!(lanes.has_untried());
        assert_eq!(lanes.take_probe(None).unwrap().0, key("b"));
        let (a, _) = lanes.take_probe(None).unwrap();
        lanes.push(a.clone(), position(3), event());
        lanes.note_attempt(&a, &Outcome::delivered("200"));
        lanes.finish(a);
        assert!(lanes.has_untried(), "the last attempt of the lane went well");
    }

    #[test]
    fn what_has_gone_elsewhere_is_forgotten_and_what_is_being_attempted_stays() {
        let mut lanes = lanes(&[("a", 0), ("a", 1), ("a", 12), ("b", 2), ("b", 13), ("c", 3), ("d", 14)]);
        let (a, _) = lanes.take().unwrap();
        lanes.forget(|position| position.offset < 10);
        assert_eq!((lanes.events(), lanes.ready()), (4, 2), "12 behind what is being attempted, 13, 14");
        assert!(!lanes.contains(&key("c")));
        assert_eq!(take(&mut lanes), Some(13));
        lanes.finish(a);
        assert_eq!(take(&mut lanes), Some(14));
        assert_eq!(take(&mut lanes), Some(12));
    }

    #[test]
    fn abandoning_keeps_one_event_to_probe_with() {
        let mut lanes = lanes(&[("a", 0), ("a", 1), ("b", 2), ("c", 3)]);
        let (running, head) = lanes.take().unwrap();
        let mut gone: Vec<_> = lanes.abandon().iter().map(|position| position.offset).collect();
        gone.sort_unstable();
        assert_eq!(gone.len(), 1, "one of b and c; a is being attempted, and keeps what is behind it");
        lanes.retry(running, head, Instant::now());
        assert_eq!(lanes.abandon().len(), 2);
        assert_eq!((lanes.events(), lanes.idle()), (1, 1));
    }

    #[test]
    fn an_event_that_waits_keeps_its_position_and_not_its_bytes() {
        let mut lanes = lanes(&[("a", 0), ("a", 1)]);
        let (taken, head) = lanes.take().unwrap();
        assert!(head.event.is_some());
        lanes.retry(taken, head, Instant::now());
        lanes.wake(Instant::now());
        let (taken, head) = lanes.take().unwrap();
        assert!(head.event.is_none());
        lanes.finish(taken);
        assert!(lanes.take().unwrap().1.event.is_none());
    }
}
