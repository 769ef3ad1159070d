//! The gate: from the bytes of a request to an event that may be stored. It touches nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use hook_contract::plan::{Plan, ServeRoute};
use hook_core::{
    clock::SharedClock,
    envelope::{EventHeader, Meta},
    event::{EventId, RawEvent, Stated, TraceId, VerifiedEvent},
    names::{AdapterId, EventType, SourceName, TopicName},
    payload::Payload,
    ports::{
        ingress::{Refused, RejectionKind},
        log::DedupKey,
        plugin::{Draft, Plugin},
        verifier::{Claim, DeliveryId, Refusal, Reply, Shaped, SignedRequest, SourceVerifier},
    },
    secret::Secrets,
};
use http::Method;
use sha2::{Digest, Sha256};

use super::{dedup, source::Source, text};
use crate::chain::{self, Unfit};

/// Ordering keys and delivery ids of senders are kept as they are up to this length, in bytes.
const LONGEST_KEY: usize = 256;

/// What decides about events before anything is stored.
pub(crate) struct Gate {
    sources: BTreeMap<SourceName, Source>,
    /// The adapters that alone may bring events of a source: those that name it, where nothing else says who sent them.
    reserved: HashMap<SourceName, Vec<AdapterId>>,
    routes: Vec<ServeRoute>,
    plugins: HashMap<AdapterId, Vec<Arc<dyn Plugin>>>,
    secrets: Secrets,
    clock: SharedClock,
}

/// What becomes of a verified event.
pub(crate) enum Admission {
    /// It may be stored.
    Admitted(Box<Admitted>),
    /// A plugin leaves it out on purpose.
    Dropped { reason: String },
}

impl Gate {
    pub(crate) fn new(plan: &Plan, secrets: Secrets, clock: SharedClock) -> Self {
        // The first event does not wait for it.
        hook_sanitize::prepare();
        let sources = plan.sources.iter().map(|(name, plan)| (name.clone(), Source::new(plan.clone()))).collect();
        let plugins = plan.serve.adapters.iter().map(|adapter| (adapter.id.clone(), adapter.plugins.clone())).collect();
        Self { sources, reserved: reserved(plan), routes: plan.serve.routes.clone(), plugins, secrets, clock }
    }

    /// The source that an adapter may bring events of.
    pub(crate) fn source(&self, adapter: &AdapterId, name: &SourceName) -> Result<&Source, Refused> {
        let source = self.sources.get(name).filter(|_| self.takes_from(adapter, name));
        source.ok_or_else(|| refused(RejectionKind::NotFound, "unknown_source", "there is no such source"))
    }

    /// The source of that name, where the adapter may bring its events.
    pub(crate) fn known(&self, adapter: &AdapterId, name: &str) -> Option<SourceName> {
        let (name, _) = self.sources.get_key_value(name)?;
        self.takes_from(adapter, name).then(|| name.clone())
    }

    /// Whether an adapter may bring events of a source.
    fn takes_from(&self, adapter: &AdapterId, source: &SourceName) -> bool {
        self.reserved.get(source).is_none_or(|adapters| adapters.contains(adapter))
    }

    /// Raw bytes first: nothing is parsed before this has passed.
    pub(crate) fn verify(&self, source: &Source, event: RawEvent) -> Result<VerifiedEvent, Refused> {
        let secrets = source.secrets(&self.secrets);
        if secrets.is_empty() && source.plan.verifier.needs_secret() {
            return Err(unauthorized(Refusal::NoSecret));
        }
        let now = self.clock.now();
        let verified = event.verify(&*source.plan.verifier, &secrets, now);
        verified.map_err(|(_, refusal)| unauthorized(refusal))
    }

