//! Where the log is, and how long it keeps what it has.

use std::{path::PathBuf, time::Duration};

use hook_core::{clock::SharedClock, names::TopicName};

/// What an embedded log is opened with.
#[derive(Clone)]
pub struct Options {
    /// The data directory; made where it does not exist.
    pub dir: PathBuf,
    /// The topic that is a chain of its own, for dead letters.
    pub dead_letters: TopicName,
    /// The topic that is a chain of its own, for the journal.
    pub journal: TopicName,
    /// The size at which a segment is sealed.
    pub segment_bytes: u64,
    /// How long every other topic is kept.
    pub events: Retention,
    /// How long dead letters are kept.
    pub dead_letters_retention: Retention,
    /// How long the journal is kept.
    pub journal_retention: Retention,
    /// How many bytes of a chain may be kept only because a pinning cursor needs them; `None` for half of the file system.
    pub max_pinned: Option<u64>,
    /// What happens when it is more.
    pub when_pinned: WhenPinned,
    /// About how many deduplication keys are remembered, in each chain. Beyond that the oldest go, expired or not.
    pub max_deduplication_keys: u64,
    /// How much of the sealed segments is read and checked each second, in the background; 0 for nothing.
    pub scrub_bytes_per_second: u64,
    /// Tells what is old, and which deduplication keys have expired.
    pub clock: SharedClock,
}

impl Options {
    /// The defaults: segments of 64 MiB; events and the journal for 7 days, dead letters for 30; blocked when half of the
    /// file system is pinned.
    pub fn new(dir: impl Into<PathBuf>, dead_letters: TopicName, journal: TopicName, clock: SharedClock) -> Self {
        Self {
            dir: dir.into(),
            dead_letters,
            journal,
            segment_bytes: 64 << 20,
            events: Retention::days(7),
            dead_letters_retention: Retention::days(30),
            journal_retention: Retention::days(7),
            max_pinned: None,
            when_pinned: WhenPinned::default(),
            max_deduplication_keys: 10_000_000,
            scrub_bytes_per_second: 4 << 20,
            clock,
        }
    }
}

/// How long and how much a chain keeps. Whole segments go, oldest first; the active segment always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What is older may go.
    pub max_age: Duration,
    /// What exceeds this may go; `None` for no bound.
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// By age only.
    pub fn days(days: u32) -> Self {
        Self { max_age: Duration::from_secs(u64::from(days) * 86_400), max_bytes: None }
    }
}

/// What happens when undelivered records take more than their share of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenPinned {
    /// Appends are refused until there is room. An append that carries a commit is taken: it is progress, and without it
    /// a full relay could never empty itself.
    #[default]
    Block,
    /// The oldest records go, undelivered. Each time is logged.
    DropOldest,
}
