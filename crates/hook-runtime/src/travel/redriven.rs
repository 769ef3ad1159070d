//! Whether a dead letter was redriven, or an event replayed. Nothing is written beside it: a job says which it is about and how far
//! it has come, and so a million of them cost the journal no more than one.

use std::{collections::HashMap, sync::Arc};

use hook_contract::plan::Taking;
use hook_core::{
    envelope::{DeadLetter, Envelope},
    job::{JobEnd, JobKind, Target},
    names::{Glob, TopicName},
    ports::log::{Log, LogError, Position},
};
use uuid::Uuid;

use super::{
    jobs::{self, JobState},
    select::Selector,
};

/// The redrives that the journal knows.
pub struct Redriven(Vec<Done>);

/// The replays that the journal knows, of those that sent to the same place.
pub(super) struct Replayed(Vec<Done>);

impl Replayed {
    /// What the newest of them have replayed there. A URL is asked for again to see what it makes of the same events.
    pub(super) fn of(jobs: &[JobState], target: &Target) -> Self {
        let same = jobs.iter().rev().filter(|state| state.job.target == *target);
        Self(same.filter_map(|state| Done::of(state, JobKind::Replay)).take(MOST_REPLAYS).collect())
    }

    /// Whether one of them has sent this event.
    pub(super) fn has(&self, event: &Envelope, position: &Position) -> bool {
        let has = |done: &Done| {
            done.topic.as_ref().is_none_or(|glob| glob.matches(position.topic.as_str()))
                && done.is_past(position)
                && done.selector.look_at_event(event) == Taking::Taken
        };
        self.0.iter().any(has)
    }
}

/// Every event is held against so many replays at most.
const MOST_REPLAYS: usize = 100;

/// What one job has done.
struct Done {
    id: Uuid,
    selector: Selector,
    /// Of events, the topics that they were stored in; those that are read where nothing is said.
    topic: Option<Glob>,
    /// The destinations that it could reach; all where it sent everything to one.
    reaches: Option<Vec<String>>,
    /// In each partition, the first letter that it has not looked at. `None` where it has finished.
    next: Option<HashMap<(TopicName, u32), u64>>,
}

impl Redriven {
    /// Reads the journal.
    pub async fn read(log: &Arc<dyn Log>, journal: &TopicName) -> Result<Self, LogError> {
        Ok(Self::of(&jobs::list(log, journal).await?, None))
    }

    /// What the jobs have redriven, but for one of them.
    pub(super) fn of(jobs: &[JobState], but: Option<Uuid>) -> Self {
        Self(
            jobs.iter()
                .filter(|state| Some(state.job.id) != but)
                .filter_map(|state| Done::of(state, JobKind::Redrive))
                .collect(),
        )
    }

    /// The job that has redriven a dead letter.
    pub fn by(&self, letter: &DeadLetter, position: &Position) -> Option<Uuid> {
        self.0.iter().find(|done| done.has(letter, position)).map(|done| done.id)
    }
}

impl Done {
    fn of(state: &JobState, kind: JobKind) -> Option<Self> {
        let job = &state.job;
        // Who sends dead letters to a URL looks at them.
        if job.kind != kind || matches!(job.target, Target::Url(_)) {
            return None;
        }
        let next = state.reached.next.iter();
        let next = next.map(|position| ((position.topic.clone(), position.partition), position.offset));
        Some(Self {
            id: job.id,
            selector: Selector::new(&job.selection, job.at).ok()?,
            topic: job.selection.topic.as_deref().map(Glob::new),
            reaches: (job.target == Target::Same).then(|| job.reaches.clone()),
            next: (state.end != Some(JobEnd::Finished)).then(|| next.collect()),
        })
    }

    fn has(&self, letter: &DeadLetter, position: &Position) -> bool {
        self.is_past(position)
            && self.reaches.as_ref().is_none_or(|reaches| reaches.contains(&letter.header.destination))
            && self.selector.look_at_letter(letter) == Taking::Taken
    }

    /// Whether it has come to that place and beyond.
    fn is_past(&self, position: &Position) -> bool {
        let is_behind = |next: &HashMap<(TopicName, u32), u64>| {
            next.get(&(position.topic.clone(), position.partition)).is_some_and(|next| position.offset < *next)
        };
        self.next.as_ref().is_none_or(is_behind)
    }
}
