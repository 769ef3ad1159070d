//! The story of one event or request: where it is stored, what was tried, how it stands with each destination.

use std::sync::Arc;

use hook_contract::plan::{Plan, SmashRoute};
use hook_core::{
    Timestamp,
    envelope::{EventHeader, Replay},
    event::{EventId, RequestId},
    journal::{JournalEntry, Step},
    names::CursorName,
    ports::log::{Log, LogError, LogState, Position, TopicFilter},
};
use serde::{Deserialize, Serialize};

use crate::query::{self, OwnTopics};

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
    /// Where it is stored: one place a topic, and one more for each replay.
    pub stored: Vec<Position>,
    /// The times that an operator sent it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<Replay>,
    /// What happened to it, oldest first.
    pub steps: Vec<JournalEntry>,
    /// How it stands with each destination that takes it.
    pub destinations: Vec<DestinationStory>,
}

/// How an event stands with one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationStory {
    /// `route/adapter`.
    pub destination: String,
    /// How it stands.
    pub state: DeliveryState,
    /// Attempts that the journal still knows.
    pub attempts: u32,
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
    /// It was given up, as the destination is not required.
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
    let header = first.event.header.clone();
    let steps: Vec<_> = entries.into_iter().filter(|entry| entry.event_id == Some(id)).collect();
    let mut replays: Vec<Replay> = stored.iter().filter_map(|stored| stored.event.header.meta.replay).collect();
    replays.dedup();
    let positions: Vec<_> = stored.iter().map(|stored| stored.position.clone()).collect();
    let state = log.state();
    let mut destinations = Vec::new();
    for route in plan.smash.routes.iter().filter(|route| route.takes(&header.source, header.event_type.as_str())) {
        let read: Vec<_> = positions.iter().filter(|position| route.topics.matches(&position.topic)).collect();
        if !read.is_empty() {
            destinations.extend(of_route(plan, route, &read, &steps, &state));
        }
    }
    Ok(Some(Story::Event(Box::new(EventStory { header, stored: positions, replays, steps, destinations }))))
}

/// The story of a refusal.
pub fn of_request(entry: JournalEntry) -> Story {
    let request_id = entry.request_id.unwrap_or_else(|| RequestId::from_bytes([0; 16]));
    Story::Request(RequestStory { request_id, at: entry.at, event_id: entry.event_id, step: entry.step })
}

fn of_route(
    plan: &Plan,
    route: &SmashRoute,
    read: &[&Position],
    steps: &[JournalEntry],
    state: &LogState,
) -> Vec<DestinationStory> {
    let story = |adapter| {
        let destination = format!("{}/{adapter}", route.id);
        let cursor = CursorName::of_destination(&plan.app.id, &route.id, adapter);
        let is_past = read.iter().all(|position| is_past(state, &cursor, position));
        let Told { last, ended, attempts } = told(&destination, steps);
        // Each place that the event stands in, a replay's too, ends once.
        let state = match last {
            Some(last) if is_past || ended >= read.len() => last,
            None if is_past => DeliveryState::Done,
            _ => DeliveryState::Pending,
        };
        DestinationStory { destination, state, attempts }
    };
    route.destinations.iter().map(|destination| story(&destination.adapter)).collect()
}

/// What the journal tells of an event at a destination.
#[derive(Default)]
struct Told {
    /// How it ended last.
    last: Option<DeliveryState>,
    /// How often it ended.
    ended: usize,
    attempts: u32,
}

fn told(name: &str, steps: &[JournalEntry]) -> Told {
    let mut told = Told::default();
    for entry in steps {
        let ended = match &entry.step {
            Step::AttemptFailed { destination, .. } if destination == name => {
                told.attempts += 1;
                continue;
            }
            Step::Delivered { destination, .. } if destination == name => {
                told.attempts += 1;
                DeliveryState::Delivered
            }
            Step::DeadLettered { destination, .. } if destination == name => DeliveryState::DeadLettered,
            Step::Dropped { destination, .. } if destination == name => DeliveryState::Dropped,
            _ => continue,
        };
        told.last = Some(ended);
        told.ended += 1;
    }
    told
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
        let about = records.iter().filter(|record| record.key.as_deref() == Some(key.as_slice()));
        found.extend(about.filter_map(|record| JournalEntry::from_record(record).ok()));
    }
}
