//! An inlet that answers what a test tells it to, and remembers what it was given.

use std::sync::{Arc, Mutex};

use hook_core::{
    BoxFuture,
    event::{EventId, RawEvent, RequestId},
    names::{AdapterId, EventType, SourceName, TopicName},
    ports::ingress::{Accepted, Inlet, Poison, Refused, Rejection, Stored},
};
use tokio::sync::Semaphore;

/// What the inlet answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The event was taken.
    Taken(Accepted),
    /// It was refused.
    Refused(Refused),
}

/// The inlet. It knows the source `github`.
pub struct FakeInlet {
    answer: Answer,
    /// An event is answered when it gets a permit.
    pub permits: Semaphore,
    /// What it has taken, in order.
    pub events: Mutex<Vec<RawEvent>>,
    /// What adapters have refused by themselves.
    pub refusals: Mutex<Vec<(Option<SourceName>, Refused)>>,
    /// Gets a permit when an event has come, before it is answered.
    pub begun: Semaphore,
}

impl FakeInlet {
    /// Answers every event so.
    pub fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            answer,
            permits: Semaphore::new(1_000_000),
            events: Mutex::default(),
            refusals: Mutex::default(),
            begun: Semaphore::new(0),
        })
    }

    /// Stores everything under one id.
    pub fn storing() -> Arc<Self> {
        Self::new(Answer::Taken(Accepted::Stored(stored())))
    }

    /// The bodies of what it has taken.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.events.lock().expect("no test panicked in here").iter().map(|event| event.body.to_vec()).collect()
    }
}

/// What it has stored.
pub fn stored() -> Stored {
    let topics = vec![TopicName::new("webhooks.github").expect("a name")];
    Stored { id: event_id(), event_type: EventType::new("push").expect("a name"), topics }
}

/// The id of every event that it stores.
pub fn event_id() -> EventId {
    EventId::from_bytes([7; 16])
}

/// The id of every request that it refuses.
pub fn request_id() -> RequestId {
    RequestId::from_bytes([9; 16])
}

impl Inlet for FakeInlet {
    fn source(&self, _: &AdapterId, name: &str) -> Option<SourceName> {
        (name == "github").then(|| SourceName::new(name).expect("a name"))
    }

    fn accept(&self, event: RawEvent) -> BoxFuture<'_, Result<Accepted, Rejection>> {
        Box::pin(async move {
            self.begun.add_permits(1);
            self.permits.acquire().await.expect("it is never closed").forget();
            self.events.lock().expect("no test panicked in here").push(event);
            match &self.answer {
                Answer::Taken(accepted) => Ok(accepted.clone()),
                Answer::Refused(refused) => Err(Rejection { refused: refused.clone(), request_id: request_id() }),
            }
        })
    }

    fn refuse(&self, _adapter: &AdapterId, source: Option<&SourceName>, refused: Refused) -> Rejection {
        self.refusals.lock().expect("no test panicked in here").push((source.cloned(), refused.clone()));
        Rejection { refused, request_id: request_id() }
    }

    fn set_aside(&self, _: Poison) -> BoxFuture<'_, Result<EventId, Refused>> {
        unreachable!("a sender of webhooks is told what is wrong")
    }
}
