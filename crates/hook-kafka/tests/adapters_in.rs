//! `kafka_ingress` keeps the promises of its port, on a real broker.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod adapter;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use adapter::{Topic, inlet::Inlets, pause, reached};
use hook_core::{
    names::AdapterId,
    ports::ingress::{Behind, Doors, IngressDriver, Inlet, Opening, Trouble},
    stop::Stop,
};
use hook_kafka::adapters;
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

/// One process with the adapter.
struct Member {
    inlet: Arc<Inlets>,
    trouble: Trouble,
    behind: Behind,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

impl Member {
    async fn start(settings: Value, inlet: &Arc<Inlets>) -> Self {
        if std::env::var_os("RUST_LOG").is_some() {
            let filter = tracing_subscriber::EnvFilter::from_default_env();
            // The first test of a file begins, and the others have it too.
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
        }
        let (driver, secrets) = (input(settings), reached::secrets());
        let (adapter, doors) = (AdapterId::new("orders-in").unwrap(), Doors::default());
        let opening = Opening { adapter: &adapter, secrets: &secrets, beside: None, tls: None, doors: &doors };
        let listener = driver.listen(opening).await.unwrap();
        assert!(listener.address().is_none() && listener.upstream().is_some());
        let (trouble, behind) = (listener.trouble(), listener.behind());
        let (stop, stopped) = oneshot::channel::<()>();
        let given: Arc<dyn Inlet> = Arc::clone(inlet) as _;
        let ended = tokio::spawn(listener.run(given, Stop::when(async move { drop(stopped.await) })));
        Self { inlet: Arc::clone(inlet), trouble, behind, stop: Some(stop), ended }
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        self.ended.await.unwrap();
    }

    async fn until_behind(&self, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.behind.get() != Some(count) {
            assert!(Instant::now() < deadline, "{:?} where {count} is right", self.behind.get());
            pause(Duration::from_millis(50)).await;
        }
    }

