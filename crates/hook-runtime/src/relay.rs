//! The role `relay`: source topics into one topic, order per key kept.

use std::{sync::Arc, time::Duration};

use hook_contract::plan::RelayPlan;
use hook_core::{
    names::{CursorName, Glob, TopicName},
    ports::log::{Append, Commit, Cursor, From, Log, LogError, NewRecord, Position, Record, TopicFilter},
    stop::Stop,
};
use tracing::{debug, warn};

use crate::metrics::Metrics;

/// So many records are bridged in one batch.
const BATCH: usize = 256;
/// How long to wait where the log does not take a batch.
const PAUSE: Duration = Duration::from_secs(1);

/// The cursor of the relay. New, it begins at the oldest record: an input that was just added is bridged whole.
pub(crate) fn cursor(name: CursorName, plan: &RelayPlan) -> Cursor {
    let include = plan.inputs.iter().map(|topic| Glob::new(topic.as_str())).collect();
    Cursor { name, topics: TopicFilter { include, unless_literal: Vec::new() }, from: From::Earliest }
}

/// Bridges until `stop`. The records and the cursor's progress are one batch: after a crash there is no gap and no double.
pub(crate) async fn run(
    cursor: Cursor,
    output: TopicName,
    log: Arc<dyn Log>,
    metrics: Arc<Metrics>,
    mut stop: Stop,
) -> Result<(), LogError> {
    let mut subscription = log.subscribe(&cursor)?;
    loop {
        let records = tokio::select! {
            () = &mut stop => return Ok(()),
            records = subscription.next(BATCH) => records?,
        };
        let mut records = records;
        // A batch that was begun is finished, also when the stop has come: only then is its progress certain.
        while let Err(error) = log.append(batch(&cursor, &output, &records)).await {
            match error {
                LogError::Unavailable(_) => warn!(%error, "relay waits for the log"),
                LogError::Revoked(gone) => {
                    records = without(records, &gone);
                    continue;
                }
                _ => return Err(error),
            }
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        debug!(events = records.len(), kafka_topic = %output, "events relayed");
        records.iter().for_each(|record| metrics.relayed(&record.position.topic));
    }
}

/// The records in the output, and their progress.
fn batch(cursor: &Cursor, output: &TopicName, records: &[Record]) -> Append {
    let done = records.iter().map(|record| record.position.clone()).collect();
    Append {
        records: records.iter().map(|record| bridged(record, output)).collect(),
        commit: Some(Commit { cursor: cursor.name.clone(), done }),
        ..Append::default()
    }
}

/// What is left of a batch when partitions have gone to another relay, which bridges what was in them.
fn without(mut records: Vec<Record>, gone: &[(TopicName, u32)]) -> Vec<Record> {
    let is_gone = |at: &Position| gone.iter().any(|(topic, number)| *topic == at.topic && *number == at.partition);
    records.retain(|record| !is_gone(&record.position));
    records
}

/// The same record in another topic: id, time and bytes stay.
fn bridged(record: &Record, output: &TopicName) -> NewRecord {
    NewRecord {
        topic: output.clone(),
        key: record.key.clone(),
        time: record.time,
        header: record.header.clone(),
        body: record.body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hook_core::Timestamp;

    use super::*;

    #[test]
    fn what_has_gone_to_another_relay_is_left_to_it() {
        let topic = |name: &str| TopicName::new(name).expect("a topic");
        let record = |name: &str, partition, offset| Record {
            position: Position { topic: topic(name), partition, offset },
            key: None,
            time: Timestamp::UNIX_EPOCH,
            header: Bytes::new(),
            body: Bytes::new(),
        };
        let records = vec![record("a", 0, 5), record("a", 1, 5), record("b", 0, 5), record("a", 0, 6)];
        let left = without(records, &[(topic("a"), 0), (topic("b"), 1)]);
        let left: Vec<_> =
            left.iter().map(|record| (record.position.topic.as_str(), record.position.partition)).collect();
        assert_eq!(left, [("a", 1), ("b", 0)]);
    }
}
