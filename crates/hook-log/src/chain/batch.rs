//! Decides what goes into the next batch: what is stored, who is a copy of whom, and where each record gets its place.

use std::collections::{BTreeMap, HashMap, HashSet};

use hook_core::{
    names::{CursorName, TopicName},
    ports::log::{Append, Appended, Commit, LogError, NewRecord, Position},
    progress::Ranges,
};
use tokio::sync::oneshot;

use super::request::{AppendRequest, CursorStart, MakeCursor, Request};
use crate::{format::Encoder, state::State};

/// A batch before it is written. Nothing of it is anywhere else until it is durable.
#[derive(Default)]
pub(super) struct Batch {
    stored: Vec<Stored>,
    /// Appends that wait for the fate of one in `stored`.
    copies: Vec<(usize, AppendRequest)>,
    fresh: HashMap<[u8; 16], usize>,
    made: Vec<MakeCursor>,
    gone: Vec<(CursorName, oneshot::Sender<Result<(), LogError>>)>,
    /// Cursors that this batch makes or forgets.
    changed: HashSet<CursorName>,
    notes: Vec<NewRecord>,
    ends: HashMap<TopicName, u64>,
    /// Requests that must see the outcome of this batch first.
    pub(super) later: Vec<Request>,
    pub(super) bytes: u64,
}

struct Stored {
    append: Append,
    answer: oneshot::Sender<Result<Appended, LogError>>,
    positions: Vec<Position>,
}

/// What decides.
pub(super) struct Known<'a> {
    pub(super) state: &'a State,
    /// Why appends without a commit are refused.
    pub(super) blocked: Option<&'a str>,
}

impl Batch {
    /// Takes a request in, or answers it at once.
    pub(super) fn add(&mut self, request: Request, known: &Known<'_>) {
        match request {
            Request::Append(request) => self.add_append(request, known),
            Request::MakeCursor(cursor) => {
                if self.changed.contains(&cursor.name) {
                    self.later.push(Request::MakeCursor(cursor));
                } else if known.state.cursors.contains_key(&cursor.name) {
                    let _ = cursor.answer.send(Ok(false));
                } else {
                    self.changed.insert(cursor.name.clone());
                    self.made.push(cursor);
                }
            }
            Request::DropCursor { name, answer } => {
                if self.changed.contains(&name) {
                    self.later.push(Request::DropCursor { name, answer });
                } else if known.state.cursors.contains_key(&name) {
                    self.changed.insert(name.clone());
                    self.gone.push((name, answer));
                } else {
                    let _ = answer.send(Ok(()));
                }
            }
        }
    }

    fn add_append(&mut self, request: AppendRequest, known: &Known<'_>) {
        let append = &request.append;
        if let Some(commit) = &append.commit {
            if self.changed.contains(&commit.cursor) {
                self.later.push(Request::Append(request));
                return;
            }
            if !known.state.cursors.contains_key(&commit.cursor) {
                let error = LogError::NoCursor(commit.cursor.clone());
                let _ = request.answer.send(Err(error));
                return;
            }
        }
        if let Some(first) = append.dedup.iter().find_map(|key| self.fresh.get(&key.digest).copied()) {
            self.copies.push((first, request));
            return;
        }
        let needs_room = append.commit.is_none() && !append.records.is_empty();
        if let Some(why) = known.blocked.filter(|_| needs_room) {
            let _ = request.answer.send(Err(LogError::Unavailable(why.to_owned())));
            return;
        }
        let index = self.stored.len();
        self.fresh.extend(append.dedup.iter().map(|key| (key.digest, index)));
        self.bytes += append.records.iter().map(size).sum::<u64>();
        let AppendRequest { append, answer } = request;
        self.stored.push(Stored { append, answer, positions: Vec::new() });
    }

    pub(super) fn add_notes(&mut self, notes: Vec<NewRecord>) {
        self.bytes += notes.iter().map(size).sum::<u64>();
        self.notes = notes;
    }

    /// Whether there is nothing that somebody waits for.
    pub(super) fn is_empty(&self) -> bool {
        self.stored.is_empty() && self.made.is_empty() && self.gone.is_empty() && self.notes.is_empty()
    }