    /// The answer to a verified request that is no event, but asks whether this address is ours.
    pub(crate) fn challenge(&self, source: &Source, verified: &VerifiedEvent) -> Option<Reply> {
        let (raw, secrets) = (verified.raw(), source.secrets(&self.secrets));
        let now = self.clock.now();
        let request = SignedRequest { headers: &raw.headers, url: &raw.url, body: &raw.body, secrets: &secrets, now };
        source.plan.verifier.challenge(&request, *verified.verified())
    }

    /// The same of a request without a body; `None` where the provider of the source asks nothing this way.
    pub(crate) fn challenge_without_body(
        &self,
        adapter: &AdapterId,
        source: &SourceName,
        method: &Method,
        url: &str,
    ) -> Option<Result<Reply, Refused>> {
        let plan = &self.source(adapter, source).ok()?.plan;
        let token = plan.verify_token_env.as_ref().and_then(|name| self.secrets.get(name));
        Some(plan.verifier.challenge_without_body(method, url, token.as_ref())?.map_err(unauthorized))
    }

    /// What the provider of a source insists on being answered.
    pub(crate) fn reply(&self, source: &SourceName, body: &Bytes) -> Option<Reply> {
        self.sources.get(source)?.plan.verifier.reply(body)
    }

    /// Shape and plugins: what comes out is an event that may be stored.
    pub(crate) fn admit(&self, source: &Source, event: &VerifiedEvent) -> Result<Admission, Refused> {
        let raw = event.raw();
        let Shaped { payload, received } = source
            .plan
            .verifier
            .payload(&raw.headers, &raw.body)
            .map_err(|error| refused(RejectionKind::Malformed, "malformed_body", error.to_string()))?;
        let mut claim = source.describe(event, &payload);
        if let Some(stated) = &raw.stated {
            claim = over(stated, claim, &*source.plan.verifier);
        }
        let body_digest: [u8; 32] = Sha256::digest(&raw.body).into();
        let sent_at = source.plan.verifier.sent_at(&raw.headers, &payload);
        let event_type = claim.event_type.clone().unwrap_or_else(EventType::unknown);
        // Before the plugins, so that they see the flags.
        let (flags, trust) = text::inspect(source, event, &event_type, &payload);
        let meta =
            Meta { sent_at, received_body: received, flags, trust: Some(trust), ..meta(raw, &claim, &body_digest) };
        let draft = Draft { source: raw.source.clone(), event_type, meta, payload };
        let plugins = self.plugins.get(&raw.adapter).map(Vec::as_slice).unwrap_or_default();
        let draft = match chain::apply(plugins, draft) {
            Ok(draft) => draft,
            Err(Unfit::Dropped(reason)) => return Ok(Admission::Dropped { reason }),
            Err(Unfit::Refused(reason)) => {
                return Err(refused(RejectionKind::Unprocessable, "refused_by_plugin", reason));
            }
        };
        let header = EventHeader {
            id: EventId::generate(),
            source: draft.source,
            event_type: draft.event_type,
            received_at: raw.received_at,
            meta: draft.meta,
        };
        Ok(Admission::Admitted(Box::new(Admitted::new(source, raw, &claim, (header, draft.payload), &body_digest))))
    }

    /// The distinct topics of every route that takes the event.
    pub(crate) fn topics(&self, header: &EventHeader) -> Vec<TopicName> {
        let mut topics = Vec::new();
        for route in &self.routes {
            let takes = route.source_match.matches(header.source.as_str())
                && route.event_type_pattern.matches(header.event_type.as_str());
            let topic = takes.then(|| route.target.topic_for(&header.source)).flatten();
            topics.extend(topic.filter(|topic| !topics.contains(topic)));
        }
        topics
    }
}

/// The sources without a verifier that adapters name: what such an adapter brings is vouched for by where it fetches it, and
/// nothing vouches for what somebody posts under the same name.
fn reserved(plan: &Plan) -> HashMap<SourceName, Vec<AdapterId>> {
    let mut reserved: HashMap<SourceName, Vec<AdapterId>> = HashMap::new();
    for adapter in &plan.serve.adapters {
        for source in adapter.driver.sources() {
            if plan.sources.get(&source).is_some_and(|source| !source.verifier.needs_secret()) {
                reserved.entry(source).or_default().push(adapter.id.clone());
            }
        }
    }
    reserved
}

