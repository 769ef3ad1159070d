//! Records, cursors and what tells copies, taken over from another log.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use common::Fixture;
use hook_core::{
    SignedDuration, Timestamp,
    clock::{Clock, SystemClock},
    names::CursorName,
    ports::log::{Append, Appended, DedupKey, Log, LogError, NewRecord, Position},
    progress::Progress,
};
use hook_kafka::{Carrier, KafkaLog, Known, Settings, settings::Deduplication};
use hook_testkit::log_conformance::{bodies, cursor, positions, record, take, topic};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

const IN: &str = "in";
const RELAY: &str = "app.relay";

async fn open(settings: Settings) -> KafkaLog {
    KafkaLog::open(settings, Arc::new(SystemClock)).await.unwrap()
}

fn at(offset: u64) -> Position {
    Position { topic: topic("before"), partition: 7, offset }
}

/// Records that stood at these offsets, with the offset for a body.
fn part(offsets: impl IntoIterator<Item = u64>) -> Vec<(NewRecord, Position)> {
    offsets.into_iter().map(|offset| (record(IN, offset.to_string()), at(offset))).collect()
}

/// What is there, in its order: the body, and where it stood. The marks of transactions come after their answers, and a fence
/// waits for them.
async fn read_back(carrier: &Carrier) -> Vec<(String, Option<Position>)> {
    carrier.fence().await.unwrap();
    let mut reading = carrier.read_back(&BTreeSet::from([topic(IN)])).await.unwrap();
    let mut all = Vec::new();
    while let Some(carried) = reading.next().await.unwrap() {
        let origin = carried.origin.map(|origin| {
            assert_eq!(origin.log, "the-log");
            origin.position
        });
        all.push((bodies(&[carried.record]).remove(0), origin));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn whoever_carries_next_sees_all_of_it_and_shuts_out_whoever_carried_before() {
    let fixture = Fixture::new();
    let log = open(fixture.settings.clone()).await;
    let (first, second) = (log.carrier("the-log"), log.carrier("the-log"));
    first.ensure(&BTreeSet::from([topic(IN)])).await.unwrap();
    assert!(matches!(first.append(part([0])).await, Err(LogError::Closed)), "it is not fenced");
    first.fence().await.unwrap();
    first.append(part(0..3)).await.unwrap();
    log.append(Append::one(record(IN, "stranger"))).await.unwrap();
    first.append(part(3..5)).await.unwrap();

    second.fence().await.unwrap();
    assert!(first.append(part(5..6)).await.is_err());
    second.append(part(5..7)).await.unwrap();
    let strangers = [("stranger".to_owned(), None)];
    let carried = |offsets: std::ops::Range<u64>| offsets.map(|offset| (offset.to_string(), Some(at(offset))));
    let expected: Vec<_> = carried(0..3).chain(strangers).chain(carried(3..7)).collect();
    assert_eq!(read_back(&second).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_part_with_a_record_that_the_topic_refuses_is_not_stored() {
    let fixture = Fixture::new();
    let (brokers, name) = (fixture.settings.brokers.join(","), format!("{}{IN}", fixture.settings.namespace));
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let small = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "20000");
    admin.create_topics([&small], &AdminOptions::new()).await.unwrap().remove(0).unwrap();

    let log = open(fixture.settings.clone()).await;
    let carrier = log.carrier("the-log");
    carrier.fence().await.unwrap();
    // No two of them are alike, so that they do not get smaller than the topic's bound.
    let noise: String = (0..3000).map(|_| uuid::Uuid::now_v7().simple().to_string()).collect();
    let large = (record(IN, noise), at(1));
    assert!(Carrier::size(&large.0).is_ok());
    let refused = carrier.append([part([0]), vec![large]].concat()).await;
    assert!(matches!(refused, Err(LogError::TooLarge { .. })), "{refused:?}");
    carrier.fence().await.unwrap();
    carrier.append(part([2])).await.unwrap();
    assert_eq!(read_back(&carrier).await, [("2".to_owned(), Some(at(2)))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_cursor_goes_on_where_it_stood() {
    let fixture = Fixture::new();
    let log = open(fixture.settings.clone()).await;
    let of = cursor("app.route.service", IN);
    log.append(Append { records: (0..6).map(|n| record(IN, n.to_string())).collect(), ..Append::default() })
        .await
        .unwrap();
    let mut progress = Progress::at(1);
    progress.finish(2..4);
    let beginning = BTreeMap::from([((topic(IN), 0), progress)]);
    assert!(log.create_cursor_at(of.clone(), beginning.clone()).await.unwrap());
    assert_eq!(log.progress(&of.name).await.unwrap(), Some(beginning));
    assert!(!log.create_cursor_at(of.clone(), BTreeMap::new()).await.unwrap(), "it is there, and stays where it is");
    let mut subscription = log.subscribe(&of).unwrap();
    let records = take(&mut *subscription, 3).await;
    assert_eq!(bodies(&records), ["1", "4", "5"]);
    assert_eq!(positions(&records).len(), 3);
    log.close().await.unwrap();
}

/// An event by its name, which is its key: its copies share a partition.
fn event(name: &str, received_at: Timestamp) -> (NewRecord, DedupKey) {
    let mut digest = [0; 16];
    digest[..name.len()].copy_from_slice(name.as_bytes());
    let expires_at = received_at.checked_add(SignedDuration::from_hours(7 * 24)).unwrap();
    (NewRecord { key: Some(name.to_owned().into()), ..record(IN, name) }, DedupKey { digest, expires_at })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn the_relay_takes_a_copy_of_what_the_other_log_has_taken_for_one() {
    let mut settings = Fixture::new().settings;
    settings.topics.partitions = 5;
    settings.deduplication = Some(Deduplication::of(CursorName::new(RELAY).unwrap()));
    let log = open(settings).await;
    let relay = cursor(RELAY, IN);
    let carrier = log.carrier("the-log");
    carrier.ensure(&BTreeSet::from([topic(IN)])).await.unwrap();
    carrier.fence().await.unwrap();
    let now = SystemClock.now();
    let yesterday = now.checked_sub(SignedDuration::from_hours(25)).unwrap();
    let known = |name: &str, received_at| {
        let (record, key) = event(name, received_at);
        Known { topic: topic(IN), key: record.key.unwrap(), received_at, dedup: vec![key] }
    };
    let names: Vec<String> = (0..20).map(|number| format!("known-{number}")).collect();
    let mut all: Vec<_> = names.iter().map(|name| known(name, now)).collect();
    all.push(known("old", yesterday));
    assert_eq!(carrier.remember(&relay.name, all.clone()).await.unwrap(), 20, "one has expired");
    assert_eq!(carrier.remember(&relay.name, all).await.unwrap(), 20, "once more changes nothing");
    carrier.append(vec![(event("known-0", now).0, at(0))]).await.unwrap();

    log.create_cursor(&relay).await.unwrap();
    for name in names.iter().map(String::as_str).chain(["old", "new"]) {
        let (record, key) = event(name, now);
        let append = Append { records: vec![record], dedup: vec![key], ..Append::default() };
        assert!(matches!(log.append(append).await, Ok(Appended::Stored(_))));
    }
    let mut subscription = log.subscribe(&relay).unwrap();
    let delivered: BTreeSet<String> = bodies(&take(&mut *subscription, 3).await).into_iter().collect();
    assert_eq!(delivered, ["known-0", "new", "old"].map(String::from).into(), "what was carried is no copy");
    let removed = async {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        while log.removed_copies() < 20 {
            turns.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), removed).await.unwrap();
    assert_eq!(log.removed_copies(), 20);
    log.close().await.unwrap();
}
