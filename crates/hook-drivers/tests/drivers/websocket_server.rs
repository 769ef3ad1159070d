//! `websocket_server_output` against clients that come, leave, come back, and do not read.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use hook_core::{
    BoxFuture,
    envelope::{Envelope, Layout},
    event::EventId,
    names::{EventType, SourceName, TopicName},
    outcome::Outcome,
    ports::{
        egress::{Attendance, CheckError, Delivery, EgressDriver, Host, Place},
        history::{Begin, History, HistoryError, Kept, Past},
        ingress::ListenError,
        log::{LogError, Position},
    },
    stop::Stop,
};
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::CloseFrame},
};

use crate::receiver::{driver, event, secrets};

const DESTINATION: &str = "route/stream";
const PATIENCE: Duration = Duration::from_secs(30);

/// What a destination was given, as a log would tell it.
#[derive(Clone)]
struct Shelf {
    events: Arc<Mutex<Vec<Envelope>>>,
    /// How many batches may be read.
    batches: Arc<Semaphore>,
    /// How many readings have begun, and how many of them went on.
    begun: Arc<AtomicUsize>,
    went_on: Arc<AtomicUsize>,
}

struct Reading {
    shelf: Shelf,
    next: usize,
    end: usize,
}

fn place(number: usize) -> Position {
    let topic = TopicName::new("webhooks.core").unwrap();
    Position { topic, partition: 0, offset: number as u64 }
}

impl Shelf {
    fn new() -> Self {
        let batches = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { events: Arc::default(), batches, begun: Arc::default(), went_on: Arc::default() }
    }

    fn len(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    fn close(&self) {
        self.batches.forget_permits(usize::MAX);
    }

    fn open(&self) {
        self.batches.add_permits(1_000_000);
    }
}

impl History for Shelf {
    fn read(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Past>, HistoryError>> {
        Box::pin(async move {
            let events = self.events.lock().unwrap();
            let next = match begin {
                Begin::Earliest => 0,
                Begin::After(mark) => {
                    let found = events.iter().position(|event| mark.is(event));
                    let oldest = events.first().map(|event| event.header.id);
                    found.ok_or(HistoryError::Unknown { oldest })? + 1
                }
            };
            self.begun.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Reading { shelf: self.clone(), next, end: events.len() }) as Box<dyn Past>)
        })
    }
}

impl Past for Reading {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Kept>>, LogError>> {
        Box::pin(async move {
            if self.next == self.end {
                return Ok(None);
            }
            self.shelf.batches.acquire().await.unwrap().forget();
            let to = self.end.min(self.next + 10);
            let events = self.shelf.events.lock().unwrap();
            let kept = events[self.next..to].iter().zip(self.next..).map(|(envelope, number)| Kept {
                destination: DESTINATION.into(),
                position: place(number),
                envelope: envelope.clone(),
            });
            self.next = to;
            Ok(Some(kept.collect()))
        })
    }

    fn has_passed(&self, position: &Position) -> bool {
        position.offset < self.next as u64
    }

    fn go_on(&mut self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.shelf.went_on.fetch_add(1, Ordering::SeqCst);
            self.end = self.shelf.len();
            Ok(())
        })
    }
}

/// A driver that runs, until it is stopped.
pub(crate) struct Running {
    pub(crate) driver: Arc<dyn EgressDriver>,
    pub(crate) address: SocketAddr,
    shelf: Shelf,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(more: Value) -> Self {
        let driver = driver("websocket_server_output", settings(&more));
        let secrets = secrets(&[("TOKEN", "canary-token")]);
        let address = driver.listen(&secrets).await.unwrap().unwrap();
        let (shelf, (stop, stopped)) = (Shelf::new(), oneshot::channel::<()>());
        let stop_when = Stop::when(async move { drop(stopped.await) });
        let host = Host { stop: stop_when, secrets, history: Arc::new(shelf.clone()) };
        let running = Arc::clone(&driver);
        let ended = tokio::spawn(async move { running.run(host).await });
        Self { driver, address, shelf, stop: Some(stop), ended }
    }

    /// Stores an event and gives it to the driver; its number is the answer.
    async fn publish(&self, source: &str, event_type: &str, text: &str) -> String {
        let mut envelope = event(&format!("{{ \"n\": {}, \"text\": \"{text}\" }}", self.shelf.len()));
        envelope.header.id = EventId::generate();
        envelope.header.source = SourceName::new(source).unwrap();
        envelope.header.event_type = EventType::new(event_type).unwrap();
        let number = self.shelf.len();
        self.shelf.events.lock().unwrap().push(envelope);
        self.deliver(number).await
    }

