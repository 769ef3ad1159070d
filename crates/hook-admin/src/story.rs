//! The story of one event or request: where it is stored, what was tried, how it stands with each destination.

mod routes;

use std::sync::Arc;

use hook_contract::plan::{Plan, SmashRoute};
use hook_core::{
    Timestamp,
    envelope::{EventHeader, Replay},
    event::{EventId, RequestId},
    job::Job,
    journal::{JournalEntry, Step},
    names::{CursorName, TopicName},
    ports::log::{Log, LogError, LogState, Position, Record, TopicFilter},
};
use serde::{Deserialize, Serialize};

use crate::query::{self, OwnTopics, StoredEvent};

/// What is known about an id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Story {
    /// It names an event.
    Event(Box<EventStory>),
    /// It names a request that became no event.
    Request(RequestStory),
}

/// What happened to an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventStory {
    /// The event without its payload.
    #[serde(flatten)]
    pub header: EventHeader,
    /// The scheme by which its sender has proven itself; `None` where the contract no longer has the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// Where it is stored: one place a topic, and one more for each replay.
    pub stored: Vec<Position>,
    /// The topic that the relay has brought it into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relayed_into: Option<TopicName>,
    /// What each route makes of it, by the contract in force now: it need not be that by which it was routed.
    #[serde(default)]
    pub routes: Vec<RouteStory>,
    /// The times that an operator sent it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<ReplayStory>,
    /// What happened to it, oldest first.
    pub steps: Vec<JournalEntry>,
    /// How it stands with each destination that takes it.
    pub destinations: Vec<DestinationStory>,
}

/// What a route makes of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStory {
    /// `serve` or `smash`.
    pub side: Side,
    /// Its id.
    pub route: String,
    /// Whether it takes the event.
    pub takes: bool,
    /// Why, or why not.
    pub reason: String,
}

/// On which side of the log a route is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Into the log.
    Serve,
    /// Out of it.
    Smash,
}

/// An operator sent an event again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayStory {
    /// The mark that the event bears since.
    #[serde(flatten)]
    pub replay: Replay,
    /// Who, as the journal still knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The command, as the journal still knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// How an event stands with one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationStory {
    /// `route/adapter`.
    pub destination: String,
    /// How it stands.
    pub state: DeliveryState,
    /// Why, where it was not delivered: the last error, or the rule that leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Attempts that the journal still knows.
    pub attempts: u32,
    /// How long after it was received the destination's first attempts began and ended.
    #[serde(flatten)]
    pub times: Times,
}

/// How long after an event was received its steps at one destination were, in milliseconds; what the journal does not know is
/// left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// It was durable by then: the destination's worker has read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_ms: Option<u64>,
    /// The first attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempt_ms: Option<i64>,
    /// The destination had it, or it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
}

/// How an event stands with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It has not been tried, or will be tried again.
    Pending,
    /// The destination has it.
    Delivered,
    /// It is in the dead letters.
    DeadLettered,
    /// A plugin has left it out, or it was given up, as the destination is not required.
    Dropped,
    /// The cursor is past it, and the journal no longer says how it ended.
    Done,
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestStory {
    /// The request.
    pub request_id: RequestId,
    /// When it was answered.
    pub at: Timestamp,
    /// The event that it is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// What became of it.
    #[serde(flatten)]
    pub step: Step,
}

/// Tells the story of an id, from the log alone; `None` where the log knows nothing of it.
pub async fn tell(plan: &Plan, log: &Arc<dyn Log>, id: EventId) -> Result<Option<Story>, LogError> {
    let own = OwnTopics { dead_letters: plan.dead_letters.clone(), journal: plan.journal.clone() };
    let stored = query::event(log, &own, id).await?;
    let entries = entries(log, &own, id).await?;
    let Some(first) = stored.first() else {
        let request_id = RequestId::from_bytes(id.to_bytes());
        let entry = entries.into_iter().find(|entry| entry.request_id == Some(request_id));
        return Ok(entry.map(of_request));
    };
    let mut header = first.event.header.clone();
    // Marks of replays are told by themselves.
    header.meta.replay = None;
    let jobs: Vec<_> = entries.iter().filter_map(job_of).cloned().collect();
    let steps: Vec<_> = entries.into_iter().filter(|entry| entry.event_id == Some(id)).collect();
    let mut replays: Vec<ReplayStory> = Vec::new();
    for replay in stored.iter().filter_map(|stored| stored.event.header.meta.replay.clone()) {
        if replays.iter().all(|told| told.replay != replay) {
            let job = jobs.iter().find(|job| job.id == replay.id);
            let (by, command) = (job.map(|job| job.by.clone()), job.map(|job| job.command.clone()));
            replays.push(ReplayStory { replay, by, command });
        }
    }
    let positions: Vec<_> = stored.iter().map(|stored| stored.position.clone()).collect();
    let state = log.state();
    let mut destinations = Vec::new();
    for route in &plan.smash.routes {
        for destination in &route.destinations {
            let name = format!("{}/{}", route.id, destination.adapter);
            let read: Vec<_> = stored.iter().filter(|stored| is_for(stored, route, &name)).collect();
            if !read.is_empty() {
                let cursor = CursorName::of_destination(&plan.app.id, &route.id, &destination.adapter);
                let read: Vec<_> = read.into_iter().map(|stored| &stored.position).collect();
                destinations.push(of_destination(name, &cursor, &read, (&header, &steps), &state));
            }
        }
    }
    let verifier = plan.sources.get(&header.source).map(|source| source.verifier_name.clone());
    let routes = routes::of(plan, &first.event, &positions);
    let relay = plan.relay.as_ref().filter(|relay| positions.iter().any(|place| relay.inputs.contains(&place.topic)));
    let relayed_into = relay.map(|relay| relay.output.clone());
    let relayed_into = relayed_into.filter(|output| positions.iter().any(|place| place.topic == *output));
    let story = EventStory { header, verifier, stored: positions, relayed_into, routes, replays, steps, destinations };
    Ok(Some(Story::Event(Box::new(story))))
}

