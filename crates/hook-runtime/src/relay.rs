//! The role `relay`: source topics into one topic, order per key kept.

use std::sync::Arc;

use hook_contract::plan::{RelayPlan, RelayRetry};
use hook_core::{
    names::{CursorName, Glob, TopicName},
    ports::log::{Append, Commit, Cursor, From, Log, LogError, NewRecord, Position, Record, TopicFilter},
    stop::Stop,
};
use tracing::{debug, warn};

use crate::metrics::Metrics;

/// So many records are bridged in one batch.
const BATCH: usize = 256;

/// The cursor of the relay. New, it begins at the oldest record: an input that was just added is bridged whole.
pub(crate) fn cursor(name: CursorName, plan: &RelayPlan) -> Cursor {
    let include = plan.inputs.iter().map(|topic| Glob::new(topic.as_str())).collect();
    Cursor { name, topics: TopicFilter { include, unless_literal: Vec::new() }, from: From::Earliest }
}

/// The relay of a process.
pub(crate) struct Relay {
    pub(crate) cursor: Cursor,
    pub(crate) output: TopicName,
    pub(crate) retry: RelayRetry,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Relay {
    /// Bridges until `stop`.
    pub(crate) async fn run(&self, mut stop: Stop) -> Result<(), LogError> {
        let mut subscription = self.log.subscribe(&self.cursor)?;
        loop {
            let records = tokio::select! {
                () = &mut stop => return Ok(()),
                records = subscription.next(BATCH) => records?,
            };
            let Some(records) = self.bridge(records, &mut stop).await? else { return Ok(()) };
            debug!(events = records.len(), kafka_topic = %self.output, "events relayed");
            records.iter().for_each(|record| self.metrics.relayed(&record.position.topic));
        }
    }

    /// Stores records and the cursor's progress in one batch: after a crash there is no gap and no double. What was bridged;
    /// `None` where the stop came between two tries.
    async fn bridge(&self, mut records: Vec<Record>, stop: &mut Stop) -> Result<Option<Vec<Record>>, LogError> {
        let mut failures = 0;
        // A batch that was begun is finished, also when the stop has come: only then is its progress certain.
        while let Err(error) = self.log.append(batch(&self.cursor, &self.output, &records)).await {
            match &error {
                LogError::Unavailable(_) => {}
                LogError::Revoked(gone) => {
                    records = without(records, gone);
                    continue;
                }
                _ => return Err(error),
            }
            failures += 1;
            let Some(pause) = self.retry.pause(failures) else { return Err(error) };
            warn!(%error, failures, "relay waits for the log");
            tokio::select! {
                () = &mut *stop => return Ok(None),
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(Some(records))
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
    use hook_core::{Timestamp, clock::SystemClock};
    use hook_testkit::MemoryLog;

    use super::*;

    /// A relay of one record, on a log that takes nothing more.
    async fn full(retry: RelayRetry) -> (Arc<Relay>, Arc<MemoryLog>) {
        let topic = |name: &str| TopicName::new(name).expect("a topic");
        let log = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
        let plan = RelayPlan { inputs: vec![topic("in")], output: topic("out"), group: None, retry };
        let cursor = cursor(CursorName::new("app.relay").expect("a cursor"), &plan);
        log.create_cursor(&cursor).await.expect("a cursor is made");
        let empty = Bytes::new;
        let record =
            NewRecord { topic: topic("in"), key: None, time: Timestamp::UNIX_EPOCH, header: empty(), body: empty() };
        log.append(Append::one(record)).await.expect("a record is stored");
        log.fail_with("the disk is full");
        let shared: Arc<dyn Log> = log.clone();
        let relay = Relay { cursor, output: plan.output, retry, log: shared, metrics: Arc::new(Metrics::new()) };
        (Arc::new(relay), log)
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_retried_as_often_as_it_is_said_with_pauses_that_double() {
        let ms = std::time::Duration::from_millis;
        let (relay, _log) = full(RelayRetry { max_retries: Some(4), base: ms(100), cap: ms(300) }).await;
        let began = tokio::time::Instant::now();
        let ended = relay.run(Stop::when(std::future::pending())).await;
        assert!(matches!(ended, Err(LogError::Unavailable(_))), "{ended:?}");
        assert_eq!(began.elapsed(), ms(100 + 200 + 300 + 300));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_goes_on_when_the_log_does() {
        let (relay, log) = full(RelayRetry::default()).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let running = {
            let relay = Arc::clone(&relay);
            tokio::spawn(async move { relay.run(Stop::when(stopped)).await })
        };
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
        assert!(!running.is_finished());
        let appended = log.appended(TopicFilter::only(&relay.output));
        log.recover();
        appended.await;
        drop(stop);
        running.await.expect("it ends").expect("without an error");
    }

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
