//! Events and dead letters again, on a log in memory: which, where to, and what is left when a job is interrupted.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod support;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use hook_contract::plan::{Destination, EventFilter, Plan, SmashPlan, SmashRoute, Unrouted};
use hook_core::{
    BoxFuture, Timestamp,
    clock::SystemClock,
    envelope::{DeadLetter, DeadLetterHeader, Envelope, EventHeader, Meta, UNROUTED},
    event::EventId,
    job::{JobEnd, JobKind, Selection, Tally, Target, UrlTarget},
    names::{AdapterId, EventType, Glob, RouteId, SourceName, TopicName},
    outcome::{FailureClass, Outcome},
    payload::Payload,
    ports::{
        egress::{CheckError, Delivery, EgressDriver},
        log::{Append, From, Log, NewRecord, TopicFilter},
    },
    secret::Secrets,
};
use hook_runtime::travel::{self, Count, Ground, JobState, Order, Run, Speed, Start, Step, ToUrl, TravelError};
use hook_testkit::{ManualClock, MemoryLog};
use tokio::sync::Barrier;
use uuid::Uuid;

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn route(id: &str, filter: Option<&str>, adapters: &[&str]) -> SmashRoute {
    let destination =
        |adapter: &&str| Destination { adapter: AdapterId::new(adapter).unwrap(), required: true, from: None };
    SmashRoute {
        id: RouteId::new(id).unwrap(),
        topics: TopicFilter { include: vec![Glob::new("webhooks.core")], unless_literal: vec![topic("webhooks.dlq")] },
        event_filters: filter
            .map(|filter| EventFilter::Pattern { source: None, event_type: Glob::new(filter) })
            .into_iter()
            .collect(),
        destinations: adapters.iter().map(destination).collect(),
    }
}

/// Everything goes to two destinations, alerts to a third one as well.
fn plan(routes: Vec<SmashRoute>) -> Plan {
    Plan { smash: SmashPlan { adapters: Vec::new(), routes, unrouted: Unrouted::Count }, ..support::plan() }
}

struct Case {
    ground: Ground,
    memory: Arc<MemoryLog>,
    /// What was posted to a URL.
    posted: Arc<Mutex<Vec<String>>>,
    /// What a URL answers, once for each attempt; then it takes everything.
    answers: Arc<Mutex<Vec<Outcome>>>,
    /// To a URL, so many at once.
    at_once: NonZeroUsize,
    /// Where a URL answers only when so many have asked.
    gathered: Option<Arc<Barrier>>,
}

impl Case {
    fn new() -> Self {
        Self::with(vec![route("core", None, &["one", "two"]), route("alerts", Some("alert.*"), &["pager"])])
    }

    fn with(routes: Vec<SmashRoute>) -> Self {
        let memory = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
        let log: Arc<dyn Log> = memory.clone();
        let ground = Ground { plan: Arc::new(plan(routes)), log, clock: Arc::new(SystemClock) };
        let (posted, answers) = (Arc::default(), Arc::default());
        Self { ground, memory, posted, answers, at_once: NonZeroUsize::MIN, gathered: None }
    }

    async fn append(&self, record: NewRecord) {
        self.memory.append(Append::one(record)).await.unwrap();
    }

    async fn event(&self, source: &str, event_type: &str) -> EventId {
        let event = event(source, event_type);
        let id = event.header.id;
        self.append(event.to_record(topic("webhooks.core"))).await;
        id
    }

    async fn event_of_key(&self, key: &str) -> EventId {
        let mut event = event("github", "push");
        event.header.meta.route_key = Some(key.to_owned());
        let id = event.header.id;
        self.append(event.to_record(topic("webhooks.core"))).await;
        id
    }

    async fn letter(&self, event_type: &str, destination: &str, class: Option<FailureClass>, error: &str) -> EventId {
        let Envelope { header: event, payload } = event("github", event_type);
        let (id, failed_at) = (event.id, Timestamp::now());
        let (error, destination) = (error.to_owned(), destination.to_owned());
        let header =
            DeadLetterHeader { failed_at, error, destination, attempts: 3, first_attempt_at: None, class, event };
        self.append(DeadLetter { header, payload }.to_record(topic("webhooks.dlq"))).await;
        id
    }

    async fn count(&self, kind: JobKind, selection: &Selection, target: &Target) -> Count {
        travel::count(&self.ground, kind, selection, target).await.unwrap()
    }

