//! Waiting for what has to happen, with a bound.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::ledger::{Arrivals, Ledger};

/// Between two comparisons.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until everything acknowledged has arrived, or until nothing has arrived for so long. The comparison that follows
/// says which.
pub(super) async fn everything_arrives(ledger: &Ledger, arrivals: &Arrivals, patience: Duration) {
    everything_arrives_but(ledger, arrivals, |_| false, patience).await;
}

/// The same, without the events of keys that the destination refuses.
pub(super) async fn everything_arrives_but(
    ledger: &Ledger,
    arrivals: &Arrivals,
    refuses: fn(u32) -> bool,
    patience: Duration,
) {
    let (mut last, mut changed) = (arrivals.distinct(), Instant::now());
    while ledger.compare(arrivals, refuses).lost > 0 && changed.elapsed() < patience {
        sleep(LOOK).await;
        if arrivals.distinct() != last {
            (last, changed) = (arrivals.distinct(), Instant::now());
        }
    }
}

/// Waits until it is so; how long that took, or what was waited for in vain.
pub(super) async fn until(
    what: &str,
    within: Duration,
    mut is_so: impl AsyncFnMut() -> bool,
) -> Result<Duration, String> {
    let began = Instant::now();
    while !is_so().await {
        if began.elapsed() > within {
            return Err(format!("waited {within:?} in vain until {what}"));
        }
        sleep(LOOK).await;
    }
    Ok(began.elapsed())
}
