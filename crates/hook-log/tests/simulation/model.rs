//! What was sent, what was answered, and what therefore must and must not be in the log.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hook_core::{
    Timestamp,
    names::{CursorName, Glob, TopicName},
    ports::log::{Append, Cursor, CursorState, From, LogState, NewRecord, Position, Record, TopicFilter},
};
use hook_log::WhenPinned;
use hook_testkit::log_conformance::{DEAD_LETTERS, EVENTS, JOURNAL, cursor_name, topic};

use crate::scenario::Scenario;

/// Two topics of the chain of events, and one in each of the others.
pub(crate) const TOPICS: [&str; 4] = [EVENTS, "webhooks.github", DEAD_LETTERS, JOURNAL];
/// The cursors, each with what it reads.
const CURSORS: [(&str, &str); 3] = [("app.one", EVENTS), ("app.webhooks", "webhooks.*"), ("app.all", "*")];

/// What is wrong with the log.
pub(crate) type Checked = Result<(), String>;

/// The chain of a topic, by the indexes of both.
pub(crate) fn chain_of(topic: usize) -> usize {
    topic.saturating_sub(1)
}

pub(crate) fn name_of(index: usize) -> TopicName {
    topic(TOPICS[index])
}

pub(crate) fn topic_index(name: &str) -> usize {
    TOPICS.iter().position(|topic| *topic == name).expect("only these are used")
}

/// A cursor, from the beginning.
pub(crate) fn cursor(index: usize) -> Cursor {
    let (name, glob) = CURSORS[index];
    let topics = TopicFilter { include: vec![Glob::new(glob)], unless_literal: Vec::new() };
    Cursor { name: cursor_name(name), topics, from: From::Earliest }
}

pub(crate) fn cursors() -> std::ops::Range<usize> {
    0..CURSORS.len()
}

fn cursor_index(name: &CursorName) -> usize {
    CURSORS.iter().position(|(known, _)| *known == name.as_str()).expect("only these are used")
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is not answered yet.
    Open,
    Stored(Vec<Position>),
    CopyOf([u8; 16]),
    /// Refused in this generation: until the next crash nobody sees it.
    Refused(u32),
    /// Refused before anything could be written.
    Never,
    /// The process or whoever waited was gone before the answer.
    Unanswered,
}

/// An append, or a note.
pub(crate) struct Request {
    pub(crate) append: Append,
    pub(crate) fate: Fate,
    /// What it says, whatever number it has: a request that is sent again is the same event.
    pub(crate) event: u32,
    /// It is stored, at a place that nobody was told.
    pub(crate) must_exist: bool,
    is_note: bool,
    generation: u32,
    /// The ends of the topics when it was sent.
    floor: [u64; 4],
    /// The moment when it was sent.
    sent_at: u64,
    pub(crate) acked_at: u64,
    /// The cursor of its commit, and how often that had been made or forgotten.
    commit: Option<(usize, u32)>,
}

/// What is known of a cursor.
#[derive(Default)]
pub(crate) struct CursorModel {
    /// `None` where an answer is missing.
    pub(crate) exists: Option<bool>,
    /// Whether it may have been made behind what there is, by a request that nobody heard the answer of.
    pub(crate) may_begin_now: bool,
    /// Whether a change was refused: until a later one is durable, the next start may show what was refused.
    is_doubtful: bool,
    /// How many of its appends and changes are on their way.
    pub(crate) changes: u32,
    epoch: u32,
    /// All that may be done.
    may: [BTreeSet<u64>; 4],
    /// All that is done for certain, and durably.
    must: [BTreeSet<u64>; 4],
}

/// What became of a cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Made,
    Gone,
    /// It was there before.
    None,
}

/// Progress that was given to the log, which makes it durable some time.
struct Progressed {
    at: u64,
    cursor: usize,
    epoch: u32,
    topic: usize,
    offset: u64,
}

