//! The cooldown of a source: after an event, others of its ordering key are dropped for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many keys are remembered; beyond, those that have cooled down are forgotten, and then the map starts anew.
const KEYS: usize = 100_000;

/// Remembers when each key last passed.
#[derive(Debug)]
pub(crate) struct Cooldown {
    period: Duration,
    last: Mutex<HashMap<String, Instant>>,
}

impl Cooldown {
    pub(crate) fn new(period: Duration) -> Self {
        Self { period, last: Mutex::default() }
    }

    /// Whether an event of that key may pass now.
    pub(crate) fn is_over(&self, key: &str, now: Instant) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(key).is_none_or(|last| now.duration_since(*last) >= self.period)
    }

    /// Notes that an event of that key was stored.
    pub(crate) fn begin(&self, key: String, now: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= KEYS {
            last.retain(|_, last| now.duration_since(*last) < self.period);
        }
        if last.len() >= KEYS {
            last.clear();
        }
        last.insert(key, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_of_the_same_key_are_held_off_and_only_for_the_period() {
        let cooldown = Cooldown::new(Duration::from_secs(30));
        let start = Instant::now();
        cooldown.begin("a#1".into(), start);
        assert!(!cooldown.is_over("a#1", start + Duration::from_secs(29)));
        assert!(cooldown.is_over("a#2", start));
        assert!(cooldown.is_over("a#1", start + Duration::from_secs(30)));
    }
}