    pub(crate) async fn publish_one(&self) -> String {
        self.publish("github", "issues.opened", "").await
    }

    async fn publish_all(&self, count: usize) {
        for _ in 0..count {
            self.publish_one().await;
        }
    }

    async fn deliver(&self, number: usize) -> String {
        let envelope = self.shelf.events.lock().unwrap()[number].clone();
        let (secrets, position) = (secrets(&[]), place(number));
        let place = Some(Place { destination: DESTINATION, position: &position });
        let delivery = Delivery { envelope: &envelope, attempt: 1, secrets: &secrets, place };
        match self.driver.deliver(delivery).await {
            Outcome::Delivered { answer } => answer,
            failed => panic!("{failed:?}"),
        }
    }

    fn id(&self, number: usize) -> EventId {
        self.shelf.events.lock().unwrap()[number].header.id
    }

    fn request(&self, query: &str) -> Request<()> {
        format!("ws://{}/events{query}", self.address).into_client_request().unwrap()
    }

    async fn open(&self, request: Request<()>) -> Result<Client, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        client_async(request, stream).await.map(|(socket, _)| Client { socket })
    }

    pub(crate) async fn client(&self, query: &str) -> Client {
        let mut request = self.request(query);
        request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer canary-token"));
        self.open(request).await.unwrap()
    }

    async fn after(&self, number: usize) -> Client {
        self.client(&format!("?after={}", self.id(number))).await
    }

    /// The status, the code and a header of a refusal.
    async fn refused(&self, request: Request<()>, header: &str) -> (u16, String, Option<String>) {
        let Err(tungstenite::Error::Http(response)) = self.open(request).await else { panic!("not refused") };
        let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
        let header = response.headers().get(header).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), body["code"].as_str().unwrap().to_owned(), header)
    }

    fn attendance(&self) -> Attendance {
        self.driver.audience().unwrap().get()
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        let waiting = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("it comes to be so");
    }
}

fn settings(more: &Value) -> Value {
    let mut settings = json!({
        "bind": "127.0.0.1:0",
        "path": "/events",
        "auth_mode": "none",
        "max_clients": 100,
        "queue_depth_per_client": 100,
        "send_timeout_ms": 5000,
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    /// The next event, or how the connection ends.
    pub(crate) async fn next(&mut self) -> Result<String, Option<CloseFrame>> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("something comes") {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    async fn number(&mut self) -> usize {
        number(&self.next().await.unwrap())
    }

    async fn numbers(&mut self, count: usize) -> Vec<usize> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.number().await);
        }
        numbers
    }

    async fn close_code(&mut self) -> (u16, String) {
        let frame = self.next().await.expect_err("no event").expect("a close frame");
        (frame.code.into(), frame.reason.as_str().to_owned())
    }
}