/// Whether a destination gets what is stored there.
fn is_for(stored: &StoredEvent, route: &SmashRoute, name: &str) -> bool {
    let header = &stored.event.header;
    route.topics.matches(&stored.position.topic)
        && match header.addressees() {
            Some(to) => to.iter().any(|to| to == name),
            None => route.takes(&stored.event),
        }
}

/// The job that an entry begins.
fn job_of(entry: &JournalEntry) -> Option<&Job> {
    match &entry.step {
        Step::JobStarted { job, .. } => Some(job),
        _ => None,
    }
}

/// The story of a refusal.
pub fn of_request(entry: JournalEntry) -> Story {
    let request_id = entry.request_id.unwrap_or_else(|| RequestId::from_bytes([0; 16]));
    Story::Request(RequestStory { request_id, at: entry.at, event_id: entry.event_id, step: entry.step })
}

fn of_destination(
    destination: String,
    cursor: &CursorName,
    read: &[&Position],
    (header, steps): (&EventHeader, &[JournalEntry]),
    state: &LogState,
) -> DestinationStory {
    let is_past = read.iter().all(|position| is_past(state, cursor, position));
    let Told { last, ended, reason, attempts, times } = told(&destination, header.received_at, steps);
    // Each place that the event stands in, a replay's too, ends once.
    let state = match last {
        Some(last) if is_past || ended >= read.len() => last,
        None if is_past => DeliveryState::Done,
        _ => DeliveryState::Pending,
    };
    let reason = reason.filter(|_| !matches!(state, DeliveryState::Delivered | DeliveryState::Done));
    DestinationStory { destination, state, reason, attempts, times }
}

/// What the journal tells of an event at a destination.
#[derive(Default)]
struct Told {
    /// How it ended last.
    last: Option<DeliveryState>,
    /// How often it ended.
    ended: usize,
    /// What was wrong last.
    reason: Option<String>,
    attempts: u32,
    times: Times,
}

fn told(name: &str, received_at: Timestamp, steps: &[JournalEntry]) -> Told {
    let mut told = Told::default();
    let after = |at: Timestamp| i64::try_from(at.duration_since(received_at).as_millis()).ok();
    for entry in steps {
        let ended = match &entry.step {
            Step::AttemptFailed { destination, error, took_ms, read_ms, .. } if destination == name => {
                told.attempt(after(entry.at), *took_ms, *read_ms);
                told.reason = Some(error.clone());
                continue;
            }
            Step::Held { destination, error } if destination == name => {
                told.reason = Some(format!("held: {error}"));
                continue;
            }
            Step::Delivered { destination, took_ms, read_ms, .. } if destination == name => {
                told.attempt(after(entry.at), *took_ms, *read_ms);
                DeliveryState::Delivered
            }
            Step::DeadLettered { destination, error, .. } if destination == name => {
                told.reason = Some(error.clone());
                DeliveryState::DeadLettered
            }
            Step::Dropped { destination, reason } if destination == name => {
                told.reason = Some(reason.clone());
                DeliveryState::Dropped
            }
            _ => continue,
        };
        told.times.ended_ms = told.times.ended_ms.or(after(entry.at));
        told.last = Some(ended);
        told.ended += 1;
    }
    told
}

impl Told {
    fn attempt(&mut self, ended_ms: Option<i64>, took_ms: u64, read_ms: Option<u64>) {
        let began_ms = ended_ms.and_then(|ended| ended.checked_sub_unsigned(took_ms));
        self.attempts += 1;
        self.times.read_ms = self.times.read_ms.or(read_ms);
        self.times.first_attempt_ms = self.times.first_attempt_ms.or(began_ms);
    }
}

/// Whether everything up to and including the position is done, as far as the watermark tells.
fn is_past(state: &LogState, cursor: &CursorName, position: &Position) -> bool {
    let progress = state.cursors.iter().filter(|state| state.name == *cursor).flat_map(|state| &state.partitions);
    progress
        .filter(|progress| progress.topic == position.topic && progress.partition == position.partition)
        .any(|progress| progress.watermark > position.offset)
}

async fn entries(log: &Arc<dyn Log>, own: &OwnTopics, id: EventId) -> Result<Vec<JournalEntry>, LogError> {
    let mut scan = log.scan(TopicFilter::only(&own.journal), query::around(id))?;
    let key = id.to_bytes();
    let mut found = Vec::new();
    loop {
        let records = scan.next(256).await?;
        if records.is_empty() {
            return Ok(found);
        }
        let is_about =
            |record: &&Record| record.key.as_deref() == Some(key.as_slice()) || JournalEntry::is_of_job(record);
        let about = records.iter().filter(is_about);
        // Of jobs only what was asked for: how far they were at which time fills a journal.
        let about = about.filter_map(|record| JournalEntry::from_record(record).ok());
        found.extend(
            about.filter(|entry| entry.event_id.is_some() || entry.request_id.is_some() || job_of(entry).is_some()),
        );
    }
}
