//! A topic of somebody else's, made for one test, and what is in it.
#![allow(dead_code, reason = "each suite uses a part of it")]

pub(crate) mod inlet;
pub(crate) mod reached;

use std::{
    collections::BTreeMap,
    sync::OnceLock,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hook_core::{
    Timestamp,
    envelope::{Envelope, EventHeader, Meta},
    event::{EventId, TraceId},
    names::{EventType, SourceName},
    payload::Payload,
};
use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, ThreadedProducer},
};

pub(crate) struct Topic {
    pub(crate) brokers: String,
    pub(crate) name: String,
    pub(crate) producer: OnceLock<ThreadedProducer<DefaultProducerContext>>,
}

impl Topic {
    /// Makes one with three partitions on the broker that `scripts/services env kafka` names.
    pub(crate) async fn make(config: &[(&str, &str)]) -> Self {
        let brokers = std::env::var("KAFKA_BROKERS").unwrap_or_default();
        assert!(!brokers.is_empty(), "KAFKA_BROKERS names no broker: `just test-kafka`, or as CONTRIBUTING.md says");
        let name = format!("test-adapter-{}", uuid::Uuid::now_v7().simple());
        let admin: AdminClient<DefaultClientContext> = reached::client(&brokers).create().unwrap();
        let topic = NewTopic::new(&name, 3, TopicReplication::Fixed(1));
        let topic = config.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
        Self { brokers, name, producer: OnceLock::new() }
    }

    /// Makes one under the name that it has now.
    pub(crate) async fn make_again(&self) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topic = NewTopic::new(&self.name, 3, TopicReplication::Fixed(1));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
    }

    /// Changes how large a batch of records may be.
    pub(crate) async fn take_at_most(&self, bytes: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let config = AlterConfig::new(ResourceSpecifier::Topic(&self.name)).set("max.message.bytes", bytes);
        let altered = admin.alter_configs([&config], &AdminOptions::new()).await.unwrap();
        altered.into_iter().for_each(|altered| drop(altered.unwrap()));
    }

    /// The values of all records that are there now.
    pub(crate) async fn values(&self) -> Vec<Vec<u8>> {
        let (config, name) = (self.client(), self.name.clone());
        let count = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = config.create().unwrap();
            let end = |partition| consumer.fetch_watermarks(&name, partition, Duration::from_secs(10)).unwrap().1;
            (0..3).map(end).sum::<i64>()
        });
        let count = usize::try_from(count.await.unwrap()).unwrap();
        read_all(self, count).await.into_iter().map(|read| read.value).collect()
    }

    fn client(&self) -> ClientConfig {
        let mut config = reached::client(&self.brokers);
        config.set("linger.ms", "0").set("partitioner", "murmur2_random");
        config
    }

    /// Writes a record, soon, to where its key leads.
    pub(crate) fn produce(&self, key: Option<&str>, value: &str, headers: &[(&str, &str)]) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value.as_bytes()) })
        });
        self.send(BaseRecord::to(&self.name).payload(value).headers(headers), key);
    }

    /// Writes a record to a partition.
    pub(crate) fn produce_to(&self, partition: i32, key: Option<&str>, value: &str) {
        self.send(BaseRecord::to(&self.name).payload(value).partition(partition), key);
    }

    /// Writes a record without a value.
    pub(crate) fn tombstone(&self, partition: i32, key: &str) {
        self.send(BaseRecord::to(&self.name).partition(partition), Some(key));
    }

    fn send(&self, record: BaseRecord<'_, str, str>, key: Option<&str>) {
        let producer = self.producer.get_or_init(|| self.client().create().unwrap());
        producer.send(BaseRecord { key, ..record }).map_err(|(error, _)| error).unwrap();
    }

    /// How many records of all partitions the group of the topic has committed.
    pub(crate) async fn committed(&self) -> i64 {
        let (config, name) = (self.client(), self.name.clone());
        tokio::task::spawn_blocking(move || {
            let mut config = config;
            let consumer: BaseConsumer = config.set("group.id", format!("{name}-group")).create().unwrap();
            let mut list = TopicPartitionList::new();
            for partition in 0..3 {
                list.add_partition(&name, partition);
            }
            let committed = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
            let offsets = committed.elements();
            offsets.iter().filter_map(|element| element.offset().to_raw()).filter(|offset| *offset > 0).sum()
        })
        .await
        .unwrap()
    }
}

/// Lets time pass for a broker, which tells nobody what it does.
pub(crate) async fn pause(duration: Duration) {
    // tidy-allow(no-sleep): a broker runs on real time
    tokio::time::sleep(duration).await;
}

pub(crate) struct Read {
    pub(crate) key: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: Vec<u8>,
    pub(crate) partition: i32,
}

/// The first `count` records of a topic; those of one partition in their order.
pub(crate) async fn read_all(topic: &Topic, count: usize) -> Vec<Read> {
    let (brokers, name) = (topic.brokers.clone(), topic.name.clone());
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = reached::client(&brokers)
            // A group of its own each time, which has no offset yet.
            .set("group.id", format!("{name}-{}", uuid::Uuid::now_v7().simple()))
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[&name]).unwrap();
        let mut records = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(30);
        while records.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} records in time", records.len());
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let headers = message.headers().into_iter().flat_map(Headers::iter);
            records.push(Read {
                key: message.key().map(text),
                headers: headers.map(|header| (header.key.to_owned(), text(header.value.unwrap()))).collect(),
                value: message.payload().unwrap().to_vec(),
                partition: message.partition(),
            });
        }
        records
    })
    .await
    .unwrap()
}

/// An event with an ordering key and a trace.
pub(crate) fn event(body: &[u8]) -> Envelope {
    let trace = TraceId::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    Envelope {
        header: EventHeader {
            id: EventId::generate(),
            source: SourceName::new("shop").unwrap(),
            event_type: EventType::new("order.paid").unwrap(),
            received_at: Timestamp::UNIX_EPOCH,
            meta: Meta { route_key: Some("shop:order-7".into()), trace_id: trace, ..Meta::default() },
        },
        payload: Payload::parse(Bytes::copy_from_slice(body)).unwrap(),
    }
}
