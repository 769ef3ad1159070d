//! The cooldown of a source: after an event, others of its ordering key are dropped for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hook_core::ports::log::DedupKey;
use tokio::time::Instant;

/// So many keys are remembered; beyond, those that have cooled down are forgotten, and then the map starts anew.
const KEYS: usize = 100_000;

/// Remembers which event of each key passed last.
#[derive(Debug)]
pub(crate) struct Cooldown {
    period: Duration,
    last: Mutex<HashMap<String, Passed>>,
}

#[derive(Debug, Clone)]
struct Passed {
    at: Instant,
    /// What identifies the event, so that a copy of it is answered as a copy.
    digests: Vec<[u8; 16]>,
}

/// What a key says to an event.
#[derive(Debug)]
pub(crate) enum Entry {
    /// It may pass, and others of its key wait from now on. Given back where it is not stored.
    Passes(Ticket),
    /// It is the event that passed last, once more.
    Copy,
    /// Another event of its key passed just now.
    Waits,
}

/// A place that an event has taken before it is stored.
#[derive(Debug)]
pub(crate) struct Ticket {
    key: String,
    before: Option<Passed>,
}

impl Cooldown {
    pub(crate) fn new(period: Duration) -> Self {
        Self { period, last: Mutex::default() }
    }

    /// Asks and takes in one step, so that of events at once only one passes.
    pub(crate) fn enter(&self, key: &str, identity: &[DedupKey], now: Instant) -> Entry {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passed) = last.get(key).filter(|passed| now.duration_since(passed.at) < self.period) {
            let is_copy = identity.iter().any(|key| passed.digests.contains(&key.digest));
            return if is_copy { Entry::Copy } else { Entry::Waits };
        }
        if last.len() >= KEYS {
            last.retain(|_, passed| now.duration_since(passed.at) < self.period);
        }
        if last.len() >= KEYS {
            last.clear();
        }
        let digests = identity.iter().map(|key| key.digest).collect();
        let before = last.insert(key.to_owned(), Passed { at: now, digests });
        Entry::Passes(Ticket { key: key.to_owned(), before })
    }

    /// Gives a place back: the event was not stored.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match ticket.before {
            Some(before) => last.insert(ticket.key, before),
            None => last.remove(&ticket.key),
        };
    }
}

#[cfg(test)]
mod tests {
    use hook_core::Timestamp;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(30);

    fn identity(digest: u8) -> [DedupKey; 1] {
        [DedupKey { digest: [digest; 16], expires_at: Timestamp::MAX }]
    }

    #[test]
    fn only_events_of_the_same_key_wait_and_only_for_the_period() {
        let cooldown = Cooldown::new(PERIOD);
        let start = Instant::now();
        assert!(matches!(cooldown.enter("a#1", &identity(1), start), Entry::Passes(_)));
        assert!(matches!(cooldown.enter("a#1", &identity(2), start + PERIOD / 2), Entry::Waits));
        assert!(matches!(cooldown.enter("a#2", &identity(3), start), Entry::Passes(_)));
        assert!(matches!(cooldown.enter("a#1", &identity(2), start + PERIOD), Entry::Passes(_)));
    }

    #[test]
    fn a_copy_of_the_event_that_passed_is_known_as_one() {
        let cooldown = Cooldown::new(PERIOD);
        let start = Instant::now();
        cooldown.enter("a", &identity(1), start);
        assert!(matches!(cooldown.enter("a", &identity(1), start), Entry::Copy));
    }

    #[test]
    fn an_event_that_was_not_stored_holds_nobody_off() {
        let cooldown = Cooldown::new(PERIOD);
        let start = Instant::now();
        let Entry::Passes(ticket) = cooldown.enter("a", &identity(1), start) else { panic!("nothing passed before") };
        cooldown.leave(ticket);
        assert!(matches!(cooldown.enter("a", &identity(2), start), Entry::Passes(_)));
    }
}
