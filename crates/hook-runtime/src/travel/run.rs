//! A job at work: a batch is read, sent, and written down in the journal; then the next one.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use hook_core::{
    Timestamp,
    event::EventId,
    job::{Job, JobEnd, JobKind, Reached, Selection, Tally, Target},
    journal::{JournalEntry, Step as JournalStep},
    names::TopicName,
    ports::log::{Append, LogError, Position},
    secret::Secrets,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Ground, TravelError,
    address::Addressing,
    jobs::{self, JobState},
    pace::{Pace, Speed},
    reader::{Chosen, Reader, Reading},
    redriven::Redriven,
    send::{self, Sender, ToUrl},
    turn,
};

/// So many events are held at once, or so many bytes of them.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 2 << 20;
/// So many parts of the log are looked through before a sign of life.
const PARTS: usize = 64;
const READ: usize = 256;

/// What an operator orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A new job.
    Start(Box<Start>),
    /// One that was interrupted goes on.
    Resume {
        /// Which.
        id: Uuid,
        /// Who orders: `user@host`.
        by: String,
    },
}

/// A new job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// What it reads.
    pub kind: JobKind,
    /// Which events.
    pub selection: Selection,
    /// Where they go.
    pub target: Target,
    /// The destinations that it can reach, as counted.
    pub reaches: Vec<String>,
    /// How many events were counted.
    pub counted: u64,
    /// The command as it was typed.
    pub command: String,
    /// Who orders: `user@host`.
    pub by: String,
}

impl Start {
    fn state(self, ground: &Ground) -> JobState {
        let (id, at) = (Uuid::now_v7(), ground.clock.now());
        let Self { kind, selection, target, reaches, counted, command, by } = self;
        let job = Job { id, kind, by, command, selection, target, reaches, counted, at };
        let reached = Reached { tails: ends(ground), ..Reached::default() };
        JobState { job, resumed: Vec::new(), reached, written_at: at, heard_at: at, end: None, is_running: true }
    }
}

/// What a job has just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    Progress(Tally),
    /// It has done everything, and that is written down.
    Finished(Tally),
}

/// What tells an event of a job from every other that it sends.
type Sent = (TopicName, EventId, Vec<String>);

/// A job at work. Dropped, it is interrupted: what it has not written down is found again when it is resumed.
pub struct Run {
    ground: Ground,
    job: Job,
    reader: Reader,
    sender: Sender,
    pace: Pace,
    batch: VecDeque<Chosen>,
    is_at_end: bool,
    /// Sent by a run that was interrupted before it could write that down.
    known: HashMap<Sent, u32>,
    tally: Tally,
}

impl Run {
    /// Begins a job, or goes on with one. From here on the journal has it.
    pub async fn begin(
        ground: Ground,
        order: Order,
        Speed { rate, at_once }: Speed,
        (to_url, secrets): (&ToUrl, &Secrets),
    ) -> Result<Self, TravelError> {
        let (state, resumed_by) = match order {
            Order::Start(start) => (start.state(&ground), None),
            Order::Resume { id, by } => (turn::unfinished(&ground, id).await?, Some(by)),
        };
        let addressing = Addressing::new(&ground.plan, &ground.log.state(), &state.job.target)?;
        let sender = match addressing.target() {
            Target::Url(url) => Sender::to_url(url, to_url, secrets, (&ground, state.job.id, at_once))?,
            Target::Same | Target::Destination(_) => Sender::Log(Arc::clone(&ground.log)),
        };
        let is_resumed = resumed_by.is_some();
        let state = match resumed_by {
            Some(by) => turn::take(&ground, state.job.id, by).await?,
            None => state,
        };
        let JobState { job, reached, .. } = state;
        let known = match (is_resumed, &sender) {
            (false, _) => HashMap::new(),
            (true, Sender::Log(_)) => sent_to_log(&ground, &reached.tails, job.id).await?,
            (true, Sender::Url(_)) => send::sent_to_url(&ground, job.id).await?,
        };
        let redriven = match job.kind {
            JobKind::Replay => None,
            JobKind::Redrive => Some(Redriven::of(&jobs::list(&ground.log, &ground.plan.journal).await?, Some(job.id))),
        };
        let Job { kind, selection, at, id, .. } = &job;
        let reading = Reading { kind: *kind, selection, at: *at, id: *id, next: &reached.next };
        let reader = Reader::begin(&ground.log, reading, addressing, redriven).await?;
        if !is_resumed {
            let first = JournalStep::JobStarted { job: Box::new(job.clone()), tails: reached.tails.clone() };
            write(&ground, job.id, vec![first]).await?;
        }
        Ok(Self {
            reader,
            sender,
            pace: Pace::new(rate),
            batch: VecDeque::new(),
            is_at_end: false,
            known,
            tally: reached.tally,
            job,
            ground,
        })
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// How many events it has in memory.
    pub fn held(&self) -> usize {
        self.batch.len()
    }

    /// Sends the next events. At most one batch is in memory.
    pub async fn step(&mut self) -> Result<Step, TravelError> {
        if self.batch.is_empty() {
            self.fill().await?;
        }
        if self.batch.is_empty() {
            return if self.is_at_end { self.finish().await } else { Ok(Step::Progress(self.tally)) };
        }
        let piece = self.pace.piece(self.sender.most()).min(self.batch.len());
        self.pace.wait_for(piece).await;
        let events: Vec<_> = self.batch.drain(..piece).collect();
        self.sender.send(events, &mut self.tally).await?;
        if self.batch.is_empty() {
            let reached = self.reached();
            write(&self.ground, self.job.id, vec![reached]).await?;
        }
        Ok(Step::Progress(self.tally))
    }

    /// Writes down that it cannot go on.
    pub async fn stopped(&mut self, error: &TravelError) {
        let end = JobEnd::Stopped { error: error.to_string() };
        let step = JournalStep::JobEnded { end, tally: self.tally };
        // Where the log is what has failed, the job is one that was interrupted.
        let _ = write(&self.ground, self.job.id, vec![step]).await;
    }

    async fn fill(&mut self) -> Result<(), LogError> {
        let most = self.pace.batch(BATCH.min(self.sender.most()));
        let mut bytes = 0;
        for _ in 0..PARTS {
            if self.is_at_end || self.batch.len() >= most || bytes >= BATCH_BYTES {
                break;
            }
            match self.reader.next().await? {
                None => self.is_at_end = true,
                Some(chosen) => {
                    for chosen in chosen {
                        if self.is_known(&chosen) {
                            self.tally.known += 1;
                        } else {
                            bytes += chosen.event.payload.bytes().len();
                            self.batch.push_back(chosen);
                        }
                    }
                }
            }
        }
        self.tally.add(self.reader.take_tally());
        Ok(())
    }

    /// Whether it was sent before the job was interrupted. One that was is known once.
    fn is_known(&mut self, chosen: &Chosen) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let sent = self.sender.identity(chosen);
        match self.known.get_mut(&sent) {
            Some(times) => {
                *times -= 1;
                if *times == 0 {
                    self.known.remove(&sent);
                }
                true
            }
            None => false,
        }
    }

