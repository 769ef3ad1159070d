//! What an answer tells: what must be there from then on.

use std::collections::BTreeSet;

use hook_core::{
    Timestamp,
    ports::log::{LogState, Position},
};

use super::{Change, Checked, Fate, Model, Progressed, Request, chain_of, expires, must, topic_index};

impl Model {
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
        // Of a request to several chains, the answer comes with the last of them; what it put into the others is older.
        let last = if chains.len() > 1 { Some(0) } else { chains.first().copied() };
        if let Some(chain) = last {
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
            let is_of_turn = |first: &Request| first.acked_at == self.step || first.fate == Fate::Unanswered;
            let counts = |first: &Request| expires(first, &key.digest) > now || is_of_turn(first);
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
        // Only making one always takes a batch; the other answers may come from what the process knows.
        let change = change.filter(|change| *change == Change::Made || !cursor.is_doubtful);
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
    pub(super) fn found_cursor(&mut self, index: usize, state: &LogState) {
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
}
