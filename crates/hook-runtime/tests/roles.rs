//! The roles on a log in memory and paused time: what a destination's answers lead to.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hook_contract::plan::{Destination, EgressAdapter, GiveUp, Plan, RetryPlan, Role, SmashPlan, SmashRoute, Unrouted};
use hook_core::{
    BoxFuture, Timestamp,
    clock::SystemClock,
    envelope::{DeadLetter, Envelope, EventHeader, Meta},
    event::EventId,
    names::{AdapterId, CursorName, EventType, Glob, RouteId, SourceName, TopicName},
    outcome::{FailureClass, Outcome},
    payload::Payload,
    ports::{
        egress::{CheckError, Delivery, EgressDriver, Order},
        log::{Append, CursorProgress, From, Log, TopicFilter},
    },
    secret::Secrets,
};
use hook_runtime::{Handle, Start};
use hook_testkit::MemoryLog;
use tokio::{sync::Notify, time::Instant};

/// What a scripted destination answers; by the event's type.
type Answer = Box<dyn Fn(&str, u32) -> Outcome + Send + Sync>;

/// A destination that answers by a script, and remembers what it was asked.
struct Scripted {
    answer: Mutex<Answer>,
    /// How long it takes to answer.
    takes: Mutex<Duration>,
    order: Mutex<Order>,
    asked: Mutex<Vec<(String, Instant)>>,
    was_asked: Notify,
}

impl Scripted {
    fn new(answer: impl Fn(&str, u32) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(Box::new(answer)),
            takes: Mutex::default(),
            order: Mutex::default(),
            asked: Mutex::default(),
            was_asked: Notify::new(),
        })
    }

    fn answer_from_now_on(&self, answer: impl Fn(&str, u32) -> Outcome + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }

    fn take(&self, time: Duration) {
        *self.takes.lock().unwrap() = time;
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    fn times(&self, name: &str) -> Vec<Instant> {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == name).map(|(_, at)| *at).collect()
    }

    async fn until(&self, is_enough: impl Fn(&[String]) -> bool) {
        let wait = async {
            loop {
                let asked = self.was_asked.notified();
                if is_enough(&self.asked()) {
                    return;
                }
                asked.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(3600), wait).await.expect("within an hour of paused time");
    }
}

impl EgressDriver for Scripted {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        let name = delivery.envelope.header.event_type.to_string();
        self.asked.lock().unwrap().push((name.clone(), Instant::now()));
        let outcome = (self.answer.lock().unwrap())(&name, delivery.attempt);
        self.was_asked.notify_waiters();
        let takes = *self.takes.lock().unwrap();
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            outcome
        })
    }

    fn check<'a>(&'a self, _: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async { Ok(()) })
    }

    fn order(&self) -> Order {
        *self.order.lock().unwrap()
    }
}

/// A destination, and what the contract says of it.
struct Case {
    driver: Arc<Scripted>,
    required: bool,
    max_retries: u32,
    on_give_up: GiveUp,
}

impl Case {
    fn of(driver: &Arc<Scripted>) -> Self {
        Self { driver: Arc::clone(driver), required: true, max_retries: 2, on_give_up: GiveUp::DeadLetter }
    }
}

fn plan(case: &Case) -> Plan {
    let adapter = AdapterId::new("out").unwrap();
    let retry = RetryPlan {
        max_retries: case.max_retries,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(60),
        max_age: None,
    };
    let dead_letters = TopicName::new("webhooks.dlq").unwrap();
    let route = SmashRoute {
        id: RouteId::new("route").unwrap(),
        topics: TopicFilter { include: vec![Glob::new("webhooks.*")], unless_literal: vec![dead_letters] },
        event_filters: Vec::new(),
        destinations: vec![Destination { adapter: adapter.clone(), required: case.required, from: None }],
    };
    let driver: Arc<dyn EgressDriver> = case.driver.clone();
    let adapter = EgressAdapter {
        id: adapter,
        driver_name: "scripted".into(),
        driver,
        plugins: Vec::new(),
        retry,
        on_give_up: case.on_give_up,
        concurrency: 4,
        max_ahead: 100,
        settings: serde_json::Value::Null,
    };
    let smash = SmashPlan { adapters: vec![adapter], routes: vec![route], unrouted: Unrouted::Count };
    Plan { smash, ..support::plan() }
}

