//! What would become of an event: the way from a request to the bodies that destinations get, without a log, a network or a
//! clock of its own. The same code decides as in the roles.

use bytes::Bytes;
use hook_contract::plan::{EgressAdapter, Plan, Taking};
use hook_core::{
    clock::SharedClock,
    envelope::{Envelope, EventHeader},
    event::{RawEvent, VerifiedEvent},
    names::TopicName,
    payload::Payload,
    ports::{
        ingress::{Refused, RejectionKind},
        verifier::{Claim, Refusal, Signed, SignedRequest, SigningRequest, SourceVerifier, Verified},
    },
    secret::Secrets,
};
use http::HeaderMap;

use crate::{
    serve::{Admission, Gate},
    smash::{Unfit, prepare},
};

/// Whether the sender has to prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// As always.
    Verify,
    /// The event counts as verified, whatever it carries.
    Assume,
}

/// What would become of an event.
#[derive(Debug, Clone)]
pub enum Rehearsed {
    /// It would be refused.
    Refused(Refused),
    /// A plugin of the ingress adapter would leave it out.
    Dropped {
        /// Which rule.
        reason: String,
    },
    /// It would be stored in these topics, and delivered from there.
    Stored(Box<Stored>),
}

/// An event that would be stored; in no topic where no route takes it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// As it would be stored.
    pub header: EventHeader,
    /// As it would be stored.
    pub payload: Payload,
    /// The topics of `serve`, and the relay's where it reads one of them.
    pub topics: Vec<TopicName>,
    /// What each destination would get, in the contract's order.
    pub deliveries: Vec<Rehearsal>,
}

/// What a destination would get.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// `route/adapter`.
    pub destination: String,
    /// What its plugins and its driver make of the event.
    pub outcome: Part,
}

/// What plugins and driver of a destination make of an event.
#[derive(Debug, Clone)]
pub enum Part {
    /// It would be delivered.
    Delivered {
        /// As the plugins leave it.
        envelope: Box<Envelope>,
        /// What the driver would send; `None` where it does not tell.
        body: Option<Bytes>,
    },
    /// A plugin would refuse it: a dead letter.
    Refused(String),
    /// A plugin would leave it out.
    Dropped(String),
}

/// Takes an event through a plan.
pub fn rehearse(plan: &Plan, event: RawEvent, trust: Trust, secrets: &Secrets, clock: SharedClock) -> Rehearsed {
    let gate = Gate::new(plan, secrets.clone(), clock);
    let admitted = gate.source(&event.adapter.clone(), &event.source.clone()).and_then(|source| {
        let verified = match trust {
            Trust::Verify => gate.verify(source, event)?,
            Trust::Assume => assumed(event)?,
        };
        gate.admit(source, &verified)
    });
    let (header, payload) = match admitted {
        Err(refused) => return Rehearsed::Refused(refused),
        Ok(Admission::Dropped { reason }) => return Rehearsed::Dropped { reason },
        Ok(Admission::Admitted(admitted)) => (admitted.header, admitted.payload),
    };
    let mut topics = gate.topics(&header);
    if let Some(relay) = plan.relay.as_ref().filter(|relay| topics.iter().any(|topic| relay.inputs.contains(topic)))
        && !topics.contains(&relay.output)
    {
        topics.push(relay.output.clone());
    }
    let envelope = Envelope { header: header.clone(), payload: payload.clone() };
    let deliveries = deliveries(plan, &envelope, &topics, secrets);
    Rehearsed::Stored(Box::new(Stored { header, payload, topics, deliveries }))
}

fn deliveries(plan: &Plan, envelope: &Envelope, topics: &[TopicName], secrets: &Secrets) -> Vec<Rehearsal> {
    let reads = |route: &&hook_contract::plan::SmashRoute| topics.iter().any(|topic| route.topics.matches(topic));
    let taking = plan.smash.routes.iter().filter(reads).filter(|route| route.look(envelope) == Taking::Taken);
    let pairs = taking.flat_map(|route| route.destinations.iter().map(move |to| (route, &to.adapter)));
    let rehearsals = pairs.filter_map(|(route, id)| {
        let adapter = plan.smash.adapters.iter().find(|adapter| adapter.id == *id)?;
        Some(Rehearsal { destination: format!("{}/{id}", route.id), outcome: part(adapter, envelope, secrets) })
    });
    rehearsals.collect()
}

fn part(adapter: &EgressAdapter, envelope: &Envelope, secrets: &Secrets) -> Part {
    match prepare(&adapter.plugins, envelope) {
        Err(Unfit::Refused(reason)) => Part::Refused(reason),
        Err(Unfit::Dropped(reason)) => Part::Dropped(reason),
        Ok(prepared) => {
            let envelope = prepared.unwrap_or_else(|| envelope.clone());
            let body = adapter.driver.render(&envelope, secrets);
            Part::Delivered { envelope: Box::new(envelope), body }
        }
    }
}

fn assumed(event: RawEvent) -> Result<VerifiedEvent, Refused> {
    let now = event.received_at;
    event.verify(&Assumed, &[], now).map_err(|(_, refusal)| Refused {
        kind: RejectionKind::Unauthorized,
        code: refusal.code(),
        message: refusal.to_string(),
        retry_after: None,
    })
}

/// Takes every request for verified. It makes events of rehearsals only, which go nowhere.
struct Assumed;

impl SourceVerifier for Assumed {
    fn verify(&self, _: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        Ok(Verified { slot: None })
    }

    fn describe(&self, _: &HeaderMap, _: &Payload) -> Claim {
        Claim::default()
    }

    fn sign(&self, _: &SigningRequest<'_>) -> Option<Signed> {
        None
    }
}
