//! An inlet that answers what a test tells it to, and remembers what it was given.

use std::sync::{Arc, Mutex};

use hook_core::{
    BoxFuture,
    event::{EventId, RawEvent, RequestId},
    names::{AdapterId, SourceName},
    ports::ingress::{Accepted, Inlet, Poison, Refused, Rejection},
};
use tokio::sync::Semaphore;

/// What the inlet answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Taken(Accepted),
    Refused(Refused),
}

pub(crate) struct FakeInlet {
    answer: Answer,
    /// An event is answered when it gets a permit.
    pub(crate) permits: Semaphore,
    pub(crate) events: Mutex<Vec<RawEvent>>,
    pub(crate) refusals: Mutex<Vec<(Option<SourceName>, Refused)>>,
    pub(crate) begun: Semaphore,
}

impl FakeInlet {
    pub(crate) fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            answer,
            permits: Semaphore::new(1_000_000),
            events: Mutex::default(),
            refusals: Mutex::default(),
            begun: Semaphore::new(0),
        })
    }

    /// Stores everything under one id.
    pub(crate) fn storing() -> Arc<Self> {
        Self::new(Answer::Taken(Accepted::Stored(event_id())))
    }

    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.events.lock().unwrap().iter().map(|event| event.body.to_vec()).collect()
    }
}

pub(crate) fn event_id() -> EventId {
    EventId::from_bytes([7; 16])
}

pub(crate) fn request_id() -> RequestId {
    RequestId::from_bytes([9; 16])
}

impl Inlet for FakeInlet {
    fn source(&self, _: &AdapterId, name: &str) -> Option<SourceName> {
        (name == "github").then(|| SourceName::new(name).unwrap())
    }

    fn accept(&self, event: RawEvent) -> BoxFuture<'_, Result<Accepted, Rejection>> {
        Box::pin(async move {
            self.begun.add_permits(1);
            self.permits.acquire().await.unwrap().forget();
            self.events.lock().unwrap().push(event);
            match &self.answer {
                Answer::Taken(accepted) => Ok(*accepted),
                Answer::Refused(refused) => Err(Rejection { refused: refused.clone(), request_id: request_id() }),
            }
        })
    }

    fn refuse(&self, _adapter: &AdapterId, source: Option<&SourceName>, refused: Refused) -> Rejection {
        self.refusals.lock().unwrap().push((source.cloned(), refused.clone()));
        Rejection { refused, request_id: request_id() }
    }

    fn set_aside(&self, _: Poison) -> BoxFuture<'_, Result<EventId, Refused>> {
        unreachable!("a sender of webhooks is told what is wrong")
    }
}
