//! Reads what a job is about, one part of the log after the other.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use hook_contract::plan::Taking;
use hook_core::{
    Timestamp,
    envelope::{DeadLetter, Envelope, Replay},
    event::EventId,
    job::{JobKind, Selection, Tally},
    names::TopicName,
    ports::log::{From, Log, LogError, Position, Record, Scan},
};
use uuid::Uuid;

use super::{
    TravelError,
    address::{Addressed, Addressing},
    blocking,
    redriven::Redriven,
    select::Selector,
};

/// So many records are read at once.
const READ: usize = 256;
/// A record may be so much older than its event says.
const SKEW: Duration = Duration::from_secs(60);

/// An event that is sent again, and where.
pub(super) struct Chosen {
    /// With its mark of a replay.
    pub(super) event: Envelope,
    /// Where it, or its dead letter, was read.
    pub(super) position: Position,
    /// Where it goes.
    pub(super) addressed: Addressed,
}

/// What a reader reads.
pub(super) struct Reading<'a> {
    pub(super) kind: JobKind,
    pub(super) selection: &'a Selection,
    /// When the job was asked for.
    pub(super) at: Timestamp,
    /// The replay that its events are marked with.
    pub(super) id: Uuid,
    /// Where each partition goes on; empty at the beginning of a job.
    pub(super) next: &'a [Position],
}

/// A reading under way.
pub(super) struct Reader {
    scan: Box<dyn Scan>,
    kind: JobKind,
    selector: Selector,
    addressing: Addressing,
    redriven: Option<Redriven>,
    replay: (Uuid, Timestamp),
    /// The events that were asked for by their ids and have been found, each once a topic.
    found: HashSet<(EventId, TopicName)>,
    next: BTreeMap<(TopicName, u32), u64>,
    tally: Tally,
}

impl Reader {
    /// Begins. `redriven` tells which dead letters are left out.
    pub(super) async fn begin(
        log: &Arc<dyn Log>,
        reading: Reading<'_>,
        addressing: Addressing,
        redriven: Option<Redriven>,
    ) -> Result<Self, TravelError> {
        let Reading { kind, selection, at, id, next } = reading;
        let selector = Selector::new(selection, at)?;
        let topics = addressing.topics(kind, selection);
        let (scanned, starts, from) = (Arc::clone(log), next.to_vec(), from(kind, selection));
        let scan = blocking(move || match starts.is_empty() {
            true => scanned.scan(topics, from),
            false => scanned.scan_from(topics, starts),
        });
        Ok(Self {
            scan: scan.await?,
            kind,
            selector,
            addressing,
            redriven: redriven.filter(|_| !selection.again),
            replay: (id, at),
            found: HashSet::new(),
            next: next.iter().map(|at| ((at.topic.clone(), at.partition), at.offset)).collect(),
            tally: Tally::default(),
        })
    }

    /// What is chosen of the next records; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Chosen>>, LogError> {
        let records = self.scan.next(READ).await?;
        if records.is_empty() {
            return Ok(None);
        }
        Ok(Some(records.iter().filter_map(|record| self.look_at(record)).collect()))
    }

    fn look_at(&mut self, record: &Record) -> Option<Chosen> {
        let Position { topic, partition, offset } = &record.position;
        self.next.insert((topic.clone(), *partition), offset + 1);
        match self.kind {
            JobKind::Replay => self.event(record),
            JobKind::Redrive => self.letter(record),
        }
    }

    fn event(&mut self, record: &Record) -> Option<Chosen> {
        let topic = &record.position.topic;
        let event = Envelope::from_record(record).ok()?;
        if event.header.meta.replay.is_some() && !self.selector.names_events() {
            return None;
        }
        let taking = self.selector.look_at_event(&event);
        if !self.is_taken(taking) {
            return None;
        }
        if self.selector.names_events() {
            // What was replayed before stands in its topic more than once.
            let is_first = self.found.insert((event.header.id, topic.clone()));
            let is_ours = event.header.meta.replay.as_ref().is_some_and(|replay| replay.id == self.replay.0);
            if !is_first || is_ours {
                return None;
            }
        }
        let addressed = self.addressing.of_event(topic, &event);
        self.choose(event, (addressed, &record.position))
    }

    fn letter(&mut self, record: &Record) -> Option<Chosen> {
        let letter = DeadLetter::from_record(record).ok()?;
        let taking = self.selector.look_at_letter(&letter);
        if !self.is_taken(taking) {
            return None;
        }
        if self.redriven.as_ref().is_some_and(|redriven| redriven.by(&letter, &record.position).is_some()) {
            self.tally.redriven_before += 1;
            return None;
        }
        let event = Envelope { header: letter.header.event.clone(), payload: letter.payload };
        let addressed = self.addressing.of_letter(&letter.header, &event);
        self.choose(event, (addressed, &record.position))
    }

    fn is_taken(&mut self, taking: Taking) -> bool {
        self.tally.unanswered += u64::from(taking == Taking::Unanswered);
        taking == Taking::Taken
    }

    fn choose(&mut self, mut event: Envelope, (addressed, position): (Option<Addressed>, &Position)) -> Option<Chosen> {
        let Some(addressed) = addressed else {
            self.tally.without_destination += 1;
            return None;
        };
        let (id, at) = self.replay;
        event.header.meta.replay = Some(Replay { id, at, to: addressed.to.clone() });
        Some(Chosen { event, position: position.clone(), addressed })
    }

    /// What was passed over since the last call.
    pub(super) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// In each partition that it has come to, the first place that it has not read.
    pub(super) fn next_positions(&self) -> Vec<Position> {
        let next = self.next.iter();
        next.map(|((topic, partition), offset)| Position {
            topic: topic.clone(),
            partition: *partition,
            offset: *offset,
        })
        .collect()
    }
}

/// Where the records of a selection begin. The time of an event's record is when it was received.
fn from(kind: JobKind, selection: &Selection) -> From {
    let made = selection.ids.iter().map(|id| id.made_at()).collect::<Option<Vec<_>>>();
    let oldest = made.and_then(|made| made.into_iter().min());
    // A dead letter is younger than its event.
    let since = match (kind, selection.since, oldest) {
        (_, Some(since), Some(oldest)) => Some(since.max(oldest)),
        (_, since, oldest) => since.or(oldest),
    };
    since.and_then(|since| since.checked_sub(SKEW).ok()).map_or(From::Earliest, From::Time)
}
