//! `websocket_client_output` against servers that behave well, badly and not at all.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use hook_core::{
    catalog::BuildError,
    envelope::Layout,
    outcome::{FailureClass, Outcome},
    ports::egress::{CheckError, EgressDriver, Host},
    stop::Stop,
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::receiver::{Receiver, deliver, driver, event, failure, secrets};

/// What a server does with each connection.
#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    /// Reads.
    Reads,
    /// Reads and acknowledges.
    Acknowledges,
    /// Reads one frame and closes with the code.
    Closes(u16),
    /// Reads one frame and drops the connection.
    Drops,
    /// Opens the connection and answers nothing.
    Stands,
}

/// What a server has seen.
#[derive(Debug, PartialEq)]
enum Seen {
    /// A connection, with its `Authorization`.
    Connected(Option<String>),
    Text(String),
    /// The code with which the client said goodbye.
    Closed(Option<u16>),
}

struct Server {
    address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
}

impl Server {
    async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seeing, seen) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour, seeing.clone()));
            }
        });
        Self { address, seen }
    }

    fn url(&self) -> String {
        format!("ws://{}/events?key=canary", self.address)
    }

    async fn next(&mut self) -> Seen {
        timeout(Duration::from_secs(20), self.seen.recv()).await.unwrap().unwrap()
    }
}

async fn serve(stream: TcpStream, behaviour: Behaviour, seeing: mpsc::Sender<Seen>) {
    let mut authorization = None;
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let look = |request: &Request, response: Response| {
        authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, look).await else { return };
    seeing.send(Seen::Connected(authorization)).await.unwrap();
    if behaviour == Behaviour::Stands {
        let mut unread = Vec::new();
        let _ = socket.get_mut().read_to_end(&mut unread).await;
        seeing.send(Seen::Closed(None)).await.unwrap();
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => {
                let text = text.as_str().to_owned();
                react(&mut socket, behaviour, &text).await;
                seeing.send(Seen::Text(text)).await.unwrap();
                if behaviour == Behaviour::Drops {
                    return;
                }
            }
            Message::Close(frame) => {
                seeing.send(Seen::Closed(frame.map(|frame| frame.code.into()))).await.unwrap();
            }
            _ => {}
        }
    }
}

async fn react(socket: &mut WebSocketStream<TcpStream>, behaviour: Behaviour, text: &str) {
    match behaviour {
        Behaviour::Acknowledges => {
            let envelope: Value = serde_json::from_str(text).unwrap();
            socket.send(Message::text("not an acknowledgement")).await.unwrap();
            socket.send(Message::text(json!({ "ack": envelope["id"] }).to_string())).await.unwrap();
        }
        Behaviour::Closes(code) => {
            let frame = CloseFrame { code: CloseCode::from(code), reason: "canary".into() };
            socket.close(Some(frame)).await.unwrap();
        }
        Behaviour::Reads | Behaviour::Drops | Behaviour::Stands => {}
    }
}

