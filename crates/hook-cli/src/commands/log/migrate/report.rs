//! What is said at the end.

use std::collections::BTreeMap;

use hook_core::names::{CursorName, TopicName};
use serde::Serialize;

use super::source::{Source, Survey};
use crate::{context::Context, exit::Exit, output};

/// What was done, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Migrated {
    pub(super) dry_run: bool,
    /// Stands in the origin of each record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log: Option<String>,
    pub(super) topics: Vec<Topic>,
    pub(super) cursors: Vec<Place>,
    /// Topics that stay behind because nothing in the contract reads them, and how many records each has.
    pub(super) unread: BTreeMap<TopicName, u64>,
    /// Carried by this run; the others were there.
    pub(super) carried: u64,
    /// Records in the topics that did not come from here.
    pub(super) others: u64,
    /// By so many keys the relay tells copies of what was taken before.
    pub(super) keys: usize,
    /// Read back, and the same.
    pub(super) verified: bool,
    pub(super) seconds: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Topic {
    /// In the embedded log.
    topic: TopicName,
    /// On Kafka, where it has another name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<TopicName>,
    records: u64,
    bytes: u64,
    checksum: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Place {
    pub(super) cursor: CursorName,
    pub(super) undelivered: u64,
    /// Delivered, and delivered again: beyond what fits beside a committed offset.
    pub(super) delivered_again: usize,
}

impl Migrated {
    /// What was counted, before anything is done.
    pub(super) fn counted(source: &Source, survey: &Survey) -> Self {
        let topics = survey.topics.iter().map(|(topic, tally)| Topic {
            topic: topic.clone(),
            to: Some(source.target(topic)).filter(|to| *to != topic).cloned(),
            records: tally.records,
            bytes: tally.bytes,
            checksum: tally.checksum(),
        });
        let cursors = source.cursors.iter().zip(&survey.open).map(|(reads, undelivered)| Place {
            cursor: reads.cursor.name.clone(),
            undelivered: *undelivered,
            delivered_again: 0,
        });
        Self {
            dry_run: false,
            log: None,
            topics: topics.collect(),
            cursors: cursors.collect(),
            unread: source.unread(),
            carried: 0,
            others: 0,
            keys: 0,
            verified: false,
            seconds: 0.0,
        }
    }

    pub(super) fn say(&self, context: &Context) -> Result<(), Exit> {
        let out = &context.output;
        if out.is_json() {
            return out.json(self);
        }
        let topics: Vec<_> = self.topics.iter().map(Topic::row).collect();
        out.titled_table(["TOPIC", "RECORDS", "BYTES", "CHECKSUM"], &topics)?;
        let cursor = |place: &Place| {
            [place.cursor.to_string(), place.undelivered.to_string(), place.delivered_again.to_string()]
        };
        let cursors: Vec<_> = self.cursors.iter().map(cursor).collect();
        out.line("")?;
        out.titled_table(["CURSOR", "UNDELIVERED", "DELIVERED AGAIN"], &cursors)?;
        out.line("")?;
        for (topic, records) in &self.unread {
            out.line(&format!("{records} records of {topic} stay behind: nothing in the contract reads that topic"))?;
        }
        if self.others > 0 {
            out.line(&format!("{} records were in the topics before: destinations get them too", self.others))?;
        }
        if self.keys > 0 {
            out.line(&format!("{} keys tell copies of what was taken in the last 24 hours", self.keys))?;
        }
        let total: u64 = self.topics.iter().map(|topic| topic.records).sum();
        out.line(&match (self.dry_run, self.verified) {
            (true, _) => format!("{total} records would be carried; nothing was changed"),
            (false, true) => format!(
                "{total} records are on Kafka, {} of them carried now, in {:.1} s; read back, and the same",
                self.carried, self.seconds
            ),
            (false, false) => format!("{total} records were carried before; nothing was changed"),
        })
    }
}

impl Topic {
    fn row(&self) -> [String; 4] {
        let to = self.to.as_ref().map(|to| format!(" -> {to}")).unwrap_or_default();
        let name = format!("{}{to}", self.topic);
        [name, self.records.to_string(), output::size(self.bytes), self.checksum.clone()]
    }
}