    /// Counts, and begins.
    async fn begin(&self, kind: JobKind, selection: Selection, target: Target, rate: Option<&str>) -> Run {
        let count = self.count(kind, &selection, &target).await;
        let (target, reaches, counted) = (count.target, count.reaches, count.events);
        let (command, by) = ("hook replay".to_owned(), "tester@here".to_owned());
        let start = Start { kind, selection, target, reaches, counted, command, by };
        self.order(Order::Start(Box::new(start)), rate).await.unwrap()
    }

    async fn resume(&self, id: Uuid) -> Result<Run, TravelError> {
        self.order(Order::Resume { id, by: "another@here".into() }, None).await
    }

    async fn order(&self, order: Order, rate: Option<&str>) -> Result<Run, TravelError> {
        let speed = Speed { rate: rate.map(|rate| rate.parse().unwrap()), at_once: self.at_once };
        let (posted, answers) = (Arc::clone(&self.posted), Arc::clone(&self.answers));
        let posts = Posts { posted, answers, gathered: self.gathered.clone() };
        let to_url: ToUrl = Arc::new(move |_| Ok(Arc::new(posts.clone())));
        let secrets: Secrets = Arc::new(BTreeMap::new());
        Run::begin(self.ground.clone(), order, speed, (&to_url, &secrets)).await
    }

    /// Replays to the end.
    async fn replay(&self, selection: Selection, target: Target) -> Tally {
        finish(self.begin(JobKind::Replay, selection, target, None).await).await
    }

    /// Redrives to the end.
    async fn redrive(&self, selection: Selection) -> Tally {
        finish(self.begin(JobKind::Redrive, selection, Target::Same, None).await).await
    }

    /// What was sent again: event and addressees.
    async fn copies(&self) -> Vec<(EventId, Vec<String>)> {
        let mut scan = self.memory.scan(TopicFilter::only(&topic("webhooks.core")), From::Earliest).unwrap();
        let mut copies = Vec::new();
        loop {
            let records = scan.next(100).await.unwrap();
            if records.is_empty() {
                return copies;
            }
            let events = records.iter().map(|record| Envelope::from_record(record).unwrap());
            copies.extend(events.filter_map(|event| Some((event.header.id, event.header.meta.replay?.to))));
        }
    }

    async fn jobs(&self) -> Vec<JobState> {
        travel::list(&self.ground.log, &self.ground.plan.journal).await.unwrap()
    }
}

async fn finish(mut run: Run) -> Tally {
    loop {
        if let Step::Finished(tally) = run.step().await.unwrap() {
            return tally;
        }
    }
}

fn event(source: &str, event_type: &str) -> Envelope {
    Envelope {
        header: EventHeader {
            id: EventId::generate(),
            source: SourceName::new(source).unwrap(),
            event_type: EventType::new(event_type).unwrap(),
            received_at: Timestamp::now(),
            meta: Meta::default(),
        },
        payload: Payload::parse(bytes::Bytes::from_static(b"{\"n\":1}")).unwrap(),
    }
}

/// A URL.
#[derive(Clone)]
struct Posts {
    posted: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<Outcome>>>,
    gathered: Option<Arc<Barrier>>,
}

impl EgressDriver for Posts {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        let answer = self.answers.lock().unwrap().pop().unwrap_or_else(|| Outcome::delivered("200 OK"));
        if matches!(answer, Outcome::Delivered { .. }) {
            self.posted.lock().unwrap().push(delivery.envelope.webhook_id());
        }
        let gathered = self.gathered.clone();
        Box::pin(async move {
            if let Some(gathered) = gathered {
                gathered.wait().await;
            }
            answer
        })
    }

    fn check<'a>(&'a self, _: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async { Ok(()) })
    }
}

fn to_url() -> Target {
    let url = "http://127.0.0.1:1/x?token=secret".to_owned();
    Target::Url(UrlTarget { url, signing_secret_env: None, allow_networks: Vec::new() })
}

