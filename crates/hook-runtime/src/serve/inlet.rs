//! The inlet: the one way from an adapter into the log, step by step.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hook_contract::plan::{Plan, ServeRoute};
use hook_core::{
    BoxFuture,
    clock::SharedClock,
    envelope::{DeadLetterHeader, Envelope, EventHeader, Meta},
    event::{EventId, RawEvent, RequestId, Stated, TraceId, VerifiedEvent},
    journal::Step,
    names::{AdapterId, EventType, SourceName, TopicName},
    payload::Payload,
    ports::{
        ingress::{Accepted, Inlet, Poison, Refused, Rejection, RejectionKind, Stored},
        log::{Append, Appended, DedupKey, Log, LogError, NewRecord},
        plugin::{Draft, Plugin, Verdict},
        verifier::{Claim, DeliveryId, Refusal, SourceVerifier},
    },
    secret::Secrets,
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    cooldown::{Cooldown, Entry},
    dedup,
    notice::Notices,
    poison,
    source::Source,
};
use crate::{
    journal::{Journal, Sender},
    metrics::Metrics,
};

/// How long a sender is asked to wait where the log cannot take its event.
const RETRY_AFTER_UNAVAILABLE: Duration = Duration::from_secs(5);

/// Ordering keys and delivery ids of senders are kept as they are up to this length, in bytes.
const LONGEST_KEY: usize = 256;

/// The role `serve`, shared by all of its adapters.
pub(crate) struct Serve {
    sources: BTreeMap<SourceName, Source>,
    /// The adapters that alone may bring events of a source: those that name it, where nothing else says who sent them.
    reserved: HashMap<SourceName, Vec<AdapterId>>,
    routes: Vec<ServeRoute>,
    dead_letters: TopicName,
    plugins: HashMap<AdapterId, Vec<Arc<dyn Plugin>>>,
    log: Arc<dyn Log>,
    journal: Arc<Journal>,
    metrics: Arc<Metrics>,
    secrets: Secrets,
    clock: SharedClock,
    notices: Notices,
    /// Of events that the log did not take: a full disk is met by all of them at once.
    not_stored: Notices,
}

impl Serve {
    pub(crate) fn new(
        plan: &Plan,
        log: Arc<dyn Log>,
        journal: Arc<Journal>,
        metrics: Arc<Metrics>,
        secrets: Secrets,
        clock: SharedClock,
    ) -> Self {
        let sources = plan.sources.iter().map(|(name, plan)| (name.clone(), Source::new(plan.clone()))).collect();
        let plugins = plan.serve.adapters.iter().map(|adapter| (adapter.id.clone(), adapter.plugins.clone())).collect();
        Self {
            sources,
            reserved: reserved(plan),
            routes: plan.serve.routes.clone(),
            dead_letters: plan.dead_letters.clone(),
            plugins,
            log,
            journal,
            metrics,
            secrets,
            clock,
            notices: Notices::default(),
            not_stored: Notices::default(),
        }
    }

    async fn take(&self, event: RawEvent) -> Result<Accepted, Rejection> {
        let began = Instant::now();
        let (request_id, adapter, peer) = (event.request_id, event.adapter.clone(), event.peer);
        let source = self.sources.get(&event.source).filter(|source| self.takes_from(&adapter, &source.plan.name));
        let Some(source) = source else {
            let refused = refused(RejectionKind::NotFound, "unknown_source", "there is no such source");
            return Err(self.reject(
                Sender::Unverified,
                Request { adapter: &adapter, source: Some(&event.source), request_id, peer },
                refused,
            ));
        };
        self.metrics.ingress_event(&adapter, &event.source);
        let name = event.source.clone();
        let request = Request { adapter: &adapter, source: Some(&name), request_id, peer };
        let reject = |sender, refused| self.reject(sender, request, refused);

        let verified = self.verify(source, event).map_err(|refused| reject(Sender::Unverified, refused))?;
        let event = self.admit(source, &verified).map_err(|refused| reject(Sender::Verified, refused))?;
        let topics = self.topics(&event.header);
        if topics.is_empty() {
            return Ok(self.leave(&adapter, request_id, event.header));
        }
        let accepted = self.store(source, &adapter, event, topics).await;
        let accepted = accepted.map_err(|refused| reject(Sender::Verified, refused))?;
        self.metrics.acknowledged(&adapter, began.elapsed());
        if let Accepted::Duplicate(first) = accepted {
            self.metrics.duplicate(&adapter, &name);
            let step = Step::Duplicate { source: name.clone() };
            self.journal.note_request(Sender::Verified, request_id, Some(first), step);
        }
        Ok(accepted)
    }

