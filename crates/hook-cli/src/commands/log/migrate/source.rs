//! The embedded log that is left: what is carried over, and what each cursor has done of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use hook_contract::plan::Plan;
use hook_core::{
    clock::SharedClock,
    names::{Glob, TopicName},
    ports::log::{Cursor, From, Log, LogError, Position, Record, Scan, TopicFilter},
    problem::Problem,
    progress::Progress,
};
use hook_log::EmbeddedLog;

use super::tally::Tally;
use crate::{pipeline, readers};

/// So many records are read at once.
const READ: usize = 256;

/// The log.
pub(super) struct Source {
    pub(super) log: Arc<EmbeddedLog>,
    pub(super) cursors: Vec<Reads>,
    dead_letters: TopicName,
    /// Those of earlier contracts, which had another name for them.
    older_dead_letters: BTreeSet<TopicName>,
    journal: TopicName,
    /// No pipeline has run on it: to the cursors that the first start makes, all of it is new.
    is_untouched: bool,
}

/// A cursor that goes with the events.
pub(super) struct Reads {
    pub(super) cursor: Cursor,
    progress: BTreeMap<(TopicName, u32), Progress>,
}

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) topics: BTreeMap<TopicName, Tally>,
    /// For each cursor, in their order: how much it has not done.
    pub(super) open: Vec<u64>,
    /// So many bytes they take in all.
    pub(super) total: Tally,
}

impl Source {
    /// Opens the log: to look at it beside a pipeline, or as its one owner.
    pub(super) async fn open(
        plan: &Plan,
        directory: &Path,
        clock: &SharedClock,
        is_owner: bool,
    ) -> Result<Self, Box<Problem>> {
        let options = pipeline::log_options(plan, directory, clock);
        let open = move || if is_owner { EmbeddedLog::open(options) } else { EmbeddedLog::open_read_only(options) };
        let log = match tokio::task::spawn_blocking(open).await {
            Ok(opened) => Arc::new(opened.map_err(|error| pipeline::not_opened(directory, &error))?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let reads = |cursor: Cursor| log.progress(&cursor.name).map(|progress| Reads { cursor, progress });
        let cursors: Vec<_> = readers::active(plan).into_iter().filter_map(reads).collect();
        let (dead_letters, journal) = (plan.dead_letters.clone(), plan.journal.clone());
        let mut older_dead_letters: BTreeSet<_> = log.dead_letter_topics().into_keys().collect();
        older_dead_letters.remove(&dead_letters);
        let is_untouched = cursors.is_empty();
        Ok(Self { log, cursors, dead_letters, older_dead_letters, journal, is_untouched })
    }

    /// The topic on Kafka: dead letters go where the contract has them now.
    pub(super) fn target<'a>(&'a self, topic: &'a TopicName) -> &'a TopicName {
        if self.older_dead_letters.contains(topic) { &self.dead_letters } else { topic }
    }

    /// Whether the cursor of that number reads what stands there, and has not done it.
    pub(super) fn is_open(&self, cursor: usize, position: &Position) -> bool {
        let Position { topic, partition, offset } = position;
        let Reads { cursor, progress } = &self.cursors[cursor];
        let is_done = || progress.get(&(topic.clone(), *partition)).is_some_and(|progress| progress.is_done(*offset));
        cursor.topics.matches(topic) && !self.older_dead_letters.contains(topic) && !is_done()
    }

    /// Whether what stands there goes along: dead letters, and what some cursor has not done.
    pub(super) fn is_carried(&self, position: &Position) -> bool {
        self.is_untouched
            || *self.target(&position.topic) == self.dead_letters
            || (0..self.cursors.len()).any(|cursor| self.is_open(cursor, position))
    }

    /// Topics that stay behind because nothing in the contract reads them, and how many records each has.
    pub(super) fn unread(&self) -> BTreeMap<TopicName, u64> {
        let is_read = |topic: &TopicName| self.cursors.iter().any(|reads| reads.cursor.topics.matches(topic));
        let mut topics = self.log.event_topics();
        topics.retain(|topic, records| *records > 0 && !self.is_untouched && !is_read(topic));
        topics
    }

    /// Reads what goes along.
    pub(super) fn read(&self) -> Result<Reading<'_>, LogError> {
        let everything = TopicFilter { include: vec![Glob::new("*")], unless_literal: vec![self.journal.clone()] };
        Ok(Reading { source: self, scan: self.log.scan(everything, From::Earliest)? })
    }

    /// Counts what goes along; `look` sees each record.
    pub(super) async fn survey<E: std::convert::From<LogError>>(
        &self,
        mut look: impl FnMut(&Record) -> Result<(), E>,
    ) -> Result<Survey, E> {
        let mut survey = Survey { open: vec![0; self.cursors.len()], ..Survey::default() };
        let mut reading = self.read()?;
        while let Some(records) = reading.next().await? {
            for record in &records {
                look(record)?;
                survey.topics.entry(record.position.topic.clone()).or_default().add(record);
                survey.total.add(record);
                for (cursor, count) in survey.open.iter_mut().enumerate() {
                    *count += u64::from(self.is_open(cursor, &record.position));
                }
            }
        }
        // What a reader has passed over is neither counted nor carried: nobody may take it for all.
        match self.log.state().damage.first() {
            Some(damage) => Err(LogError::Damaged(damage.clone()).into()),
            None => Ok(survey),
        }
    }
}

/// What goes along, part after part.
pub(super) struct Reading<'a> {
    source: &'a Source,
    scan: Box<dyn Scan>,
}

impl Reading<'_> {
    /// The next records, maybe none of a part; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Record>>, LogError> {
        let mut records = self.scan.next(READ).await?;
        if records.is_empty() {
            return Ok(None);
        }
        records.retain(|record| self.source.is_carried(&record.position));
        Ok(Some(records))
    }
}

/// The topics on Kafka that a survey's records go to, with those that the plan names.
pub(super) fn topics(plan: &Plan, source: &Source, survey: &Survey) -> BTreeSet<TopicName> {
    let mut topics = hook_runtime::cursors::topics(plan);
    topics.remove(&plan.journal);
    topics.extend(survey.topics.keys().map(|topic| source.target(topic).clone()));
    topics
}