/// A running `smash` on a log in memory.
struct Running {
    handle: Handle,
    log: Arc<dyn Log>,
}

impl Running {
    async fn start(case: &Case) -> Self {
        Self::start_on(case, Arc::new(MemoryLog::new(Arc::new(SystemClock)))).await
    }

    async fn start_on(case: &Case, log: Arc<dyn Log>) -> Self {
        let secrets: Secrets = Arc::new(BTreeMap::new());
        let start = Start {
            plan: plan(case),
            roles: vec![Role::Smash],
            log: Arc::clone(&log),
            secrets,
            clock: Arc::new(SystemClock),
            seed: 7,
            instance: None,
        };
        Self { handle: hook_runtime::start(start).await.unwrap(), log }
    }

    /// Stores an event. Its type is its name in the tests; events of one key are delivered in order.
    async fn store(&self, name: &str, key: Option<&str>) {
        self.store_in("webhooks.core", name, key).await;
    }

    async fn store_in(&self, topic: &str, name: &str, key: Option<&str>) {
        let header = EventHeader {
            id: EventId::generate(),
            source: SourceName::new("github").unwrap(),
            event_type: EventType::new(name).unwrap(),
            received_at: Timestamp::now(),
            meta: Meta { route_key: key.map(str::to_owned), ..Meta::default() },
        };
        let payload = Payload::parse(bytes::Bytes::from_static(b"{}")).unwrap();
        let record = Envelope { header, payload }.to_record(TopicName::new(topic).unwrap());
        self.log.append(Append::one(record)).await.unwrap();
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let topic = TopicName::new("webhooks.dlq").unwrap();
        let mut scan = self.log.scan(TopicFilter::only(&topic), From::Earliest).unwrap();
        scan.next(100).await.unwrap().iter().map(|record| DeadLetter::from_record(record).unwrap()).collect()
    }

    /// Waits until the destination's cursor is so far.
    async fn until_done(&self, watermark: u64) {
        let is_done = || progress(&*self.log).iter().any(|progress| progress.watermark >= watermark);
        while !is_done() {
            tokio::task::yield_now().await;
        }
    }

    async fn until_dead_letters(&self, count: usize) -> Vec<DeadLetter> {
        let topic = TopicName::new("webhooks.dlq").unwrap();
        loop {
            let appended = self.log.appended(TopicFilter::only(&topic));
            let letters = self.dead_letters().await;
            if letters.len() >= count {
                return letters;
            }
            appended.await;
        }
    }
}

/// How far the destination's cursor is.
fn progress(log: &dyn Log) -> Vec<CursorProgress> {
    let mut cursors = log.state().cursors.into_iter();
    cursors.find(|cursor| cursor.name.as_str() == "app.route.out").map(|cursor| cursor.partitions).unwrap_or_default()
}

fn delivered(_: &str, _: u32) -> Outcome {
    Outcome::delivered("200")
}

fn count(asked: &[String], name: &str) -> usize {
    asked.iter().filter(|asked| *asked == name).count()
}

#[tokio::test(start_paused = true)]
async fn an_event_is_tried_max_retries_times_after_the_first_and_then_is_a_dead_letter() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Transient, "500"));
    let running = Running::start(&Case::of(&driver)).await;
    running.store("a", None).await;
    let letters = running.until_dead_letters(1).await;
    assert_eq!(driver.asked(), ["a", "a", "a"]);
    assert_eq!((letters[0].header.attempts, letters[0].header.error.as_str()), (3, "500"));
    assert_eq!(letters[0].header.destination, "route/out");
}