    async fn until_taken(&self, count: usize) {
        self.inlet.until(&format!("{count} events"), |inlet| inlet.taken() >= count).await;
    }
}

fn input(settings: Value) -> Arc<dyn IngressDriver> {
    adapters::ingress().remove(0).build(settings).ok().unwrap().driver
}

fn from(topic: &Topic) -> Value {
    let mut settings = reached::settings(&topic.brokers);
    settings["topics"] = json!([topic.name]);
    settings["group_id"] = json!(format!("{}-group", topic.name));
    settings["event_type"] = json!("order");
    settings["source"] = json!("orders");
    settings
}

fn with(mut settings: Value, key: &str, value: Value) -> Value {
    settings[key] = value;
    settings
}

/// Waits until the group has committed so many records.
async fn until_committed(topic: &Topic, count: i64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let committed = topic.committed().await;
        if committed == count {
            return;
        }
        assert!(committed < count && Instant::now() < deadline, "{committed} of {count} committed");
        pause(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn records_come_in_in_the_order_of_their_keys_and_are_committed_once_they_are_in() {
    let topic = Topic::make(&[]).await;
    for number in 0..300 {
        topic.produce(Some(&format!("key-{}", number % 7)), &format!("{{\"n\":{number}}}"), &[]);
    }
    for number in 300..330 {
        topic.produce_to(1, None, &format!("{{\"n\":{number}}}"));
    }
    let inlet = Arc::new(Inlets::default());
    let member = Member::start(from(&topic), &inlet).await;
    member.until_taken(330).await;
    let number = |body: &str| serde_json::from_str::<Value>(body).unwrap()["n"].as_u64().unwrap();
    let numbers: Vec<u64> = inlet.bodies().iter().map(|body| number(body)).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 330, "each of them once");
    for key in 0..7 {
        let of_key: Vec<_> = numbers.iter().filter(|number| **number < 300 && **number % 7 == key).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
    assert!(numbers.iter().filter(|number| **number >= 300).is_sorted(), "a partition keeps its order without keys");
    let ids: BTreeSet<_> =
        inlet.taken.lock().unwrap().iter().map(|event| event.stated.clone().unwrap().delivery_id).collect();
    assert_eq!(ids.len(), 330, "each has an id of its own");
    until_committed(&topic, 330).await;
    member.stop().await;
    let again = Arc::new(Inlets::default());
    let member = Member::start(from(&topic), &again).await;
    topic.produce(None, "{\"n\":999}", &[]);
    member.until_taken(1).await;
    assert_eq!(again.bodies(), ["{\"n\":999}"], "what was committed does not come again");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn nothing_is_committed_while_the_log_is_away_and_everything_comes_in_when_it_is_back() {
    let topic = Topic::make(&[]).await;
    for number in 0..50 {
        topic.produce(Some("a"), &format!("{{\"n\":{number}}}"), &[]);
    }
    let inlet = Arc::new(Inlets::default());
    inlet.go_away(true);
    let member = Member::start(with(from(&topic), "max_in_flight", json!(5)), &inlet).await;
    inlet.until("the first refusals", |inlet| inlet.refusals.lock().unwrap().len() >= 3).await;
    member.until_behind(50).await;
    pause(Duration::from_secs(3)).await;
    assert_eq!(topic.committed().await, 0);
    let asked = inlet.refusals.lock().unwrap().len();
    assert!(asked < 15, "a log that is away is asked now and then: {asked}");
    inlet.go_away(false);
    member.until_taken(50).await;
    assert_eq!(inlet.bodies(), (0..50).map(|number| format!("{{\"n\":{number}}}")).collect::<Vec<_>>());
    until_committed(&topic, 50).await;
    member.until_behind(0).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn what_can_never_be_an_event_is_set_aside_and_passed_over() {
    let topic = Topic::make(&[("max.message.bytes", "4000000")]).await;
    topic.produce_to(0, Some("a"), "not json");
    topic.produce_to(0, Some("a"), "{\"n\":1}");
    topic.produce_to(0, Some("a"), &format!("{{\"n\":\"{}\"}}", "x".repeat(5000)));
    topic.tombstone(0, "a");
    topic.produce_to(0, Some("a"), "{\"n\":2}");
    let inlet = Arc::new(Inlets::default());
    let member = Member::start(with(from(&topic), "max_body_bytes", json!(4096)), &inlet).await;
    member.until_taken(2).await;
    inlet.until("three set aside", |inlet| inlet.set_aside.lock().unwrap().len() == 3).await;
    assert_eq!(inlet.bodies(), ["{\"n\":1}", "{\"n\":2}"]);
    until_committed(&topic, 5).await;
    let set_aside = inlet.set_aside.lock().unwrap().clone();
    let of = |code: &str| set_aside.iter().find(|poison| poison.rejection.refused.code == code).unwrap();
    assert_eq!(of("malformed_body").value.as_deref(), Some(b"not json".as_slice()));
    assert_eq!(of("malformed_body").key.as_deref(), Some(b"a".as_slice()));
    assert!(of("malformed_body").origin.starts_with(&format!("{}-0-0-", topic.name)));
    assert_eq!((of("body_too_large").value.as_ref(), of("body_too_large").value_bytes), (None, 5008));
    assert_eq!(of("no_value").value_bytes, 0);
    member.stop().await;
    assert_eq!(inlet.set_aside.lock().unwrap().len(), 3, "and not again and again");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn two_members_share_the_partitions_and_nothing_is_left_out_when_one_comes_and_one_goes() {
    const RECORDS: usize = 1500;
    let topic = Topic::make(&[]).await;
    let (one, two) = (Arc::new(Inlets::default()), Arc::new(Inlets::default()));
    let first = Member::start(from(&topic), &one).await;
    let produce = async {
        for number in 0..RECORDS {
            topic.produce(Some(&format!("key-{}", number % 31)), &format!("{{\"n\":{number}}}"), &[]);
            pause(Duration::from_millis(10)).await;
        }
    };
    let change = async {
        first.until_taken(10).await;
        let second = Member::start(from(&topic), &two).await;
        second.until_taken(10).await;
        first.stop().await;
        second
    };
    let ((), second) = tokio::join!(produce, change);
    let all = || one.bodies().into_iter().chain(two.bodies()).collect::<BTreeSet<_>>();
    two.until("every event", |_| all().len() == RECORDS).await;
    until_committed(&topic, i64::try_from(RECORDS).unwrap()).await;
    assert_eq!(one.taken() + two.taken(), RECORDS, "who goes in good order leaves nothing to be taken twice");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_check_tells_whether_there_is_something_to_fetch_and_fetches_nothing() {
    let mut topic = Topic::make(&[]).await;
    topic.produce(None, "{}", &[]);
    let check =
        async |topic: &Topic| input(from(topic)).check(&reached::secrets()).await.map_err(|error| error.to_string());
    assert_eq!(check(&topic).await, Ok(()));
    assert_eq!(topic.committed().await, 0);
    topic.name.push_str("-missing");
    let error = check(&topic).await.unwrap_err();
    assert!(error.contains("does not exist"), "{error}");
    let nowhere = Topic { brokers: "127.0.0.1:1".into(), name: "orders".into(), producer: std::sync::OnceLock::new() };
    let error = check(&nowhere).await.unwrap_err();
    assert!(error.contains("127.0.0.1:1: no broker answers"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_are_waited_for_and_the_end_is_quick() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = Topic { brokers: free.to_string(), name: "orders".into(), producer: std::sync::OnceLock::new() };
    let inlet = Arc::new(Inlets::default());
    let member = Member::start(from(&nowhere), &inlet).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while member.trouble.get().is_none_or(|trouble| !trouble.contains("no broker answers")) {
        assert!(Instant::now() < deadline, "{:?}", member.trouble.get());
        pause(Duration::from_millis(50)).await;
    }
    let began = Instant::now();
    member.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_topic_that_is_made_later_is_read() {
    let mut topic = Topic::make(&[]).await;
    topic.name.push_str("-later");
    let inlet = Arc::new(Inlets::default());
    let member = Member::start(from(&topic), &inlet).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while member.trouble.get().is_none_or(|trouble| !trouble.contains("does not exist")) {
        assert!(Instant::now() < deadline, "{:?}", member.trouble.get());
        pause(Duration::from_millis(50)).await;
    }
    topic.make_again().await;
    topic.produce(None, "{}", &[]);
    member.until_taken(1).await;
    member.stop().await;
}
