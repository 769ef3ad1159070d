//! What every adapter through which events come in promises, each promise a check. `ingress_conformance!` makes tests of them
//! for one driver.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use hook_core::{
    BoxFuture,
    names::{AdapterId, EnvName},
    ports::ingress::{Accepted, Doors, IngressDriver, Inlet, ListenError, Listener, Opening, Refused, RejectionKind},
    secret::{Secret, Secrets},
    stop::Stop,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    fake_inlet::{Answer, FakeInlet, event_id, request_id, stored},
    logged::Logged,
};

/// What is waited for comes sooner than this on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest payload that the adapter under test takes: its fixture sets the limit so.
pub const LARGEST_PAYLOAD: usize = 4096;
/// The source that is known; there is no other.
pub const SOURCE: &str = "github";
/// The `traceparent` of every event of a suite.
pub const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// A text that stands in every secret of a suite, in some payloads, and in no line of the log.
pub const CANARY: &str = "canary";

/// What a client was told of its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is durable under this id.
    Stored(String),
    /// It is a copy of the event of this id.
    Duplicate(String),
    /// No route takes it.
    NotRouted,
    /// It was refused with this code.
    Refused(String),
    /// The connection ended without a word.
    Nothing,
}

/// A driver under test, and a client that speaks its protocol.
pub trait IngressFixture: Send + Sync + 'static {
    /// A driver that listens at this address of the loopback interface, and takes payloads up to [`LARGEST_PAYLOAD`] bytes
    /// from clients that have the token.
    fn driver(&self, bind: SocketAddr) -> Arc<dyn IngressDriver>;

    /// The secrets that the driver cannot do without; each holds [`CANARY`].
    fn secrets(&self) -> BTreeMap<EnvName, Secret>;

    /// Sends one event on a connection of its own, with the token and the trace [`TRACEPARENT`], and waits for what is told of it.
    fn send(&self, address: SocketAddr, source: &'static str, payload: String) -> BoxFuture<'_, Told>;
}

/// Makes a test of each promise. The argument is an expression that makes a new [`IngressFixture`].
#[macro_export]
macro_rules! ingress_conformance {
    ($fixture:expr) => {
        $crate::ingress_conformance! { @each $fixture =>
            what_is_told_is_what_became_of_the_event,
            an_event_comes_as_it_was_sent,
            an_event_brings_its_trace_along,
            what_is_logged_shows_no_payload_and_no_secret,
            nothing_is_told_before_the_event_is_durable,
            an_unknown_source_is_refused_and_recorded,
            what_is_too_large_never_comes_in,
            noise_harms_no_other_client,
            what_has_begun_is_finished_when_it_is_stopped,
            an_address_that_is_taken_is_named,
            a_missing_secret_is_named,
        }
    };
    (@each $fixture:expr => $($promise:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let check = $crate::ingress_conformance::$promise(std::sync::Arc::new($fixture));
                let limit = std::time::Duration::from_secs(120);
                assert!(tokio::time::timeout(limit, check).await.is_ok(), "the check has not ended in {limit:?}");
            }
        )*
    };
}

/// An adapter that runs.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