#[tokio::test]
async fn what_is_counted_is_what_is_sent() {
    let case = Case::new();
    let first = case.event("github", "issues.opened").await;
    let alert = case.event("github", "alert.fired").await;
    case.event("linear", "Issue.create").await;
    let selection = Selection { sources: vec!["git*".into()], ..Selection::default() };
    let count = case.count(JobKind::Replay, &selection, &Target::Same).await;
    let groups: Vec<_> = count
        .groups
        .iter()
        .map(|group| (group.event_type.as_str(), group.destination.as_str(), group.events))
        .collect();
    let expected = [
        ("alert.fired", "alerts/pager", 1),
        ("alert.fired", "core/one", 1),
        ("alert.fired", "core/two", 1),
        ("issues.opened", "core/one", 1),
        ("issues.opened", "core/two", 1),
    ];
    assert_eq!((count.events, count.bytes, groups.as_slice()), (2, 14, expected.as_slice()));
    assert_eq!(case.copies().await, [], "counting sends nothing");
    assert_eq!(case.jobs().await.len(), 0);

    assert_eq!(case.replay(selection.clone(), Target::Same).await.sent, 2);
    assert_eq!(case.copies().await, [(first, Vec::new()), (alert, Vec::new())]);
    // What a replay has stored is not replayed: the event is, once.
    assert_eq!(case.replay(selection, Target::Same).await.sent, 2);
    assert_eq!(case.copies().await.len(), 4);
}

#[tokio::test]
async fn a_selection_is_by_id_type_and_time() {
    let case = Case::new();
    let before = Timestamp::now();
    let first = case.event("github", "issues.opened").await;
    let second = case.event("github", "push").await;
    let events = async |selection: Selection| case.count(JobKind::Replay, &selection, &Target::Same).await.events;
    assert_eq!(events(Selection { ids: vec![first, second], ..Selection::default() }).await, 2);
    assert_eq!(events(Selection { ids: vec![EventId::generate()], ..Selection::default() }).await, 0);
    assert_eq!(events(Selection { event_types: vec!["issues.*".into()], ..Selection::default() }).await, 1);
    assert_eq!(events(Selection { since: Some(before), ..Selection::default() }).await, 2);
    assert_eq!(events(Selection { until: Some(before), ..Selection::default() }).await, 0);
    assert_eq!(events(Selection { topic: Some("webhooks.other".into()), ..Selection::default() }).await, 0);
    let wrong = Selection { since: Some(Timestamp::now()), until: Some(before), ..Selection::default() };
    let refused = travel::count(&case.ground, JobKind::Replay, &wrong, &Target::Same).await;
    assert!(matches!(refused, Err(TravelError::Refused(_))));
}

#[tokio::test]
async fn an_expression_selects_and_what_it_has_no_answer_for_is_left_alone() {
    let case = Case::new();
    case.event("github", "push").await;
    case.letter("push", "core/one", None, "503").await;
    let only = |text: &str| Selection { condition: Some(text.into()), ..Selection::default() };
    let count = async |kind, text: &str| {
        let count = case.count(kind, &only(text), &Target::Same).await;
        (count.events, count.passed_over.unanswered)
    };
    for kind in [JobKind::Replay, JobKind::Redrive] {
        assert_eq!(count(kind, "payload.n == 1 && type == 'push'").await, (1, 0));
        assert_eq!(count(kind, "payload.n > 1").await, (0, 0));
        assert_eq!(count(kind, "payload.nothing == 1").await, (0, 1));
    }
    let wrong = travel::count(&case.ground, JobKind::Replay, &only("payload.n ="), &Target::Same).await;
    assert!(wrong.unwrap_err().to_string().starts_with("--where: "));
    assert_eq!(case.redrive(only("payload.n == 1")).await.sent, 1);
    assert_eq!(case.redrive(Selection::default()).await.redriven_before, 1);
}

#[tokio::test]
async fn another_destination_gets_what_its_route_would_not_take() {
    let case = Case::new();
    let id = case.event("github", "push").await;
    let all = || Selection { ids: vec![id], ..Selection::default() };
    assert_eq!(case.replay(all(), Target::Destination("pager".into())).await.sent, 1);
    assert_eq!(case.copies().await, [(id, vec!["alerts/pager".to_owned()])]);
    let unknown = travel::count(&case.ground, JobKind::Replay, &all(), &Target::Destination("nobody".into())).await;
    assert!(unknown.unwrap_err().to_string().contains("core/one, core/two, alerts/pager"));
}

#[tokio::test]
async fn an_adapter_of_two_routes_has_to_be_named_with_its_route() {
    let case = Case::with(vec![route("core", None, &["one"]), route("alerts", None, &["one"])]);
    let to = |name: &str| Target::Destination(name.into());
    let refused = travel::count(&case.ground, JobKind::Replay, &Selection::default(), &to("one")).await;
    assert!(refused.unwrap_err().to_string().contains("core/one or alerts/one"));
    let count = case.count(JobKind::Replay, &Selection::default(), &to("alerts/one")).await;
    assert_eq!(count.target, to("alerts/one"));
}

