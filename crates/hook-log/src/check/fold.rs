//! What a chain is, as far as it can be read: like the fold that opens a log, but it goes on behind a damage and finds out
//! which offsets are missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use hook_core::progress::Progress;

use super::walk::{Content, Fact, Guess, Hole, Place};

/// The least size of a data frame, without the name of its topic.
const LEAST_RECORD: u64 = 46;
/// The size of a frame that says what was lost, without the name of its topic.
const LOST_FRAME: u64 = 38;

/// Ends and cursors at a place of the chain.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) ends: BTreeMap<Place, u64>,
    pub(super) cursors: BTreeMap<Arc<str>, BTreeMap<Place, Progress>>,
}

/// A partition.
#[derive(Debug)]
struct Part {
    start: u64,
    end: u64,
    /// So many damages had been found when something last told its end.
    known_at: usize,
}

/// A damage, with what is needed to say what it has cost.
#[derive(Debug)]
pub(super) struct Wound {
    pub(super) holes: Vec<Hole>,
    /// Bytes in which a repair can write what is lost; `None` where it may take as many as it wants.
    room: Option<u64>,
    /// What a repair has to say anew, where the beginning of a segment is hurt.
    pub(super) snapshot: Option<Snapshot>,
    pub(super) lost: Vec<(Place, Range<u64>)>,
    /// Lost, but nobody knows how many: at most so many.
    pub(super) at_most: Vec<(Place, Range<u64>)>,
    /// Whether nothing before it tells what had been in the chain.
    is_first: bool,
}

/// The fold.
#[derive(Debug, Default)]
pub(super) struct Fold {
    parts: BTreeMap<Place, Part>,
    cursors: BTreeMap<Arc<str>, BTreeMap<Place, Progress>>,
    pub(super) wounds: Vec<Wound>,
    /// Progress in partitions whose end nothing has told yet.
    unmet: BTreeMap<Place, u64>,
    pub(super) records: u64,
    pub(super) keys: u64,
    /// Whether anything was read: only the first snapshot says where partitions begin.
    has_begun: bool,
}

