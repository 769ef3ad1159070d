//! How busy a chain is, and whether it pays to wait for company before a sync.

use std::time::{Duration, Instant};

/// How long a batch waits for company. Far below what a sender notices, and several times a sync of a fast disk: at a high
/// rate it is what makes one sync, one wake-up and one round of the processor serve many events.
const COMPANY: Duration = Duration::from_micros(400);
/// It waits only where it can expect so many more.
const WORTHWHILE: f64 = 4.0;
/// How much one batch changes the picture.
const WEIGHT: f64 = 0.2;

/// The recent rate of requests.
pub(super) struct Traffic {
    per_second: f64,
    counted_at: Instant,
}

impl Traffic {
    pub(super) fn new(now: Instant) -> Self {
        Self { per_second: 0.0, counted_at: now }
    }

    /// Takes note of requests that came since the last time.
    pub(super) fn count(&mut self, requests: usize, now: Instant) {
        let elapsed = now.duration_since(self.counted_at).as_secs_f64().max(1e-6);
        self.per_second += (requests as f64 / elapsed - self.per_second) * WEIGHT;
        self.counted_at = now;
    }

    /// How long the next batch should wait for company; not at all where little would come.
    pub(super) fn company(&self) -> Duration {
        match self.per_second * COMPANY.as_secs_f64() >= WORTHWHILE {
            true => COMPANY,
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of so many requests, one a millisecond.
    fn after(batches: usize, requests: usize) -> Traffic {
        let mut now = Instant::now();
        let mut traffic = Traffic::new(now);
        for _ in 0..batches {
            now += Duration::from_millis(1);
            traffic.count(requests, now);
        }
        traffic
    }

    #[test]
    fn few_requests_wait_for_nobody_and_many_do() {
        assert_eq!(after(100, 1).company(), Duration::ZERO);
        assert_eq!(after(100, 30).company(), COMPANY);
    }

    #[test]
    fn quiet_comes_back_soon() {
        let mut traffic = after(100, 60);
        let mut now = traffic.counted_at;
        for _ in 0..10 {
            now += Duration::from_millis(5);
            traffic.count(1, now);
        }
        assert_eq!(traffic.company(), Duration::ZERO);
    }
}
