//! What becomes of one record: an event in the log, a dead letter, or nothing.

use std::{sync::Arc, thread, time::Duration};

use hook_core::{
    clock::{Clock, SystemClock},
    event::{RawEvent, RequestId},
    names::SourceName,
    ports::ingress::{Poison, Refused, Rejection, RejectionKind},
};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{
    consumer::Running,
    incoming::{Arrived, Readable, Unfit, Value},
    intake::{Intake, Lane, Work},
};

/// The first pause while the log takes nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// And the longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What a record on its way needs.
pub(super) struct Job {
    arrived: Arrived,
    read: Result<Readable, Unfit>,
}

impl Running {
    /// Begins the way of a record into the log.
    pub(super) fn take(self: &Arc<Self>, arrived: Arrived) {
        let read = self.consumer.mapping.read(&arrived);
        // What will not be an event has no order to keep but that of its partition.
        let key = read.as_ref().ok().and_then(|readable| readable.stated.ordering_key.clone());
        let partition = (arrived.topic.clone(), arrived.partition);
        let work = Work { offset: arrived.offset, bytes: arrived.size(), job: Job { arrived, read } };
        if let Some((lane, work)) = self.intake.take(partition, key, work) {
            let running = Arc::clone(self);
            self.handle.spawn(async move { running.work(lane, work).await });
        }
    }

    /// The records of a lane, one after the other.
    async fn work(&self, mut lane: Lane, first: Work<Job>) {
        let _alarm = Alarm(&self.intake);
        let mut next = Some(first);
        while let Some(Work { offset, bytes, job }) = next {
            next = match self.settle(&mut lane, &job).await {
                true => self.intake.done(&lane, offset, bytes),
                false => return self.intake.given_up(&lane, bytes),
            };
        }
    }

    /// Brings a record into the log or the dead letters, however long that takes; `false` where its partition is given up before.
    async fn settle(&self, lane: &mut Lane, job: &Job) -> bool {
        if self.attempt(job).await.is_ok() {
            return true;
        }
        // One asks whether it is over; the others wait for their turn.
        let _turn = tokio::select! {
            turn = self.turn.lock() => turn,
            () = lane.over() => return false,
        };
        let mut pause = FIRST_PAUSE;
        let mut is_said = false;
        loop {
            let Err(refused) = self.attempt(job).await else { break };
            if !is_said {
                let (adapter, code) = (&self.consumer.adapter, refused.code);
                warn!(ingress_adapter = %adapter, code, "records wait");
                is_said = true;
            }
            // The log says when to ask at the earliest, for those who cannot ask often.
            let wait = match refused.kind {
                RejectionKind::TooManyRequests => refused.retry_after.unwrap_or(pause),
                _ => pause,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = lane.over() => return false,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if is_said {
            info!(ingress_adapter = %self.consumer.adapter, "records go on");
        }
        true
    }

    /// One attempt; an error says that it has to be made again.
    async fn attempt(&self, job: &Job) -> Result<(), Refused> {
        let (source, rejection) = match &job.read {
            Ok(readable) => match self.inlet.source(&self.consumer.adapter, &readable.source) {
                Some(source) => match self.inlet.accept(self.event(readable, source.clone())).await {
                    Ok(_) => return Ok(()),
                    Err(rejection) => (Some(source), rejection),
                },
                None => {
                    let message = "no source of its name is taken from here".to_owned();
                    let unknown = Unfit { kind: RejectionKind::NotFound, code: "unknown_source", message };
                    (None, self.refuse(None, &unknown))
                }
            },
            Err(unfit) => {
                let source = self.consumer.mapping.source_of(&job.arrived.topic);
                let rejection = self.refuse(source.as_ref(), unfit);
                (source, rejection)
            }
        };
        match Verdict::of(&rejection.refused) {
            Verdict::PassOver => Ok(()),
            Verdict::Wait => Err(rejection.refused),
            Verdict::SetAside => self.set_aside(&job.arrived, source, rejection).await,
        }
    }

    fn event(&self, readable: &Readable, source: SourceName) -> RawEvent {
        RawEvent {
            request_id: RequestId::generate(),
            adapter: self.consumer.adapter.clone(),
            source,
            url: String::new(),
            headers: readable.headers.clone(),
            body: readable.body.clone(),
            received_at: SystemClock.now(),
            peer: None,
            stated: Some(readable.stated.clone()),
        }
    }

    fn refuse(&self, source: Option<&SourceName>, unfit: &Unfit) -> Rejection {
        let Unfit { kind, code, message } = unfit.clone();
        self.inlet.refuse(&self.consumer.adapter, source, Refused { kind, code, message, retry_after: None })
    }

    async fn set_aside(
        &self,
        arrived: &Arrived,
        source: Option<SourceName>,
        rejection: Rejection,
    ) -> Result<(), Refused> {
        let (value, value_bytes) = match &arrived.value {
            Value::Whole(value) => (Some(value.clone()), value.len()),
            Value::Absent => (None, 0),
            Value::TooLarge(bytes) => (None, *bytes),
        };
        let poison = Poison {
            adapter: self.consumer.adapter.clone(),
            source,
            origin: arrived.origin(),
            key: arrived.key.clone(),
            headers: arrived.headers.clone(),
            value,
            value_bytes,
            rejection,
        };
        self.inlet.set_aside(poison).await.map(drop)
    }
}

/// What a refusal means for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The contract wants it dropped.
    PassOver,
    /// The same record is tried again.
    Wait,
    /// It would be refused for ever.
    SetAside,
}

impl Verdict {
    fn of(refused: &Refused) -> Self {
        match refused.kind {
            RejectionKind::CoolingDown => Self::PassOver,
            RejectionKind::Unavailable | RejectionKind::TooManyRequests => Self::Wait,
            // A secret is the operator's to set, and its absence must not empty a topic into the dead letters.
            RejectionKind::Unauthorized if matches!(refused.code, "no_secret" | "unusable_secret") => Self::Wait,
            RejectionKind::Unauthorized
            | RejectionKind::Forbidden
            | RejectionKind::Malformed
            | RejectionKind::NotFound
            | RejectionKind::MethodNotAllowed
            | RejectionKind::Timeout
            | RejectionKind::TooLarge
            | RejectionKind::UpgradeRequired
            | RejectionKind::Unprocessable => Self::SetAside,
        }
    }
}

/// A lane that panics would leave its record open for ever: the membership ends instead, and the record is fetched again.
struct Alarm<'a>(&'a Intake<Job>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail("a task panicked over a record");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_waited_for_only_where_it_can_end() {
        let verdict = |kind, code| Verdict::of(&Refused { kind, code, message: String::new(), retry_after: None });
        for (kind, code) in [
            (RejectionKind::Unavailable, "log_unavailable"),
            (RejectionKind::TooManyRequests, "rate_limited"),
            (RejectionKind::Unauthorized, "no_secret"),
        ] {
            assert_eq!(verdict(kind, code), Verdict::Wait, "{code}");
        }
        for (kind, code) in [
            (RejectionKind::Unauthorized, "signature_mismatch"),
            (RejectionKind::Malformed, "malformed_body"),
            (RejectionKind::NotFound, "unknown_source"),
            (RejectionKind::TooLarge, "body_too_large"),
            (RejectionKind::Unprocessable, "refused_by_plugin"),
        ] {
            assert_eq!(verdict(kind, code), Verdict::SetAside, "{code}");
        }
        assert_eq!(verdict(RejectionKind::CoolingDown, "cooldown"), Verdict::PassOver);
    }
}