/// Frames with right checksums that contradict what came before.
pub(super) struct Contradiction(pub(super) &'static str);

impl Fold {
    /// The bounds of a partition, by name.
    pub(super) fn bounds(&self) -> impl Iterator<Item = (&Place, Range<u64>)> {
        self.parts.iter().map(|(place, part)| (place, part.start..part.end))
    }

    /// Cursors with their progress.
    pub(super) fn cursors(&self) -> &BTreeMap<Arc<str>, BTreeMap<Place, Progress>> {
        &self.cursors
    }

    /// Ends and cursors now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let ends = self.parts.iter().map(|(place, part)| (place.clone(), part.end)).collect();
        Snapshot { ends, cursors: self.cursors.clone() }
    }

    /// Takes a damage in. What is kept of it is applied afterwards, with [`Fold::apply_kept`].
    pub(super) fn hurt(&mut self, holes: Vec<Hole>, room: Option<u64>, is_first: bool) -> usize {
        let (lost, at_most) = (Vec::new(), Vec::new());
        self.wounds.push(Wound { holes, room, snapshot: None, lost, at_most, is_first });
        self.wounds.len() - 1
    }

    /// Applies a whole batch.
    pub(super) fn apply(&mut self, facts: &[Fact]) -> Vec<(u64, Contradiction)> {
        if facts.iter().any(|fact| matches!(fact.content, Content::Snapshot)) {
            self.cursors.clear();
        }
        let known_at = self.wounds.len();
        let contradictions =
            facts.iter().filter_map(|fact| Some((fact.at, self.apply_fact(fact, known_at).err()?))).collect();
        self.has_begun = true;
        contradictions
    }

    /// Applies what can be read of a damage. Where the beginning of a segment is hurt, cursors are not forgotten: the
    /// frames that say them anew may be lost.
    pub(super) fn apply_kept(&mut self, facts: &[Fact], wound: usize, is_beginning: bool) -> Vec<(u64, Contradiction)> {
        let mut contradictions = Vec::new();
        let is_of_snapshot = |fact: &Fact| {
            use Content::{CursorMade, End, Progress, Snapshot};
            matches!(fact.content, Snapshot | End { .. } | CursorMade(_) | Progress { .. })
        };
        let of_snapshot = facts.iter().take_while(|fact| is_beginning && is_of_snapshot(fact)).count();
        for (index, fact) in facts.iter().enumerate() {
            if is_beginning && index == of_snapshot {
                self.wounds[wound].snapshot = Some(self.snapshot());
            }
            let applied = match &fact.content {
                // The frame of its progress may be lost: what was known before is then the best that there is.
                Content::CursorMade(cursor) if index < of_snapshot => {
                    self.cursors.entry(Arc::clone(cursor)).or_default();
                    Ok(())
                }
                _ => self.apply_fact(fact, wound),
            };
            contradictions.extend(applied.err().map(|contradiction| (fact.at, contradiction)));
        }
        if is_beginning && of_snapshot == facts.len() {
            self.wounds[wound].snapshot = Some(self.snapshot());
        }
        self.has_begun = true;
        contradictions
    }

    fn apply_fact(&mut self, fact: &Fact, known_at: usize) -> Result<(), Contradiction> {
        match &fact.content {
            Content::Record { place, offset, .. } => {
                self.records += 1;
                self.reach(place, *offset, known_at, "a record whose offset is not the next one")?;
                self.advance(place, offset + 1, known_at);
            }
            Content::End { place, end } => {
                let what = "a snapshot that contradicts the records before it";
                if self.has_begun {
                    self.reach(place, *end, known_at, what)?;
                } else {
                    self.parts.insert(place.clone(), Part { start: *end, end: *end, known_at });
                }
                self.advance(place, *end, known_at);
            }
            Content::Lost { place, offsets } => {
                self.reach(place, offsets.start, known_at, "lost records whose offsets are not the next ones")?;
                self.advance(place, offsets.end, known_at);
            }
            Content::Seen { keys } => self.keys += keys,
            Content::Done { cursor, place, ranges } => {
                let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
                self.cover(place, end, known_at)?;
                let start = self.parts.get(place).map_or(0, |part| part.start);
                let progress = self.cursors.entry(Arc::clone(cursor)).or_default();
                let progress = progress.entry(place.clone()).or_insert_with(|| Progress::at(start));
                ranges.iter().for_each(|range| progress.finish(range.clone()));
            }
            Content::Progress { cursor, place, progress } => {
                let end = progress.above().iter().map(|range| range.end).fold(progress.watermark(), u64::max);
                self.cover(place, end, known_at)?;
                self.cursors.entry(Arc::clone(cursor)).or_default().insert(place.clone(), progress.clone());
            }
            Content::CursorMade(cursor) => {
                self.cursors.insert(Arc::clone(cursor), BTreeMap::new());
            }
            Content::CursorGone(cursor) => {
                self.cursors.remove(cursor);
            }
            Content::Snapshot | Content::Filler => {}
        }
        Ok(())
    }

    /// Something tells that a partition has come to `offset`: what is missing up to there is lost.
    fn reach(&mut self, place: &Place, offset: u64, known_at: usize, what: &'static str) -> Result<(), Contradiction> {
        let Some(part) = self.parts.get(place) else { return self.meet(place, offset, known_at, what) };
        let (end, since) = (part.end, part.known_at);
        if offset < end || (offset > end && !self.lose(place, end..offset, since)) {
            // Goes on from what stands there, so that one contradiction is told once.
            self.advance(place, offset, known_at);
            return Err(Contradiction(what));
        }
        Ok(())
    }

    /// A partition is met for the first time.
    fn meet(&mut self, place: &Place, offset: u64, known_at: usize, what: &'static str) -> Result<(), Contradiction> {
        self.unmet.remove(place);
        // The word of where it begins is lost with the beginning of the chain.
        let first = self.wounds.iter_mut().find(|wound| wound.is_first);
        if let Some(snapshot) = first.and_then(|wound| wound.snapshot.as_mut()).filter(|_| offset > 0) {
            snapshot.ends.insert(place.clone(), offset);
            self.parts.insert(place.clone(), Part { start: offset, end: offset, known_at });
            return Ok(());
        }
        self.parts.insert(place.clone(), Part { start: 0, end: 0, known_at: 0 });
        if offset > 0 && !self.lose(place, 0..offset, 0) {
            return Err(Contradiction(what));
        }
        Ok(())
    }

    fn advance(&mut self, place: &Place, end: u64, known_at: usize) {
        if let Some(part) = self.parts.get_mut(place) {
            (part.end, part.known_at) = (end, known_at);
        }
    }

    /// Progress was made up to `end`: records up to there were there.
    fn cover(&mut self, place: &Place, end: u64, known_at: usize) -> Result<(), Contradiction> {
        let Some(part) = self.parts.get(place) else {
            if self.wounds.is_empty() {
                return Err(Contradiction("progress in a partition that does not exist"));
            }
            let known = self.unmet.entry(place.clone()).or_default();
            *known = end.max(*known);
            return Ok(());
        };
        if end <= part.end {
            return Ok(());
        }
        let (known, since) = (part.end, part.known_at);
        if !self.lose(place, known..end, since) {
            return Err(Contradiction("a cursor that is ahead of the records"));
        }
        // It may have come further than that: what is done is not the last that there was.
        self.advance(place, end, known_at.min(since));
        Ok(())
    }

    /// Finds the damage in which these records stood. `false` where there is none that can have held them.
    fn lose(&mut self, place: &Place, offsets: Range<u64>, since: usize) -> bool {
        let candidates: Vec<usize> = (since..self.wounds.len()).collect();
        let mut rest = offsets.start;
        // First what the damaged bytes say themselves, as far as it fits.
        for &index in &candidates {
            let guessed = self.wounds[index].guessed(place);
            let from = rest;
            while rest < offsets.end && guessed.contains(&rest) {
                rest += 1;
            }
            if rest > from && !self.assign(index, place, from..rest) {
                rest = from;
            }
        }
        if rest == offsets.end {
            return true;
        }
        let unread = |&index: &usize| self.wounds[index].unread_bytes();
        let mut by_size = candidates;
        by_size.sort_by_key(|index| std::cmp::Reverse(unread(index)));
        by_size.into_iter().any(|index| self.assign(index, place, rest..offsets.end))
    }

    fn assign(&mut self, index: usize, place: &Place, offsets: Range<u64>) -> bool {
        let wound = &mut self.wounds[index];
        let is_next = wound.lost.last().is_some_and(|(other, lost)| other == place && lost.end == offsets.start);
        if !is_next {
            let needed = LOST_FRAME + place.0.len() as u64;
            match &mut wound.room {
                Some(room) if *room < needed => return false,
                Some(room) => *room -= needed,
                None => {}
            }
        }
        let end = offsets.end;
        match wound.lost.last_mut().filter(|_| is_next) {
            Some((_, lost)) => lost.end = end,
            None => wound.lost.push((place.clone(), offsets)),
        }
        // Where a later segment has lost its beginning too, it says the end anew.
        let later = self.wounds[index + 1..].iter_mut().filter_map(|wound| wound.snapshot.as_mut());
        later.filter_map(|snapshot| snapshot.ends.get_mut(place)).for_each(|known| *known = end.max(*known));
        true
    }

    /// Nothing more comes: what may have been lost behind the last word of a partition is what the damaged bytes say, or
    /// at most as much as they could hold.
    pub(super) fn finish(&mut self) {
        for (place, end) in std::mem::take(&mut self.unmet) {
            let first = self.wounds.iter_mut().find(|wound| wound.is_first);
            if let Some(snapshot) = first.and_then(|wound| wound.snapshot.as_mut()) {
                snapshot.ends.insert(place.clone(), end);
            }
        }
        let open: Vec<_> = self.parts.iter().map(|(place, part)| (place.clone(), part.end, part.known_at)).collect();
        for (place, mut end, since) in open {
            for index in since..self.wounds.len() {
                let guessed = self.wounds[index].guessed(&place);
                let from = end;
                while guessed.contains(&end) {
                    end += 1;
                }
                if end > from {
                    self.assign(index, &place, from..end);
                }
            }
            // The last that is known: what follows is a bound.
            self.advance(&place, end, since);
        }
        self.bound();
    }

    /// Says how much may have been lost behind the last word of each partition.
    fn bound(&mut self) {
        for (place, part) in &mut self.parts {
            let least = LEAST_RECORD + place.0.len() as u64;
            for wound in self.wounds.iter_mut().skip(part.known_at) {
                let unknown = wound.holes.iter().filter(|hole| !hole.is_known(&wound.lost));
                let most: u64 = unknown.map(|hole| (hole.end - hole.start) / least).sum();
                if most > 0 {
                    wound.at_most.push((place.clone(), part.end..part.end + most));
                    part.end += most;
                }
            }
        }
    }
}

