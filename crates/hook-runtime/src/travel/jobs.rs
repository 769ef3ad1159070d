//! The jobs that the journal knows.

use std::{collections::HashMap, sync::Arc};

use hook_core::{
    Timestamp,
    job::{Job, JobEnd, Reached},
    journal::{JournalEntry, Step},
    names::TopicName,
    ports::log::{From, Log, LogError, TopicFilter},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::blocking;

/// So many jobs are known, the newest.
const MOST: usize = 1000;
const READ: usize = 256;

/// A job, and how it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobState {
    /// What was asked for.
    #[serde(flatten)]
    pub job: Job,
    /// Who has it made go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<Resumed>,
    /// How far it has come.
    pub reached: Reached,
    /// When the oldest entry was written that it is known by.
    pub written_at: Timestamp,
    /// When its newest entry was written.
    pub heard_at: Timestamp,
    /// How it ended; `None` while it runs, and where it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<JobEnd>,
    /// Whether this process is at it.
    #[serde(default)]
    pub is_running: bool,
}

/// A job was made to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// Who: `user@host`.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Every job that the journal knows, oldest first.
pub async fn list(log: &Arc<dyn Log>, journal: &TopicName) -> Result<Vec<JobState>, LogError> {
    let (scanned, topics) = (Arc::clone(log), TopicFilter::only(journal));
    let mut scan = blocking(move || scanned.scan(topics, From::Earliest)).await?;
    let mut jobs = Jobs::default();
    loop {
        let records = scan.next(READ).await?;
        if records.is_empty() {
            return Ok(jobs.into_list());
        }
        let ours = records.iter().filter(|record| JournalEntry::is_of_job(record));
        ours.filter_map(|record| JournalEntry::from_record(record).ok()).for_each(|entry| jobs.take(entry));
    }
}

/// One job.
pub(super) async fn find(log: &Arc<dyn Log>, journal: &TopicName, id: Uuid) -> Result<Option<JobState>, LogError> {
    Ok(list(log, journal).await?.into_iter().find(|state| state.job.id == id))
}

#[derive(Default)]
struct Jobs(HashMap<Uuid, JobState>);

impl Jobs {
    fn take(&mut self, entry: JournalEntry) {
        let JournalEntry { at, job_id: Some(id), step, .. } = entry else { return };
        if let Step::JobStarted { job, tails } = step {
            let reached = Reached { tails, ..Reached::default() };
            // One that was written down again is no other.
            let resumed = self.0.remove(&id).map(|known| known.resumed).unwrap_or_default();
            self.0.insert(
                id,
                JobState { job: *job, resumed, reached, written_at: at, heard_at: at, end: None, is_running: false },
            );
            if self.0.len() > 2 * MOST {
                self.forget_oldest();
            }
            return;
        }
        let Some(state) = self.0.get_mut(&id) else { return };
        state.heard_at = at;
        match step {
            Step::JobResumed { by } => {
                state.end = None;
                state.resumed.push(Resumed { by, at });
            }
            Step::JobReached { reached } => state.reached = reached,
            Step::JobEnded { end, tally } => {
                state.reached.tally = tally;
                state.end = Some(end);
            }
            _ => {}
        }
    }

    fn forget_oldest(&mut self) {
        let kept = std::mem::take(self).into_list();
        self.0 = kept.into_iter().map(|state| (state.job.id, state)).collect();
    }

    fn into_list(self) -> Vec<JobState> {
        let mut jobs: Vec<_> = self.0.into_values().collect();
        jobs.sort_by_key(|state| (state.job.at, state.job.id));
        let extra = jobs.len().saturating_sub(MOST);
        jobs.drain(..extra);
        jobs
    }
}
