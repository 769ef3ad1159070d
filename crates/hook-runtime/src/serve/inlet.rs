//! The inlet: the one way from an adapter into the log, step by step.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hook_contract::plan::Plan;
use hook_core::{
    BoxFuture,
    clock::SharedClock,
    envelope::{DeadLetterHeader, Envelope, EventHeader},
    event::{EventId, RawEvent, RequestId, TraceId},
    journal::Step,
    names::{AdapterId, SourceName, TopicName},
    ports::{
        ingress::{Accepted, Inlet, Poison, Refused, Rejection, RejectionKind, Stored},
        log::{Append, Appended, Log, LogError, NewRecord},
        verifier::Reply,
    },
    secret::Secrets,
};
use http::Method;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    cooldown::{Cooldown, Entry, Ticket},
    gate::{Admission, Admitted, Gate, refused},
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

/// The role `serve`, shared by all of its adapters.
pub(crate) struct Serve {
    gate: Gate,
    dead_letters: TopicName,
    log: Arc<dyn Log>,
    journal: Arc<Journal>,
    metrics: Arc<Metrics>,
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
        Self {
            gate: Gate::new(plan, secrets, clock.clone()),
            dead_letters: plan.dead_letters.clone(),
            log,
            journal,
            metrics,
            clock,
            notices: Notices::default(),
            not_stored: Notices::default(),
        }
    }

    async fn take(&self, event: RawEvent) -> Result<Accepted, Rejection> {
        let began = Instant::now();
        let (request_id, adapter, peer) = (event.request_id, event.adapter.clone(), event.peer);
        let source = self.gate.source(&adapter, &event.source).map_err(|refused| {
            let request = Request { adapter: &adapter, source: Some(&event.source), request_id, peer };
            self.reject(Sender::Unverified, request, refused)
        })?;
        self.metrics.ingress_event(&adapter, &event.source);
        let name = event.source.clone();
        let request = Request { adapter: &adapter, source: Some(&name), request_id, peer };
        let reject = |sender, refused| self.reject(sender, request, refused);

        let verified = self.gate.verify(source, event).map_err(|refused| reject(Sender::Unverified, refused))?;
        if let Some(slot) = verified.verified().slot {
            self.metrics.secret_used(&name, slot);
        }
        if let Some(reply) = self.gate.challenge(source, &verified) {
            debug!(source = %name, ingress_adapter = %adapter, "challenge answered");
            return Ok(Accepted::Challenged(reply));
        }
        let admission = within_rate(source).and_then(|()| self.gate.admit(source, &verified));
        let event = match admission.map_err(|refused| reject(Sender::Verified, refused))? {
            Admission::Admitted(event) => *event,
            Admission::Dropped { reason } => return Ok(self.leave_out(&adapter, request_id, &name, reason)),
        };
        let topics = self.gate.topics(&event.header);
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

    /// An error would make the sender switch its hook off, so that what no route takes is answered kindly.
    fn leave(&self, adapter: &AdapterId, request_id: RequestId, header: EventHeader) -> Accepted {
        self.metrics.not_routed(adapter, &header.source);
        let step = Step::NotRouted { source: header.source, event_type: header.event_type };
        self.journal.note_request(Sender::Verified, request_id, None, step);
        Accepted::NotRouted(request_id)
    }

    /// What a plugin leaves out is answered like what no route takes: the sender can do nothing about it.
    fn leave_out(&self, adapter: &AdapterId, request_id: RequestId, source: &SourceName, reason: String) -> Accepted {
        self.metrics.ingress_filtered(adapter, source);
        let step = Step::Dropped { destination: format!("serve/{adapter}"), reason };
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
        let ticket = cool(source, &event)?;
        let Admitted { header, payload, dedup, record_key } = event;
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
        self.gate.known(adapter, name)
    }

    fn accept(&self, event: RawEvent) -> BoxFuture<'_, Result<Accepted, Rejection>> {
        Box::pin(self.take(event))
    }

    fn challenge(
        &self,
        adapter: &AdapterId,
        source: &SourceName,
        method: &Method,
        url: &str,
    ) -> Option<Result<Reply, Rejection>> {
        let answer = self.gate.challenge_without_body(adapter, source, method, url)?;
        Some(answer.map_err(|refused| self.refuse(adapter, Some(source), refused)))
    }

    fn reply(&self, source: &SourceName, body: &Bytes) -> Option<Reply> {
        self.gate.reply(source, body)
    }

    fn refuse(&self, adapter: &AdapterId, source: Option<&SourceName>, refused: Refused) -> Rejection {
        let request = Request { adapter, source, request_id: RequestId::generate(), peer: None };
        self.reject(Sender::Unverified, request, refused)
    }

    fn set_aside(&self, poison: Poison) -> BoxFuture<'_, Result<EventId, Refused>> {
        Box::pin(self.bury(poison))
    }
}

/// A place among the events of its key, to be given back where the event is not stored; none where its source has no cooldown,
/// or the event is a copy. Refused where another event of its key was taken just now.
pub(crate) fn cool<'s>(source: &'s Source, event: &Admitted) -> Result<Option<(&'s Cooldown, Ticket)>, Refused> {
    let key = event.header.meta.route_key.as_deref();
    let Some((cooldown, key)) = source.cooldown.as_ref().zip(key) else { return Ok(None) };
    match cooldown.enter(key, &event.dedup, Instant::now()) {
        Entry::Passes(ticket) => Ok(Some((cooldown, ticket))),
        Entry::Copy => Ok(None),
        Entry::Waits => {
            let message = "another event of this key was taken just now";
            Err(refused(RejectionKind::CoolingDown, "cooldown", message))
        }
    }
}

pub(crate) fn within_rate(source: &Source) -> Result<(), Refused> {
    source.admit().map_err(|wait| Refused {
        retry_after: Some(wait),
        ..refused(RejectionKind::TooManyRequests, "rate_limited", "the source is over its rate limit")
    })
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