#[tokio::test]
async fn a_dead_letter_goes_to_the_destination_that_did_not_take_it_and_once() {
    let case = Case::new();
    let first = case.letter("push", "core/two", Some(FailureClass::Rejected), "400").await;
    let second = case.letter("push", "core/one", Some(FailureClass::Transient), "503").await;
    case.letter("push", "gone/old", Some(FailureClass::Transient), "503").await;
    let only = Selection { classes: vec!["rejected".parse().unwrap()], ..Selection::default() };
    assert_eq!(case.redrive(only.clone()).await, Tally { sent: 1, ..Tally::default() });
    assert_eq!(case.copies().await, [(first, vec!["core/two".to_owned()])]);

    let rest = case.redrive(Selection::default()).await;
    assert_eq!(rest, Tally { sent: 1, redriven_before: 1, without_destination: 1, ..Tally::default() });
    assert_eq!(case.copies().await.last(), Some(&(second, vec!["core/one".to_owned()])));

    // What fails again is a new letter, and what was redriven goes again only where that is asked for.
    case.letter("push", "core/one", Some(FailureClass::Transient), "503").await;
    assert_eq!(case.redrive(Selection::default()).await.sent, 1);
    assert_eq!(case.redrive(Selection { again: true, ..only }).await.sent, 1);

    // Of a destination that is back, its letters are not taken for redriven.
    let mut plan = (*case.ground.plan).clone();
    plan.smash.routes.push(route("gone", None, &["old"]));
    let case = Case { ground: Ground { plan: Arc::new(plan), ..case.ground.clone() }, ..case };
    assert_eq!(case.redrive(Selection::default()).await.sent, 1);
}

