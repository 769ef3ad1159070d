//! Wakes the keeper.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::timer::Timer;

/// Rung when there is something to do.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<Rung>,
    ready: Condvar,
}

#[derive(Default)]
struct Rung {
    is_rung: bool,
    is_closed: bool,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.rung().is_rung = true;
        self.ready.notify_one();
    }

    /// Ends the waiting for good.
    pub(crate) fn close(&self) {
        self.rung().is_closed = true;
        self.ready.notify_one();
    }

    /// Whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.rung().is_closed
    }

    /// Waits until it is rung, at most until `deadline`. `false` when it is closed.
    pub(super) fn wait(&self, timer: &Timer, deadline: Instant) -> bool {
        let mut rung = self.rung();
        while !rung.is_rung && !rung.is_closed {
            let now = timer.now();
            if deadline <= now {
                break;
            }
            let woken = self.ready.wait_timeout(rung, deadline - now);
            rung = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        rung.is_rung = false;
        !rung.is_closed
    }

    fn rung(&self) -> MutexGuard<'_, Rung> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
