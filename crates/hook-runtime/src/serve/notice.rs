//! Tells operators of refusals without letting a flood of them fill the log.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// One line a second is enough to see that something is wrong; metrics count the rest.
const EVERY: Duration = Duration::from_secs(1);

/// Decides which refusals are logged.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl Notices {
    /// Whether a refusal is to be logged now: then, how many were not since the last.
    pub(crate) fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_a_second_is_logged_and_the_others_are_counted() {
        let notices = Notices::default();
        let start = Instant::now();
        assert_eq!(notices.due(start), Some(0));
        assert_eq!(notices.due(start + EVERY / 2), None);
        assert_eq!(notices.due(start + EVERY), Some(1));
    }
}
