//! The monotonic clock that waits and periods are measured with: the system's, or one that a simulation turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Where [`Instant`]s come from.
#[derive(Debug, Clone)]
pub(crate) enum Timer {
    System,
    Turned { start: Instant, elapsed_ns: Arc<AtomicU64> },
}

impl Timer {
    /// One that stands still until it is turned.
    pub(crate) fn turned() -> Self {
        Self::Turned { start: Instant::now(), elapsed_ns: Arc::default() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Turned { start, elapsed_ns } => *start + Duration::from_nanos(elapsed_ns.load(Ordering::Relaxed)),
        }
    }

    /// Turns it forward. The system's goes on by itself.
    pub(crate) fn turn(&self, by: Duration) {
        if let Self::Turned { elapsed_ns, .. } = self {
            elapsed_ns.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}
