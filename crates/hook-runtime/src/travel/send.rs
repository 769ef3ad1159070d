//! Where the events of a job go: into the log again, or to a URL that is no part of the contract.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hook_core::{
    event::EventId,
    job::{Tally, UrlTarget},
    journal::{JournalEntry, Step},
    names::TopicName,
    outcome::{FailureClass, Outcome},
    ports::{
        egress::{Delivery, EgressDriver},
        log::{Append, From, Log, LogError, TopicFilter},
    },
    secret::Secrets,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Ground, TravelError, reader::Chosen};
use crate::smash::back_off;

/// Attempts at one event before a job stops: the URL takes nothing then.
const ATTEMPTS: u32 = 6;
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);
const READ: usize = 256;

/// Makes the driver that posts to a URL, or says what is wrong with it.
pub type ToUrl = Arc<dyn Fn(&UrlTarget) -> Result<Arc<dyn EgressDriver>, String> + Send + Sync>;

/// Where events go.
pub(super) enum Sender {
    /// Into the log, from which their destinations read them.
    Log(Arc<dyn Log>),
    /// To a URL, one after the other.
    Url(Box<Url>),
}

pub(super) struct Url {
    driver: Arc<dyn EgressDriver>,
    secrets: Secrets,
    shown: String,
    ground: Ground,
    job: Uuid,
    random: fastrand::Rng,
}

impl Sender {
    pub(super) fn to_url(
        url: &UrlTarget,
        driver: &ToUrl,
        secrets: &Secrets,
        ground: &Ground,
        job: Uuid,
    ) -> Result<Self, TravelError> {
        let (shown, driver) = (url.shown(), driver(url).map_err(TravelError::Refused)?);
        let (secrets, ground) = (Arc::clone(secrets), ground.clone());
        let random = fastrand::Rng::with_seed(job.as_u64_pair().1);
        Ok(Self::Url(Box::new(Url { driver, secrets, shown, ground, job, random })))
    }

    /// What tells an event from every other of its job.
    pub(super) fn identity(&self, chosen: &Chosen) -> (TopicName, EventId, Vec<String>) {
        let id = chosen.event.header.id;
        match self {
            Self::Log(_) => (chosen.addressed.topic.clone(), id, chosen.addressed.to.clone()),
            Self::Url(url) => (url.ground.plan.journal.clone(), id, Vec::new()),
        }
    }

    /// Sends events; when this returns they are durable, or taken.
    pub(super) async fn send(&mut self, events: Vec<Chosen>, tally: &mut Tally) -> Result<(), TravelError> {
        match self {
            Self::Log(log) => {
                let sent = events.len() as u64;
                let record = |chosen: Chosen| chosen.event.to_record(chosen.addressed.topic);
                let records = events.into_iter().map(record).collect();
                log.append(Append { records, ..Append::default() }).await?;
                tally.sent += sent;
            }
            Self::Url(url) => {
                for chosen in events {
                    url.send(&chosen, tally).await?;
                }
            }
        }
        Ok(())
    }
}

impl Url {
    async fn send(&mut self, chosen: &Chosen, tally: &mut Tally) -> Result<(), TravelError> {
        for attempt in 1.. {
            let began = Instant::now();
            let delivery = Delivery { envelope: &chosen.event, attempt, secrets: &self.secrets, place: None };
            let failure = match self.driver.deliver(delivery).await {
                Outcome::Delivered { answer } => {
                    tally.sent += 1;
                    self.note(chosen.event.header.id, answer, began);
                    break;
                }
                Outcome::Failed(failure) => failure,
            };
            if failure.class == FailureClass::Rejected {
                tally.refused += 1;
                self.note(chosen.event.header.id, format!("refused: {}", failure.error), began);
                break;
            }
            if attempt >= ATTEMPTS || failure.class == FailureClass::Misconfigured {
                let message =
                    format!("{} does not take event {}: {}", self.shown, chosen.event.header.id, failure.error);
                return Err(TravelError::Undelivered(message));
            }
            let wait = back_off(BASE, CAP, attempt, &mut self.random).max(failure.retry_after.unwrap_or_default());
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Also how a job that is resumed knows what it has sent.
    fn note(&self, event_id: EventId, answer: String, began: Instant) {
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let entry = JournalEntry {
            at: self.ground.clock.now(),
            event_id: Some(event_id),
            request_id: None,
            job_id: Some(self.job),
            step: Step::SentTo { url: self.shown.clone(), answer, took_ms },
        };
        self.ground.log.note(entry.to_record(self.ground.plan.journal.clone()));
    }
}

/// What a job has sent to its URL since it last wrote down how far it had come.
pub(super) async fn sent_to_url(
    ground: &Ground,
    id: Uuid,
) -> Result<HashMap<(TopicName, EventId, Vec<String>), u32>, LogError> {
    let journal = ground.plan.journal.clone();
    let (log, topics) = (Arc::clone(&ground.log), TopicFilter::only(&journal));
    let mut scan = super::blocking(move || log.scan(topics, From::Earliest)).await?;
    let mut sent = HashMap::new();
    let text = id.to_string();
    loop {
        let records = scan.next(READ).await?;
        if records.is_empty() {
            return Ok(sent);
        }
        for record in &records {
            if !record.header.windows(text.len()).any(|window| window == text.as_bytes()) {
                continue;
            }
            let Ok(entry) = JournalEntry::from_record(record) else { continue };
            match (entry.job_id == Some(id), entry.event_id, entry.step) {
                (true, Some(event_id), Step::SentTo { .. }) => {
                    *sent.entry((journal.clone(), event_id, Vec::new())).or_default() += 1;
                }
                (true, None, Step::JobReached { .. }) => sent.clear(),
                _ => {}
            }
        }
    }
}
