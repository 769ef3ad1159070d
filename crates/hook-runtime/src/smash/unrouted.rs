//! Finds stored events that no smash route takes: counts them, and writes them to the dead letters where the policy
//! says so.

use std::{sync::Arc, time::Duration};

use hook_contract::plan::{SmashRoute, Unrouted as Policy};
use hook_core::{
    clock::SharedClock,
    envelope::{DeadLetter, DeadLetterHeader, Envelope, UNROUTED},
    names::TopicName,
    ports::log::{Append, Cursor, Log, LogError, Record},
    stop::Stop,
};
use tracing::warn;

use crate::metrics::Metrics;

const READ: usize = 256;
const PAUSE: Duration = Duration::from_secs(1);

/// A reader behind all routes.
pub(crate) struct Unrouted {
    pub(crate) cursor: Cursor,
    pub(crate) routes: Vec<SmashRoute>,
    /// The topics that the relay takes.
    pub(crate) relayed: Vec<TopicName>,
    pub(crate) policy: Policy,
    pub(crate) dead_letters: TopicName,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: SharedClock,
}

impl Unrouted {
    /// Reads until `stop`. Dead letters and progress are one after the other: a crash repeats a letter, and loses none.
    pub(crate) async fn run(&self, mut stop: Stop) -> Result<(), LogError> {
        let mut subscription = self.log.subscribe(&self.cursor)?;
        loop {
            let records = tokio::select! {
                () = &mut stop => return Ok(()),
                records = subscription.next(READ) => records?,
            };
            for record in &records {
                if let Some(letter) = self.look_at(record) {
                    self.store(letter).await;
                }
            }
            subscription.commit(records.into_iter().map(|record| record.position).collect())?;
        }
    }

    /// The dead letter of a record that no route takes, where the policy wants one.
    fn look_at(&self, record: &Record) -> Option<DeadLetter> {
        let topic = &record.position.topic;
        if self.relayed.contains(topic) {
            return None;
        }
        let mut routes = self.routes.iter().filter(|route| route.topics.matches(topic)).peekable();
        if routes.peek().is_some() && routes.clone().any(|route| route.event_filters.is_empty()) {
            return None;
        }
        let event = Envelope::from_record(record).ok()?;
        // What is sent to a destination again needs no route that takes it.
        if event.header.addressees().is_some() || routes.any(|route| route.takes(&event)) {
            return None;
        }
        self.metrics.unrouted(topic);
        (self.policy == Policy::DeadLetter).then(|| DeadLetter {
            header: DeadLetterHeader {
                failed_at: self.clock.now(),
                error: "no smash route takes it".into(),
                destination: UNROUTED.into(),
                attempts: 0,
                first_attempt_at: None,
                class: None,
                event: event.header,
            },
            payload: event.payload,
        })
    }

    async fn store(&self, letter: DeadLetter) {
        let record = letter.to_record(self.dead_letters.clone());
        self.metrics.dead_lettered(&self.dead_letters);
        while let Err(error) = self.log.append(Append::one(record.clone())).await {
            warn!(%error, "dead letter not stored yet");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