/// What the adapter knows comes before what the source says, unless a secret vouches for that: whoever hands on a signed event
/// cannot make another of it, by a type or by a name.
fn over(stated: &Stated, claim: Claim, verifier: &dyn SourceVerifier) -> Claim {
    let is_signed = stated.is_sender_proven && verifier.signs_delivery_id();
    let delivery_id = stated.delivery_id.clone().map(|value| DeliveryId { value, is_signed });
    let stated =
        Claim { event_type: stated.event_type.clone(), delivery_id, ordering_key: stated.ordering_key.clone() };
    let (first, second) = if verifier.needs_secret() { (claim, stated) } else { (stated, claim) };
    Claim {
        event_type: first.event_type.or(second.event_type),
        delivery_id: first.delivery_id.or(second.delivery_id),
        ordering_key: first.ordering_key.or(second.ordering_key),
    }
}

/// An event that may be stored.
pub(crate) struct Admitted {
    pub(crate) header: EventHeader,
    pub(crate) payload: Payload,
    pub(crate) dedup: Vec<DedupKey>,
    /// The key of its records where it has no order to keep: copies of it share a partition.
    pub(crate) record_key: Bytes,
}

impl Admitted {
    fn new(
        source: &Source,
        raw: &RawEvent,
        claim: &Claim,
        (header, payload): (EventHeader, Payload),
        body_digest: &[u8; 32],
    ) -> Self {
        let delivery = dedup::Delivery {
            id: claim.delivery_id.as_ref(),
            ids_are_signed: source.plan.verifier.signs_delivery_id(),
            anybody_names_it: raw.stated.as_ref().is_some_and(|stated| {
                stated.delivery_id.is_some() && !stated.is_sender_proven && !source.plan.verifier.needs_secret()
            }),
            body_digest,
            received_at: raw.received_at,
        };
        let dedup = dedup::keys(&source.plan.dedup, &header.source, &delivery);
        let id = delivery.id.filter(|id| dedup::copies_share_their_id(&source.plan.dedup, id));
        let shared = if id.is_some() { &header.meta.delivery_id } else { &header.meta.body_sha256 };
        let record_key = format!("{}:{}", header.source, shared.as_deref().unwrap_or_default());
        Self { header, payload, dedup, record_key: record_key.into() }
    }
}

/// What is known of an event beside its payload, before any plugin.
fn meta(raw: &RawEvent, claim: &Claim, body_digest: &[u8; 32]) -> Meta {
    let traceparent = raw.headers.get("traceparent").and_then(|value| value.to_str().ok());
    Meta {
        trace_id: traceparent.and_then(TraceId::from_traceparent),
        ingress_adapter: Some(raw.adapter.clone()),
        route_key: claim.ordering_key.as_ref().map(|key| format!("{}:{}", raw.source, bounded(key))),
        flags: Vec::new(),
        trust: None,
        delivery_id: claim.delivery_id.as_ref().map(|id| bounded(&id.value)),
        body_sha256: Some(hex(body_digest)),
        sent_at: None,
        received_body: None,
        replay: None,
    }
}

/// A sender chooses how long its keys are, and we keep them in memory: a long one is known by its digest.
fn bounded(text: &str) -> String {
    match text.len() <= LONGEST_KEY {
        true => text.to_owned(),
        false => format!("sha256-{}", hex(&Sha256::digest(text))),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

pub(super) fn refused(kind: RejectionKind, code: &'static str, message: impl Into<String>) -> Refused {
    Refused { kind, code, message: message.into(), retry_after: None }
}

fn unauthorized(refusal: Refusal) -> Refused {
    refused(RejectionKind::Unauthorized, refusal.code(), refusal.to_string())
}
