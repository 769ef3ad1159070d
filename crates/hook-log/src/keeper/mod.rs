//! What is done behind the writers' backs: indexes and digest runs of sealed segments, retention, and a paced look at what
//! nobody reads. A writer never waits for it.

mod bell;
mod retain;
mod scrub;
mod seal;

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tracing::warn;

pub(crate) use bell::Bell;
use scrub::Scrub;

use crate::{
    chain::{Chain, Shared},
    state::Segment,
};

/// Without a bell, it looks this often.
const PERIOD: Duration = Duration::from_secs(60);
/// After an error it waits so long.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// The keeper of a log.
pub(crate) struct Keeper {
    kept: Vec<Kept>,
    shared: Shared,
}

/// Between two segments that go: unlinking many at once would stall the syncs.
const PACE: Duration = Duration::from_millis(50);

/// A chain, and when something is due in it.
struct Kept {
    chain: Arc<Chain>,
    retain_at: Instant,
    /// When a segment went last.
    removed_at: Instant,
    /// The segment that nobody is told of any more, and whose files could not be removed yet.
    gone: Option<Segment>,
    seal_at: Instant,
    scrub: Scrub,
}

impl Keeper {
    pub(crate) fn new(chains: &[Arc<Chain>], shared: &Shared, scrub_bytes_per_second: u64) -> Self {
        let now = shared.timer.now();
        let kept = |chain: &Arc<Chain>| Kept {
            chain: Arc::clone(chain),
            retain_at: now,
            removed_at: now,
            gone: None,
            seal_at: now,
            scrub: Scrub::new(scrub_bytes_per_second, now),
        };
        Self { kept: chains.iter().map(kept).collect(), shared: shared.clone() }
    }

    /// Works in a thread of its own until the bell is closed.
    pub(crate) fn spawn(mut self) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("hook-log/keeper".to_owned()).spawn(move || {
            while self.shared.keeper.wait(&self.shared.timer, self.next_at()) {
                self.step();
            }
        })
    }

    /// Does what is due now.
    pub(crate) fn step(&mut self) {
        let now = self.shared.timer.now();
        self.kept.iter_mut().for_each(|kept| kept.step(now));
    }

    fn next_at(&self) -> Instant {
        self.kept.iter().map(Kept::next_at).min().unwrap_or_else(|| self.shared.timer.now() + PERIOD)
    }
}

impl Kept {
    fn step(&mut self, now: Instant) {
        if self.chain.keeper_was_asked() {
            (self.seal_at, self.retain_at) = (now, now.max(self.removed_at + PACE));
        }
        if self.seal_at <= now {
            self.seal_at = now + self.or_later("index or digest run of a sealed segment not written", Self::seal);
        }
        if self.retain_at <= now {
            self.retain_at = now + self.or_later("old segment not removed", Self::retain);
        }
        self.scrub.step(&self.chain, now);
    }

    fn or_later(&mut self, what: &str, work: impl FnOnce(&mut Self) -> io::Result<Duration>) -> Duration {
        work(self).unwrap_or_else(|error| {
            warn!(chain = self.chain.kind.folder(), %error, "{what}");
            AFTER_ERROR
        })
    }

    fn next_at(&self) -> Instant {
        self.seal_at.min(self.retain_at).min(self.scrub.next_at())
    }
}
