//! Walks over one segment, whatever is in it: whole batches, and bad regions with what can still be read in them.

use std::{collections::HashSet, io, ops::Range, sync::Arc};

use hook_core::progress::Progress;

use super::window::Window;
use crate::format::{COMMON, Frame, HEADER_BYTES, PREFIX, Pairs, check, parse};

/// No frame is larger: the largest record, and more than the fields around it.
const MAX_FRAME: u64 = (64 << 20) + (1 << 20);

/// A topic partition by its name.
pub(super) type Place = (Arc<str>, u32);

/// A frame whose checksum is right.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) at: u64,
    pub(super) size: u64,
    pub(super) content: Content,
}

/// What a frame says, without the bytes of records.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Record { place: Place, offset: u64, time_us: i64 },
    Seen { keys: u64 },
    Done { cursor: Arc<str>, place: Place, ranges: Vec<Range<u64>> },
    CursorMade(Arc<str>),
    CursorGone(Arc<str>),
    Progress { cursor: Arc<str>, place: Place, progress: Progress },
    End { place: Place, end: u64 },
    Snapshot,
    Lost { place: Place, offsets: Range<u64> },
    Filler,
}

/// What stands in a segment, one after the other.
pub(super) enum Piece {
    Batch(Batch),
    Bad(Bad),
}

/// A whole batch.
pub(super) struct Batch {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) synced: u64,
    pub(super) facts: Vec<Fact>,
}

/// A region without a whole batch, up to the next one.
pub(super) struct Bad {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where the first bad frame stands.
    pub(super) position: u64,
    pub(super) what: &'static str,
    /// Whether a whole batch stands behind it in this file.
    pub(super) is_followed: bool,
    /// What can be read and may be kept.
    pub(super) kept: Vec<Fact>,
    /// Readable frames that only make sense with one that cannot be read: keys, and progress, of appends whose records
    /// may be gone.
    pub(super) dropped: Vec<Fact>,
    /// What cannot be read.
    pub(super) holes: Vec<Hole>,
}

/// Bytes in which nothing can be read.
#[derive(Debug)]
pub(super) struct Hole {
    pub(super) start: u64,
    pub(super) end: u64,
    /// What the lengths and fields say that stood there, where they make sense. Nothing proves it.
    pub(super) guess: Option<Vec<Guess>>,
}

/// What a frame with a wrong checksum seems to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Guess {
    Record { place: Place, offset: u64 },
    Other,
}

/// Why no whole batch stands at a place, and what of it could be read.
struct Broken {
    position: u64,
    what: &'static str,
    facts: Vec<Fact>,
}

