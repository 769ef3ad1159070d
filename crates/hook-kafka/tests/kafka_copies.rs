//! The relay removes copies: one process after another, and two of which one is killed.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::{
    collections::BTreeMap,
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

use common::Fixture;
use hook_core::{
    clock::{Clock, SystemClock},
    names::CursorName,
    ports::log::{Append, Appended, Commit, Cursor, DedupKey, From, Log, LogError, NewRecord, Record, TopicFilter},
};
use hook_kafka::{KafkaLog, Settings, settings::Deduplication};
use hook_testkit::log_conformance::{bodies, cursor, drain, positions, record, take, topic};
use rdkafka::{
    ClientConfig,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

const IN: &str = "in";
const OUT: &str = "out";
const RELAY: &str = "app.relay";
const LIMIT: Duration = Duration::from_secs(100);

fn relay() -> Cursor {
    cursor(RELAY, IN)
}

fn with_memory(settings: &Settings, instance: &str) -> Settings {
    let deduplication = Some(Deduplication::of(CursorName::new(RELAY).unwrap()));
    Settings { deduplication, instance_id: Some(instance.into()), ..settings.clone() }
}

async fn open(settings: Settings) -> KafkaLog {
    KafkaLog::open(settings, Arc::new(SystemClock)).await.unwrap()
}

/// An event by its name. Events of one name are copies, and share a partition.
fn event(name: &str) -> Append {
    let mut digest = [0; 16];
    digest[..name.len()].copy_from_slice(name.as_bytes());
    let now = SystemClock.now();
    let expires_at = now.checked_add(hook_core::SignedDuration::from_hours(1)).unwrap();
    Append {
        records: vec![NewRecord { key: Some(name.to_owned().into()), time: now, ..record(IN, name) }],
        dedup: vec![DedupKey { digest, expires_at }],
        ..Append::default()
    }
}

async fn send(log: &KafkaLog, names: &[&str]) {
    for name in names {
        assert!(matches!(log.append(event(name)).await, Ok(Appended::Stored(_))));
    }
}

fn bridge(records: &[Record]) -> Append {
    let bridged =
        |of: &Record| NewRecord { key: of.key.clone(), ..record(OUT, bodies(std::slice::from_ref(of)).remove(0)) };
    let commit = Commit { cursor: relay().name, done: positions(records) };
    Append { records: records.iter().map(bridged).collect(), commit: Some(commit), ..Append::default() }
}

async fn output(log: &KafkaLog) -> Vec<String> {
    bodies(&drain(&mut *log.scan(TopicFilter::only(&topic(OUT)), From::Earliest).unwrap()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_copy_is_removed_also_by_the_process_that_comes_next() {
    let fixture = Fixture::new();
    let first = open(with_memory(&fixture.settings, "one")).await;
    first.create_cursor(&relay()).await.unwrap();
    send(&first, &["a", "b", "a", "c", "b"]).await;
    let mut subscription = first.subscribe(&relay()).unwrap();
    let records = take(&mut *subscription, 3).await;
    assert_eq!(bodies(&records), ["a", "b", "c"]);
    // What was delivered and is not done is no reason to forget it.
    assert!(matches!(first.append(bridge(&records[..2])).await, Ok(Appended::Stored(_))));
    first.close().await.unwrap();

    let second = open(with_memory(&fixture.settings, "two")).await;
    send(&second, &["b", "c", "d", "a"]).await;
    let mut subscription = second.subscribe(&relay()).unwrap();
    let records = take(&mut *subscription, 2).await;
    assert_eq!(bodies(&records), ["c", "d"]);
    assert!(matches!(second.append(bridge(&records)).await, Ok(Appended::Stored(_))));
    send(&second, &["e"]).await;
    assert_eq!(bodies(&take(&mut *subscription, 1).await), ["e"]);
    assert_eq!(output(&second).await, ["a", "b", "c", "d"]);
    assert_eq!(second.removed_copies(), 3);
    assert!(second.state().partitions.iter().all(|partition| [IN, OUT].contains(&partition.topic.as_str())));
}

/// Dies in a transaction that the brokers would keep open for ten minutes.
async fn die_in_a_transaction(settings: &Settings, instance: &str) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("transactional.id", format!("{}{instance}.{RELAY}", settings.namespace))
        .set("transaction.timeout.ms", "600000")
        .create()
        .unwrap();
    let memory = format!("{}hook.dedup.{RELAY}", settings.namespace);
    tokio::task::spawn_blocking(move || {
        producer.init_transactions(LIMIT).unwrap();
        producer.begin_transaction().unwrap();
        producer
            .send(BaseRecord::<str, str>::to(&memory).key("open").payload("open"))
            .map_err(|(error, _)| error)
            .unwrap();
        producer.flush(LIMIT).unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn who_comes_back_does_not_wait_for_what_it_had_begun() {
    let fixture = Fixture::new();
    let settings = with_memory(&fixture.settings, "one");
    let before = open(settings.clone()).await;
    before.create_cursor(&relay()).await.unwrap();
    send(&before, &["a", "b"]).await;
    before.close().await.unwrap();
    die_in_a_transaction(&settings, "one").await;
    let after = open(settings).await;
    let mut subscription = after.subscribe(&relay()).unwrap();
    let records = tokio::time::timeout(LIMIT, take(&mut *subscription, 2)).await.expect("nobody waits for ten minutes");
    assert_eq!(bodies(&records), ["a", "b"]);
    assert!(matches!(after.append(bridge(&records)).await, Ok(Appended::Stored(_))));
}

const CHILD: &str = "HOOK_TEST_RELAY";

/// A relay in a process of its own: what the next test starts and kills. By itself it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn child() {
    let Ok(child) = std::env::var(CHILD) else { return };
    let (instance, namespace) = child.split_once('/').unwrap();
    let mut settings = with_memory(&common::settings(), instance);
    settings.namespace = namespace.into();
    let log = open(settings).await;
    let mut subscription = log.subscribe(&relay()).unwrap();
    loop {
        let Ok(records) = subscription.next(50).await else {
            subscription = log.subscribe(&relay()).unwrap();
            continue;
        };
        let mut left = records;
        loop {
            match log.append(bridge(&left)).await {
                Ok(_) => break,
                Err(LogError::Revoked(gone)) => {
                    let is_gone = |of: &Record| gone.contains(&(of.position.topic.clone(), of.position.partition));
                    left.retain(|record| !is_gone(record));
                }
                Err(LogError::Unavailable(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

struct Relay(Child);

impl Relay {
    fn start(instance: &str, namespace: &str) -> Self {
        let arguments = ["child", "--exact", "--include-ignored", "--nocapture"];
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self(command.args(arguments).env(CHILD, format!("{instance}/{namespace}")).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every event is in the output once, in the order of its key, although most are sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn of_two_relays_one_is_killed_and_nothing_is_missing_or_double() {
    const KEYS: usize = 20;
    const EVENTS: usize = 2000;
    let mut fixture = Fixture::new();
    fixture.settings.topics.partitions = 4;
    let log = open(with_memory(&fixture.settings, "sender")).await;
    log.create_cursor(&relay()).await.unwrap();
    send(&log, &["first"]).await;
    let mut relays = ["one", "two"].map(|instance| Relay::start(instance, &fixture.settings.namespace));
    let key = |number: usize| format!("{:02}-{number:05}", number % KEYS);
    let send_range = async |range: std::ops::Range<usize>| {
        for number in range {
            let name = key(number);
            // Copies share a key with what is in order, so that they share its partition.
            let mut append = event(&name);
            append.records[0].key = Some(name[..2].to_owned().into());
            for _ in 0..1 + number % 3 {
                log.append(append.clone()).await.unwrap();
            }
        }
    };
    send_range(0..EVENTS / 2).await;
    relays[1].kill();
    let killed = std::time::Instant::now();
    send_range(EVENTS / 2..EVENTS).await;
    // Copies of what the one that was killed has bridged: whoever has its partitions now knows them.
    send_range(0..EVENTS / 10).await;
    let mut found = Vec::new();
    while found.len() < EVENTS + 1 && killed.elapsed() < LIMIT {
        let appended = log.appended(TopicFilter::only(&topic(OUT)));
        found = output(&log).await;
        // What is missing may have come between the two.
        let _ = tokio::time::timeout(Duration::from_secs(1), appended).await;
    }
    eprintln!("all events are in the output {:?} after the kill", killed.elapsed());
    let mut expected: Vec<String> = (0..EVENTS).map(key).chain(["first".into()]).collect();
    let mut sorted = found.clone();
    expected.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for name in found.iter().filter(|name| *name != "first") {
        let before = last.insert(&name[..2], name);
        assert!(before.is_none_or(|before| before < name.as_str()), "{name} comes after {before:?}");
    }
}