impl Hole {
    /// Whether everything that seems to have stood in it are records that are known to be lost. Damaged bytes alone prove
    /// nothing.
    fn is_known(&self, lost: &[(Place, Range<u64>)]) -> bool {
        let is_lost = |guess: &Guess| match guess {
            Guess::Record { place, offset } => {
                lost.iter().any(|(other, offsets)| other == place && offsets.contains(offset))
            }
            Guess::Other => false,
        };
        self.guess.as_ref().is_some_and(|guesses| guesses.iter().all(is_lost))
    }
}

impl Wound {
    /// The offsets of a partition that the damaged bytes seem to hold.
    fn guessed(&self, place: &Place) -> BTreeSet<u64> {
        let guesses = self.holes.iter().filter_map(|hole| hole.guess.as_ref()).flatten();
        let offset = |guess: &Guess| match guess {
            Guess::Record { place: other, offset } if other == place => Some(*offset),
            _ => None,
        };
        guesses.filter_map(offset).collect()
    }

    fn unread_bytes(&self) -> u64 {
        self.holes.iter().map(|hole| hole.end - hole.start).sum()
    }

    /// Whether anything but records may have stood there.
    pub(super) fn may_have_held_others(&self) -> bool {
        self.holes.iter().any(|hole| hole.guess.as_ref().is_none_or(|guesses| guesses.contains(&Guess::Other)))
    }
}
