//! What stands in a topic, read as any consumer would: committed records only, from the beginning to the end.

use std::time::{Duration, Instant};

use hook_bench::mark::Mark;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
};

use crate::faults::{
    ledger::{EventId, Place},
    sink::event_id,
};

const ANSWER: Duration = Duration::from_secs(30);
/// So long nothing may come before the end.
const SILENCE: Duration = Duration::from_secs(60);

/// An event of the load.
pub(super) struct Seen {
    pub(super) id: EventId,
    mark: Mark,
}

impl Seen {
    /// Which event of which key it is.
    pub(super) fn place(&self, keys: u32) -> Place {
        let nth = usize::try_from(self.mark.number / u64::from(keys)).unwrap_or(usize::MAX);
        Place { key: self.mark.key, nth }
    }
}

/// Every committed event of a topic.
pub(super) async fn read(bootstrap: &str, topic: &str) -> Result<Vec<Seen>, String> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    let name = topic.clone();
    let read = tokio::task::spawn_blocking(move || read_all(&bootstrap, &topic)).await;
    read.map_err(|error| error.to_string())?.map_err(|error| format!("{name} could not be read: {error}"))
}

/// How many partitions of all topics have fewer replicas in sync than they have replicas, or no leader.
pub(super) async fn out_of_sync(bootstrap: &str) -> Result<usize, String> {
    let bootstrap = bootstrap.to_owned();
    let looked = tokio::task::spawn_blocking(move || -> KafkaResult<usize> {
        let metadata = consumer(&bootstrap)?.fetch_metadata(None, ANSWER)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        Ok(partitions.filter(|of| of.leader() < 0 || of.isr().len() < of.replicas().len()).count())
    });
    looked.await.map_err(|error| error.to_string())?.map_err(|error| format!("the brokers did not answer: {error}"))
}

fn consumer(bootstrap: &str) -> KafkaResult<BaseConsumer> {
    let settings = [
        ("bootstrap.servers", bootstrap),
        // Asked for by the client; it joins no group.
        ("group.id", "faults-reader"),
        ("enable.auto.commit", "false"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "true"),
    ];
    ClientConfig::from_iter(settings.map(|(key, value)| (key.to_owned(), value.to_owned()))).create()
}

fn read_all(bootstrap: &str, topic: &str) -> Result<Vec<Seen>, String> {
    let failed = |error: KafkaError| error.to_string();
    let consumer = consumer(bootstrap).map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(failed)?;
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).map_err(failed)?;
    }
    let mut open = list.count();
    consumer.assign(&list).map_err(failed)?;
    let (mut seen, mut heard) = (Vec::new(), Instant::now());
    while open > 0 {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let value = message.payload().unwrap_or_default();
                let event = event_id(value).zip(Mark::find(value));
                let (id, mark) = event.ok_or_else(|| "a record is no event of the load".to_owned())?;
                seen.push(Seen { id, mark });
                heard = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(_))) => (open, heard) = (open - 1, Instant::now()),
            Some(Err(error)) => return Err(error.to_string()),
            None if heard.elapsed() > SILENCE => return Err(format!("{open} partitions did not come to their end")),
            None => {}
        }
    }
    Ok(seen)
}