#[tokio::test(start_paused = true)]
async fn a_retry_holds_its_own_key_and_no_other() {
    let driver = Scripted::new(|name, attempt| match (name, attempt) {
        ("a1", 1) => Outcome::failed(FailureClass::Transient, "500"),
        _ => Outcome::delivered("200"),
    });
    let running = Running::start(&Case::of(&driver)).await;
    for (name, key) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")] {
        running.store(name, Some(key)).await;
    }
    driver.until(|asked| asked.len() == 5).await;
    let asked = driver.asked();
    let place = |name: &str| asked.iter().rposition(|asked| asked == name).unwrap();
    assert!(place("a1") < place("a2"), "{asked:?}");
    assert!(place("b1") < place("b2"), "{asked:?}");
    assert!(place("b2") < place("a1"), "the other key does not wait: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_wants_the_order_of_the_log_gets_it_whatever_the_keys() {
    let driver = Scripted::new(delivered);
    *driver.order.lock().unwrap() = Order::Log;
    driver.take(Duration::from_millis(10));
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let (first, names) =
        (Running::start_on(&Case::of(&driver), Arc::clone(&log)).await, ["a1", "a2", "b1", "c", "a3", "b2"]);
    for name in names {
        first.store(name, (name != "c").then(|| &name[..1])).await;
    }
    driver.until(|asked| asked.len() == names.len()).await;
    assert_eq!(driver.asked(), names);
    let times = driver.asked.lock().unwrap().windows(2).map(|two| two[1].1 - two[0].1).collect::<Vec<_>>();
    assert!(times.iter().all(|between| *between >= Duration::from_millis(10)), "one after the other: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_spends_nothing_and_gets_everything_in_order_when_it_returns() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Unreachable, "connection refused"));
    let running = Running::start(&Case { max_retries: 0, ..Case::of(&driver) }).await;
    for key in ["a", "b", "c"] {
        for number in 1..=3 {
            running.store(&format!("{key}{number}"), Some(key)).await;
        }
    }
    driver.until(|asked| asked.len() >= 5).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let while_down = driver.asked().len();
    assert!(while_down < 40, "only probes while the breaker is open: {while_down}");
    assert!(running.handle.status().destinations[0].breaker_open_since.is_some());

    driver.answer_from_now_on(delivered);
    driver.until(|asked| ["a3", "b3", "c3"].iter().all(|name| count(asked, name) == 1)).await;
    let after = &driver.asked()[while_down..];
    for key in ["a", "b", "c"] {
        let order: Vec<_> = after.iter().filter(|name| name.starts_with(key)).cloned().collect();
        assert_eq!(order, [format!("{key}1"), format!("{key}2"), format!("{key}3")]);
    }
    assert!(running.dead_letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_bad_event_does_not_shut_a_destination() {
    let driver = Scripted::new(|name, _| match name {
        "bad" => Outcome::failed(FailureClass::Transient, "500"),
        _ => Outcome::delivered("200"),
    });
    let running = Running::start(&Case { max_retries: 20, ..Case::of(&driver) }).await;
    running.store("bad", Some("a")).await;
    running.until_dead_letters(1).await;
    assert_eq!(count(&driver.asked(), "bad"), 21);
    running.store("good", Some("b")).await;
    driver.until(|asked| count(asked, "good") == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_a_dead_letter_at_once_and_the_key_goes_on() {
    let driver = Scripted::new(|name, _| match name {
        "a1" => Outcome::failed(FailureClass::Rejected, "400"),
        _ => Outcome::delivered("200"),
    });
    let running = Running::start(&Case::of(&driver)).await;
    running.store("a1", Some("a")).await;
    running.store("a2", Some("a")).await;
    driver.until(|asked| count(asked, "a2") == 1).await;
    assert_eq!(driver.asked(), ["a1", "a2"]);
    assert_eq!(running.dead_letters().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_empties_nothing_into_the_dead_letters() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Misconfigured, "401"));
    let running = Running::start(&Case { max_retries: 0, ..Case::of(&driver) }).await;
    for number in 0..10 {
        running.store(&format!("e{number}"), None).await;
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(running.dead_letters().await.is_empty());
    driver.answer_from_now_on(delivered);
    driver.until(|asked| (0..10).all(|number| count(asked, &format!("e{number}")) >= 1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_alone_is_refused_as_misconfigured_is_given_up() {
    let driver = Scripted::new(|name, _| match name {
        "odd" => Outcome::failed(FailureClass::Misconfigured, "403"),
        _ => Outcome::delivered("200"),
    });
    let running = Running::start(&Case::of(&driver)).await;
    running.store("odd", None).await;
    for number in 0..3 {
        running.store(&format!("e{number}"), None).await;
    }
    assert_eq!(running.until_dead_letters(1).await[0].header.event.event_type.as_str(), "odd");
    driver.until(|asked| (0..3).all(|number| count(asked, &format!("e{number}")) == 1)).await;
}

#[tokio::test(start_paused = true)]
async fn one_event_that_is_refused_as_misconfigured_does_not_keep_a_destination_shut() {
    let driver = Scripted::new(|name, _| match name {
        "odd" => Outcome::failed(FailureClass::Misconfigured, "403"),
        _ => Outcome::delivered("200"),
    });
    let running = Running::start(&Case::of(&driver)).await;
    running.store("odd", Some("a")).await;
    driver.until(|asked| !asked.is_empty()).await;
    for number in 0..6 {
        running.store(&format!("e{number}"), Some(&format!("k{number}"))).await;
    }
    driver.until(|asked| (0..6).all(|number| count(asked, &format!("e{number}")) == 1)).await;
    assert_eq!(running.until_dead_letters(1).await[0].header.event.event_type.as_str(), "odd");
}

#[tokio::test(start_paused = true)]
async fn bad_keys_do_not_keep_a_destination_shut_for_all_that_comes_behind_them() {
    let driver = Scripted::new(|name, _| match name.starts_with("bad") {
        true => Outcome::failed(FailureClass::Transient, "500"),
        false => Outcome::delivered("200"),
    });
    let running = Running::start(&Case { max_retries: 8, ..Case::of(&driver) }).await;
    for number in 0..8 {
        running.store(&format!("bad{number}"), Some(&format!("bad-key{number}"))).await;
    }
    // Nothing but bad events: whether the destination is dead cannot be told, and it is shut.
    driver.until(|asked| asked.len() >= 5).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(running.handle.status().destinations[0].breaker_open_since.is_some());
    for number in 0..8 {
        running.store(&format!("behind{number}"), Some(&format!("bad-key{number}"))).await;
        running.store(&format!("good{number}"), Some(&format!("good-key{number}"))).await;
    }
    driver.until(|asked| (0..8).all(|number| count(asked, &format!("good{number}")) == 1)).await;
}

#[tokio::test(start_paused = true)]
async fn bad_keys_let_everything_pass_also_where_more_waits_behind_them_than_may_be_read_ahead() {
    let driver = Scripted::new(|name, _| match name.starts_with("bad") {
        true => Outcome::failed(FailureClass::Transient, "500"),
        false => Outcome::delivered("200"),
    });
    let running = Running::start(&Case { max_retries: 3, ..Case::of(&driver) }).await;
    for round in 0..60 {
        for number in 0..8 {
            running.store(&format!("bad{number}-{round}"), Some(&format!("bad-key{number}"))).await;
        }
        for number in 0..20 {
            running.store(&format!("good{number}-{round}"), Some(&format!("good-key{number}-{round}"))).await;
        }
    }
    let good = |asked: &[String]| asked.iter().filter(|asked| asked.starts_with("good")).count();
    driver.until(|asked| good(asked) == 20 * 60).await;
    assert!(running.dead_letters().await.iter().all(|letter| letter.header.attempts > 3));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_tried_again_and_again_does_not_stop_the_others_after_max_ahead() {
    let driver = Scripted::new(|name, _| match name.starts_with("bad") {
        true => Outcome::failed(FailureClass::Transient, "500"),
        false => Outcome::delivered("200"),
    });
    let running = Running::start(&Case { max_retries: 20, ..Case::of(&driver) }).await;
    running.store("bad", Some("bad-key")).await;
    for number in 0..1000 {
        running.store(&format!("e{number}"), Some(&format!("key{}", number % 50))).await;
    }
    let began = Instant::now();
    driver.until(|asked| asked.iter().filter(|asked| asked.starts_with('e')).count() == 1000).await;
    assert!(began.elapsed() < Duration::from_secs(1), "they waited for {:?}", began.elapsed());
    assert!(running.dead_letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_holds_a_bounded_number_of_events_however_few_keys_have_them_all() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Unreachable, "connection refused"));
    let running = Running::start(&Case::of(&driver)).await;
    for number in 0..2000 {
        running.store(&format!("e{number}"), Some(&format!("key{}", number % 3))).await;
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    let status = running.handle.status().destinations[0].clone();
    assert!(status.breaker_open_since.is_some());
    let held = status.pending;
    assert!((1000..1000 + 64).contains(&held), "ten times max_ahead, and what one read brings: {held}");

    let while_down = driver.asked().len();
    driver.answer_from_now_on(delivered);
    driver.until(|asked| asked.len() >= while_down + 2000).await;
    let after = &driver.asked()[while_down..];
    for key in 0..3 {
        let of_key = after.iter().filter_map(|name| name.strip_prefix('e')?.parse::<usize>().ok());
        let of_key: Vec<_> = of_key.filter(|number| number % 3 == key).collect();
        assert_eq!(of_key, (key..2000).step_by(3).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_key_opens_the_breaker_too() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Transient, "503"));
    let running = Running::start(&Case { max_retries: 1, ..Case::of(&driver) }).await;
    for number in 0..12 {
        running.store(&format!("e{number}"), Some("one-key")).await;
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    // Two were given up before three events had failed; from then on nothing is spent.
    assert_eq!(running.dead_letters().await.len(), 2);
    driver.answer_from_now_on(delivered);
    driver.until(|asked| count(asked, "e11") == 1).await;
    assert_eq!(running.dead_letters().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_optional_destination_that_stays_shut_drops_what_waits_for_it() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Unreachable, "connection refused"));
    let running = Running::start(&Case { required: false, ..Case::of(&driver) }).await;
    for number in 0..20 {
        running.store(&format!("e{number}"), None).await;
    }
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    let pending = running.handle.status().destinations[0].pending;
    assert!(pending <= 1, "one is kept to probe with: {pending}");
    running.store("late", None).await;
    driver.answer_from_now_on(delivered);
    running.until_done(20).await;
    assert!(running.dead_letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_and_spends_nothing() {
    let driver = Scripted::new(|_, attempt| match attempt {
        1..=3 => {
            let Outcome::Failed(mut failure) = Outcome::failed(FailureClass::Throttled, "429") else { unreachable!() };
            failure.retry_after = Some(Duration::from_secs(30));
            Outcome::Failed(failure)
        }
        _ => Outcome::delivered("200"),
    });
    let running = Running::start(&Case { max_retries: 0, ..Case::of(&driver) }).await;
    running.store("a", None).await;
    driver.until(|asked| asked.len() == 4).await;
    let times = driver.times("a");
    let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [30, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn an_optional_destination_drops_where_a_required_one_would_dead_letter() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Rejected, "400"));
    let running = Running::start(&Case { required: false, ..Case::of(&driver) }).await;
    running.store("a", None).await;
    running.store("b", None).await;
    driver.until(|asked| asked.len() == 2).await;
    running.until_done(2).await;
    assert!(running.dead_letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn hold_keeps_the_key_waiting_until_the_destination_takes_it() {
    let driver = Scripted::new(|name, _| match name {
        "a1" => Outcome::failed(FailureClass::Rejected, "400"),
        _ => Outcome::delivered("200"),
    });
    let running = Running::start(&Case { on_give_up: GiveUp::Hold, ..Case::of(&driver) }).await;
    running.store("a1", Some("a")).await;
    running.store("a2", Some("a")).await;
    running.store("b1", Some("b")).await;
    driver.until(|asked| count(asked, "b1") == 1 && count(asked, "a1") >= 3).await;
    assert_eq!(count(&driver.asked(), "a2"), 0);
    driver.answer_from_now_on(delivered);
    driver.until(|asked| count(asked, "a2") == 1).await;
    assert!(running.dead_letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_not_delivered_again_after_a_restart() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let driver = Scripted::new(|name, _| match name {
        "stuck" => Outcome::failed(FailureClass::Throttled, "429"),
        _ => Outcome::delivered("200"),
    });
    let case = Case::of(&driver);
    let running = Running::start_on(&case, Arc::clone(&log)).await;
    running.store("stuck", Some("a")).await;
    running.store("done", Some("b")).await;
    driver.until(|asked| count(asked, "done") == 1).await;
    let state = loop {
        let state = log.state();
        let progress = state.cursors.iter().flat_map(|cursor| &cursor.partitions);
        if progress.map(|progress| progress.done_above).sum::<u64>() > 0 {
            break state;
        }
        tokio::task::yield_now().await;
    };
    drop(running);
    drop(state);
    driver.answer_from_now_on(delivered);
    let again = Running::start_on(&case, log).await;
    again.store("new", None).await;
    driver.until(|asked| count(asked, "new") == 1 && count(asked, "stuck") >= 2).await;
    assert_eq!(count(&driver.asked(), "done"), 1, "what was done above the watermark stays done");
}

/// A destination that takes its time, with three events of `webhooks.core` in lanes, the first of each key in flight.
async fn busy(driver: &Arc<Scripted>, takes: Duration) -> (Running, Arc<MemoryLog>) {
    let log = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let running = Running::start_on(&Case::of(driver), Arc::clone(&log) as Arc<dyn Log>).await;
    driver.take(takes);
    running.store("a1", Some("a")).await;
    running.store("a2", Some("a")).await;
    running.store("b1", Some("b")).await;
    driver.until(|asked| count(asked, "a1") == 1 && count(asked, "b1") == 1).await;
    (running, log)
}

fn revoke(log: &MemoryLog) -> impl Future<Output = ()> + use<> {
    let cursor = CursorName::new("app.route.out").unwrap();
    log.revoke(&cursor, &TopicName::new("webhooks.core").unwrap(), Duration::from_secs(5))
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_finished_before_its_partition_goes_and_nothing_else_of_it_begins() {
    let driver = Scripted::new(delivered);
    let (running, log) = busy(&driver, Duration::from_secs(2)).await;
    let began = Instant::now();
    revoke(&log).await;
    assert_eq!(began.elapsed().as_secs(), 2);
    let progress = progress(&*log);
    assert_eq!((progress[0].watermark, progress[0].done_above), (1, 1), "a1 and b1 are committed before it goes");
    running.store_in("webhooks.other", "c1", Some("a")).await;
    driver.until(|asked| count(asked, "c1") == 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(count(&driver.asked(), "a2"), 0, "it is another process's to deliver");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_finished_in_time_is_given_up_with_its_partition() {
    let driver = Scripted::new(delivered);
    let (running, log) = busy(&driver, Duration::from_secs(60)).await;
    let began = Instant::now();
    revoke(&log).await;
    assert_eq!(began.elapsed().as_secs(), 5);
    driver.take(Duration::ZERO);
    running.store_in("webhooks.other", "c1", Some("a")).await;
    driver.until(|asked| count(asked, "c1") == 1).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(progress(&*log).iter().all(|part| part.topic.as_str() != "webhooks.core" || part.watermark == 0));
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_events_wait_for_another_attempt_goes_at_once() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Throttled, "429"));
    let (_running, log) = busy(&driver, Duration::from_millis(10)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    revoke(&log).await;
    assert!(began.elapsed() < Duration::from_millis(20));
    let asked = driver.asked().len();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(driver.asked().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_not_ready_says_why_and_how_far_its_cursors_are_behind() {
    let driver = Scripted::new(|_, _| Outcome::failed(FailureClass::Unreachable, "down"));
    let log = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let shared: Arc<dyn Log> = log.clone();
    let running = Running::start_on(&Case::of(&driver), shared).await;
    running.store("first", None).await;
    running.store("second", None).await;
    let status = running.handle.status();
    assert!(status.ready && status.not_ready.is_empty());
    assert_eq!((status.backbone.driver, status.backbone.topics.len()), ("embedded", 2));
    let lags: Vec<_> = status.lag.iter().map(|lag| (lag.destination.as_str(), lag.pins)).collect();
    assert_eq!(lags, [("route/out", true), ("unrouted", false)]);
    assert_eq!(status.lag[0].behind, 2);
    let metrics = running.handle.render_metrics();
    assert!(metrics.contains("cursor_lag{cursor=\"app.route.out\",destination=\"route/out\"} 2"), "{metrics}");

    log.fail_with("the broker is away");
    let status = running.handle.status();
    assert!(!status.ready);
    let [why] = &status.not_ready[..] else { panic!("{:?}", status.not_ready) };
    assert!(why.starts_with("log: ") && why.contains("the broker is away"), "{why}");
}