    async fn finish(&mut self) -> Result<Step, TravelError> {
        let ended = JournalStep::JobEnded { end: JobEnd::Finished, tally: self.tally };
        let steps = vec![self.reached(), ended];
        write(&self.ground, self.job.id, steps).await?;
        Ok(Step::Finished(self.tally))
    }

    fn reached(&self) -> JournalStep {
        let reached = Reached { tally: self.tally, next: self.reader.next_positions(), tails: ends(&self.ground) };
        JournalStep::JobReached { reached }
    }
}

/// Writes into the journal; durable when this returns, with the time that it bears.
pub(super) async fn write(ground: &Ground, job: Uuid, steps: Vec<JournalStep>) -> Result<Timestamp, LogError> {
    let at = ground.clock.now();
    let entry = |step| JournalEntry { at, event_id: None, request_id: None, job_id: Some(job), step };
    let topic = &ground.plan.journal;
    let records = steps.into_iter().map(|step| entry(step).to_record(topic.clone())).collect();
    ground.log.append(Append { records, ..Append::default() }).await?;
    Ok(at)
}

/// Where the partitions of events end. What a job has sent and not written down stands behind that.
fn ends(ground: &Ground) -> Vec<Position> {
    let events = crate::cursors::everything(&ground.plan);
    let partitions = ground.log.state().partitions.into_iter().filter(|partition| events.matches(&partition.topic));
    let end = |partition: hook_core::ports::log::PartitionState| Position {
        topic: partition.topic,
        partition: partition.partition,
        offset: partition.end,
    };
    partitions.map(end).collect()
}

/// What a job has sent behind those places: no more than what was in memory when it was interrupted.
async fn sent_to_log(ground: &Ground, tails: &[Position], id: Uuid) -> Result<HashMap<Sent, u32>, LogError> {
    let (log, topics, tails) = (Arc::clone(&ground.log), crate::cursors::everything(&ground.plan), tails.to_vec());
    let mut scan = super::blocking(move || log.scan_from(topics, tails)).await?;
    let mut sent = HashMap::new();
    let text = id.to_string();
    loop {
        let records = scan.next(READ).await?;
        if records.is_empty() {
            return Ok(sent);
        }
        for record in &records {
            // Most are not of this job, which is seen without reading them.
            let is_near = record.header.windows(text.len()).any(|window| window == text.as_bytes());
            let Some(Ok(event)) = is_near.then(|| hook_core::envelope::Envelope::from_record(record)) else { continue };
            let Some(replay) = event.header.meta.replay.filter(|replay| replay.id == id) else { continue };
            *sent.entry((record.position.topic.clone(), event.header.id, replay.to)).or_default() += 1;
        }
    }
}
