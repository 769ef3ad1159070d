//! What was sent, what was answered, and what therefore must and must not be in the log.

mod answers;
mod check;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hook_core::{
    Timestamp,
    names::{CursorName, Glob, TopicName},
    ports::log::{Append, Cursor, From, LogState, Position, TopicFilter},
};
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

impl Request {
    fn number(&self) -> u32 {
        u32::from_le_bytes(self.append.id[..4].try_into().expect("four bytes"))
    }

    /// Whether somebody who sent it would send it again.
    pub(crate) fn wants_retry(&self) -> bool {
        !self.is_note && matches!(self.fate, Fate::Unanswered | Fate::Refused(_))
    }
}
