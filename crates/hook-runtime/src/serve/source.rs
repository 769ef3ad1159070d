//! A source while it runs: its plan, its rate, its cooldown.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::{InMemoryState, NotKeyed},
};
use hook_contract::plan::SourcePlan;
use hook_core::{
    event::VerifiedEvent,
    names::EventType,
    payload::Payload,
    ports::verifier::{Claim, DeliveryId},
    secret::{Secret, Secrets},
    selector::Selector,
};

use super::cooldown::Cooldown;

/// A source while it runs.
pub(crate) struct Source {
    pub(crate) plan: SourcePlan,
    pub(crate) cooldown: Option<Cooldown>,
    limiter: Option<RateLimiter<NotKeyed, InMemoryState, DefaultClock>>,
}

impl Source {
    pub(crate) fn new(plan: SourcePlan) -> Self {
        let limiter = plan.rate_per_minute.map(limiter);
        let cooldown = plan.cooldown.map(Cooldown::new);
        Self { plan, cooldown, limiter }
    }

    /// The secrets that are set, each with its slot.
    pub(crate) fn secrets(&self, store: &Secrets) -> Vec<(usize, Secret)> {
        let slots = self.plan.secret_env.iter().enumerate();
        slots.filter_map(|(slot, name)| Some((slot, store.get(name)?))).collect()
    }

    /// Counts one verified event; `Err` says how long to wait where the source is over its rate.
    pub(crate) fn admit(&self) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check().map_err(|wait| wait.wait_time_from(DefaultClock::default().now()))
    }

    /// What the event says about itself: the verifier's reading, overridden by what the contract selects.
    pub(crate) fn describe(&self, event: &VerifiedEvent, payload: &Payload) -> Claim {
        let headers = &event.raw().headers;
        let mut claim = self.plan.verifier.describe(headers, payload);
        let select = |selector: &Option<Selector>| selector.as_ref().map(|selector| selector.select(headers, payload));
        if let Some(selected) = select(&self.plan.event_type) {
            claim.event_type = selected.and_then(|text| EventType::new(text).ok());
        }
        if let Some(selected) = select(&self.plan.delivery_id) {
            // The verifier knows whether it signs the header that it names itself, and whether it signs bodies.
            let is_pointer = matches!(self.plan.delivery_id, Some(Selector::Pointer(_)));
            let is_signed = is_pointer && self.plan.verifier.signs_body();
            let known = claim.delivery_id.take();
            claim.delivery_id = selected.map(|value| match known {
                Some(known) if known.value == value => known,
                _ => DeliveryId { value, is_signed },
            });
        }
        if let Some(selected) = select(&self.plan.ordering_key) {
            claim.ordering_key = selected;
        }
        claim
    }
}

fn limiter(per_minute: NonZeroU32) -> RateLimiter<NotKeyed, InMemoryState, DefaultClock> {
    RateLimiter::direct(Quota::per_minute(per_minute))
}
