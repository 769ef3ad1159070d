//! One attempt at one event, and what follows when it is given up: futures that the worker holds in flight.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use hook_core::{
    envelope::{DeadLetter, DeadLetterHeader, Envelope},
    outcome::{FailureClass, Outcome},
    ports::{
        egress::Delivery,
        log::{Append, LogError, Position},
        plugin::{Draft, Plugin, Verdict},
    },
};
use tokio::time::Instant;
use tracing::warn;

use super::{
    lanes::{Head, LaneKey},
    shared::Shared,
};

/// How long to wait where the log does not take a dead letter.
const PAUSE: Duration = Duration::from_secs(1);

/// What comes out of a future in flight.
pub(crate) enum Done {
    /// An attempt was made.
    Attempted(Box<Attempted>),
    /// There was nothing to attempt: the record is gone, or none of ours.
    Skipped { key: LaneKey, position: Position, reason: String },
    /// A plugin refused the event, for this destination.
    Refused(Box<Refused>),
    /// The event's dead letter is durable.
    DeadLettered { key: LaneKey, position: Position },
}

/// An event that a plugin refused.
pub(crate) struct Refused {
    pub(crate) key: LaneKey,
    pub(crate) head: Head,
    pub(crate) event: Envelope,
    pub(crate) reason: String,
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
            Err(reason) => return Done::Skipped { key, position: head.position, reason },
        },
    };
    let prepared = match prepare(&shared.adapter.plugins, &event) {
        Ok(prepared) => prepared,
        Err(reason) => return Done::Refused(Box::new(Refused { key, head, event, reason })),
    };
    let began = Instant::now();
    head.history.first_attempt.get_or_insert(began);
    head.history.attempts += 1;
    let delivery = Delivery {
        envelope: prepared.as_ref().unwrap_or(&event),
        attempt: head.history.attempts,
        secrets: &shared.secrets,
    };
    // A driver that panics on one event must not take the others with it.
    let outcome = AssertUnwindSafe(shared.adapter.driver.deliver(delivery)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Outcome::failed(FailureClass::Transient, "the driver panicked"));
    Done::Attempted(Box::new(Attempted { key, head, event, outcome, took: began.elapsed(), was_probe }))
}

/// Reads an event again that had to wait. A log that is away for a moment is waited for.
async fn read(shared: &Shared, position: &Position) -> Result<Envelope, String> {
    loop {
        match shared.log.read(vec![position.clone()]).await {
            Ok(records) => {
                let record = records.into_iter().next().flatten().ok_or("retention has removed it")?;
                return Envelope::from_record(&record).map_err(|error| error.to_string());
            }
            Err(LogError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Runs the destination's plugins. `None` where there are none: the event goes out as it is.
fn prepare(plugins: &[Arc<dyn Plugin>], event: &Envelope) -> Result<Option<Envelope>, String> {
    if plugins.is_empty() {
        return Ok(None);
    }
    let mut draft = Draft {
        source: event.header.source.clone(),
        event_type: event.header.event_type.clone(),
        flags: event.header.meta.flags.clone(),
        payload: event.payload.clone(),
    };
    for plugin in plugins {
        if let Verdict::Refuse { reason } = plugin.apply(&mut draft) {
            return Err(reason);
        }
    }
    let mut changed = event.clone();
    (changed.header.event_type, changed.header.meta.flags) = (draft.event_type, draft.flags);
    changed.payload = draft.payload;
    Ok(Some(changed))
}

/// Makes an event's dead letter durable; resolves only then, so that the cursor never moves before.
pub(crate) async fn dead_letter(shared: Arc<Shared>, key: LaneKey, head: Head, event: Envelope, error: String) -> Done {
    let failed_at = shared.clock.now();
    let first_attempt_at = head.history.first_attempt.map(|first| failed_at - first.elapsed());
    let letter = DeadLetter {
        header: DeadLetterHeader {
            failed_at,
            error,
            destination: shared.name.clone(),
            attempts: head.history.attempts,
            first_attempt_at,
            event: event.header,
        },
        payload: event.payload,
    };
    let record = letter.to_record(shared.dead_letters.clone());
    while let Err(error) = shared.log.append(Append::one(record.clone())).await {
        warn!(destination = %shared.name, %error, "dead letter not stored yet");
        tokio::time::sleep(PAUSE).await;
    }
    Done::DeadLettered { key, position: head.position }
}
