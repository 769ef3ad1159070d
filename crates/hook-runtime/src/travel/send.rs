//! Where the events of a job go: into the log again, or to a URL that is no part of the contract.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
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
/// Events of each of those that go at once, between two signs of life.
const ROUNDS: usize = 16;

/// Makes the driver that posts to a URL, or says what is wrong with it.
pub type ToUrl = Arc<dyn Fn(&UrlTarget) -> Result<Arc<dyn EgressDriver>, String> + Send + Sync>;

/// Where events go.
pub(super) enum Sender {
    /// Into the log, from which their destinations read them.
    Log(Arc<dyn Log>),
    /// To a URL, some at once.
    Url(Box<Url>),
}

pub(super) struct Url {
    driver: Arc<dyn EgressDriver>,
    secrets: Secrets,
    shown: String,
    ground: Ground,
    job: Uuid,
    at_once: NonZeroUsize,
}

impl Sender {
    pub(super) fn to_url(
        url: &UrlTarget,
        driver: &ToUrl,
        secrets: &Secrets,
        (ground, job, at_once): (&Ground, Uuid, NonZeroUsize),
    ) -> Result<Self, TravelError> {
        let (shown, driver) = (url.shown(), driver(url).map_err(TravelError::Refused)?);
        let (secrets, ground) = (Arc::clone(secrets), ground.clone());
        Ok(Self::Url(Box::new(Url { driver, secrets, shown, ground, job, at_once })))
    }

    /// So many events are sent before a sign of life: a URL may be slow.
    pub(super) fn most(&self) -> usize {
        match self {
            Self::Log(_) => usize::MAX,
            Self::Url(url) => url.at_once.get().saturating_mul(ROUNDS),
        }
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
            Self::Url(url) => url.send_all(events, tally).await?,
        }
        Ok(())
    }
}

impl Url {
    /// Sends some at once, those of one key one after the other. Where one is not taken, what is under way ends first, so that it is
    /// known when the job goes on.
    async fn send_all(&self, events: Vec<Chosen>, tally: &mut Tally) -> Result<(), TravelError> {
        let (is_over, mut error) = (AtomicBool::new(false), None);
        let lanes = lanes(events, self.at_once);
        let sends = stream::iter(lanes.into_iter().map(|lane| self.send_lane(lane, &is_over)));
        let mut sends = sends.buffer_unordered(self.at_once.get());
        while let Some((sent, ended)) = sends.next().await {
            tally.add(sent);
            error = error.or(ended.err());
        }
        error.map_or(Ok(()), Err)
    }

    async fn send_lane(&self, lane: Vec<Chosen>, is_over: &AtomicBool) -> (Tally, Result<(), TravelError>) {
        let mut tally = Tally::default();
        for chosen in lane {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            if let Err(error) = self.send(&chosen, &mut tally).await {
                is_over.store(true, Ordering::Relaxed);
                return (tally, Err(error));
            }
        }
        (tally, Ok(()))
    }

    async fn send(&self, chosen: &Chosen, tally: &mut Tally) -> Result<(), TravelError> {
        let id = chosen.event.header.id;
        let mut random = fastrand::Rng::with_seed(Uuid::from_bytes(id.to_bytes()).as_u64_pair().1);
        for attempt in 1.. {
            let began = Instant::now();
            let delivery = Delivery { envelope: &chosen.event, attempt, secrets: &self.secrets, place: None };
            let failure = match self.driver.deliver(delivery).await {
                Outcome::Delivered { answer } => {
                    tally.sent += 1;
                    self.note(id, answer, began);
                    break;
                }
                Outcome::Failed(failure) => failure,
            };
            if failure.class == FailureClass::Rejected {
                tally.refused += 1;
                self.note(id, format!("refused: {}", failure.error), began);
                break;
            }
            if attempt >= ATTEMPTS || failure.class == FailureClass::Misconfigured {
                let message = format!("{} does not take event {id}: {}", self.shown, failure.error);
                return Err(TravelError::Undelivered(message));
            }
            let wait = back_off(BASE, CAP, attempt, &mut random).max(failure.retry_after.unwrap_or_default());
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

/// What goes one after the other: all, or what has the same ordering key, in the order of the first of each.
fn lanes(events: Vec<Chosen>, at_once: NonZeroUsize) -> Vec<Vec<Chosen>> {
    if at_once == NonZeroUsize::MIN {
        return vec![events];
    }
    let mut lanes: Vec<Vec<Chosen>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for chosen in events {
        let key = chosen.event.header.meta.route_key.clone();
        let next = lanes.len();
        match key.map(|key| *places.entry(key).or_insert(next)).filter(|place| *place < next) {
            Some(place) => lanes[place].push(chosen),
            None => lanes.push(vec![chosen]),
        }
    }
    lanes
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