    /// Whether an adapter may bring events of a source.
    fn takes_from(&self, adapter: &AdapterId, source: &SourceName) -> bool {
        self.reserved.get(source).is_none_or(|adapters| adapters.contains(adapter))
    }

    /// Raw bytes first: nothing is parsed before this has passed.
    fn verify(&self, source: &Source, event: RawEvent) -> Result<VerifiedEvent, Refused> {
        let secrets = source.secrets(&self.secrets);
        if secrets.is_empty() && source.plan.verifier.needs_secret() {
            return Err(unauthorized(Refusal::NoSecret));
        }
        let now = self.clock.now();
        let verified = event.verify(&*source.plan.verifier, &secrets, now);
        let verified = verified.map_err(|(_, refusal)| unauthorized(refusal))?;
        if let Some(slot) = verified.verified().slot {
            self.metrics.secret_used(&source.plan.name, slot);
        }
        Ok(verified)
    }

    /// Rate, shape and plugins: what comes out is an event that may be stored.
    fn admit(&self, source: &Source, event: &VerifiedEvent) -> Result<Admitted, Refused> {
        source.admit().map_err(|wait| Refused {
            retry_after: Some(wait),
            ..refused(RejectionKind::TooManyRequests, "rate_limited", "the source is over its rate limit")
        })?;
        let raw = event.raw();
        let payload = Payload::parse(raw.body.clone())
            .map_err(|error| refused(RejectionKind::Malformed, "malformed_body", error.to_string()))?;
        let mut claim = source.describe(event, &payload);
        if let Some(stated) = &raw.stated {
            claim = over(stated, claim, &*source.plan.verifier);
        }
        let draft = Draft {
            source: raw.source.clone(),
            event_type: claim.event_type.clone().unwrap_or_else(EventType::unknown),
            flags: Vec::new(),
            payload,
        };
        let draft = self.run_plugins(&raw.adapter, draft)?;
        Ok(Admitted::new(source, raw, &claim, draft))
    }

    fn run_plugins(&self, adapter: &AdapterId, mut draft: Draft) -> Result<Draft, Refused> {
        for plugin in self.plugins.get(adapter).into_iter().flatten() {
            if let Verdict::Refuse { reason } = plugin.apply(&mut draft) {
                return Err(refused(RejectionKind::Unprocessable, "refused_by_plugin", reason));
            }
        }
        Ok(draft)
    }

    /// The distinct topics of every route that takes the event.
    fn topics(&self, header: &EventHeader) -> Vec<TopicName> {
        let mut topics = Vec::new();
        for route in &self.routes {
            let takes = route.source_match.matches(header.source.as_str())
                && route.event_type_pattern.matches(header.event_type.as_str());
            let topic = takes.then(|| route.target.topic_for(&header.source)).flatten();
            topics.extend(topic.filter(|topic| !topics.contains(topic)));
        }
        topics
    }

    /// An error would make the sender switch its hook off, so that what no route takes is answered kindly.
    fn leave(&self, adapter: &AdapterId, request_id: RequestId, header: EventHeader) -> Accepted {
        self.metrics.not_routed(adapter, &header.source);
        let step = Step::NotRouted { source: header.source, event_type: header.event_type };
        self.journal.note_request(Sender::Verified, request_id, None, step);
        Accepted::NotRouted(request_id)
    }