    /// Writes the frames, and gives each record its place. `ends` are those of the state.
    pub(super) fn encode(&mut self, ends: &HashMap<TopicName, u64>, batch: &mut Encoder<'_>) {
        for Stored { append, positions, .. } in &mut self.stored {
            positions.reserve_exact(append.records.len());
            for record in &append.records {
                let offset = next_offset(ends, &mut self.ends, &record.topic);
                batch.data(record, 0, offset);
                positions.push(Position { topic: record.topic.clone(), partition: 0, offset });
            }
            if !append.dedup.is_empty() {
                batch.seen(append.id, &append.dedup);
            }
            if let Some(commit) = &append.commit {
                encode_commit(commit, ends, batch);
            }
        }
        for record in &self.notes {
            let offset = next_offset(ends, &mut self.ends, &record.topic);
            batch.data(record, 0, offset);
        }
        for (name, _) in &self.gone {
            batch.cursor_gone(name);
        }
        for MakeCursor { name, start, .. } in &self.made {
            batch.cursor_made(name);
            for (topic, partition, offset) in places(start, ends, &self.ends) {
                batch.progress(name, &topic, partition, &hook_core::progress::Progress::at(offset));
            }
        }
    }

    /// It is durable: answers everybody. Returns the new ends.
    pub(super) fn confirm(mut self) -> HashMap<TopicName, u64> {
        // An answer may find nobody: whoever asked has gone away, and the record is stored all the same.
        for (first, copy) in self.copies.drain(..) {
            let _ = copy.answer.send(Ok(Appended::DuplicateOf(self.stored[first].append.id)));
        }
        for Stored { answer, positions, .. } in self.stored {
            let _ = answer.send(Ok(Appended::Stored(positions)));
        }
        for MakeCursor { answer, .. } in self.made {
            let _ = answer.send(Ok(true));
        }
        for (_, answer) in self.gone {
            let _ = answer.send(Ok(()));
        }
        self.ends
    }

    /// It could not be made durable. Copies are given back: the first of them is tried as its own. Returns how many notes
    /// are lost.
    pub(super) fn reject(self, error: &LogError, again: &mut Vec<Request>) -> u64 {
        for Stored { answer, .. } in self.stored {
            let _ = answer.send(Err(error.clone()));
        }
        for MakeCursor { answer, .. } in self.made {
            let _ = answer.send(Err(error.clone()));
        }
        for (_, answer) in self.gone {
            let _ = answer.send(Err(error.clone()));
        }
        again.extend(self.copies.into_iter().map(|(_, copy)| Request::Append(copy)));
        again.extend(self.later);
        self.notes.len() as u64
    }
}

/// About as many bytes as a record takes in a segment.
pub(crate) fn size(record: &NewRecord) -> u64 {
    (64 + record.topic.as_str().len() + record.key.as_ref().map_or(0, |key| key.len())) as u64
        + (record.header.len() + record.body.len()) as u64
}

fn next_offset(ends: &HashMap<TopicName, u64>, taken: &mut HashMap<TopicName, u64>, topic: &TopicName) -> u64 {
    let next = match taken.get_mut(topic) {
        Some(next) => next,
        None => taken.entry(topic.clone()).or_insert(ends.get(topic).copied().unwrap_or(0)),
    };
    let offset = *next;
    *next += 1;
    offset
}

/// What is done may lie in several partitions; each gets a frame. What does not exist cannot be done.
fn encode_commit(commit: &Commit, ends: &HashMap<TopicName, u64>, batch: &mut Encoder<'_>) {
    for ((topic, partition), mut offsets) in by_partition(&commit.done) {
        let end = ends.get(topic).copied().unwrap_or(0);
        offsets.retain(|&offset| offset < end);
        let done: Ranges = offsets.into_iter().collect();
        if !done.is_empty() {
            batch.done(&commit.cursor, topic, partition, done.iter());
        }
    }
}

/// Positions, by topic and partition.
pub(crate) fn by_partition(positions: &[Position]) -> BTreeMap<(&TopicName, u32), Vec<u64>> {
    let mut offsets: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for position in positions {
        offsets.entry((&position.topic, position.partition)).or_default().push(position.offset);
    }
    offsets
}

fn places(
    start: &CursorStart,
    ends: &HashMap<TopicName, u64>,
    taken: &HashMap<TopicName, u64>,
) -> Vec<(TopicName, u32, u64)> {
    match start {
        CursorStart::Offsets(offsets) => offsets.clone(),
        CursorStart::Ends(topics) => {
            // In order, so that the same requests always make the same batch.
            let latest: BTreeMap<_, _> = ends.iter().chain(taken).map(|(topic, end)| (topic.clone(), *end)).collect();
            latest.into_iter().filter(|(topic, _)| topics.matches(topic)).map(|(topic, end)| (topic, 0, end)).collect()
        }
    }
}
