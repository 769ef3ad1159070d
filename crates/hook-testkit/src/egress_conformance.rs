//! What every destination promises, each promise a check. `egress_conformance!` makes tests of them for one driver.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use hook_core::{
    BoxFuture, Timestamp,
    envelope::{Envelope, EventHeader, Meta, Written},
    event::{EventId, TraceId},
    names::{EventType, SourceName},
    outcome::{Failure, FailureClass, Outcome},
    payload::Payload,
    ports::egress::{CheckError, Delivery, EgressDriver, Host},
    secret::Secrets,
    stop::Stop,
};
use tokio::time::{Instant, timeout};

use crate::logged::Logged;

/// How long one attempt of a driver under test may take: its fixture sets the driver's own time-out so.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// What an attempt may take beyond its time-out on a busy machine.
const SLACK: Duration = Duration::from_secs(5);
/// A text that stands in every payload and in every secret of a suite, and in no error.
pub const CANARY: &str = "canary";
/// The trace of every event of a suite.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// How a counterpart can behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes everything.
    Well,
    /// Nobody is there.
    Away,
    /// It is there, and says nothing.
    Silent,
    /// It fails for a reason of its own, which may pass.
    Failing,
    /// It asks for patience.
    Overloaded,
    /// It will never take such an event.
    Refusing,
    /// It does not let us in, or is not where we were told.
    Forbidding,
}

impl Behaviour {
    /// Every behaviour but the good one.
    const BAD: [Self; 6] =
        [Self::Away, Self::Silent, Self::Failing, Self::Overloaded, Self::Refusing, Self::Forbidding];

    /// What a failure means that comes of it.
    fn class(self) -> FailureClass {
        match self {
            Self::Away => FailureClass::Unreachable,
            Self::Well | Self::Silent | Self::Failing => FailureClass::Transient,
            Self::Overloaded => FailureClass::Throttled,
            Self::Refusing => FailureClass::Rejected,
            Self::Forbidding => FailureClass::Misconfigured,
        }
    }
}

/// An event as the counterpart has it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its id.
    pub id: EventId,
    /// Its payload, as bytes of JSON.
    pub payload: Vec<u8>,
    /// The trace that it belongs to, as far as the counterpart can tell: from a `traceparent`, or from the envelope's `meta`.
    pub trace: Option<TraceId>,
}

impl Received {
    /// An event whose counterpart has its envelope.
    ///
    /// # Panics
    ///
    /// Where it is no envelope.
    pub fn from_envelope(text: &[u8]) -> Self {
        let written = Written::read(&Bytes::copy_from_slice(text)).expect("an envelope arrives");
        let EventHeader { id, meta, .. } = written.header;
        Self { id, payload: written.payload.to_vec(), trace: meta.trace_id }
    }

    /// The same event, as part of the trace that a `traceparent` beside its envelope names.
    #[must_use]
    pub fn with_traceparent(self, traceparent: Option<&str>) -> Self {
        Self { trace: traceparent.and_then(TraceId::from_traceparent), ..self }
    }
}

/// A driver under test, and its counterpart, which takes everything at first.
pub trait EgressFixture: Send + Sync {
    /// A driver that delivers to the counterpart, with a time-out of [`TIMEOUT`].
    fn driver(&self) -> Arc<dyn EgressDriver>;

    /// The secrets that the driver needs; each holds [`CANARY`].
    fn secrets(&self) -> Secrets;

    /// Makes the counterpart behave so from now on. `false` where this one cannot.
    fn behave(&self, behaviour: Behaviour) -> BoxFuture<'_, bool>;

    /// Whether an attempt can fail at all: not where whoever is there gets the event, and nobody has to be.
    fn can_fail(&self) -> bool {
        true
    }

    /// What the counterpart has, in its order.
    fn received(&self) -> BoxFuture<'_, Vec<Received>>;
}

