//! One attempt at one event, and what follows when it is given up: futures that the worker holds in flight.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use hook_core::{
    SignedDuration,
    envelope::{DeadLetter, DeadLetterHeader, Envelope, EventHeader},
    event::EventId,
    outcome::{FailureClass, Outcome},
    ports::{
        egress::{Delivery, Place},
        log::{Append, DedupKey, LogError, Position},
        plugin::{Draft, Plugin},
    },
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::warn;

use super::{
    lanes::{Head, LaneKey},
    shared::Shared,
};
use crate::chain::{self, Unfit};

/// How long to wait where the log does not take a dead letter.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a dead letter is recognised. A crash repeats one at the next start.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 30);

/// What comes out of a future in flight.
pub(crate) enum Done {
    /// An attempt was made.
    Attempted(Box<Attempted>),
    /// There was nothing to attempt: the record is gone, or none of ours.
    Skipped { key: LaneKey, position: Position, reason: String, was_probe: bool },
    /// The event cannot be read. It is not done: what is damaged may be mended.
    Unreadable { key: LaneKey, head: Box<Head>, reason: String, was_probe: bool },
    /// A plugin keeps the event from this destination.
    Refused(Box<Refused>),
    /// The event's dead letter is durable.
    DeadLettered(Box<DeadLettered>),
    /// Events that are dropped unseen, each with its id where it could still be read.
    Abandoned(Vec<(Position, Option<EventId>)>),
}

/// An event whose dead letter is durable.
pub(crate) struct DeadLettered {
    pub(crate) key: LaneKey,
    pub(crate) position: Position,
    pub(crate) event_id: EventId,
    pub(crate) attempts: u32,
    pub(crate) error: String,
}

/// An event that a plugin keeps from the destination.
pub(crate) struct Refused {
    pub(crate) key: LaneKey,
    pub(crate) head: Head,
    pub(crate) event: Envelope,
    pub(crate) unfit: Unfit,
    pub(crate) was_probe: bool,
}

/// An attempt that was made.
pub(crate) struct Attempted {
    pub(crate) key: LaneKey,
    pub(crate) head: Head,
    /// The event as the log has it.
    pub(crate) event: Envelope,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    pub(crate) was_probe: bool,
}

/// Makes one attempt at the head of a lane.
pub(crate) async fn attempt(shared: Arc<Shared>, key: LaneKey, mut head: Head, was_probe: bool) -> Done {
    let event = match head.event.take() {
        Some(event) => event,
        None => match read(&shared, &head.position).await {
            Ok(event) => event,
            Err(Unread::Gone(reason)) => return Done::Skipped { key, position: head.position, reason, was_probe },
            Err(Unread::Failed(reason)) => return Done::Unreadable { key, head: Box::new(head), reason, was_probe },
        },
    };
    let prepared = match prepare(&shared.adapter.plugins, &event) {
        Ok(prepared) => prepared,
        Err(unfit) => return Done::Refused(Box::new(Refused { key, head, event, unfit, was_probe })),
    };
    let began = Instant::now();
    head.history.first_attempt.get_or_insert(began);
    head.history.attempts += 1;
    let delivery = Delivery {
        envelope: prepared.as_ref().unwrap_or(&event),
        attempt: head.history.attempts,
        secrets: &shared.secrets,
        place: Some(Place { destination: &shared.name, position: &head.position }),
    };
    // A driver that panics on one event must not take the others with it.
    let outcome = AssertUnwindSafe(shared.adapter.driver.deliver(delivery)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Outcome::failed(FailureClass::Transient, "the driver panicked"));
    Done::Attempted(Box::new(Attempted { key, head, event, outcome, took: began.elapsed(), was_probe }))
}

/// Why an event could not be read again.
enum Unread {
    /// There is nothing to read, and never will be.
    Gone(String),
    /// The log failed; the event may still be there.
    Failed(String),
}

/// Reads an event again that had to wait. A log that is away for a moment is waited for.
async fn read(shared: &Shared, position: &Position) -> Result<Envelope, Unread> {
    loop {
        match shared.log.read(vec![position.clone()]).await {
            Ok(records) => {
                let record = records.into_iter().next().flatten();
                let record = record.ok_or_else(|| Unread::Gone("retention has removed it".to_owned()))?;
                return Envelope::from_record(&record).map_err(|error| Unread::Gone(error.to_string()));
            }
            Err(LogError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(Unread::Failed(error.to_string())),
        }
    }
}

/// Finds out which events are dropped, for the journal.
pub(crate) async fn abandon(shared: Arc<Shared>, positions: Vec<Position>) -> Done {
    let mut abandoned = Vec::with_capacity(positions.len());
    for position in positions {
        let event = read(&shared, &position).await.ok();
        abandoned.push((position, event.map(|event| event.header.id)));
    }
    Done::Abandoned(abandoned)
}

/// Runs the destination's plugins. `None` where there are none: the event goes out as it is.
pub(crate) fn prepare(plugins: &[Arc<dyn Plugin>], event: &Envelope) -> Result<Option<Envelope>, Unfit> {
    if plugins.is_empty() {
        return Ok(None);
    }
    let draft = Draft {
        source: event.header.source.clone(),
        event_type: event.header.event_type.clone(),
        meta: event.header.meta.clone(),
        payload: event.payload.clone(),
    };
    let Draft { source, event_type, meta, payload } = chain::apply(plugins, draft)?;
    let EventHeader { id, received_at, .. } = event.header;
    Ok(Some(Envelope { header: EventHeader { id, source, event_type, received_at, meta }, payload }))
}

/// Why an event is given up.
pub(crate) struct Why {
    /// What its last failure meant; `None` where a plugin refused it.
    pub(crate) class: Option<FailureClass>,
    pub(crate) error: String,
}

/// Makes an event's dead letter durable; resolves only then, so that the cursor never moves before. One that a crash made
/// us write again is recognised by cursor and position.
pub(crate) async fn dead_letter(shared: Arc<Shared>, key: LaneKey, head: Head, event: Envelope, why: Why) -> Done {
    let Why { class, error } = why;
    let failed_at = shared.clock.now();
    let first_attempt_at = head.history.first_attempt.map(|first| failed_at - first.elapsed());
    let event_id = event.header.id;
    let attempts = head.history.attempts;
    let letter = DeadLetter {
        header: DeadLetterHeader {
            failed_at,
            error: error.clone(),
            destination: shared.name.clone(),
            attempts,
            first_attempt_at,
            class,
            event: event.header,
        },
        payload: event.payload,
    };
    let dedup = vec![DedupKey { digest: identity(&shared, &head.position), expires_at: failed_at + REMEMBERED }];
    let append =
        Append { id: event_id.to_bytes(), dedup, ..Append::one(letter.to_record(shared.dead_letters.clone())) };
    while let Err(error) = shared.log.append(append.clone()).await {
        warn!(destination = %shared.name, %error, "dead letter not stored yet");
        tokio::time::sleep(PAUSE).await;
    }
    Done::DeadLettered(Box::new(DeadLettered { key, position: head.position, event_id, attempts, error }))
}

/// What makes two dead letters one: the cursor that gave up, and the record that it gave up on.
fn identity(shared: &Shared, position: &Position) -> [u8; 16] {
    let Position { topic, partition, offset } = position;
    let whole = Sha256::digest(format!("{}/{topic}/{partition}/{offset}", shared.cursor.name));
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}
