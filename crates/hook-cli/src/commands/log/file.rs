//! The first and the last line of an export.

use std::collections::BTreeMap;

use hook_core::{
    Timestamp,
    names::{AppId, TopicName},
    ports::log::CursorState,
};
use serde::{Deserialize, Serialize};

/// What the first line calls the format.
pub(super) const FORMAT: &str = "hook-log-export";
/// The version that this program writes and reads.
pub(super) const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct First {
    pub(super) format: String,
    pub(super) version: u32,
    /// Of whose log.
    pub(super) app: AppId,
    pub(super) exported_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    /// How far each cursor had come.
    #[serde(default)]
    pub(super) cursors: Vec<CursorState>,
}

/// The last line: without it, a file was cut off.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Last {
    pub(super) end: bool,
    pub(super) records: u64,
    pub(super) topics: BTreeMap<TopicName, u64>,
}

impl Last {
    /// Counts a record.
    pub(super) fn count(&mut self, topic: &TopicName) {
        self.records += 1;
        match self.topics.get_mut(topic) {
            Some(count) => *count += 1,
            None => drop(self.topics.insert(topic.clone(), 1)),
        }
    }
}
