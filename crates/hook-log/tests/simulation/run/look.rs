//! Reads what a log shows.

use hook_core::{
    names::Glob,
    ports::log::{From, Log, LogError, LogState, PartitionState, Record, TopicFilter},
};
use hook_log::EmbeddedLog;

use super::PATIENCE;
use crate::model::cursor;

pub(super) async fn patient<T>(future: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, future).await.map_err(|_| format!("it hangs for {PATIENCE:?}"))
}

pub(super) async fn scan(log: &EmbeddedLog) -> Result<Vec<Record>, LogError> {
    let everything = TopicFilter { include: vec![Glob::new("*")], unless_literal: Vec::new() };
    let mut scan = log.scan(everything, From::Earliest)?;
    let mut records = Vec::new();
    loop {
        let more = scan.next(1000).await?;
        if more.is_empty() {
            return Ok(records);
        }
        records.extend(more);
    }
}

/// How many records a cursor has not done.
pub(super) fn count_open(index: usize, state: &LogState) -> u64 {
    let (cursor, found) = (cursor(index), state.cursors.iter().find(|known| known.name == cursor(index).name));
    let Some(found) = found else { return 0 };
    let of_partition = |known: &PartitionState| {
        let progress = found.partitions.iter().find(|progress| progress.topic == known.topic);
        let (watermark, above) = progress.map_or((0, 0), |progress| (progress.watermark, progress.done_above));
        known.end.saturating_sub(known.start.max(watermark)).saturating_sub(above)
    };
    state.partitions.iter().filter(|known| cursor.topics.matches(&known.topic)).map(of_partition).sum()
}

/// Everything that a cursor still delivers.
pub(super) async fn open_records(log: &EmbeddedLog, index: usize, state: &LogState) -> Result<Vec<Record>, String> {
    let mut subscription = log.subscribe(&cursor(index)).map_err(|error| format!("cursor {index}: {error}"))?;
    let (mut records, count) = (Vec::new(), count_open(index, state));
    while (records.len() as u64) < count {
        let more = patient(subscription.next(1000)).await.map_err(|text| format!("cursor {index}: {text}"))?;
        records.extend(more.map_err(|error| format!("cursor {index}: {error}"))?);
    }
    Ok(records)
}