/// All that was sent and answered.
pub(crate) struct Model {
    pub(crate) requests: Vec<Request>,
    pub(crate) cursors: [CursorModel; 3],
    /// What stands where, for certain: request and index.
    slots: [BTreeMap<u64, (u32, u32)>; 4],
    /// Where the records of a request were seen.
    placed: HashMap<(u32, u32), u64>,
    /// Requests, by the keys that they have.
    claims: BTreeMap<[u8; 16], Vec<u32>>,
    /// The highest starts that were seen.
    starts: [u64; 4],
    progressed: Vec<Progressed>,
    pub(crate) generation: u32,
    moment: u64,
    /// The turn that the log has had last, from 1.
    pub(crate) step: u64,
    retains: bool,
    /// What was acknowledged last in each chain.
    last_acked: [u64; 3],
}

/// When records are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Running,
    Reopened,
    /// A bit was flipped. In a log that was closed in order, nothing may be missing even so.
    Damaged {
        is_closed: bool,
    },
}

macro_rules! must {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}
pub(crate) use must;

impl Model {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            requests: Vec::new(),
            cursors: Default::default(),
            slots: Default::default(),
            placed: HashMap::new(),
            claims: BTreeMap::new(),
            starts: [0; 4],
            progressed: Vec::new(),
            generation: 0,
            moment: 0,
            step: 1,
            retains: scenario.removes_by_bytes(),
            last_acked: [0; 3],
        }
    }

    fn now(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Where the next record of a topic will stand, as far as is known.
    pub(crate) fn end(&self, topic: usize) -> u64 {
        self.slots[topic].last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// Takes a request in that is being sent.
    pub(crate) fn send(&mut self, append: Append, event: u32, is_note: bool) -> u32 {
        let number = self.requests.len() as u32;
        let sent_at = self.now();
        for key in &append.dedup {
            self.claims.entry(key.digest).or_default().push(number);
        }
        let commit = append.commit.as_ref().map(|commit| {
            let index = cursor_index(&commit.cursor);
            for position in &commit.done {
                self.cursors[index].may[topic_index(position.topic.as_str())].insert(position.offset);
            }
            self.cursors[index].changes += 1;
            (index, self.cursors[index].epoch)
        });
        let floor = std::array::from_fn(|topic| self.end(topic));
        let fate = if is_note { Fate::Unanswered } else { Fate::Open };
        let request = Request {
            append,
            fate,
            event,
            must_exist: false,
            is_note,
            generation: self.generation,
            floor,
            sent_at,
            acked_at: 0,
            commit,
        };
        self.requests.push(request);
        number
    }

    /// An append was answered with `Stored`.
    pub(crate) fn stored(&mut self, number: u32, positions: Vec<Position>, now: Timestamp) -> Checked {
        let acked_at = self.step;
        let request = &self.requests[number as usize];
        must!(positions.len() == request.append.records.len(), "request {number} has {} places", positions.len());
        for key in &request.append.dedup {
            let first = self.claims[&key.digest].iter().find(|&&other| {
                other != number && self.is_certain(other) && expires(&self.requests[other as usize], &key.digest) > now
            });
            must!(first.is_none(), "request {number} is stored, and request {first:?} has its key");
        }
        let mut chains = BTreeSet::new();
        for (index, (position, record)) in positions.iter().zip(&request.append.records).enumerate() {
            let (of_record, offset) = (topic_index(record.topic.as_str()), position.offset);
            must!(position.topic == record.topic, "request {number} is stored in another topic");
            let floor = request.floor[of_record];
            must!(offset >= floor, "request {number} was sent after {floor} was known, and stands at {offset}");
            let before = self.slots[of_record].insert(offset, (number, index as u32));
            let same = before.is_none_or(|before| before == (number, index as u32));
            must!(same, "offset {offset} of {} was given to {before:?} and {number}", record.topic);
            self.placed.insert((number, index as u32), offset);
            chains.insert(chain_of(of_record));
        }
        for &chain in &chains {
            self.last_acked[chain] = acked_at;
        }
        let (sent_at, commit, append) = (request.sent_at, request.commit, request.append.clone());
        if let (Some((cursor, epoch)), Some(done)) = (commit, append.commit) {
            let cursor = &mut self.cursors[cursor];
            let is_atomic = chains.iter().all(|&chain| chain == 0);
            if is_atomic && cursor.epoch == epoch {
                let places = done.done.iter().map(|position| (topic_index(position.topic.as_str()), position.offset));
                places.filter(|(topic, _)| chain_of(*topic) == 0).for_each(|(topic, offset)| {
                    cursor.must[topic].insert(offset);
                });
            }
        }
        if let (Some(&chain), 1) = (chains.first(), chains.len()) {
            self.progress_is_durable(|progressed| progressed.at < sent_at && chain_of(progressed.topic) == chain);
        }
        let request = &mut self.requests[number as usize];
        (request.fate, request.acked_at) = (Fate::Stored(positions), acked_at);
        Ok(())
    }

    /// An append was answered with `DuplicateOf`.
    pub(crate) fn copied(&mut self, number: u32, id: [u8; 16], now: Timestamp) -> Checked {
        let keys = &self.requests[number as usize].append.dedup;
        let is_first = |&&other: &&u32| {
            let first = &self.requests[other as usize];
            let may_be_stored = match first.fate {
                Fate::Stored(_) | Fate::Unanswered => true,
                Fate::Refused(generation) => self.is_certain(other) || generation != self.generation,
                Fate::Open | Fate::CopyOf(_) | Fate::Never => false,
            };
            other != number && first.append.id == id && may_be_stored
        };
        let first = keys.iter().find_map(|key| {
            let holders = self.claims[&key.digest].iter();
            // Of those that are stored by one turn, none is so old that its copies are not told of it.
            let counts = |first: &Request| expires(first, &key.digest) > now || first.acked_at == self.step;
            holders.filter(|&&other| counts(&self.requests[other as usize])).find(is_first).copied()
        });
        let Some(first) = first else {
            return Err(format!("request {number} is called a copy of {id:?}, and is none"));
        };
        self.requests[first as usize].must_exist = true;
        self.requests[number as usize].fate = Fate::CopyOf(id);
        Ok(())
    }

    fn is_certain(&self, number: u32) -> bool {
        matches!(self.requests[number as usize].fate, Fate::Stored(_)) || self.placed.contains_key(&(number, 0))
    }

    /// A request's commit is not on its way any more.
    pub(crate) fn answered(&mut self, number: u32) {
        if let Some((cursor, _)) = self.requests[number as usize].commit {
            self.cursors[cursor].changes -= 1;
        }
    }

    /// Progress was given to the log with a subscription.
    pub(crate) fn committed(&mut self, cursor: usize, done: &[Position]) {
        let (at, epoch) = (self.now(), self.cursors[cursor].epoch);
        for position in done {
            let (topic, offset) = (topic_index(position.topic.as_str()), position.offset);
            self.cursors[cursor].may[topic].insert(offset);
            self.progressed.push(Progressed { at, cursor, epoch, topic, offset });
        }
    }

    fn progress_is_durable(&mut self, is_meant: impl Fn(&Progressed) -> bool) {
        for progressed in self.progressed.extract_if(.., |progressed| is_meant(progressed)) {
            let cursor = &mut self.cursors[progressed.cursor];
            if cursor.epoch == progressed.epoch && cursor.exists == Some(true) {
                cursor.must[progressed.topic].insert(progressed.offset);
            }
        }
    }

    /// All notes before that request are durable.
    pub(crate) fn flushed(&mut self, before: u32) {
        let notes = self.requests.iter_mut().take(before as usize).filter(|request| request.is_note);
        notes.filter(|note| note.generation == self.generation).for_each(|note| note.must_exist = true);
    }

    /// The log was closed in order: all progress is durable.
    pub(crate) fn closed(&mut self) {
        self.progress_is_durable(|_| true);
    }

    /// A cursor is about to be made or forgotten. Returns by what to tell that nothing else happens to it meanwhile; `None`
    /// where something does.
    pub(crate) fn changes_cursor(&mut self, index: usize) -> Option<u32> {
        let cursor = &mut self.cursors[index];
        let is_alone = cursor.changes == 0;
        cursor.changes += 1;
        cursor.epoch += 1;
        cursor.exists = None;
        cursor.must = Default::default();
        is_alone.then_some(cursor.epoch)
    }

    /// A cursor was made or forgotten, or was there before. `None` where nobody knows.
    pub(crate) fn changed_cursor(
        &mut self,
        index: usize,
        change: Option<Change>,
        alone: Option<u32>,
        state: &LogState,
    ) {
        let cursor = &mut self.cursors[index];
        cursor.changes -= 1;
        let is_alone = cursor.changes == 0 && alone == Some(cursor.epoch);
        cursor.epoch += 1;
        let change = change.filter(|_| is_alone);
        cursor.is_doubtful |= change.is_none();
        let change = change.filter(|change| *change != Change::None || !cursor.is_doubtful);
        if change != Some(Change::None) {
            cursor.must = Default::default();
        }
        let Some(change) = change else { return };
        cursor.exists = Some(change != Change::Gone);
        if change != Change::None {
            cursor.may = Default::default();
            cursor.may_begin_now = false;
            cursor.is_doubtful = false;
        }
        self.found_cursor(index, state);
    }

    /// It is known again whether a cursor exists: what it may have skipped when it was made counts as done.
    fn found_cursor(&mut self, index: usize, state: &LogState) {
        let begins_now = std::mem::take(&mut self.cursors[index].may_begin_now);
        for partition in &state.partitions {
            let behind = if begins_now { partition.end } else { partition.start };
            self.cursors[index].may[topic_index(partition.topic.as_str())].extend(0..behind);
        }
    }

    /// A cursor that begins behind what there is.
    pub(crate) fn begins_now(&mut self, index: usize, state: &LogState) {
        for partition in &state.partitions {
            self.cursors[index].may[topic_index(partition.topic.as_str())].extend(0..partition.end);
        }
    }

    /// The process is gone: nobody waits for an answer any more.
    pub(crate) fn crashed(&mut self) {
        for request in self.requests.iter_mut().filter(|request| request.fate == Fate::Open) {
            request.fate = Fate::Unanswered;
        }
        for cursor in &mut self.cursors {
            (cursor.changes, cursor.is_doubtful) = (0, false);
        }
        self.progressed.clear();
        self.generation += 1;
    }

    /// Looks at the bounds of the log, as often as they may have changed.
    pub(crate) fn watch(&mut self, state: &LogState) {
        for partition in &state.partitions {
            let start = &mut self.starts[topic_index(partition.topic.as_str())];
            *start = partition.start.max(*start);
        }
    }

    /// Events that are stored more than once.
    pub(crate) fn duplicates(&self) -> u64 {
        let stored: HashSet<u32> = self.slots.iter().flat_map(BTreeMap::values).map(|(number, _)| *number).collect();
        let events: HashSet<u32> = stored.iter().map(|number| self.requests[*number as usize].event).collect();
        (stored.len() - events.len()) as u64
    }

    /// How many requests were answered with `Stored`.
    pub(crate) fn acked(&self) -> u64 {
        self.requests.iter().filter(|request| matches!(request.fate, Fate::Stored(_))).count() as u64
    }
}

/// When a key of a request expires.
fn expires(request: &Request, digest: &[u8; 16]) -> Timestamp {
    let key = request.append.dedup.iter().find(|key| key.digest == *digest);
    key.map_or(Timestamp::MIN, |key| key.expires_at)
}

impl Model {
    /// Checks every record that the log shows.
    pub(crate) fn check_records(
        &mut self,
        records: &[Record],
        state: &LogState,
        when: When,
        scenario: &Scenario,
        now: Timestamp,
    ) -> Checked {
        self.watch(state);
        let mut next = [0; 4];
        for partition in &state.partitions {
            next[topic_index(partition.topic.as_str())] = partition.start;
        }
        let starts = next;
        let mut found: BTreeMap<u32, Vec<Option<u64>>> = BTreeMap::new();
        for record in records {
            let of_record = topic_index(record.position.topic.as_str());
            let (place, offset) = (&record.position, record.position.offset);
            must!(offset == next[of_record], "{place:?} comes where {} is next", next[of_record]);
            next[of_record] += 1;
            let (number, index) = self.recognise(record)?;
            let request = &self.requests[number as usize];
            let places = found.entry(number).or_insert_with(|| vec![None; request.append.records.len()]);
            let first = places[index as usize].replace(offset);
            must!(first.is_none(), "record {number}.{index} stands at {first:?} and at {offset} of {of_record}");
            match &request.fate {
                Fate::CopyOf(_) | Fate::Never => return Err(format!("{place:?} holds {number}: {:?}", request.fate)),
                Fate::Refused(generation) if when == When::Running && *generation == self.generation => {
                    return Err(format!("{place:?} shows request {number}, which was refused"));
                }
                _ => {}
            }
            let before = self.slots[of_record].insert(offset, (number, index));
            let same = before.is_none_or(|before| before == (number, index));
            must!(same, "{place:?} held {before:?} and holds {number}.{index}");
            let before = self.placed.insert((number, index), offset);
            must!(before.is_none_or(|before| before == offset), "{number}.{index} moved from {before:?} to {place:?}");
        }
        for partition in &state.partitions {
            let (name, end) = (&partition.topic, next[topic_index(partition.topic.as_str())]);
            must!(partition.end == end, "{name} ends at {}, and its last record is before {end}", partition.end);
        }
        self.check_whole(&found)?;
        self.check_present(&next, when)?;
        self.check_removed(&starts, scenario, now)?;
        if starts == [0; 4] && !matches!(when, When::Damaged { .. }) {
            let lost =
                self.requests.iter().position(|request| request.must_exist && !found.contains_key(&request.number()));
            must!(lost.is_none(), "request {lost:?} was said to be stored, and is not there");
        }
        Ok(())
    }

    /// The request that a record comes from, after a look at every byte of it.
    fn recognise(&self, record: &Record) -> Result<(u32, u32), String> {
        let place = &record.position;
        let text = str::from_utf8(&record.header).map_err(|_| format!("{place:?} has another header"))?;
        let parts = text.split_once('.').and_then(|(number, index)| Some((number.parse().ok()?, index.parse().ok()?)));
        let (number, index): (u32, u32) = parts.ok_or_else(|| format!("{place:?} has another header"))?;
        let request = self.requests.get(number as usize).ok_or_else(|| format!("{place:?}: nobody sent {number}"))?;
        let sent =
            request.append.records.get(index as usize).ok_or_else(|| format!("{place:?}: nobody sent {text}"))?;
        let is_same = |sent: &NewRecord| {
            sent.topic == record.position.topic
                && sent.key == record.key
                && sent.time == record.time
                && sent.header == record.header
                && sent.body == record.body
        };
        must!(is_same(sent), "{place:?} is not what was sent as {text}: {record:?}");
        Ok((number, index))
    }

    /// Of the records of a request that go to one chain, there are all or none, and those of a topic are neighbours.
    fn check_whole(&self, found: &BTreeMap<u32, Vec<Option<u64>>>) -> Checked {
        for (number, places) in found {
            let records = &self.requests[*number as usize].append.records;
            let topics: Vec<_> = records.iter().map(|record| topic_index(record.topic.as_str())).collect();
            for chain in 0..3 {
                let here = topics.iter().zip(places).filter(|(topic, _)| chain_of(**topic) == chain);
                let (there, all) =
                    here.fold((0, 0), |(there, all), (_, place)| (there + u32::from(place.is_some()), all + 1));
                must!(there == 0 || there == all, "{there} of {all} records of request {number} are in chain {chain}");
            }
            for topic in 0..TOPICS.len() {
                let here: Vec<_> =
                    topics.iter().zip(places).filter(|(of, _)| **of == topic).filter_map(|(_, place)| *place).collect();
                let are_neighbours = here.windows(2).all(|pair| pair[1] == pair[0] + 1);
                must!(are_neighbours, "the records of request {number} stand at {here:?}");
            }
        }
        Ok(())
    }

    /// What must be there is. Records were already compared with what is known of their places.
    fn check_present(&mut self, ends: &[u64; 4], when: When) -> Checked {
        for (topic, &end) in ends.iter().enumerate() {
            let missing: Vec<_> =
                self.slots[topic].range(end..).map(|(offset, (number, _))| (*offset, *number)).collect();
            for (offset, number) in missing {
                let request = &self.requests[number as usize];
                let is_last = request.acked_at == 0 || request.acked_at >= self.last_acked[chain_of(topic)];
                let is_excused = when == When::Damaged { is_closed: false } && is_last;
                must!(is_excused, "{} ends at {end}: {offset} is lost, {number} is {:?}", TOPICS[topic], request.fate);
            }
        }
        Ok(())
    }

    /// What is gone may be gone.
    fn check_removed(&self, starts: &[u64; 4], scenario: &Scenario, now: Timestamp) -> Checked {
        for (topic, &start) in starts.iter().enumerate() {
            if !self.retains {
                for (offset, (number, index)) in self.slots[topic].range(..start) {
                    let time = self.requests[*number as usize].append.records[*index as usize].time;
                    let age = now.duration_since(time).unsigned_abs();
                    must!(
                        age > scenario.retention.max_age,
                        "{offset} of {} is gone at the age of {age:?}",
                        TOPICS[topic]
                    );
                }
            }
            let drops = scenario.max_pinned.is_some() && scenario.when_pinned == WhenPinned::DropOldest;
            if !scenario.pins || drops {
                continue;
            }
            for (index, model) in self.cursors.iter().enumerate().filter(|(_, model)| model.exists == Some(true)) {
                if cursor(index).topics.matches(&name_of(topic)) {
                    let open = (0..start).find(|offset| !model.may[topic].contains(offset));
                    must!(open.is_none(), "{open:?} of {} is gone, and cursor {index} has not done it", TOPICS[topic]);
                }
            }
        }
        Ok(())
    }

    /// Checks cursors after a start, and learns which exist.
    pub(crate) fn check_cursors(&mut self, state: &LogState) -> Checked {
        for index in cursors() {
            let name = cursor(index).name;
            let found = state.cursors.iter().find(|cursor| cursor.name == name);
            let expected = self.cursors[index].exists;
            must!(expected.is_none_or(|exists| exists == found.is_some()), "cursor {name} exists: {}", found.is_some());
            if expected.is_none() {
                self.cursors[index].exists = Some(found.is_some());
                self.found_cursor(index, state);
            }
            if let Some(found) = found {
                self.check_progress(index, found)?;
            }
        }
        Ok(())
    }

    fn check_progress(&self, index: usize, found: &CursorState) -> Checked {
        let model = &self.cursors[index];
        for progress in &found.partitions {
            let topic = topic_index(progress.topic.as_str());
            let start = self.starts[topic];
            let ahead = (start..progress.watermark).find(|offset| !model.may[topic].contains(offset));
            must!(ahead.is_none(), "cursor {index} is ahead: {ahead:?} of {} was not delivered", TOPICS[topic]);
            let above = model.may[topic].range(progress.watermark..).count() as u64;
            must!(progress.done_above <= above, "cursor {index} is ahead in {}: {progress:?}", TOPICS[topic]);
        }
        Ok(())
    }

    /// Checks what a cursor still delivers.
    pub(crate) fn check_delivered(&self, index: usize, delivered: &[Record], state: &LogState) -> Checked {
        let model = &self.cursors[index];
        let mut seen: [BTreeSet<u64>; 4] = Default::default();
        for record in delivered {
            let topic = topic_index(record.position.topic.as_str());
            let offset = record.position.offset;
            self.recognise(record)?;
            let is_next = seen[topic].last().is_none_or(|last| *last < offset);
            must!(is_next, "cursor {index} delivers {:?} out of order", record.position);
            seen[topic].insert(offset);
            let is_done = model.exists == Some(true) && model.must[topic].contains(&offset);
            must!(!is_done, "cursor {index} has done {:?} durably, and delivers it again", record.position);
        }
        for partition in state.partitions.iter().filter(|known| cursor(index).topics.matches(&known.topic)) {
            let topic = topic_index(partition.topic.as_str());
            let from = partition.start.max(self.starts[topic]);
            let open = (from..partition.end)
                .find(|offset| !model.may[topic].contains(offset) && !seen[topic].contains(offset));
            must!(open.is_none(), "cursor {index} skips {open:?} of {}", TOPICS[topic]);
        }
        Ok(())
    }
}

impl Request {
    fn number(&self) -> u32 {
        u32::from_le_bytes(self.append.id[..4].try_into().expect("four bytes"))
    }

    /// Whether somebody who sent it would send it again.
    pub(crate) fn wants_retry(&self) -> bool {
        !self.is_note && matches!(self.fate, Fate::Unanswered | Fate::Refused(_))
    }
}
