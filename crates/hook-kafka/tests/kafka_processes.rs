//! Several processes on one cluster: each log here is what a process of its own would have.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use common::Fixture;
use hook_core::{
    names::CursorName,
    ports::log::{Append, Appended, Commit, From, Log, LogError, Position, Record, Subscription, TopicFilter},
};
use hook_kafka::{KafkaLog, OpenError, Settings, TopicProblem};
use hook_testkit::log_conformance::{
    EVENTS, LogFixture, append, bodies, cursor, drain, positions, record, take, topic,
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

const PARTITIONS: u32 = 4;
/// Nothing here takes as long, unless it never ends.
const LIMIT: Duration = Duration::from_secs(60);

fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.settings.topics.partitions = PARTITIONS;
    fixture.settings.topics.expected = BTreeSet::from([topic(EVENTS)]);
    fixture
}

/// A record of its own key, so that many of them lie in all partitions.
fn event(number: usize) -> hook_core::ports::log::NewRecord {
    let text = number.to_string();
    hook_core::ports::log::NewRecord { key: Some(text.clone().into()), ..record(EVENTS, text) }
}

async fn append_numbers(log: &dyn Log, numbers: std::ops::Range<usize>) -> Vec<Position> {
    append(log, numbers.map(event).collect()).await
}

fn numbers(records: &[Record]) -> BTreeSet<usize> {
    bodies(records).iter().map(|body| body.parse().unwrap()).collect()
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("it ends in time")
}

async fn everything(log: &dyn Log, of: &str) -> Vec<Record> {
    drain(&mut *log.scan(TopicFilter::only(&topic(of)), From::Earliest).unwrap()).await
}

fn commit_of(cursor: &CursorName, done: &[Record]) -> Option<Commit> {
    Some(Commit { cursor: cursor.clone(), done: positions(done) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn of_processes_that_make_a_cursor_at_once_one_does() {
    let fixture = fixture();
    let logs = [fixture.open_as("one").await, fixture.open_as("two").await, fixture.open_as("three").await];
    append_numbers(&logs[0], 0..20).await;
    let cursor = cursor("c", EVENTS);
    let (first, second, third) =
        tokio::join!(logs[0].create_cursor(&cursor), logs[1].create_cursor(&cursor), logs[2].create_cursor(&cursor));
    let made = [first.unwrap(), second.unwrap(), third.unwrap()];
    assert_eq!(made.iter().filter(|was_made| **was_made).count(), 1, "{made:?}");
}

/// What one process has done is not done again by the one that takes its place, also above the watermark.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_process_goes_on_where_another_one_has_closed() {
    let fixture = fixture();
    let cursor = cursor("c", EVENTS);
    let first = fixture.open_as("one").await;
    first.create_cursor(&cursor).await.unwrap();
    append_numbers(&first, 0..100).await;
    let mut subscription = first.subscribe(&cursor).unwrap();
    let records = in_time(take(&mut *subscription, 100)).await;
    let (open, done): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.position.offset % 3 == 0);
    subscription.commit(positions(&done)).unwrap();
    first.close().await.unwrap();

    let second = fixture.open_as("two").await;
    assert!(!second.create_cursor(&cursor).await.unwrap());
    let mut subscription = second.subscribe(&cursor).unwrap();
    let again = in_time(take(&mut *subscription, open.len())).await;
    assert_eq!(numbers(&again), numbers(&open));
    append_numbers(&second, 100..101).await;
    assert_eq!(numbers(&in_time(take(&mut *subscription, 1)).await), BTreeSet::from([100]));
}

/// Takes records until there are none for the moment, and marks them as done.
async fn work(subscription: &mut dyn Subscription, seen: &mut Vec<Record>) {
    while let Ok(records) = tokio::time::timeout(Duration::from_millis(300), subscription.next(50)).await {
        let records = records.unwrap();
        subscription.commit(positions(&records)).unwrap();
        seen.extend(records);
    }
}

/// Two share the partitions, and nothing is delivered twice when the second one comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn processes_share_the_partitions() {
    let fixture = fixture();
    let cursor = cursor("c", EVENTS);
    let (one, two) = (fixture.open_as("one").await, fixture.open_as("two").await);
    one.create_cursor(&cursor).await.unwrap();
    append_numbers(&one, 0..200).await;
    let mut first = one.subscribe(&cursor).unwrap();
    let mut revocations = first.revocations().unwrap();
    let mut seen = [Vec::new(), Vec::new()];
    in_time(async {
        while seen[0].len() < 200 {
            work(&mut *first, &mut seen[0]).await;
        }
    })
    .await;
    let mut second = two.subscribe(&cursor).unwrap();
    let revocation = in_time(revocations.next()).await;
    assert!(!revocation.partitions.is_empty() && revocation.partitions.len() < PARTITIONS as usize);
    drop(revocation);
    let mut at = 200;
    in_time(async {
        while seen[1].is_empty() || seen[0].len() + seen[1].len() < at {
            append_numbers(&one, at..at + 20).await;
            at += 20;
            work(&mut *first, &mut seen[0]).await;
            work(&mut *second, &mut seen[1]).await;
        }
    })
    .await;
    assert_eq!(seen[0].len() + seen[1].len(), at, "each is delivered once");
    let all = seen.concat();
    assert_eq!(numbers(&all), (0..at).collect());
}

