//! A topic of somebody else's, made for one test, and what is in it.
#![allow(dead_code, reason = "each suite uses a part of it")]

use std::{
    collections::BTreeMap,
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
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};

pub(crate) struct Topic {
    pub(crate) brokers: String,
    pub(crate) name: String,
}

impl Topic {
    /// Makes one with three partitions on the broker that `scripts/services env kafka` names.
    pub(crate) async fn make(config: &[(&str, &str)]) -> Self {
        let brokers = std::env::var("KAFKA_BROKERS").unwrap_or_default();
        assert!(!brokers.is_empty(), "KAFKA_BROKERS names no broker: `just test-kafka`, or as CONTRIBUTING.md says");
        let name = format!("test-adapter-{}", uuid::Uuid::now_v7().simple());
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let topic = NewTopic::new(&name, 3, TopicReplication::Fixed(1));
        let topic = config.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
        Self { brokers, name }
    }
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
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", format!("{name}-reader"))
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
