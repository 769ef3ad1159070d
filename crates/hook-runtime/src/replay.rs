//! Sends a stored event again: it is read from the log and appended once more, past ingress and dedup.

use std::{sync::Arc, time::Duration};

use hook_contract::plan::Plan;
use hook_core::{
    Timestamp,
    envelope::{Envelope, Replay},
    event::EventId,
    names::TopicName,
    ports::log::{Append, From, Log, LogError, TopicFilter},
};
use thiserror::Error;
use uuid::Uuid;

/// Why an event could not be sent again.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// No record of the event is left.
    #[error("no event {0} is in the log")]
    NotFound(EventId),
    /// The event is stored, and no route takes it.
    #[error("no smash route takes event {0} from a topic that it is stored in")]
    NotRouted(EventId),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// An event that was sent again.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Replayed {
    /// The event, which keeps its id.
    pub event_id: EventId,
    /// Names this replay.
    pub replay_id: Uuid,
    /// Where it was appended again.
    pub topics: Vec<TopicName>,
    /// The destinations that will take it.
    pub destinations: Vec<String>,
}

/// Appends an event once more to the topics from which its destinations read.
pub async fn event(plan: &Plan, log: &Arc<dyn Log>, id: EventId, now: Timestamp) -> Result<Replayed, ReplayError> {
    let stored = find(plan, log, id).await?;
    let Some((_, event)) = stored.first() else { return Err(ReplayError::NotFound(id)) };
    let (source, event_type) = (event.header.source.clone(), event.header.event_type.clone());
    let (mut topics, mut destinations, mut records) = (Vec::new(), Vec::new(), Vec::new());
    let replay = Replay { id: Uuid::now_v7(), at: now };
    for (topic, event) in &stored {
        let routes = plan.smash.routes.iter();
        let taking = routes.filter(|route| route.topics.matches(topic) && route.takes(&source, event_type.as_str()));
        let names: Vec<_> = taking
            .flat_map(|route| route.destinations.iter().map(move |to| format!("{}/{}", route.id, to.adapter)))
            .collect();
        // An event that was replayed before is stored in its topic more than once.
        if names.is_empty() || topics.contains(topic) {
            continue;
        }
        let mut again = event.clone();
        again.header.meta.replay = Some(replay);
        records.push(again.to_record(topic.clone()));
        topics.push(topic.clone());
        destinations.extend(names);
    }
    if records.is_empty() {
        return Err(ReplayError::NotRouted(id));
    }
    log.append(Append { records, id: id.to_bytes(), ..Append::default() }).await?;
    Ok(Replayed { event_id: id, replay_id: replay.id, topics, destinations })
}

/// Every record of an event, with its topic.
async fn find(plan: &Plan, log: &Arc<dyn Log>, id: EventId) -> Result<Vec<(TopicName, Envelope)>, LogError> {
    let everything = hook_core::names::Glob::new("*");
    let unless_literal = vec![plan.dead_letters.clone(), plan.journal.clone()];
    let from = id.made_at().map_or(From::Earliest, |at| From::Time(at - Duration::from_secs(60)));
    let mut scan = log.scan(TopicFilter { include: vec![everything], unless_literal }, from)?;
    let mut found = Vec::new();
    loop {
        let records = scan.next(256).await?;
        if records.is_empty() {
            return Ok(found);
        }
        let events = records
            .iter()
            .filter_map(|record| Some((record.position.topic.clone(), Envelope::from_record(record).ok()?)));
        found.extend(events.filter(|(_, event)| event.header.id == id));
    }
}