    async fn store(
        &self,
        source: &Source,
        adapter: &AdapterId,
        event: Admitted,
        topics: Vec<TopicName>,
    ) -> Result<Accepted, Refused> {
        let Admitted { header, payload, dedup, record_key } = event;
        let cooldown = source.cooldown.as_ref().zip(header.meta.route_key.as_deref());
        let ticket = match cooldown.map(|(cooldown, key)| (cooldown, cooldown.enter(key, &dedup, Instant::now()))) {
            Some((_, Entry::Waits)) => {
                let message = "another event of this key was taken just now";
                return Err(refused(RejectionKind::CoolingDown, "cooldown", message));
            }
            Some((cooldown, Entry::Passes(ticket))) => Some((cooldown, ticket)),
            Some((_, Entry::Copy)) | None => None,
        };
        let give_back = |ticket: Option<(&Cooldown, _)>| ticket.map(|(cooldown, ticket)| cooldown.leave(ticket));
        let envelope = Envelope { header, payload };
        let record = |topic: &TopicName| {
            let record = envelope.to_record(topic.clone());
            NewRecord { key: record.key.or_else(|| Some(record_key.clone())), ..record }
        };
        let records = topics.iter().map(record).collect();
        let id = envelope.header.id;
        let append = Append { records, id: id.to_bytes(), dedup, commit: None };
        match self.log.append(append).await {
            Ok(Appended::Stored(_)) => {
                topics.iter().for_each(|topic| self.metrics.published(topic));
                self.trace_stored(adapter, &envelope.header);
                let event_type = envelope.header.event_type;
                Ok(Accepted::Stored(Stored { id, event_type, topics }))
            }
            Ok(Appended::DuplicateOf(first)) => {
                give_back(ticket);
                Ok(Accepted::Duplicate(EventId::from_bytes(first)))
            }
            Err(error) => {
                give_back(ticket);
                topics.iter().for_each(|topic| self.metrics.publish_failed(topic, reason(&error)));
                if let Some(suppressed) = self.not_stored.due(Instant::now()) {
                    let source = &envelope.header.source;
                    warn!(ingress_adapter = %adapter, %source, %error, suppressed, "event not stored");
                }
                Err(not_stored(&error))
            }
        }
    }

    /// Writes a message to the dead letters, without its bytes where the log cannot take them.
    async fn bury(&self, poison: Poison) -> Result<EventId, Refused> {
        let now = self.clock.now();
        let dedup = vec![poison::copies(&poison, now)];
        let mut keeping = poison::Keeping::Whole;
        loop {
            let letter = poison::letter(&poison, now, keeping);
            let (id, record) = (letter.header.event.id, letter.to_record(self.dead_letters.clone()));
            let append = Append { records: vec![record], id: id.to_bytes(), dedup: dedup.clone(), commit: None };
            match self.log.append(append).await {
                Ok(Appended::Stored(_)) => {
                    self.metrics.dead_lettered(&self.dead_letters);
                    let DeadLetterHeader { destination, error, .. } = letter.header;
                    self.journal.note(id, Step::DeadLettered { destination, attempts: 0, error });
                    return Ok(id);
                }
                Ok(Appended::DuplicateOf(first)) => return Ok(EventId::from_bytes(first)),
                Err(LogError::TooLarge { .. }) if keeping == poison::Keeping::Whole => {
                    keeping = poison::Keeping::Origin;
                }
                Err(error) => {
                    self.metrics.publish_failed(&self.dead_letters, reason(&error));
                    if let Some(suppressed) = self.not_stored.due(Instant::now()) {
                        let adapter = &poison.adapter;
                        warn!(ingress_adapter = %adapter, %error, suppressed, "dead letter not stored yet");
                    }
                    return Err(not_stored(&error));
                }
            }
        }
    }

    fn trace_stored(&self, adapter: &AdapterId, header: &EventHeader) {
        debug!(
            event_id = %header.id,
            source = %header.source,
            event_type = %header.event_type,
            trace_id = header.meta.trace_id.as_ref().map(TraceId::as_str),
            ingress_adapter = %adapter,
            delivery_state = "stored",
            "event stored"
        );
    }

    fn reject(&self, sender: Sender, request: Request<'_>, refused: Refused) -> Rejection {
        let Request { adapter, source, request_id, peer } = request;
        self.metrics.refused(adapter, refused.code);
        if let Some(suppressed) = self.notices.due(Instant::now()) {
            warn!(
                %request_id,
                ingress_adapter = %adapter,
                source = source.map(SourceName::as_str),
                peer = peer.map(tracing::field::display),
                code = refused.code,
                suppressed,
                "request refused"
            );
        }
        let step =
            Step::Refused { source: source.cloned(), code: refused.code.to_owned(), reason: refused.message.clone() };
        self.journal.note_request(sender, request_id, None, step);
        Rejection { refused, request_id }
    }
}

