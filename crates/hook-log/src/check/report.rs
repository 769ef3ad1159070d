//! What a check has found.

use std::path::PathBuf;

use hook_core::names::{CursorName, TopicName};
use serde::Serialize;

use crate::error::Damage;

/// What a check of a whole log has found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Chain by chain.
    pub chains: Vec<ChainReport>,
}

impl Report {
    /// Every damage, chain by chain, by place.
    pub fn damages(&self) -> impl Iterator<Item = &Finding> {
        self.chains.iter().flat_map(|chain| &chain.damages)
    }

    /// Whether anything is damaged.
    pub fn is_damaged(&self) -> bool {
        self.damages().next().is_some()
    }
}

/// What a check of one chain has found.
#[derive(Debug, Clone, Serialize)]
pub struct ChainReport {
    /// The name of the chain's folder.
    pub chain: &'static str,
    /// How many segments were read.
    pub segments: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many records can be read.
    pub records: u64,
    /// How many deduplication keys can be read. Some may have expired, or stand there twice.
    pub keys: u64,
    /// What is damaged.
    pub damages: Vec<Finding>,
    /// What a crash left behind the last whole batch, or what the owner writes at this moment. It is no damage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torn_tail: Option<TornTail>,
}

/// Bytes that were durable once and are wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Where the first bad byte can be.
    pub position: u64,
    /// Where the next good batch begins, or the valid part of the file ends.
    pub end: u64,
    /// What is wrong.
    pub what: &'static str,
    /// The records that are lost.
    pub lost: Vec<Lost>,
    /// Records among the damaged ones that can still be read, and that a repair keeps.
    pub kept_records: u64,
    /// Readable deduplication keys of an append whose records may be lost: they go too, so that a copy is taken as new.
    pub dropped_keys: u64,
    /// Cursors whose readable progress goes for the same reason: what they had done is done again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped_progress: Vec<CursorName>,
    /// Whether deduplication keys or progress of cursors may have stood among what cannot be read.
    pub other_lost: bool,
    /// Whether a repair can do something about it.
    pub can_be_repaired: bool,
}

impl Finding {
    /// A digest run that is damaged: deduplication keys, and nothing else.
    pub(super) fn of_run(damage: Damage) -> Self {
        Self {
            file: damage.file,
            position: damage.position,
            end: damage.position,
            what: damage.what,
            lost: Vec::new(),
            kept_records: 0,
            dropped_keys: 0,
            dropped_progress: Vec::new(),
            other_lost: true,
            can_be_repaired: true,
        }
    }

    /// Whether it is a file of deduplication keys, made anew from its segments as long as they are there.
    pub(super) fn is_of_run(&self) -> bool {
        self.file.extension().is_some_and(|extension| extension == "digests")
    }
}

/// Records of one partition that are lost, from offset to offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// The first offset.
    pub first: u64,
    /// The offset behind the last.
    pub end: u64,
    /// Whether there were exactly so many. Otherwise nothing tells how many there were, but not more.
    pub is_exact: bool,
}

/// What stands behind the last whole batch and was never acknowledged.
#[derive(Debug, Clone, Serialize)]
pub struct TornTail {
    /// The file.
    pub file: PathBuf,
    /// Where it begins.
    pub position: u64,
    /// How long it is.
    pub bytes: u64,
}