/// Who comes back within its session has the partitions that it had; those that the topic got meanwhile are nobody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn partitions_that_came_while_all_readers_were_away_are_read() {
    const WIDER: u32 = 12;
    let mut fixture = fixture();
    let cursor = cursor("c", EVENTS);
    let before = [fixture.open_as("one").await, fixture.open_as("two").await];
    before[0].create_cursor(&cursor).await.unwrap();
    let mut subscriptions = before.each_ref().map(|log| log.subscribe(&cursor).unwrap());
    append_numbers(&before[0], 0..40).await;
    let mut seen = [Vec::new(), Vec::new()];
    in_time(async {
        while seen.iter().any(Vec::is_empty) {
            append_numbers(&before[0], 0..40).await;
            for (subscription, seen) in subscriptions.iter_mut().zip(&mut seen) {
                work(&mut **subscription, seen).await;
            }
        }
    })
    .await;
    for log in &before {
        log.close().await.unwrap();
    }
    widen(&fixture.settings, EVENTS, WIDER).await;

    fixture.settings.topics.partitions = WIDER;
    let after = [fixture.open_as("one").await, fixture.open_as("two").await];
    let mut subscriptions = after.each_ref().map(|log| log.subscribe(&cursor).unwrap());
    append_numbers(&after[0], 1000..1200).await;
    let mut seen = Vec::new();
    in_time(async {
        while numbers(&seen).intersection(&(1000..1200).collect()).count() < 200 {
            for subscription in &mut subscriptions {
                work(&mut **subscription, &mut seen).await;
            }
        }
    })
    .await;
    let partitions: BTreeSet<_> = seen.iter().map(|record| record.position.partition).collect();
    assert_eq!(partitions, (0..WIDER).collect());
}

async fn widen(settings: &Settings, name: &str, partitions: u32) {
    let name = format!("{}{name}", settings.namespace);
    let wider = NewPartitions::new(&name, partitions as usize);
    admin(settings).create_partitions([&wider], &AdminOptions::new()).await.unwrap().pop().unwrap().unwrap();
}

/// What is in flight when a partition goes is finished and committed first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn work_in_flight_is_finished_before_its_partition_goes() {
    let fixture = fixture();
    let cursor = cursor("c", EVENTS);
    let (one, two) = (fixture.open_as("one").await, fixture.open_as("two").await);
    one.create_cursor(&cursor).await.unwrap();
    append_numbers(&one, 0..100).await;
    let mut first = one.subscribe(&cursor).unwrap();
    let mut revocations = first.revocations().unwrap();
    let mut in_flight = in_time(take(&mut *first, 100)).await;
    let mut second = two.subscribe(&cursor).unwrap();
    let revocation = in_time(revocations.next()).await;
    let (going, staying): (Vec<_>, Vec<_>) =
        in_flight.drain(..).partition(|record| revocation.covers(&record.position));
    let (finished, given_up): (Vec<_>, Vec<_>) = going.into_iter().partition(|record| record.position.offset % 2 == 0);
    first.commit(positions(&finished)).unwrap();
    drop(revocation);
    let mut again = Vec::new();
    in_time(async {
        while again.len() < given_up.len() {
            again.extend(second.next(50).await.unwrap());
        }
    })
    .await;
    assert_eq!(numbers(&again), numbers(&given_up));
    // It is not ours any more: nothing is committed for it, and nothing is stored with it.
    first.commit(positions(&given_up)).unwrap();
    let late = Append {
        records: vec![record("out", "late")],
        commit: commit_of(&cursor.name, &given_up),
        ..Append::default()
    };
    assert!(matches!(one.append(late).await, Err(LogError::Revoked(gone)) if !gone.is_empty()));
    let ours =
        Append { records: vec![record("out", "ours")], commit: commit_of(&cursor.name, &staying), ..Append::default() };
    assert!(matches!(one.append(ours).await, Ok(Appended::Stored(_))));
    assert_eq!(bodies(&everything(&one, "out").await), ["ours"]);
}

