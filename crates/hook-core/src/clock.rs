//! Wall-clock time as a port, so that tests decide what time it is.

use std::sync::Arc;

use jiff::Timestamp;

/// The only source of wall-clock time. Waiting is the async runtime's business; what a timestamp says is this one's.
pub trait Clock: Send + Sync + 'static {
    /// The time now. May step backwards when an operator sets the clock; callers that measure use a monotonic timer.
    fn now(&self) -> Timestamp;
}

/// A clock that can be handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