fn number(text: &str) -> usize {
    let envelope: Value = serde_json::from_str(text).unwrap();
    usize::try_from(envelope["payload"]["n"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn every_client_gets_every_event_as_other_destinations_do() {
    let running = Running::start(json!({})).await;
    assert_eq!(running.publish_one().await, "no client is connected that wants it", "it counts as delivered");
    let (mut one, mut two) = (running.client("").await, running.client("").await);
    running.until(|| running.attendance().connected == 2).await;
    assert_eq!(running.publish_one().await, "handed to 2 clients");
    let expected = running.shelf.events.lock().unwrap()[1].to_json(Layout::Verbatim);
    for client in [&mut one, &mut two] {
        assert_eq!(client.next().await.unwrap().into_bytes(), expected, "and none from before it came");
    }
    drop(one);
    running.until(|| running.attendance().connected == 1).await;
    assert_eq!(running.publish_one().await, "handed to 1 client");
}

#[tokio::test]
async fn a_client_gets_only_what_it_asks_for_from_the_log_and_live() {
    let running = Running::start(json!({})).await;
    let events = [("github", "push"), ("github", "issues.opened"), ("linear", "Issue.create"), ("stripe", "push")];
    for (source, event_type) in events {
        running.publish(source, event_type, "").await;
    }
    let mut client = running.client("?source=git*&source=linear&type=*ss*&after=earliest").await;
    assert_eq!(client.numbers(2).await, [1, 2]);
    for (source, event_type) in events {
        running.publish(source, event_type, "").await;
    }
    assert_eq!(client.numbers(2).await, [5, 6]);
}

#[tokio::test]
async fn who_comes_back_gets_what_it_has_missed_and_then_what_comes() {
    let running = Running::start(json!({})).await;
    running.publish_all(35).await;
    let mut client = running.after(4).await;
    assert_eq!(client.numbers(30).await, (5..35).collect::<Vec<_>>());
    running.publish_all(2).await;
    assert_eq!(client.numbers(2).await, [35, 36]);
    let mut again = running.after(36).await;
    running.publish_one().await;
    assert_eq!(again.number().await, 37, "nothing was missed");
}

#[tokio::test]
async fn nothing_is_missing_and_nothing_comes_twice_where_the_log_ends_and_the_stream_begins() {
    let running = Running::start(json!({})).await;
    running.publish_all(30).await;
    running.shelf.close();
    let mut client = running.after(9).await;
    running.until(|| running.shelf.begun.load(Ordering::SeqCst) == 1).await;
    running.publish_all(30).await;
    running.shelf.open();
    assert_eq!(client.numbers(50).await, (10..60).collect::<Vec<_>>());
    // After a restart the log gives again what was not committed; who has it is not given it again.
    running.deliver(59).await;
    running.publish_one().await;
    assert_eq!(client.number().await, 60);
}

#[tokio::test]
async fn what_was_delivered_before_a_restart_and_comes_again_is_not_sent_again() {
    let running = Running::start(json!({})).await;
    for number in 0..20 {
        let mut envelope = event(&format!("{{ \"n\": {number} }}"));
        envelope.header.id = EventId::generate();
        running.shelf.events.lock().unwrap().push(envelope);
    }
    let mut client = running.after(14).await;
    assert_eq!(client.numbers(5).await, [15, 16, 17, 18, 19]);
    for number in 10..20 {
        running.deliver(number).await;
    }
    running.publish_one().await;
    assert_eq!(client.number().await, 20);
}

#[tokio::test]
async fn more_may_come_while_the_log_is_read_than_may_wait() {
    let running = Running::start(json!({ "queue_depth_per_client": 1 })).await;
    running.publish_all(20).await;
    running.shelf.close();
    let mut client = running.after(0).await;
    running.until(|| running.shelf.begun.load(Ordering::SeqCst) == 1).await;
    running.publish_all(3000).await;
    running.shelf.open();
    assert_eq!(client.numbers(3019).await, (1..3020).collect::<Vec<_>>());
    assert!(running.shelf.went_on.load(Ordering::SeqCst) > 0);
    assert_eq!(running.attendance(), Attendance { connected: 1, closed_as_slow: 0 });
}

#[tokio::test]
async fn a_client_that_does_not_keep_up_is_closed_with_1013_and_catches_up_when_it_returns() {
    let running = Running::start(json!({ "queue_depth_per_client": 4, "send_timeout_ms": 300 })).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(running.address).await.unwrap();
    let mut slow = client_async(running.request(""), stream).await.map(|(socket, _)| Client { socket }).unwrap();
    let mut other = running.client("").await;
    running.until(|| running.attendance().connected == 2).await;
    let text = "x".repeat(64 * 1024);
    let mut published = 0;
    while running.publish("github", "push", &text).await == "handed to 2 clients" {
        assert_eq!(other.number().await, published);
        published += 1;
        assert!(published < 1000, "a client that reads nothing is left");
    }
    assert_eq!(other.number().await, published);
    published += 1;
    running.until(|| running.attendance() == Attendance { connected: 1, closed_as_slow: 1 }).await;
    let mut taken = 0;
    let end = loop {
        match slow.next().await {
            Ok(text) => assert_eq!(number(&text), taken, "what it has is in order"),
            Err(end) => break end,
        }
        taken += 1;
    };
    assert_eq!(u16::from(end.expect("it is told why").code), 1013);
    assert!(taken < published);
    let mut again = running.after(taken - 1).await;
    assert_eq!(again.numbers(published - taken).await, (taken..published).collect::<Vec<_>>());
    running.publish_one().await;
    assert_eq!((again.number().await, other.number().await), (published, published));
}

#[tokio::test]
async fn an_event_that_is_not_kept_is_answered_with_where_to_begin() {
    let running = Running::start(json!({})).await;
    running.publish_all(2).await;
    let mut lost = running.client(&format!("?after={}", EventId::generate())).await;
    let reason = format!("no such event is kept; after=earliest begins with {}", running.id(0));
    assert_eq!(lost.close_code().await, (4404, reason));
    assert_eq!(running.client("?after=earliest").await.numbers(2).await, [0, 1]);
    for query in ["?after=7", "?after=", "?types=push"] {
        let (status, code, _) = running.refused(running.request(query), "x").await;
        assert_eq!((status, code.as_str()), (400, "malformed_query"), "{query}");
    }
}

#[tokio::test]
async fn only_those_are_let_in_who_may_be() {
    let running = Running::start(json!({
        "auth_mode": "bearer",
        "token_env": "TOKEN",
        "allowed_origins": ["https://app.example.com"],
        "max_clients": 1,
    }))
    .await;
    let with = |name: &'static str, value: &'static str| {
        let mut request = running.request("");
        request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer canary-token"));
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        request
    };
    let (status, code, challenge) = running.refused(running.request(""), "www-authenticate").await;
    assert_eq!((status, code.as_str(), challenge.as_deref()), (401, "unauthorized", Some("Bearer realm=\"hook\"")));
    let (status, code, _) = running.refused(with("origin", "https://evil.example"), "x").await;
    assert_eq!((status, code.as_str()), (403, "origin_not_allowed"));
    let (status, code, _) = running.refused(with("sec-websocket-version", "12"), "x").await;
    assert_eq!((status, code.as_str()), (426, "upgrade_required"));
    let mut elsewhere = running.request("");
    *elsewhere.uri_mut() = format!("ws://{}/other", running.address).parse().unwrap();
    assert_eq!(running.refused(elsewhere, "x").await.0, 404);
    let first = running.open(with("origin", "https://app.example.com")).await.unwrap();
    let (status, code, wait) = running.refused(with("x-a", "b"), "retry-after").await;
    assert_eq!((status, code.as_str(), wait.as_deref()), (503, "too_many_connections", Some("5")));
    drop(first);
    running.until(|| running.attendance().connected == 0).await;
    timeout(PATIENCE, async { while running.open(with("x-a", "b")).await.is_err() {} }).await.unwrap();
}

#[tokio::test]
async fn a_client_that_says_what_it_may_not_is_closed_with_the_code_of_that() {
    let running = Running::start(json!({})).await;
    let mut talker = running.client("").await;
    talker.socket.send(Message::text("hello")).await.unwrap();
    talker.socket.send(Message::Ping("are you there".into())).await.unwrap();
    let answer = timeout(PATIENCE, talker.socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(answer, Message::Pong("are you there".into()), "a text is passed over");
    talker.socket.send(Message::binary("hello")).await.unwrap();
    assert_eq!(talker.close_code().await.0, 1003);
    let mut loud = running.client("").await;
    loud.socket.send(Message::text("x".repeat(5000))).await.unwrap();
    assert_eq!(loud.close_code().await.0, 1009);
    let mut chatty = running.client("").await;
    for _ in 0..=256 {
        chatty.socket.feed(Message::text("hello")).await.unwrap();
    }
    chatty.socket.flush().await.unwrap();
    assert_eq!(chatty.close_code().await.0, 1008);
}

#[tokio::test]
async fn a_client_that_is_silent_is_left() {
    let running = Running::start(json!({ "ping_seconds": 1 })).await;
    let mut client = running.client("").await;
    let mut unread = Vec::new();
    // It reads the bytes, and answers no ping.
    timeout(PATIENCE, client.socket.get_mut().read_to_end(&mut unread)).await.unwrap().unwrap();
    assert!(unread.windows(2).any(|bytes| bytes == 1001u16.to_be_bytes()), "{unread:x?}");
    assert_eq!(running.attendance().closed_as_slow, 0);
}

#[tokio::test]
async fn clients_are_told_when_the_pipeline_ends() {
    let mut running = Running::start(json!({})).await;
    running.publish_one().await;
    let (mut live, mut reading) = (running.client("").await, running.client("?after=earliest").await);
    assert_eq!(reading.number().await, 0);
    running.stop.take().unwrap().send(()).unwrap();
    assert_eq!(live.close_code().await.0, 1001);
    assert_eq!(reading.close_code().await.0, 1001);
    timeout(PATIENCE, running.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn an_address_that_is_taken_and_a_token_that_is_missing_are_met_at_the_start() {
    let running = Running::start(json!({})).await;
    let none = secrets(&[]);
    let second = driver("websocket_server_output", settings(&json!({ "bind": running.address.to_string() })));
    let Err(ListenError::Address { address, .. }) = second.listen(&none).await else { panic!("it is taken") };
    assert_eq!(address, running.address);
    let Err(CheckError::Unreachable(error)) = second.check(&none).await else { panic!("it is taken") };
    assert!(error.contains(&running.address.to_string()), "{error}");
    let proving = json!({ "auth_mode": "bearer", "token_env": "TOKEN" });
    let without = driver("websocket_server_output", settings(&proving));
    assert!(matches!(without.listen(&none).await, Err(ListenError::MissingSecret(name)) if name.as_str() == "TOKEN"));
    assert!(matches!(without.check(&none).await, Err(CheckError::MissingSecret(name)) if name.as_str() == "TOKEN"));
}
