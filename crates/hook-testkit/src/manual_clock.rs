//! A clock that moves only when it is told to.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hook_core::{Timestamp, clock::Clock};

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(by).expect("tests stay within the years that a timestamp has");
    }

    /// Moves to any time, also back.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Default for ManualClock {
    /// Stands at 2026-01-01, noon, UTC.
    fn default() -> Self {
        Self::at(Timestamp::from_second(1_767_268_800).expect("a time within range"))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