#[tokio::test]
async fn what_no_route_took_is_redriven_when_one_does() {
    let case = Case::with(vec![route("alerts", Some("alert.*"), &["pager"])]);
    let id = case.letter("push", UNROUTED, None, "no smash route takes it").await;
    let tally = case.redrive(Selection::default()).await;
    assert_eq!(tally, Tally { without_destination: 1, ..Tally::default() });
    let mut plan = (*case.ground.plan).clone();
    plan.smash.routes.push(route("core", None, &["one"]));
    let case = Case { ground: Ground { plan: Arc::new(plan), ..case.ground.clone() }, ..case };
    assert_eq!(case.redrive(Selection::default()).await.sent, 1);
    assert_eq!(case.copies().await, [(id, Vec::new())]);
    assert_eq!(case.redrive(Selection::default()).await.redriven_before, 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_interrupted_anywhere_sends_everything_once() {
    const EVENTS: usize = 700;
    // A batch is sent in pieces of 25, and written down when all of it is sent: that is after step 21.
    const BATCH: usize = 512;
    for (steps, sent, unwritten) in [(0, 0, 0), (1, 25, 25), (20, 500, 500), (21, BATCH, 0), (27, BATCH + 150, 150)] {
        let case = Case::new();
        let mut expected = Vec::new();
        for _ in 0..EVENTS {
            expected.push((case.letter("push", "core/one", None, "503").await, vec!["core/one".to_owned()]));
        }
        let mut run = case.begin(JobKind::Redrive, Selection::default(), Target::Same, Some("100/s")).await;
        for _ in 0..steps {
            assert!(matches!(run.step().await, Ok(Step::Progress(_))));
        }
        let id = run.job().id;
        // Killed: nothing more is written.
        drop(run);
        let before = case.copies().await.len();
        assert_eq!(before, sent);
        let tally = finish(case.resume(id).await.unwrap()).await;
        assert_eq!(case.copies().await, expected, "after {steps} steps");
        let jobs = case.jobs().await;
        let [state] = &jobs[..] else { panic!("{jobs:?}") };
        assert_eq!((tally.sent + tally.known, &state.end), (EVENTS as u64, &Some(JobEnd::Finished)));
        // What was written down counts as sent, and what was found as known.
        assert_eq!(tally.known, unwritten);
        assert_eq!((state.job.by.as_str(), state.resumed[0].by.as_str()), ("tester@here", "another@here"));
        assert!(matches!(case.resume(id).await, Err(TravelError::Finished(_))));
        assert!(matches!(case.resume(Uuid::nil()).await, Err(TravelError::NoJob(_))));
    }
}

#[tokio::test]
async fn a_log_that_fails_stops_a_job_which_then_goes_on() {
    let case = Case::new();
    for _ in 0..600 {
        case.event("github", "push").await;
    }
    let mut run = case.begin(JobKind::Replay, Selection::default(), Target::Same, None).await;
    run.step().await.unwrap();
    case.memory.fail_with("the disk is full");
    let error = run.step().await.unwrap_err();
    run.stopped(&error).await;
    case.memory.recover();
    let count = case.count(JobKind::Replay, &Selection::default(), &Target::Same).await;
    assert_eq!(count.unfinished, Some(run.job().id), "the same command would begin again");
    let tally = finish(case.resume(run.job().id).await.unwrap()).await;
    assert_eq!((tally.sent, case.copies().await.len()), (600, 600));
    assert_eq!(case.count(JobKind::Replay, &Selection::default(), &Target::Same).await.unfinished, None);
}

#[tokio::test(start_paused = true)]
async fn a_job_holds_no_more_than_a_batch() {
    let case = Case::new();
    for _ in 0..3_000 {
        case.letter("push", "core/one", None, "503").await;
    }
    let mut run = case.begin(JobKind::Redrive, Selection::default(), Target::Same, Some("100/s")).await;
    let mut most = 0;
    loop {
        let step = run.step().await.unwrap();
        most = most.max(run.held());
        if let Step::Finished(tally) = step {
            assert_eq!(tally.sent, 3_000);
            break;
        }
    }
    assert!((450..600).contains(&most), "{most} events were held at once");
    let entries: usize = {
        let mut scan = case.memory.scan(TopicFilter::only(&topic("hook.journal")), From::Earliest).unwrap();
        scan.next(1_000).await.unwrap().len()
    };
    assert!(entries < 12, "{entries} entries in the journal for 3,000 letters");
}

#[tokio::test]
async fn a_redrive_is_known_for_longer_than_the_journal_keeps_it() {
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    let case = Case::new();
    let case = Case { ground: Ground { clock: clock.clone(), ..case.ground.clone() }, ..case };
    case.letter("push", "core/one", None, "503").await;
    clock.advance(Duration::from_secs(60));
    case.redrive(Selection::default()).await;
    let entries = async || {
        let mut scan = case.memory.scan(TopicFilter::only(&topic("hook.journal")), From::Earliest).unwrap();
        scan.next(100).await.unwrap().len()
    };
    let before = entries().await;
    travel::write_again(&case.ground).await.unwrap();
    assert_eq!(entries().await, before, "it is new");
    // The journal is kept for a day.
    clock.advance(Duration::from_secs(13 * 3600));
    travel::write_again(&case.ground).await.unwrap();
    let after = entries().await;
    assert!(after > before);
    travel::write_again(&case.ground).await.unwrap();
    assert_eq!(entries().await, after, "once is enough");
    let jobs = case.jobs().await;
    assert_eq!((jobs.len(), &jobs[0].end, jobs[0].reached.tally.sent), (1, &Some(JobEnd::Finished), 1));
    assert_eq!(case.redrive(Selection::default()).await.redriven_before, 1);
}

#[tokio::test(start_paused = true)]
async fn a_url_gets_events_in_order_and_none_twice_after_an_interruption() {
    let case = Case::new();
    let mut expected = Vec::new();
    for _ in 0..40 {
        expected.push(case.event("github", "push").await.to_string());
    }
    // Pops from the end: two failures, then it takes everything.
    let away = || Outcome::failed(FailureClass::Unreachable, "connection refused");
    *case.answers.lock().unwrap() = vec![away(), away()];
    let mut run = case.begin(JobKind::Replay, Selection::default(), to_url(), Some("40/s")).await;
    run.step().await.unwrap();
    let id = run.job().id;
    drop(run);
    assert_eq!(case.posted.lock().unwrap().len(), 10);
    let refused = Outcome::failed(FailureClass::Rejected, "404 Not Found");
    *case.answers.lock().unwrap() = vec![refused];
    let tally = finish(case.resume(id).await.unwrap()).await;
    assert_eq!(tally, Tally { sent: 29, known: 10, refused: 1, ..Tally::default() });
    expected.remove(10);
    let posted: Vec<_> =
        case.posted.lock().unwrap().iter().map(|id| id.split_once('_').unwrap().0.to_owned()).collect();
    assert_eq!(posted, expected);
    assert_eq!(case.copies().await, [], "nothing goes to the destinations of the contract");

    *case.answers.lock().unwrap() = (0..10).map(|_| away()).collect();
    let mut run = case.begin(JobKind::Replay, Selection::default(), to_url(), None).await;
    let error = run.step().await.unwrap_err().to_string();
    assert!(error.contains("connection refused") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn some_go_to_a_url_at_once_and_those_of_a_key_one_after_the_other() {
    const KEYS: usize = 4;
    let case = Case { at_once: NonZeroUsize::new(KEYS).unwrap(), ..Case::new() };
    // Nobody is answered before all four ask: one after the other would never end.
    let case = Case { gathered: Some(Arc::new(Barrier::new(KEYS))), ..case };
    let mut expected = BTreeMap::new();
    for number in 0..10 * KEYS {
        let key = number % KEYS;
        let id = case.event_of_key(&format!("github:{key}")).await;
        expected.entry(key).or_insert_with(Vec::new).push(id.to_string());
    }
    let tally = case.replay(Selection::default(), to_url()).await;
    assert_eq!(tally.sent, 10 * KEYS as u64);
    let posted = case.posted.lock().unwrap().clone();
    for ids in expected.values() {
        let is_of_key = |webhook_id: &&String| ids.iter().any(|id| webhook_id.starts_with(id.as_str()));
        let of_key: Vec<_> = posted.iter().filter(is_of_key).map(|id| id.split_once('_').unwrap().0).collect();
        assert_eq!(&of_key, ids);
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_that_fails_beside_others_ends_the_job_and_what_was_taken_is_known() {
    let case = Case { at_once: NonZeroUsize::new(4).unwrap(), ..Case::new() };
    for _ in 0..40 {
        case.event("github", "push").await;
    }
    let broken = Outcome::failed(FailureClass::Misconfigured, "401 Unauthorized");
    let taken = || Outcome::delivered("200 OK");
    // Pops from the end: the sixth is refused, while others may be under way.
    *case.answers.lock().unwrap() = [broken].into_iter().chain((0..5).map(|_| taken())).collect();
    let mut run = case.begin(JobKind::Replay, Selection::default(), to_url(), None).await;
    assert!(run.step().await.unwrap_err().to_string().contains("401"));
    let id = run.job().id;
    drop(run);
    let before = case.posted.lock().unwrap().len();
    assert!((5..=9).contains(&before), "{before} were taken");
    let tally = finish(case.resume(id).await.unwrap()).await;
    assert_eq!((tally.sent + tally.known, tally.known), (40, before as u64));
    let posted = case.posted.lock().unwrap().clone();
    let once: std::collections::BTreeSet<_> = posted.iter().collect();
    assert_eq!((posted.len(), once.len()), (40, 40), "none is missing, and none was posted twice");
}

#[tokio::test]
async fn a_replay_that_was_asked_for_before_is_counted_and_goes_once_more() {
    let case = Case::new();
    case.event("github", "push").await;
    case.event("github", "issues.opened").await;
    let pushes = || Selection { event_types: vec!["push".into()], ..Selection::default() };
    let before = async |selection: Selection, target: Target| {
        case.count(JobKind::Replay, &selection, &target).await.replayed_before
    };
    assert_eq!(before(Selection::default(), Target::Same).await, 0);
    case.replay(pushes(), Target::Same).await;
    assert_eq!(before(Selection::default(), Target::Same).await, 1);
    assert_eq!(before(pushes(), Target::Destination("core/one".into())).await, 0, "it went elsewhere");
    case.replay(pushes(), to_url()).await;
    assert_eq!(before(pushes(), to_url()).await, 0, "a URL is asked again to see what it makes of it");
    case.event("github", "push").await;
    assert_eq!(before(pushes(), Target::Same).await, 1, "what came since was not replayed");
    assert_eq!(case.replay(pushes(), Target::Same).await.sent, 2);

    // What was interrupted has replayed what it had come to.
    let all = Case::new();
    for _ in 0..600 {
        all.event("github", "push").await;
    }
    let mut run = all.begin(JobKind::Replay, Selection::default(), Target::Same, None).await;
    run.step().await.unwrap();
    drop(run);
    let count = all.count(JobKind::Replay, &Selection::default(), &Target::Same).await;
    assert_eq!((count.events, count.replayed_before), (600, 512));
}