/// Makes a test of each promise. The argument is an expression that makes a new [`EgressFixture`] and may await; where the
/// counterpart is something that is not always there, `ignore = "needs a broker", ` stands before it.
#[macro_export]
macro_rules! egress_conformance {
    (ignore = $reason:literal, $fixture:expr) => {
        $crate::egress_conformance! { @all [#[ignore = $reason]] $fixture }
    };
    ($fixture:expr) => {
        $crate::egress_conformance! { @all [] $fixture }
    };
    (@all $attributes:tt $fixture:expr) => {
        $crate::egress_conformance! { @each $attributes $fixture =>
            what_is_delivered_is_there,
            attempts_at_once_are_all_answered,
            a_failure_says_what_it_means_and_in_time,
            a_driver_delivers_again_when_its_counterpart_is_well_again,
            an_attempt_that_is_dropped_harms_no_other,
            an_event_takes_its_trace_along,
            what_is_logged_shows_no_payload_and_no_secret,
            a_check_tells_whether_it_could_deliver_and_delivers_nothing,
            background_work_ends_when_it_is_stopped,
        }
    };
    (@each $attributes:tt $fixture:expr => $($promise:ident),* $(,)?) => {
        $($crate::egress_conformance! { @test $attributes $fixture, $promise })*
    };
    (@test [$(#[$attribute:meta])*] $fixture:expr, $promise:ident) => {
            #[tokio::test]
            $(#[$attribute])*
            async fn $promise() {
                let check = async { $crate::egress_conformance::$promise(&$fixture).await };
                let limit = std::time::Duration::from_secs(120);
                assert!(tokio::time::timeout(limit, check).await.is_ok(), "the check has not ended in {limit:?}");
            }
    };
}

/// An event with an ordering key and a trace.
fn event(number: usize) -> Envelope {
    let payload = format!("{{ \"n\": {number}, \"price\": 1.0, \"text\": \"{CANARY} \\u00e9 \u{1f600}\" }}");
    Envelope {
        header: EventHeader {
            id: EventId::generate(),
            source: SourceName::new("shop").expect("a test's source"),
            event_type: EventType::new("order.paid").expect("a test's type"),
            received_at: Timestamp::from_second(1_767_268_800).expect("a time within range"),
            meta: Meta {
                trace_id: TraceId::from_traceparent(&format!("00-{TRACE}-b7ad6b7169203331-01")),
                route_key: Some(format!("shop:{number}")),
                ..Meta::default()
            },
        },
        payload: Payload::parse(Bytes::from(payload)).expect("a test's payload"),
    }
}

/// One attempt, which must end in time.
async fn deliver(fixture: &dyn EgressFixture, driver: &dyn EgressDriver, envelope: &Envelope) -> Outcome {
    let secrets = fixture.secrets();
    let began = Instant::now();
    let attempt = driver.deliver(Delivery { envelope, attempt: 1, secrets: &secrets, place: None });
    let outcome = timeout(TIMEOUT + SLACK, attempt).await;
    outcome.unwrap_or_else(|_| panic!("an attempt with a time-out of {TIMEOUT:?} runs for {:?}", began.elapsed()))
}

/// What a driver says stands in the journal, in logs and on screens.
fn is_for_people(text: &str) {
    assert!(!text.trim().is_empty() && text.lines().count() == 1 && text.len() <= 500, "no short line: {text:?}");
    assert!(!text.contains(CANARY), "neither a payload nor a secret is shown: {text:?}");
}

fn delivered(outcome: &Outcome) {
    let Outcome::Delivered { answer } = outcome else { panic!("the event is delivered, but: {outcome:?}") };
    is_for_people(answer);
}

async fn ids(fixture: &dyn EgressFixture) -> BTreeSet<EventId> {
    fixture.received().await.iter().map(|received| received.id).collect()
}

/// After `Delivered` the counterpart has the event, with every value of its payload as it was.
pub async fn what_is_delivered_is_there(fixture: &dyn EgressFixture) {
    let (driver, event) = (fixture.driver(), event(1));
    delivered(&deliver(fixture, &*driver, &event).await);
    let received = fixture.received().await;
    assert_eq!(received.len(), 1, "{received:?}");
    assert_eq!(received[0].id, event.header.id);
    let compact = |bytes: &[u8]| {
        let mut out = Vec::new();
        let payload = Payload::parse(Bytes::copy_from_slice(bytes)).expect("a payload arrives as JSON");
        payload.write_compact(&mut out);
        String::from_utf8(out).expect("JSON is text")
    };
    assert_eq!(compact(&received[0].payload), compact(event.payload.bytes()), "verbatim but for whitespace");
}

/// Attempts at once are all answered, and each event is there once.
pub async fn attempts_at_once_are_all_answered(fixture: &dyn EgressFixture) {
    let (driver, events) = (fixture.driver(), (0..50).map(event).collect::<Vec<_>>());
    let attempts: Vec<_> = events
        .iter()
        .map(|event| {
            let (driver, secrets, event) = (Arc::clone(&driver), fixture.secrets(), event.clone());
            tokio::spawn(async move {
                driver.deliver(Delivery { envelope: &event, attempt: 1, secrets: &secrets, place: None }).await
            })
        })
        .collect();
    for attempt in attempts {
        delivered(&attempt.await.expect("no attempt panics"));
    }
    assert_eq!(fixture.received().await.len(), events.len());
    assert_eq!(ids(fixture).await, events.iter().map(|event| event.header.id).collect());
}

/// Each way to fail has its class, within the driver's own time-out; the error is one line that shows no payload and no secret.
pub async fn a_failure_says_what_it_means_and_in_time(fixture: &dyn EgressFixture) {
    let mut looked_at = 0;
    for behaviour in Behaviour::BAD {
        if !fixture.behave(behaviour).await {
            continue;
        }
        looked_at += 1;
        let outcome = deliver(fixture, &*fixture.driver(), &event(1)).await;
        let Outcome::Failed(Failure { class, error, .. }) = outcome else { panic!("{behaviour:?}: {outcome:?}") };
        assert_eq!(class, behaviour.class(), "{behaviour:?}: {error}");
        is_for_people(&error);
    }
    assert!(looked_at > 0 || !fixture.can_fail(), "a counterpart that cannot fail shows nothing");
}

/// One driver lives through every failure of its counterpart: it connects again by itself.
pub async fn a_driver_delivers_again_when_its_counterpart_is_well_again(fixture: &dyn EgressFixture) {
    let driver = fixture.driver();
    delivered(&deliver(fixture, &*driver, &event(0)).await);
    for behaviour in Behaviour::BAD {
        if !fixture.behave(behaviour).await {
            continue;
        }
        let outcome = deliver(fixture, &*driver, &event(1)).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{behaviour:?}: {outcome:?}");
        assert!(fixture.behave(Behaviour::Well).await, "a counterpart can be well");
        let again = event(2);
        // What was connected before may be met as gone once.
        let mut outcome = deliver(fixture, &*driver, &again).await;
        for _ in 0..3 {
            if matches!(outcome, Outcome::Delivered { .. }) {
                break;
            }
            outcome = deliver(fixture, &*driver, &again).await;
        }
        delivered(&outcome);
        assert!(ids(fixture).await.contains(&again.header.id), "after {behaviour:?}");
    }
}

/// An attempt may be dropped at any time: the next one is as good as ever.
pub async fn an_attempt_that_is_dropped_harms_no_other(fixture: &dyn EgressFixture) {
    let (driver, secrets, dropped) = (fixture.driver(), fixture.secrets(), event(1));
    for _ in 0..3 {
        let attempt = driver.deliver(Delivery { envelope: &dropped, attempt: 1, secrets: &secrets, place: None });
        // It is polled once, and given up.
        drop(timeout(Duration::ZERO, attempt).await);
    }
    let next = event(2);
    delivered(&deliver(fixture, &*driver, &next).await);
    assert!(ids(fixture).await.contains(&next.header.id));
}

/// Whoever has the event can find what else happened in its trace.
pub async fn an_event_takes_its_trace_along(fixture: &dyn EgressFixture) {
    delivered(&deliver(fixture, &*fixture.driver(), &event(1)).await);
    let received = fixture.received().await;
    let traces: Vec<_> = received.iter().map(|received| received.trace.as_ref().map(TraceId::as_str)).collect();
    assert_eq!(traces, [Some(TRACE)]);
}

/// Neither a success nor any failure writes a payload or a secret into the log, at the finest level.
pub async fn what_is_logged_shows_no_payload_and_no_secret(fixture: &dyn EgressFixture) {
    let logged = Logged::begin();
    let driver = fixture.driver();
    for behaviour in [Behaviour::Well].into_iter().chain(Behaviour::BAD) {
        if fixture.behave(behaviour).await {
            deliver(fixture, &*driver, &event(1)).await;
            drop(timeout(TIMEOUT + SLACK, driver.check(&fixture.secrets())).await);
        }
    }
    logged.shows_no(CANARY);
}

/// `check` says whether the destination could be delivered to now, and leaves nothing there.
pub async fn a_check_tells_whether_it_could_deliver_and_delivers_nothing(fixture: &dyn EgressFixture) {
    let (driver, secrets) = (fixture.driver(), fixture.secrets());
    let checked = driver.check(&secrets).await;
    assert!(checked.is_ok(), "{checked:?}");
    assert!(fixture.received().await.is_empty(), "a question is no delivery");
    if fixture.behave(Behaviour::Away).await {
        let checked = timeout(TIMEOUT + SLACK, driver.check(&secrets)).await.expect("a check ends in time");
        let Err(CheckError::Unreachable(error)) = checked else { panic!("nobody is there, but: {checked:?}") };
        is_for_people(&error);
    }
}

/// What a driver does in the background ends when it is stopped.
pub async fn background_work_ends_when_it_is_stopped(fixture: &dyn EgressFixture) {
    let driver = fixture.driver();
    let host = Host::without_log(Stop::when(std::future::ready(())), fixture.secrets());
    let ended = timeout(SLACK, driver.run(host)).await;
    assert!(ended.is_ok(), "it runs on");
}
