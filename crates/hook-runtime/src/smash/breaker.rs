//! The breaker of a destination: while it is open, nothing is tried but a probe from time to time.

use std::{collections::HashMap, hash::Hash, time::Duration};

use hook_core::outcome::FailureClass;
use tokio::time::Instant;

use super::retry::back_off;

/// So many failures in a row open it,
const FAILURES: u32 = 5;
/// if so many different events are among them: one bad event must not shut a destination.
const EVENTS: usize = 3;
/// The first pause before a probe is at most this long,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// and no pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Counts failures in a row, and says when to try again. `E` names an event.
#[derive(Debug)]
pub(crate) struct Breaker<E> {
    /// Failures since the last answer that proves the destination alive.
    failures: u32,
    /// The events among them, each with what it spent.
    streak: HashMap<E, u32>,
    state: State<E>,
}

#[derive(Debug, Clone, PartialEq)]
enum State<E> {
    Closed,
    Open { since: Instant, probe_at: Instant, probes: u32, last_probed: Option<E> },
}

/// An attempt that failed.
#[derive(Debug)]
pub(crate) struct Failed<E> {
    pub(crate) event: E,
    pub(crate) class: FailureClass,
    pub(crate) retry_after: Option<Duration>,
    /// Whether it was made to see if the destination is back.
    pub(crate) was_probe: bool,
}

/// What the caller must do after a failure.
#[derive(Debug, PartialEq)]
pub(crate) struct Opened<E> {
    /// What each event of the streak has spent and is given back.
    pub(crate) give_back: Vec<(E, u32)>,
}

impl<E: Hash + Eq + Clone> Breaker<E> {
    pub(crate) fn new() -> Self {
        Self { failures: 0, streak: HashMap::new(), state: State::Closed }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open_since().is_some()
    }