/// The records of an append that commits are there once, whoever else has tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_process_whose_name_another_one_has_taken_stores_nothing_more() {
    let fixture = fixture();
    let cursor = cursor("c", EVENTS);
    let before = fixture.open_as("one").await;
    before.create_cursor(&cursor).await.unwrap();
    append_numbers(&before, 0..40).await;
    let mut stale = before.subscribe(&cursor).unwrap();
    let records = in_time(take(&mut *stale, 40)).await;
    let bridge = |records: &[Record]| Append {
        records: records.iter().map(|of| record("out", bodies(std::slice::from_ref(of))[0].clone())).collect(),
        commit: commit_of(&cursor.name, records),
        ..Append::default()
    };
    assert!(matches!(before.append(bridge(&records[..20])).await, Ok(Appended::Stored(_))));

    let after = fixture.open_as("one").await;
    let mut subscription = after.subscribe(&cursor).unwrap();
    let rest = in_time(take(&mut *subscription, 20)).await;
    assert_eq!(numbers(&rest), numbers(&records[20..]));
    assert!(matches!(after.append(bridge(&rest)).await, Ok(Appended::Stored(_))));
    assert!(before.append(bridge(&records[20..])).await.is_err());
    let stored = everything(&after, "out").await;
    assert_eq!((stored.len(), numbers(&stored)), (40, (0..40).collect()));
    assert!(
        in_time(async {
            loop {
                if let Err(error) = stale.next(1).await {
                    break error;
                }
            }
        })
        .await
        .to_string()
        .contains("instance id")
    );
}

/// Also where a record of it cannot be stored after others were sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_transaction_that_fails_leaves_nothing_and_the_next_one_goes_on() {
    let mut fixture = fixture();
    fixture.settings.producer_defaults = BTreeMap::from([("compression.type".into(), "none".into())]);
    let cursor = cursor("c", EVENTS);
    let log = fixture.open_as("one").await;
    log.create_cursor(&cursor).await.unwrap();
    append_numbers(&log, 0..10).await;
    let mut subscription = log.subscribe(&cursor).unwrap();
    let records = in_time(take(&mut *subscription, 10)).await;
    // The topic takes less than this client: what it refuses comes after what it has taken.
    small_topic(&fixture.settings, "small").await;
    let mut batch = Append {
        records: vec![record("out", "first"), record("small", "x".repeat(50_000))],
        commit: commit_of(&cursor.name, &records),
        ..Append::default()
    };
    let refused = log.append(batch.clone()).await;
    assert!(matches!(refused, Err(LogError::TooLarge { .. })), "{refused:?}");
    assert!(everything(&log, "out").await.is_empty());
    batch.records.pop();
    assert!(matches!(log.append(batch).await, Ok(Appended::Stored(_))));
    assert_eq!(bodies(&everything(&log, "out").await), ["first"]);
}

fn admin(settings: &Settings) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", settings.brokers.join(",")).create().unwrap()
}

async fn small_topic(settings: &Settings, name: &str) {
    let name = format!("{}{name}", settings.namespace);
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "10000");
    admin(settings).create_topics([&topic], &AdminOptions::new()).await.unwrap().pop().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn topics_that_are_not_as_they_must_be_stop_the_start() {
    let mut fixture = fixture();
    drop(fixture.open().await);
    fixture.settings.topics.partitions = 9;
    fixture.settings.topics.replication = 2;
    fixture.settings.topics.auto_create = false;
    fixture.settings.topics.expected.insert(topic("missing"));
    let error = KafkaLog::open(fixture.settings.clone(), fixture.clock.clone()).await.err().unwrap();
    let OpenError::Topics(problems) = error else { panic!("{error}") };
    assert_eq!(
        problems,
        [
            TopicProblem::Missing(topic("missing")),
            TopicProblem::FewPartitions { topic: topic(EVENTS), found: PARTITIONS, wanted: 9 },
            TopicProblem::FewReplicas { topic: topic(EVENTS), found: 1, wanted: 2 },
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn what_others_wrote_comes_back_and_breaks_nothing() {
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
    let fixture = fixture();
    let log = fixture.open_as("one").await;
    let name = format!("{}{EVENTS}", fixture.settings.namespace);
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", fixture.settings.brokers.join(","))
            .set("compression.type", compression)
            .create()
            .unwrap();
        let body = format!("{compression} {}", "text ".repeat(200));
        producer
            .send(BaseRecord::<(), str>::to(&name).partition(0).payload(&body))
            .map_err(|(error, _)| error)
            .unwrap();
        producer
            .send(BaseRecord::<str, ()>::to(&name).partition(0).key("tombstone"))
            .map_err(|(error, _)| error)
            .unwrap();
        producer.flush(LIMIT).unwrap();
    }
    let cursor = cursor("c", EVENTS);
    log.create_cursor(&cursor).await.unwrap();
    let mut subscription = log.subscribe(&cursor).unwrap();
    let records = in_time(take(&mut *subscription, 10)).await;
    assert!(records.iter().all(|record| record.header.is_empty()));
    assert!(records[0].body.starts_with(b"none text") && records[8].body.starts_with(b"zstd text"));
    assert!(records[9].body.is_empty());
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_said_to() {
    let mut settings = Settings::new(["127.0.0.1:1"]);
    settings.security.allow_plaintext = true;
    let error = KafkaLog::open(settings, Arc::new(hook_core::clock::SystemClock)).await.err().unwrap();
    assert!(error.to_string().starts_with("no Kafka broker answers at 127.0.0.1:1"), "{error}");
}