impl Running {
    async fn start(fixture: &dyn IngressFixture, inlet: &Arc<FakeInlet>) -> Self {
        let listener = listen(fixture, ([127, 0, 0, 1], 0).into(), fixture.secrets()).await;
        let listener = listener.expect("the adapter listens");
        let address = listener.address().expect("it has an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = Stop::when(async move { drop(stopped.await) });
        let ended = tokio::spawn(listener.run(Arc::clone(inlet) as Arc<dyn Inlet>, stopping));
        Self { address, stop: Some(stop), ended }
    }

    async fn end(&mut self) {
        drop(self.stop.take());
        let ended = timeout(PATIENCE, &mut self.ended).await.expect("it ends when it is stopped");
        ended.expect("it does not panic");
    }
}

async fn listen(
    fixture: &dyn IngressFixture,
    bind: SocketAddr,
    secrets: BTreeMap<EnvName, Secret>,
) -> Result<Box<dyn Listener>, ListenError> {
    let (adapter, doors) = (AdapterId::new("adapter").expect("a name"), Doors::default());
    let (driver, secrets): (_, Secrets) = (fixture.driver(bind), Arc::new(secrets));
    driver.listen(Opening { adapter: &adapter, secrets: &secrets, beside: None, tls: None, doors: &doors }).await
}

/// One event to an inlet that answers so.
async fn told(fixture: &dyn IngressFixture, answer: Answer) -> Told {
    let mut running = Running::start(fixture, &FakeInlet::new(answer)).await;
    let told = fixture.send(running.address, SOURCE, "{\"n\":1}".to_owned()).await;
    running.end().await;
    told
}

/// Each result of the inlet has an answer of its own, with its id or code.
pub async fn what_is_told_is_what_became_of_the_event(fixture: Arc<dyn IngressFixture>) {
    let id = event_id().to_string();
    let refused = |kind, code| {
        let wait = (kind == RejectionKind::Unavailable).then_some(Duration::from_secs(5));
        Answer::Refused(Refused { kind, code, message: "why".to_owned(), retry_after: wait })
    };
    for (answer, expected) in [
        (Answer::Taken(Accepted::Stored(stored())), Told::Stored(id.clone())),
        (Answer::Taken(Accepted::Duplicate(event_id())), Told::Duplicate(id.clone())),
        (Answer::Taken(Accepted::NotRouted(request_id())), Told::NotRouted),
        (refused(RejectionKind::Unauthorized, "signature_mismatch"), Told::Refused("signature_mismatch".to_owned())),
        (refused(RejectionKind::Unprocessable, "refused_by_plugin"), Told::Refused("refused_by_plugin".to_owned())),
        (refused(RejectionKind::Unavailable, "log_unavailable"), Told::Refused("log_unavailable".to_owned())),
    ] {
        assert_eq!(told(&*fixture, answer.clone()).await, expected, "{answer:?}");
    }
}

/// The payload is the same to the byte, and source, adapter and peer are told with it.
pub async fn an_event_comes_as_it_was_sent(fixture: Arc<dyn IngressFixture>) {
    let payload = "{ \"price\" : 1.0, \"large\": 12345678901234567890123, \"b\": \"\\u00e9 \u{1f600}\",\"a\":null }";
    let inlet = FakeInlet::storing();
    let mut running = Running::start(&*fixture, &inlet).await;
    assert!(matches!(fixture.send(running.address, SOURCE, payload.to_owned()).await, Told::Stored(_)));
    running.end().await;
    let events = inlet.events.lock().expect("no test panicked in here");
    let [event] = events.as_slice() else { panic!("{} events", events.len()) };
    assert_eq!(event.body, payload);
    assert_eq!((event.source.as_str(), event.adapter.as_str()), (SOURCE, "adapter"));
    assert!(event.peer.is_some_and(|peer| peer.is_loopback()));
}

/// The trace that the sender names is found among the event's headers.
pub async fn an_event_brings_its_trace_along(fixture: Arc<dyn IngressFixture>) {
    let inlet = FakeInlet::storing();
    let mut running = Running::start(&*fixture, &inlet).await;
    fixture.send(running.address, SOURCE, "{}".to_owned()).await;
    running.end().await;
    let events = inlet.events.lock().expect("no test panicked in here");
    let traces: Vec<_> = events.iter().map(|event| event.headers.get("traceparent")).collect();
    assert_eq!(traces, [Some(&TRACEPARENT.parse().expect("a header's value"))]);
}

/// Neither what is taken nor what is refused leaves a payload or a secret in the log, at the finest level.
pub async fn what_is_logged_shows_no_payload_and_no_secret(fixture: Arc<dyn IngressFixture>) {
    let logged = Logged::begin();
    let mut running = Running::start(&*fixture, &FakeInlet::storing()).await;
    let large = "x".repeat(LARGEST_PAYLOAD);
    for (source, payload) in [
        (SOURCE, format!("{{\"text\":\"{CANARY}\"}}")),
        (SOURCE, format!("{{\"text\":\"{CANARY}{large}\"}}")),
        (SOURCE, format!("[\"{CANARY}\"")),
        ("nobody", format!("{{\"text\":\"{CANARY}\"}}")),
    ] {
        fixture.send(running.address, source, payload).await;
    }
    running.end().await;
    logged.shows_no(CANARY);
}

/// A client hears of its event when the inlet has answered, and not before.
pub async fn nothing_is_told_before_the_event_is_durable(fixture: Arc<dyn IngressFixture>) {
    let inlet = FakeInlet::storing();
    inlet.permits.forget_permits(usize::MAX);
    let mut running = Running::start(&*fixture, &inlet).await;
    let (address, client) = (running.address, Arc::clone(&fixture));
    let mut sending = tokio::spawn(async move { client.send(address, SOURCE, "{}".to_owned()).await });
    inlet.begun.acquire().await.expect("it is never closed").forget();
    let early = timeout(Duration::from_millis(100), &mut sending).await;
    assert!(early.is_err(), "told before it was durable: {early:?}");
    inlet.permits.add_permits(1);
    let told = timeout(PATIENCE, sending).await.expect("it is told").expect("it does not panic");
    assert_eq!(told, Told::Stored(event_id().to_string()));
    running.end().await;
}

/// An event of a source that nobody has declared does not come in.
pub async fn an_unknown_source_is_refused_and_recorded(fixture: Arc<dyn IngressFixture>) {
    let inlet = FakeInlet::storing();
    let mut running = Running::start(&*fixture, &inlet).await;
    let told = fixture.send(running.address, "nobody", "{}".to_owned()).await;
    assert_eq!(told, Told::Refused("unknown_source".to_owned()));
    running.end().await;
    assert!(inlet.bodies().is_empty());
    let refusals = inlet.refusals.lock().expect("no test panicked in here");
    assert!(refusals.iter().any(|(_, refused)| refused.code == "unknown_source"), "{refusals:?}");
}

/// A payload over the limit is refused before the inlet sees it, however much comes.
pub async fn what_is_too_large_never_comes_in(fixture: Arc<dyn IngressFixture>) {
    let inlet = FakeInlet::storing();
    let mut running = Running::start(&*fixture, &inlet).await;
    for size in [LARGEST_PAYLOAD + 1, 8 << 20] {
        let payload = format!("{{\"text\":\"{}\"}}", "x".repeat(size));
        let told = fixture.send(running.address, SOURCE, payload).await;
        assert!(matches!(told, Told::Refused(_) | Told::Nothing), "{size}: {told:?}");
    }
    let told = fixture.send(running.address, SOURCE, "{}".to_owned()).await;
    assert_eq!(told, Told::Stored(event_id().to_string()), "the next is as good as ever");
    running.end().await;
    assert_eq!(inlet.bodies(), [b"{}"]);
}

/// What is no protocol at all, and clients that leave in the middle, disturb nobody.
pub async fn noise_harms_no_other_client(fixture: Arc<dyn IngressFixture>) {
    let inlet = FakeInlet::storing();
    let mut running = Running::start(&*fixture, &inlet).await;
    let noise: [&[u8]; 4] = [b"\0\0\0\0", b"GET / HTTP/9.9\r\n\r\n", &[0xff; 4096], b"POST /"];
    let mut open = Vec::new();
    for bytes in noise {
        let mut stream = TcpStream::connect(running.address).await.expect("it accepts");
        // It may have closed already.
        let _ = stream.write_all(bytes).await;
        open.push(stream);
    }
    let told = fixture.send(running.address, SOURCE, "{}".to_owned()).await;
    assert_eq!(told, Told::Stored(event_id().to_string()));
    drop(open);
    running.end().await;
    assert_eq!(inlet.bodies(), [b"{}"]);
}

/// A stop lets what has begun come to its end, and takes nothing new.
pub async fn what_has_begun_is_finished_when_it_is_stopped(fixture: Arc<dyn IngressFixture>) {
    let inlet = FakeInlet::storing();
    inlet.permits.forget_permits(usize::MAX);
    let mut running = Running::start(&*fixture, &inlet).await;
    let (address, client) = (running.address, Arc::clone(&fixture));
    let sending = tokio::spawn(async move { client.send(address, SOURCE, "{}".to_owned()).await });
    inlet.begun.acquire().await.expect("it is never closed").forget();
    drop(running.stop.take());
    inlet.permits.add_permits(1);
    let told = timeout(PATIENCE, sending).await.expect("it is told").expect("it does not panic");
    assert_eq!(told, Told::Stored(event_id().to_string()));
    running.end().await;
    assert!(TcpStream::connect(address).await.is_err(), "the address is free again");
}

/// Where somebody else listens, the error says where.
pub async fn an_address_that_is_taken_is_named(fixture: Arc<dyn IngressFixture>) {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let bind = taken.local_addr().expect("it has an address");
    match listen(&*fixture, bind, fixture.secrets()).await {
        Err(ListenError::Address { address, .. }) => assert_eq!(address, bind),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two listen at one address"),
    }
}

/// Where a secret is not set, nothing is opened and the error says which.
pub async fn a_missing_secret_is_named(fixture: Arc<dyn IngressFixture>) {
    let needed = fixture.secrets();
    if needed.is_empty() {
        return;
    }
    match listen(&*fixture, ([127, 0, 0, 1], 0).into(), BTreeMap::new()).await {
        Err(ListenError::MissingSecret(name)) => assert!(needed.contains_key(&name), "{name}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it listens, and can let nobody in"),
    }
}