    /// Since when it is open.
    pub(crate) fn open_since(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Open { since, .. } => Some(*since),
        }
    }

    /// When the next probe may go out; `None` while it is closed.
    pub(crate) fn probe_at(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Open { probe_at, .. } => Some(*probe_at),
        }
    }

    /// The event of the last probe, which gives way to another.
    pub(crate) fn last_probed(&self) -> Option<&E> {
        match &self.state {
            State::Closed => None,
            State::Open { last_probed, .. } => last_probed.as_ref(),
        }
    }

    /// Notes that a probe goes out with this event.
    pub(crate) fn probe(&mut self, event: E) {
        if let State::Open { last_probed, .. } = &mut self.state {
            *last_probed = Some(event);
        }
    }

    /// The destination has answered: it took an event, or refused one for good. `true` where that closed the breaker.
    pub(crate) fn on_answer(&mut self) -> bool {
        self.failures = 0;
        self.streak.clear();
        std::mem::replace(&mut self.state, State::Closed) != State::Closed
    }

    /// An attempt failed. `Some` where the breaker is open now: every event that the answer names gets back what it spent
    /// since the destination last answered.
    pub(crate) fn on_failure(
        &mut self,
        failed: Failed<E>,
        now: Instant,
        random: &mut fastrand::Rng,
    ) -> Option<Opened<E>> {
        let Failed { event, class, retry_after, was_probe } = failed;
        self.failures = self.failures.saturating_add(1);
        *self.streak.entry(event).or_default() += u32::from(class.spends_attempt());
        let is_streak = self.failures >= FAILURES && self.streak.len() >= EVENTS;
        if !self.is_open() && !is_streak && class != FailureClass::Misconfigured {
            return None;
        }
        // What was in flight when it opened fails late, and says nothing about the next probe.
        if !self.is_open() || was_probe {
            self.pause(retry_after, now, random);
        }
        Some(Opened { give_back: self.streak.drain().collect() })
    }

    /// A probe failed for reasons of its own event: the next one goes out after a pause.
    pub(crate) fn on_probe_at_fault(&mut self, now: Instant, random: &mut fastrand::Rng) {
        self.pause(None, now, random);
    }

    fn pause(&mut self, retry_after: Option<Duration>, now: Instant, random: &mut fastrand::Rng) {
        let (since, probes, last_probed) = match &self.state {
            State::Closed => (now, 0, None),
            State::Open { since, probes, last_probed, .. } => (*since, probes + 1, last_probed.clone()),
        };
        // Half of the pause is fixed, so that a row of lucky draws is no hammering.
        let drawn = back_off(FIRST_PAUSE, LONGEST_PAUSE, probes + 1, random);
        let longest = FIRST_PAUSE.saturating_mul(1u32.checked_shl(probes).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
        let pause = (longest / 2 + drawn / 2).max(retry_after.unwrap_or_default());
        self.state = State::Open { since, probe_at: now + pause, probes, last_probed };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        breaker: Breaker<u64>,
        random: fastrand::Rng,
        now: Instant,
    }

    impl Case {
        fn new() -> Self {
            Self { breaker: Breaker::new(), random: fastrand::Rng::with_seed(3), now: Instant::now() }
        }

        fn fail(&mut self, event: u64, class: FailureClass) -> Option<Opened<u64>> {
            let failed = Failed { event, class, retry_after: None, was_probe: self.breaker.is_open() };
            self.breaker.on_failure(failed, self.now, &mut self.random)
        }
    }

    #[test]
    fn five_failures_in_a_row_over_three_events_open_it_and_give_back_what_they_spent() {
        let mut case = Case::new();
        for event in [1, 1, 2, 2] {
            assert_eq!(case.fail(event, FailureClass::Transient), None);
        }
        let mut opened = case.fail(3, FailureClass::Transient).unwrap();
        opened.give_back.sort_unstable();
        assert_eq!(opened.give_back, [(1, 2), (2, 2), (3, 1)]);
        assert!(case.breaker.is_open());
    }

    #[test]
    fn one_bad_event_never_opens_it() {
        let mut case = Case::new();
        for _ in 0..100 {
            assert_eq!(case.fail(1, FailureClass::Transient), None);
        }
        assert!(!case.breaker.is_open());
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let mut case = Case::new();
        for event in 1..=4 {
            case.fail(event, FailureClass::Unreachable);
        }
        assert!(!case.breaker.on_answer());
        assert_eq!(case.fail(5, FailureClass::Unreachable), None);
    }

    #[test]
    fn a_wrong_token_opens_it_at_once() {
        let mut case = Case::new();
        assert!(case.fail(1, FailureClass::Misconfigured).is_some());
        assert!(case.breaker.is_open());
        assert!(case.breaker.on_answer());
        assert!(!case.breaker.is_open());
    }

    #[test]
    fn a_destination_that_says_at_once_is_still_paused() {
        let mut case = Case::new();
        let retry_after = Some(Duration::ZERO);
        let failed = Failed { event: 1, class: FailureClass::Misconfigured, retry_after, was_probe: false };
        case.breaker.on_failure(failed, case.now, &mut case.random);
        assert!(case.breaker.probe_at().unwrap() >= case.now + FIRST_PAUSE / 2);
    }

    #[test]
    fn what_fails_late_gets_back_its_attempt_and_moves_no_probe() {
        let mut case = Case::new();
        case.fail(1, FailureClass::Misconfigured);
        let probe_at = case.breaker.probe_at();
        let late = Failed { event: 9, class: FailureClass::Transient, retry_after: None, was_probe: false };
        let opened = case.breaker.on_failure(late, case.now, &mut case.random).unwrap();
        assert_eq!(opened.give_back, [(9, 1)]);
        assert_eq!(case.breaker.probe_at(), probe_at);
    }

    #[test]
    fn probes_grow_apart_and_stay_below_a_minute() {
        let mut case = Case::new();
        case.fail(1, FailureClass::Misconfigured);
        let since = case.breaker.open_since();
        let mut pauses = Vec::new();
        for event in 2..12 {
            let probe_at = case.breaker.probe_at().unwrap();
            pauses.push((probe_at - case.now).as_secs_f64());
            case.now = probe_at;
            case.fail(event, FailureClass::Unreachable);
        }
        assert!((0.5..=1.0).contains(&pauses[0]), "{pauses:?}");
        assert!((30.0..=60.0).contains(&pauses[9]), "{pauses:?}");
        assert_eq!(case.breaker.open_since(), since);
    }
}
