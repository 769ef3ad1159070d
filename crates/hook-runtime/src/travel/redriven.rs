//! Whether a dead letter was redriven. Nothing is written beside the letter: a job says which letters it is about and how far it
//! has come, and so a million of them cost the journal no more than one.

use std::{collections::HashMap, sync::Arc};

use hook_contract::plan::Taking;
use hook_core::{
    envelope::DeadLetter,
    job::{JobEnd, JobKind, Target},
    names::TopicName,
    ports::log::{Log, LogError, Position},
};
use uuid::Uuid;

use super::{
    jobs::{self, JobState},
    select::Selector,
};

/// The redrives that the journal knows.
pub struct Redriven(Vec<Done>);

/// What one redrive has done.
struct Done {
    id: Uuid,
    selector: Selector,
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
        Self(jobs.iter().filter(|state| Some(state.job.id) != but).filter_map(Done::of).collect())
    }

    /// The job that has redriven a dead letter.
    pub fn by(&self, letter: &DeadLetter, position: &Position) -> Option<Uuid> {
        self.0.iter().find(|done| done.has(letter, position)).map(|done| done.id)
    }
}

impl Done {
    fn of(state: &JobState) -> Option<Self> {
        let job = &state.job;
        // Who sends dead letters to a URL looks at them.
        if job.kind != JobKind::Redrive || matches!(job.target, Target::Url(_)) {
            return None;
        }
        let next = state.reached.next.iter();
        let next = next.map(|position| ((position.topic.clone(), position.partition), position.offset));
        Some(Self {
            id: job.id,
            selector: Selector::new(&job.selection, job.at).ok()?,
            reaches: (job.target == Target::Same).then(|| job.reaches.clone()),
            next: (state.end != Some(JobEnd::Finished)).then(|| next.collect()),
        })
    }

    fn has(&self, letter: &DeadLetter, position: &Position) -> bool {
        let is_behind = |next: &HashMap<(TopicName, u32), u64>| {
            next.get(&(position.topic.clone(), position.partition)).is_some_and(|next| position.offset < *next)
        };
        self.next.as_ref().is_none_or(is_behind)
            && self.reaches.as_ref().is_none_or(|reaches| reaches.contains(&letter.header.destination))
            && self.selector.look_at_letter(letter) == Taking::Taken
    }
}
