//! What would become of an event: the way from a request to the bodies that destinations get, without a log, a network or a
//! clock of its own. The same code decides as in the roles.

use std::collections::HashMap;

use bytes::Bytes;
use hook_contract::plan::{EgressAdapter, Plan, Taking};
use hook_core::{
    clock::SharedClock,
    envelope::{Envelope, EventHeader},
    event::{EventId, RawEvent, VerifiedEvent},
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
    chain::Unfit,
    serve::{Admission, Admitted, Gate, cool, within_rate},
    smash::prepare,
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
    /// It would be answered as a copy of this event, which came before.
    Duplicate(EventId),
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
    /// A plugin would refuse it, or the driver: a dead letter.
    Refused(String),
    /// A plugin would leave it out.
    Dropped(String),
}

/// Where events are taken through a plan, one after the other: those that came before count, as copies, against rates and for
/// cooldowns.
pub struct Stage<'p> {
    plan: &'p Plan,
    gate: Gate,
    secrets: Secrets,
    /// What would be stored, by what its copies are known by.
    stored: HashMap<[u8; 16], EventId>,
}

impl<'p> Stage<'p> {
    /// A stage on which nothing has been.
    pub fn new(plan: &'p Plan, secrets: &Secrets, clock: SharedClock) -> Self {
        Self { plan, gate: Gate::new(plan, secrets.clone(), clock), secrets: secrets.clone(), stored: HashMap::new() }
    }

    /// Takes an event through the plan.
    pub fn take(&mut self, event: RawEvent, trust: Trust) -> Rehearsed {
        let admitted = match self.admit(event, trust) {
            Ok(Admission::Admitted(admitted)) => *admitted,
            Ok(Admission::Dropped { reason }) => return Rehearsed::Dropped { reason },
            Err(refused) => return Rehearsed::Refused(refused),
        };
        let mut topics = self.gate.topics(&admitted.header);
        if !topics.is_empty() {
            match self.store(&admitted) {
                Ok(None) => {}
                Ok(Some(first)) => return Rehearsed::Duplicate(first),
                Err(refused) => return Rehearsed::Refused(refused),
            }
        }
        let relay = self.plan.relay.as_ref();
        if let Some(relay) = relay.filter(|relay| topics.iter().any(|topic| relay.inputs.contains(topic)))
            && !topics.contains(&relay.output)
        {
            topics.push(relay.output.clone());
        }
        let Admitted { header, payload, .. } = admitted;
        let envelope = Envelope { header: header.clone(), payload: payload.clone() };
        let deliveries = deliveries(self.plan, &envelope, &topics, &self.secrets);
        Rehearsed::Stored(Box::new(Stored { header, payload, topics, deliveries }))
    }

    fn admit(&self, event: RawEvent, trust: Trust) -> Result<Admission, Refused> {
        let source = self.gate.source(&event.adapter, &event.source)?;
        let verified = match trust {
            Trust::Verify => self.gate.verify(source, event)?,
            Trust::Assume => assumed(event)?,
        };
        within_rate(source)?;
        self.gate.admit(source, &verified)
    }

    /// What the log would say: the event that this one is a copy of.
    fn store(&mut self, admitted: &Admitted) -> Result<Option<EventId>, Refused> {
        let Admitted { header, dedup, .. } = admitted;
        let adapter = header.meta.ingress_adapter.as_ref();
        let source = adapter.and_then(|adapter| self.gate.source(adapter, &header.source).ok());
        let ticket = source.map(|source| cool(source, admitted)).transpose()?.flatten();
        let first = dedup.iter().find_map(|key| self.stored.get(&key.digest).copied());
        match (first, ticket) {
            (Some(_), Some((cooldown, ticket))) => cooldown.leave(ticket),
            (Some(_), None) => {}
            (None, _) => self.stored.extend(dedup.iter().map(|key| (key.digest, header.id))),
        }
        Ok(first)
    }
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
            match adapter.driver.render(&envelope, secrets) {
                Ok(body) => Part::Delivered { envelope: Box::new(envelope), body },
                Err(reason) => Part::Refused(reason),
            }
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
