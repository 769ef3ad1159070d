//! When to try an event again, and when to give it up.

use std::time::Duration;

use hook_contract::plan::RetryPlan;
use hook_core::outcome::{Failure, FailureClass};
use tokio::time::Instant;

/// Once may be a destination that comes and goes.
const SINGLED_OUT: u32 = 2;

/// What one event has been through at one destination. Starts anew after a restart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct History {
    /// Attempts made.
    pub(crate) attempts: u32,
    /// Attempts that count against the event.
    pub(crate) spent: u32,
    /// Failures since the event was taken up; decides how long to back off.
    pub(crate) failures: u32,
    /// When the first attempt began, by the monotonic clock.
    pub(crate) first_attempt: Option<Instant>,
    /// How many events the destination had taken when this one failed last.
    delivered_at_failure: Option<u64>,
    /// How often it failed again although another event had gone through meanwhile.
    singled_out: u32,
    /// How many events the destination had taken when it last refused this one as misconfigured.
    pub(crate) delivered_at_misconfiguration: Option<u64>,
}

impl History {
    pub(crate) const NEW: Self = Self {
        attempts: 0,
        spent: 0,
        failures: 0,
        first_attempt: None,
        delivered_at_failure: None,
        singled_out: 0,
        delivered_at_misconfiguration: None,
    };

    /// Notes a failure after which the destination has taken so many events. `true` where it has often enough taken others
    /// between two failures of this one: then it is not the destination that is ill.
    pub(crate) fn is_at_fault(&mut self, delivered: u64) -> bool {
        let others_passed = self.delivered_at_failure.replace(delivered).is_some_and(|before| before < delivered);
        self.singled_out += u32::from(others_passed);
        self.singled_out >= SINGLED_OUT
    }

    /// Takes back what was spent while the destination as a whole was failing.
    pub(crate) fn give_back(&mut self, spent: u32) {
        self.spent = self.spent.saturating_sub(spent);
    }
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try again so much later.
    Again(Duration),
    /// Stop trying.
    GiveUp,
}

/// Decides after a failure that `history` already counts. `delivered` is how many events the destination has taken.
pub(crate) fn decide(
    plan: &RetryPlan,
    history: &mut History,
    failure: &Failure,
    delivered: u64,
    now: Instant,
    random: &mut fastrand::Rng,
) -> Decision {
    let is_too_old = match (plan.max_age, history.first_attempt) {
        (Some(max_age), Some(first)) => now.duration_since(first) >= max_age,
        _ => false,
    };
    // Refused again although another event went through: the event is at fault, not the destination's set-up.
    let is_singled_out = failure.class == FailureClass::Misconfigured
        && history.delivered_at_misconfiguration.replace(delivered).is_some_and(|before| before < delivered);
    if failure.class == FailureClass::Rejected || history.spent > plan.max_retries || is_too_old || is_singled_out {
        return Decision::GiveUp;
    }
    // A destination that says "at once" again and again is still backed off from.
    let wait = back_off(plan.base, plan.cap, history.failures, random).max(failure.retry_after.unwrap_or_default());
    Decision::Again(wait)
}

/// Full jitter: uniform between nothing and `base` doubled with every failure, at most `cap`.
///
/// The algorithm is the one named "Full Jitter" in Marc Brooker, "Exponential Backoff And Jitter" (AWS, 2015).
pub(crate) fn back_off(base: Duration, cap: Duration, failures: u32, random: &mut fastrand::Rng) -> Duration {
    let doubled = base.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(cap).mul_f64(random.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: RetryPlan =
        RetryPlan { max_retries: 2, base: Duration::from_millis(500), cap: Duration::from_secs(60), max_age: None };

    fn failure(class: FailureClass) -> Failure {
        Failure { class, error: "x".into(), retry_after: None }
    }

    /// The decision after so many attempts that all failed with one class.
    fn after(plan: RetryPlan, class: FailureClass, attempts: u32) -> Decision {
        let mut history = History { attempts, failures: attempts, ..History::NEW };
        history.spent = if class.spends_attempt() { attempts } else { 0 };
        decide(&plan, &mut history, &failure(class), 0, Instant::now(), &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn max_retries_counts_the_attempts_after_the_first() {
        assert!(matches!(after(PLAN, FailureClass::Transient, 1), Decision::Again(_)));
        assert!(matches!(after(PLAN, FailureClass::Transient, 2), Decision::Again(_)));
        assert_eq!(after(PLAN, FailureClass::Transient, 3), Decision::GiveUp);
    }

    #[test]
    fn a_rejection_is_final_and_an_unreachable_destination_spends_nothing() {
        assert_eq!(after(PLAN, FailureClass::Rejected, 1), Decision::GiveUp);
        assert!(matches!(after(PLAN, FailureClass::Unreachable, 100), Decision::Again(_)));
        assert!(matches!(after(PLAN, FailureClass::Throttled, 100), Decision::Again(_)));
    }

    #[test]
    fn retry_after_makes_the_back_off_longer_and_never_shorter() {
        let mut history = History { attempts: 1, failures: 1, ..History::NEW };
        let failure = Failure { retry_after: Some(Duration::from_secs(7)), ..failure(FailureClass::Throttled) };
        let decision = decide(&PLAN, &mut history, &failure, 0, Instant::now(), &mut fastrand::Rng::with_seed(1));
        assert_eq!(decision, Decision::Again(Duration::from_secs(7)));
        let at_once = Failure { retry_after: Some(Duration::ZERO), ..failure };
        let decision = decide(&PLAN, &mut history, &at_once, 0, Instant::now(), &mut fastrand::Rng::with_seed(1));
        assert!(matches!(decision, Decision::Again(wait) if !wait.is_zero()));
    }

    #[test]
    fn max_age_gives_up_by_time() {
        let plan = RetryPlan { max_age: Some(Duration::from_secs(10)), ..PLAN };
        let start = Instant::now();
        let mut history = History { attempts: 1, failures: 1, first_attempt: Some(start), ..History::NEW };
        let mut decide_at = |now| {
            decide(&plan, &mut history, &failure(FailureClass::Unreachable), 0, now, &mut fastrand::Rng::with_seed(1))
        };
        assert!(matches!(decide_at(start + Duration::from_secs(9)), Decision::Again(_)));
        assert_eq!(decide_at(start + Duration::from_secs(10)), Decision::GiveUp);
    }

    #[test]
    fn an_event_refused_again_after_another_was_delivered_is_given_up() {
        let mut history = History { attempts: 1, failures: 1, ..History::NEW };
        let mut decide_after = |delivered| {
            let failure = failure(FailureClass::Misconfigured);
            decide(&PLAN, &mut history, &failure, delivered, Instant::now(), &mut fastrand::Rng::with_seed(1))
        };
        assert!(matches!(decide_after(4), Decision::Again(_)));
        assert!(matches!(decide_after(4), Decision::Again(_)));
        assert_eq!(decide_after(5), Decision::GiveUp);
    }

    #[test]
    fn back_off_doubles_is_capped_and_is_spread_over_the_whole_range() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut longest = |failures| {
            (0..1000).map(|_| back_off(PLAN.base, PLAN.cap, failures, &mut random)).max().unwrap().as_secs_f64()
        };
        assert!((0.45..=0.5).contains(&longest(1)));
        assert!((1.8..=2.0).contains(&longest(3)));
        assert!((55.0..=60.0).contains(&longest(40)));
    }
}