/// What a refusal says of its request.
#[derive(Clone, Copy)]
struct Request<'a> {
    adapter: &'a AdapterId,
    source: Option<&'a SourceName>,
    request_id: RequestId,
    peer: Option<IpAddr>,
}

impl Inlet for Serve {
    fn source(&self, adapter: &AdapterId, name: &str) -> Option<SourceName> {
        let (name, _) = self.sources.get_key_value(name)?;
        self.takes_from(adapter, name).then(|| name.clone())
    }

    fn accept(&self, event: RawEvent) -> BoxFuture<'_, Result<Accepted, Rejection>> {
        Box::pin(self.take(event))
    }

    fn refuse(&self, adapter: &AdapterId, source: Option<&SourceName>, refused: Refused) -> Rejection {
        let request = Request { adapter, source, request_id: RequestId::generate(), peer: None };
        self.reject(Sender::Unverified, request, refused)
    }

    fn set_aside(&self, poison: Poison) -> BoxFuture<'_, Result<EventId, Refused>> {
        Box::pin(self.bury(poison))
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
struct Admitted {
    header: EventHeader,
    payload: Payload,
    dedup: Vec<DedupKey>,
    /// The key of its records where it has no order to keep: copies of it share a partition.
    record_key: Bytes,
}

impl Admitted {
    fn new(source: &Source, raw: &RawEvent, claim: &Claim, draft: Draft) -> Self {
        let body_digest: [u8; 32] = Sha256::digest(&raw.body).into();
        let traceparent = raw.headers.get("traceparent").and_then(|value| value.to_str().ok());
        let meta = Meta {
            trace_id: traceparent.and_then(TraceId::from_traceparent),
            ingress_adapter: Some(raw.adapter.clone()),
            route_key: claim.ordering_key.as_ref().map(|key| format!("{}:{}", raw.source, bounded(key))),
            flags: draft.flags,
            delivery_id: claim.delivery_id.as_ref().map(|id| bounded(&id.value)),
            body_sha256: Some(hex(&body_digest)),
            sent_at: source.plan.verifier.sent_at(&raw.headers, &draft.payload),
            replay: None,
        };
        let header = EventHeader {
            id: EventId::generate(),
            source: draft.source,
            event_type: draft.event_type,
            received_at: raw.received_at,
            meta,
        };
        let delivery = dedup::Delivery {
            id: claim.delivery_id.as_ref(),
            ids_are_signed: source.plan.verifier.signs_delivery_id(),
            anybody_names_it: raw.stated.as_ref().is_some_and(|stated| {
                stated.delivery_id.is_some() && !stated.is_sender_proven && !source.plan.verifier.needs_secret()
            }),
            body_digest: &body_digest,
            received_at: raw.received_at,
        };
        let dedup = dedup::keys(&source.plan.dedup, &header.source, &delivery);
        let id = delivery.id.filter(|id| dedup::copies_share_their_id(&source.plan.dedup, id));
        let shared = if id.is_some() { &header.meta.delivery_id } else { &header.meta.body_sha256 };
        let record_key = format!("{}:{}", header.source, shared.as_deref().unwrap_or_default());
        Self { header, payload: draft.payload, dedup, record_key: record_key.into() }
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

fn refused(kind: RejectionKind, code: &'static str, message: impl Into<String>) -> Refused {
    Refused { kind, code, message: message.into(), retry_after: None }
}

fn unauthorized(refusal: Refusal) -> Refused {
    refused(RejectionKind::Unauthorized, refusal.code(), refusal.to_string())
}

fn not_stored(error: &LogError) -> Refused {
    match error {
        LogError::TooLarge { .. } => {
            refused(RejectionKind::TooLarge, "body_too_large", "the event is too large to store")
        }
        _ => Refused {
            retry_after: Some(RETRY_AFTER_UNAVAILABLE),
            ..refused(
                RejectionKind::Unavailable,
                "log_unavailable",
                "the event could not be stored; send it again later",
            )
        },
    }
}

fn reason(error: &LogError) -> &'static str {
    match error {
        LogError::Unavailable(_) => "unavailable",
        LogError::Damaged(_) => "damaged",
        LogError::Closed => "closed",
        LogError::NoCursor(_) => "no_cursor",
        LogError::Revoked(_) => "revoked",
        LogError::TooLarge { .. } => "too_large",
    }
}