/// A walk over the batches of a segment.
pub(super) struct Walk<'a> {
    window: Window<'a>,
    seed: u32,
    at: u64,
    /// Where the valid part ends; `None` where nobody says so.
    valid: Option<u64>,
    names: HashSet<Arc<str>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(window: Window<'a>, seed: u32, valid: Option<u64>) -> Self {
        Self { window, seed, at: HEADER_BYTES, valid, names: HashSet::new() }
    }

    /// The position behind the last piece.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Where the valid part ends; `None` where nobody says so.
    pub(super) fn valid(&self) -> Option<u64> {
        self.valid
    }

    /// The bytes that the file has.
    pub(super) fn length(&self) -> u64 {
        self.window.length()
    }

    /// The next piece; `None` at the end, and where only zeros follow that were allocated ahead of use.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        let start = self.at;
        if start >= self.valid.unwrap_or(self.window.length()) {
            return Ok(None);
        }
        let mut tried = self.batch(start)?;
        if tried.is_err() {
            // Read once more: an owner that writes at this moment may have been seen halfway.
            self.window.forget()?;
            tried = self.batch(start)?;
        }
        let piece = match tried {
            Ok(batch) => Piece::Batch(batch),
            Err(_) if self.valid.is_none() && start > HEADER_BYTES && self.only_zeros_from(start)? => return Ok(None),
            Err(broken) => Piece::Bad(self.region(start, broken)?),
        };
        self.at = match &piece {
            Piece::Batch(batch) => batch.end,
            Piece::Bad(bad) => bad.end,
        };
        Ok(Some(piece))
    }

    /// Whether a whole batch behind here says that `position` was durable when it was written. The place is kept.
    pub(super) fn is_proven(&mut self, position: u64) -> io::Result<bool> {
        let here = self.at;
        let mut proven = false;
        while !proven {
            match self.next()? {
                None => break,
                Some(Piece::Batch(batch)) => proven = batch.synced > position,
                Some(Piece::Bad(_)) => {}
            }
        }
        self.at = here;
        Ok(proven)
    }

    /// The bytes of a frame that has been found.
    pub(super) fn payload(&mut self, fact: &Fact) -> io::Result<&[u8]> {
        let bytes = self.window.bytes(fact.at, usize::try_from(fact.size).map_err(io::Error::other)?)?;
        bytes.get(PREFIX..).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The end of what may be read at all.
    fn limit(&self) -> u64 {
        self.valid.map_or(self.window.length(), |valid| valid.min(self.window.length()))
    }

    /// The batch at `start`, every frame of it checked.
    fn batch(&mut self, start: u64) -> io::Result<Result<Batch, Broken>> {
        let mut facts = Vec::new();
        let mut at = start;
        let (position, what) = loop {
            let limit = self.limit();
            let Some(size) = self.size_at(at, limit)? else {
                let is_cut = self.valid.is_some_and(|valid| valid > limit);
                break (at, if is_cut { "the segment is too short" } else { "no record with a right checksum" });
            };
            let bytes = self.window.bytes(at, size)?;
            let Some(frame) = check(bytes, self.seed) else { break (at, "no record with a right checksum") };
            let Some((batch_start, content)) = parse(frame.payload) else { break (at, "a record that cannot be read") };
            if batch_start != start {
                break (at, "a record of another batch");
            }
            let size = size as u64;
            if let Frame::BatchEnd { frames, synced } = content {
                if frames as usize != facts.len() {
                    break (at, "the end of a batch of another size");
                }
                return Ok(Ok(Batch { start, end: at + size, synced, facts }));
            }
            facts.extend(fact(at, size, &content, &mut self.names));
            at += size;
        };
        Ok(Err(Broken { position, what, facts }))
    }

    /// The size of the frame at a place, where its length can be that of one.
    fn size_at(&mut self, at: u64, limit: u64) -> io::Result<Option<usize>> {
        let Some(length) = self.window.bytes(at, 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else {
            return Ok(None);
        };
        let size = PREFIX as u64 + u64::from(length);
        let can_be = length as usize >= COMMON && size <= MAX_FRAME && at + size <= limit;
        Ok(can_be.then_some(size as usize))
    }

    /// Everything from a broken batch up to the next whole one.
    fn region(&mut self, start: u64, first: Broken) -> io::Result<Bad> {
        let Broken { position, what, facts } = first;
        let mut bad = Bad {
            start,
            end: 0,
            position,
            what,
            is_followed: false,
            kept: facts,
            dropped: Vec::new(),
            holes: Vec::new(),
        };
        let mut at = position;
        // Whether the append of the next frame is known from its beginning on.
        let mut is_known = false;
        let mut was_record = false;
        loop {
            let Some((here, size)) = self.find(at, start)? else {
                // What follows the end of the valid part of another file is no business of this one.
                let end = self.valid.unwrap_or(self.window.length());
                self.add_hole(&mut bad, at, end)?;
                bad.end = end;
                return Ok(bad);
            };
            if here > at {
                self.add_hole(&mut bad, at, here)?;
                (is_known, was_record) = (false, false);
            }
            let bytes = self.window.bytes(here, size)?;
            let Some((batch_start, content)) = parse(&bytes[PREFIX..]) else {
                at = here + size as u64;
                continue;
            };
            let found = fact(here, size as u64, &content, &mut self.names);
            if batch_start == here {
                if let Ok(batch) = self.batch(here)? {
                    bad.end = batch.start;
                    bad.is_followed = true;
                    return Ok(bad);
                }
                (is_known, was_record) = (true, false);
            }
            at = here + size as u64;
            let Some(found) = found else { continue };
            let is_record = matches!(found.content, Content::Record { .. });
            // An append is its records, then its keys, then its progress.
            is_known |= is_record && !was_record && here > bad.position && !follows_hole(&bad, here);
            was_record = is_record;
            match found.content {
                Content::Seen { .. } | Content::Done { .. } if !is_known => bad.dropped.push(found),
                _ => bad.kept.push(found),
            }
        }
    }

    /// The next frame with a right checksum that belongs to a batch which begins at `begin` or behind it.
    fn find(&mut self, from: u64, begin: u64) -> io::Result<Option<(u64, usize)>> {
        let limit = self.limit();
        let least = (PREFIX + COMMON) as u64;
        let mut at = from;
        while at + least <= limit {
            let bytes = self.window.at_hand(at)?;
            // Nearly every place is passed over here; what is left is checked in full.
            let candidate = bytes.windows(PREFIX + COMMON).position(|bytes| may_be_frame(bytes, begin, limit));
            let passed = match candidate {
                Some(passed) => passed as u64,
                None if (bytes.len() as u64) < least => {
                    self.window.bytes(at, least as usize)?;
                    continue;
                }
                None => {
                    at += bytes.len() as u64 - least + 1;
                    continue;
                }
            };
            at += passed;
            if let Some(size) = self.size_at(at, limit)? {
                let bytes = self.window.bytes(at, size)?;
                let is_ours = |start: u64| (begin..=at).contains(&start);
                if check(bytes, self.seed)
                    .and_then(|frame| parse(frame.payload))
                    .is_some_and(|(start, _)| is_ours(start))
                {
                    return Ok(Some((at, size)));
                }
            }
            at += 1;
        }
        Ok(None)
    }

    fn add_hole(&mut self, bad: &mut Bad, start: u64, end: u64) -> io::Result<()> {
        if start >= end {
            return Ok(());
        }
        let guess = self.guess(start, end)?;
        bad.holes.push(Hole { start, end, guess });
        Ok(())
    }

    /// What seems to have stood in a hole: a row of frames whose lengths end exactly where it ends.
    fn guess(&mut self, start: u64, end: u64) -> io::Result<Option<Vec<Guess>>> {
        let mut guesses = Vec::new();
        let mut at = start;
        while at < end {
            let Some(size) = self.size_at(at, end)? else { return Ok(None) };
            let Some(payload) = self.window.bytes(at, size)?.get(PREFIX..size) else { return Ok(None) };
            guesses.push(match parse(payload) {
                Some((_, Frame::Data(data))) => {
                    Guess::Record { place: (name(data.topic, &mut self.names), data.partition), offset: data.offset }
                }
                Some(_) => Guess::Other,
                None => return Ok(None),
            });
            at += size as u64;
        }
        Ok(Some(guesses))
    }

    fn only_zeros_from(&mut self, start: u64) -> io::Result<bool> {
        let mut at = start;
        while at < self.window.length() {
            let bytes = self.window.at_hand(at)?;
            if bytes.is_empty() {
                break;
            }
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += bytes.len() as u64;
        }
        Ok(true)
    }
}

fn follows_hole(bad: &Bad, here: u64) -> bool {
    bad.holes.last().is_some_and(|hole| hole.end == here)
}

/// Whether length, kind and batch start can be those of a frame.
fn may_be_frame(bytes: &[u8], begin: u64, limit: u64) -> bool {
    let number = |from: usize, count: usize| {
        let mut number = [0; 8];
        number[..count].copy_from_slice(&bytes[from..from + count]);
        u64::from_le_bytes(number)
    };
    let kind = bytes[PREFIX];
    let length = number(0, 4);
    (1..=11).contains(&kind)
        && length >= COMMON as u64
        && length <= MAX_FRAME
        && (begin..limit).contains(&number(PREFIX + 1, 8))
}

/// The fact of a frame; none of the end of a batch.
fn fact(at: u64, size: u64, frame: &Frame<'_>, names: &mut HashSet<Arc<str>>) -> Option<Fact> {
    let mut place = |topic: &str, partition: u32| (name(topic, names), partition);
    let content = match *frame {
        Frame::Data(ref data) => {
            Content::Record { place: place(data.topic, data.partition), offset: data.offset, time_us: data.time_us }
        }
        Frame::Seen { keys, .. } => Content::Seen { keys: keys.iter().count() as u64 },
        Frame::Done { cursor, topic, partition, ranges } => {
            let place = place(topic, partition);
            Content::Done { cursor: name(cursor, names), place, ranges: ranges.iter().collect() }
        }
        Frame::CursorMade { cursor } => Content::CursorMade(name(cursor, names)),
        Frame::CursorGone { cursor } => Content::CursorGone(name(cursor, names)),
        Frame::Progress { cursor, topic, partition, watermark, above } => {
            let place = place(topic, partition);
            Content::Progress { cursor: name(cursor, names), place, progress: absolute(watermark, above) }
        }
        Frame::PartitionEnd { topic, partition, end } => Content::End { place: place(topic, partition), end },
        Frame::Snapshot => Content::Snapshot,
        Frame::Lost { topic, partition, first, end } => {
            Content::Lost { place: place(topic, partition), offsets: first..end }
        }
        Frame::Filler => Content::Filler,
        Frame::BatchEnd { .. } => return None,
    };
    Some(Fact { at, size, content })
}

fn absolute(watermark: u64, above: Pairs<'_>) -> Progress {
    let mut progress = Progress::at(watermark);
    above.iter().for_each(|range| progress.finish(range));
    progress
}

/// The name, kept once.
fn name(text: &str, names: &mut HashSet<Arc<str>>) -> Arc<str> {
    if let Some(name) = names.get(text) {
        return Arc::clone(name);
    }
    let name: Arc<str> = Arc::from(text);
    names.insert(Arc::clone(&name));
    name
}