/// A driver that runs, until it is stopped.
struct Running {
    driver: Arc<dyn EgressDriver>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Running {
    async fn start(url: &str, more: Value) -> Self {
        let mut settings = json!({ "url": url, "auth_mode": "none", "send_timeout_ms": 500, "retry_policy": "none" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let driver = driver("websocket_client_output", settings);
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn({
            let driver = Arc::clone(&driver);
            async move {
                let stop = Stop::when(async { drop(stopped.await) });
                driver.run(Host::without_log(stop, secrets(&[]))).await;
            }
        });
        tokio::task::yield_now().await;
        Self { driver, stop, ended }
    }

    async fn send(&self) -> Outcome {
        let secrets = secrets(&[("TOKEN", "canary-token")]);
        deliver(&*self.driver, &event("{ \"text\": \"canary\" }"), &secrets).await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(Duration::from_secs(5), self.ended).await.unwrap().unwrap();
    }
}

fn sent_text() -> Seen {
    Seen::Text(String::from_utf8(event("{ \"text\": \"canary\" }").to_json(Layout::Verbatim)).unwrap())
}

#[tokio::test]
async fn events_are_frames_of_one_connection_that_is_opened_with_the_token() {
    let mut server = Server::start(Behaviour::Reads).await;
    let running = Running::start(&server.url(), json!({ "auth_mode": "bearer", "token_env": "TOKEN" })).await;
    assert_eq!(running.send().await, Outcome::delivered("frame sent"));
    assert_eq!(running.send().await, Outcome::delivered("frame sent"));
    assert_eq!(server.next().await, Seen::Connected(Some("Bearer canary-token".into())));
    assert_eq!(server.next().await, sent_text());
    assert_eq!(server.next().await, sent_text());
    running.stop().await;
    assert_eq!(server.next().await, Seen::Closed(Some(1001)));
}

#[tokio::test]
async fn with_ack_an_event_is_delivered_when_the_server_says_so() {
    let server = Server::start(Behaviour::Acknowledges).await;
    let running = Running::start(&server.url(), json!({ "ack": true })).await;
    assert_eq!(running.send().await, Outcome::delivered("acknowledged"));

    let server = Server::start(Behaviour::Reads).await;
    let running = Running::start(&server.url(), json!({ "ack": true })).await;
    let failure = failure(running.send().await);
    assert_eq!((failure.class, failure.error.as_str()), (FailureClass::Transient, "no acknowledgement within 500 ms"));
}

#[tokio::test]
async fn what_waits_for_its_acknowledgement_is_waited_for_at_the_end() {
    let mut server = Server::start(Behaviour::Reads).await;
    let running = Running::start(&server.url(), json!({ "ack": true, "send_timeout_ms": 300 })).await;
    let sending = tokio::spawn({
        let driver = Arc::clone(&running.driver);
        async move { deliver(&*driver, &event("{}"), &secrets(&[])).await }
    });
    assert_eq!(server.next().await, Seen::Connected(None));
    server.next().await;
    let began = Instant::now();
    running.stop().await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(failure(sending.await.unwrap()).class, FailureClass::Transient);
}

#[tokio::test]
async fn a_connection_that_was_lost_is_opened_again() {
    let mut server = Server::start(Behaviour::Drops).await;
    let running = Running::start(&server.url(), json!({ "ack": true })).await;
    for _ in 0..2 {
        let failure = failure(running.send().await);
        assert_eq!(failure.class, FailureClass::Transient);
        assert!(failure.error.contains("connection"), "{}", failure.error);
        assert_eq!(server.next().await, Seen::Connected(None));
        assert_eq!(server.next().await, sent_text());
    }
}

#[tokio::test]
async fn a_close_code_decides_about_the_next_attempt() {
    for (code, class) in [
        (1009, FailureClass::Rejected),
        (1008, FailureClass::Misconfigured),
        (1013, FailureClass::Throttled),
        (1011, FailureClass::Transient),
        (4000, FailureClass::Transient),
    ] {
        let mut server = Server::start(Behaviour::Closes(code)).await;
        let running = Running::start(&server.url(), json!({ "ack": true })).await;
        let failure = failure(running.send().await);
        assert_eq!(failure.class, class, "{code}");
        assert!(failure.error.contains(&code.to_string()) && !failure.error.contains("canary"), "{}", failure.error);
        assert!(matches!(server.next().await, Seen::Connected(_)));
        assert_eq!(server.next().await, sent_text());
        assert_eq!(server.next().await, Seen::Closed(Some(code)), "the goodbye is answered");
    }
}

#[tokio::test]
async fn a_server_that_does_not_open_a_websocket_says_nothing_about_the_event() {
    for (status, headers, class, wait) in [
        ("401 Unauthorized", "", FailureClass::Misconfigured, None),
        ("404 Not Found", "", FailureClass::Misconfigured, None),
        ("200 OK", "", FailureClass::Misconfigured, None),
        ("302 Found", "location: /\r\n", FailureClass::Misconfigured, None),
        ("502 Bad Gateway", "", FailureClass::Unreachable, None),
        ("503 Service Unavailable", "retry-after: 8\r\n", FailureClass::Throttled, Some(8)),
    ] {
        let receiver = Receiver::answering(status, headers).await;
        let running = Running::start(&format!("ws://{}/", receiver.address), json!({})).await;
        let failure = failure(running.send().await);
        assert_eq!((failure.class, failure.retry_after), (class, wait.map(Duration::from_secs)), "{status}");
        assert!(failure.error.contains(status), "{}", failure.error);
    }
}

#[tokio::test]
async fn a_server_that_answers_another_key_is_not_spoken_to() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: AAAA\r\n\r\n";
    let receiver = Receiver::reacting(crate::receiver::Reaction::Answer(answer.to_owned())).await;
    let running = Running::start(&format!("ws://{}/", receiver.address), json!({})).await;
    let failure = failure(running.send().await);
    assert_eq!(failure.class, FailureClass::Misconfigured);
    assert!(failure.error.contains("Sec-WebSocket-Accept"));
}

#[tokio::test]
async fn after_a_failure_the_next_connection_waits_its_turn() {
    let receiver = Receiver::answering("502 Bad Gateway", "").await;
    let url = format!("ws://{}/", receiver.address);
    let running = Running::start(&url, json!({ "retry_policy": "exponential" })).await;
    assert_eq!(failure(running.send().await).retry_after, None);
    let failed = failure(running.send().await);
    assert_eq!(failed.class, FailureClass::Unreachable);
    assert!(failed.retry_after.is_some_and(|wait| wait <= Duration::from_millis(500)));
    let asked_again = async { while failure(running.send().await).retry_after.is_some() {} };
    timeout(Duration::from_secs(5), asked_again).await.unwrap();

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let running = Running::start(&format!("ws://{closed}/"), json!({})).await;
    for _ in 0..2 {
        let failed = failure(running.send().await);
        assert_eq!((failed.class, failed.retry_after), (FailureClass::Unreachable, None));
    }
}

#[tokio::test]
async fn a_server_that_stands_still_is_left() {
    let mut server = Server::start(Behaviour::Stands).await;
    let running = Running::start(&server.url(), json!({ "ping_seconds": 1 })).await;
    assert_eq!(running.send().await, Outcome::delivered("frame sent"));
    assert_eq!(server.next().await, Seen::Connected(None));
    assert_eq!(server.next().await, Seen::Closed(None));
    assert_eq!(running.send().await, Outcome::delivered("frame sent"));
    assert_eq!(server.next().await, Seen::Connected(None), "it is another connection");
}

#[tokio::test]
async fn a_check_opens_a_connection_and_sends_no_event() {
    let mut server = Server::start(Behaviour::Reads).await;
    let running = Running::start(&server.url(), json!({ "auth_mode": "bearer", "token_env": "TOKEN" })).await;
    assert!(matches!(running.driver.check(&secrets(&[])).await, Err(CheckError::MissingSecret(_))));
    running.driver.check(&secrets(&[("TOKEN", "t")])).await.unwrap();
    assert_eq!(server.next().await, Seen::Connected(Some("Bearer t".into())));
    assert_eq!(server.next().await, Seen::Closed(Some(1001)));
    let receiver = Receiver::answering("404 Not Found", "").await;
    let running = Running::start(&format!("ws://{}/", receiver.address), json!({})).await;
    let Err(CheckError::Unreachable(error)) = running.driver.check(&secrets(&[])).await else { panic!() };
    assert!(error.contains("404"));
}

#[test]
fn settings_that_cannot_work_are_faults_at_their_keys() {
    let entry = hook_drivers::egress().into_iter().find(|entry| entry.name() == "websocket_client_output").unwrap();
    let faults = |more: Value| {
        let mut settings =
            json!({ "url": "ws://localhost/", "auth_mode": "none", "send_timeout_ms": 500, "retry_policy": "none" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let faults = match entry.build(settings) {
            Ok(_) => Vec::new(),
            Err(BuildError::Faulty(faults)) => faults,
            Err(error) => panic!("{error:?}"),
        };
        faults.into_iter().map(|fault| (fault.pointer, fault.is_security_critical)).collect::<Vec<_>>()
    };
    assert_eq!(faults(json!({})), []);
    assert_eq!(faults(json!({ "url": "http://localhost/" })), [("/url".into(), false)]);
    assert_eq!(faults(json!({ "url": "wss://user:canary@localhost/" })), [("/url".into(), true)]);
    assert_eq!(faults(json!({ "auth_mode": "bearer" })), [("/token_env".into(), true)]);
    assert_eq!(faults(json!({ "token_env": "TOKEN" })), [("/token_env".into(), false)]);
    let both = faults(json!({ "url": "x", "auth_mode": "bearer" }));
    assert_eq!(both.len(), 2);
}
