//! `hook log topics`: what is in each topic.

use std::collections::BTreeMap;

use hook_core::{names::TopicName, ports::log::PartitionState};
use serde::Serialize;

use crate::{commands::cursors, context::Context, data_directory::Flag, exit::Exit};

/// Show what is in each topic: partitions, records, offsets
///
/// Works with and without a pipeline that runs, on either log.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// A topic as it is listed.
#[derive(Default, Serialize)]
struct Listed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a TopicName>,
    /// Offsets that the log still keeps. On Kafka the marks of transactions are among them.
    records: u64,
    partitions: Vec<Bounds>,
}

#[derive(Serialize)]
struct Bounds {
    partition: u32,
    start: u64,
    end: u64,
}

/// Looks and says.
pub async fn run(context: &Context, flag: &Flag) -> Result<(), Exit> {
    let (state, _) = cursors::look(context, flag).await?;
    let topics = by_topic(&state.partitions);
    if context.output.is_json() {
        return topics.values().try_for_each(|topic| context.output.json(topic));
    }
    if topics.is_empty() {
        return context.output.line("no topics");
    }
    let rows: Vec<_> = topics.iter().map(|(name, topic)| row(name, topic)).collect();
    context.output.titled_table(["topic", "partitions", "records", "offsets"], &rows)
}

fn by_topic(partitions: &[PartitionState]) -> BTreeMap<&TopicName, Listed<'_>> {
    let mut topics: BTreeMap<&TopicName, Listed<'_>> = BTreeMap::new();
    for PartitionState { topic, partition, start, end } in partitions {
        let listed = topics.entry(topic).or_default();
        listed.topic = Some(topic);
        listed.records += end.saturating_sub(*start);
        listed.partitions.push(Bounds { partition: *partition, start: *start, end: *end });
    }
    topics
}

fn row(name: &TopicName, topic: &Listed<'_>) -> [String; 4] {
    let offsets: Vec<_> = topic.partitions.iter().map(|bounds| format!("{}..{}", bounds.start, bounds.end)).collect();
    [name.to_string(), topic.partitions.len().to_string(), topic.records.to_string(), offsets.join(" ")]
}
