//! `websocket_ingress` against clients that behave well, badly and not at all.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use hook_core::{
    names::AdapterId,
    ports::ingress::{Accepted, Doors, Inlet, Listener, Opening, Refused, RejectionKind},
    stop::Stop,
};
use hook_testkit::fake_inlet::{Answer, FakeInlet, event_id, request_id};
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use crate::receiver::secrets;

pub(crate) const PATH: &str = "/ingest/ws/github";
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An address with adapters on it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: Vec<JoinHandle<()>>,
}

impl Running {
    pub(crate) async fn start(inlet: &Arc<FakeInlet>, more: Value) -> Self {
        let mut settings = json!({ "bind": "127.0.0.1:0", "auth_mode": "none" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Self::start_all(inlet, &[("websocket_ingress", settings)]).await
    }

    /// The first opens the address, and the others share it.
    pub(crate) async fn start_all(inlet: &Arc<FakeInlet>, adapters: &[(&str, Value)]) -> Self {
        let doors = Doors::default();
        let host = AdapterId::new("adapter-0").unwrap();
        let secrets = secrets(&[("TOKEN", "canary-token")]);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = Stop::when(async move { drop(stopped.await) });
        let (mut ended, mut address) = (Vec::new(), None);
        for (index, (name, settings)) in adapters.iter().enumerate() {
            let entry = hook_drivers::ingress().into_iter().find(|entry| entry.name() == *name).unwrap();
            let driver = entry.build(settings.clone()).ok().unwrap().driver;
            let adapter = AdapterId::new(format!("adapter-{index}")).unwrap();
            let beside = (index > 0).then_some(&host);
            let opening = Opening { adapter: &adapter, secrets: &secrets, beside, tls: None, doors: &doors };
            let listener: Box<dyn Listener> = driver.listen(opening).await.unwrap();
            assert_eq!(*address.get_or_insert(listener.address().unwrap()), listener.address().unwrap());
            ended.push(tokio::spawn(listener.run(Arc::clone(inlet) as Arc<dyn Inlet>, stopping.clone())));
        }
        tokio::task::yield_now().await;
        Self { address: address.unwrap(), stop: Some(stop), ended }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        for ended in self.ended {
            timeout(PATIENCE, ended).await.unwrap().unwrap();
        }
    }

    pub(crate) fn request(&self, path: &str) -> Request<()> {
        format!("ws://{}{path}", self.address).into_client_request().unwrap()
    }

    pub(crate) async fn open(&self, request: Request<()>) -> Result<Client, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        client_async(request, stream).await.map(|(socket, _)| Client { socket })
    }

    pub(crate) async fn client(&self) -> Client {
        self.open(self.request(PATH)).await.unwrap()
    }

    /// The status, the code and a header of a refusal.
    async fn refused(&self, request: Request<()>, header: &str) -> (u16, String, Option<String>) {
        let Err(tungstenite::Error::Http(response)) = self.open(request).await else { panic!("not refused") };
        let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
        let header = response.headers().get(header).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), body["code"].as_str().unwrap().to_owned(), header)
    }
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub(crate) async fn send(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub(crate) async fn answer(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Close(frame))) => return frame.unwrap().code.into(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) fn frame(id: &str) -> Value {
    json!({ "id": id, "event_type": "issues.opened", "payload": { "n": 1 } })
}

#[tokio::test]
async fn a_frame_becomes_an_event_and_is_answered_when_it_is_stored() {
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({})).await;
    let mut client = running.client().await;
    let text = r#"{"id":"delivery-1","event_type":"issues.opened","payload": { "n" : 1.50 } }"#;
    client.socket.send(Message::text(text)).await.unwrap();
    assert_eq!(
        client.answer().await,
        json!({ "id": "delivery-1", "code": "accepted", "event_id": event_id().to_string() })
    );
    assert_eq!(inlet.bodies(), [b"{ \"n\" : 1.50 }".to_vec()], "byte for byte");
    let events = inlet.events.lock().unwrap();
    let stated = events[0].stated.as_ref().unwrap();
    assert_eq!(stated.delivery_id.as_deref(), Some("delivery-1"));
    assert_eq!(stated.event_type.as_ref().unwrap().as_str(), "issues.opened");
    assert_eq!((events[0].source.as_str(), events[0].url.as_str()), ("github", PATH));
    assert!(events[0].peer.unwrap().is_loopback());
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_durable_and_answers_keep_their_order() {
    let inlet = FakeInlet::storing();
    let permits = inlet.permits.available_permits();
    inlet.permits.forget_permits(permits);
    let running = Running::start(&inlet, json!({})).await;
    let mut client = running.client().await;
    for number in 0..100 {
        client.send(&frame(&format!("{number}"))).await;
    }
    inlet.begun.acquire_many(64).await.unwrap().forget();
    assert_eq!(inlet.begun.available_permits(), 0, "no more are read while so many are on their way");
    inlet.permits.add_permits(permits);
    for number in 0..100 {
        assert_eq!(client.answer().await["id"], number.to_string());
    }
}

#[tokio::test]
async fn every_answer_has_its_code() {
    let refused = Refused {
        kind: RejectionKind::Unavailable,
        code: "log_unavailable",
        message: "the disk is full".into(),
        retry_after: Some(Duration::from_secs(1)),
    };
    let event = event_id().to_string();
    let request = request_id().to_string();
    for (answer, expected) in [
        (Answer::Taken(Accepted::Duplicate(event_id())), json!({ "id": "1", "code": "duplicate", "event_id": event })),
        (
            Answer::Taken(Accepted::NotRouted(request_id())),
            json!({ "id": "1", "code": "not_routed", "request_id": request }),
        ),
        (
            Answer::Refused(refused),
            json!({ "id": "1", "code": "log_unavailable", "message": "the disk is full", "request_id": request, "retry_after_ms": 1000 }),
        ),
    ] {
        let running = Running::start(&FakeInlet::new(answer), json!({})).await;
        let mut client = running.client().await;
        client.send(&frame("1")).await;
        assert_eq!(client.answer().await, expected);
    }
}

#[tokio::test]
async fn a_frame_that_is_no_event_is_answered_and_the_connection_goes_on() {
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({})).await;
    let mut client = running.client().await;
    for (text, id) in [
        ("", json!(null)),
        ("[]", json!(null)),
        ("{\"id\":\"1\"}", json!(null)),
        ("{\"id\":\"\",\"payload\":{}}", json!(null)),
        ("{\"id\":7,\"payload\":{}}", json!(null)),
        ("{\"id\":\"2\",\"event_type\":\"canary\\n\",\"payload\":{}}", json!("2")),
    ] {
        client.socket.send(Message::text(text)).await.unwrap();
        let answer = client.answer().await;
        assert_eq!((&answer["code"], &answer["id"]), (&json!("malformed_frame"), &id), "{text}");
        assert!(!answer["message"].as_str().unwrap().contains("canary"));
    }
    client.send(&frame("3")).await;
    assert_eq!(client.answer().await["code"], "accepted");
    assert_eq!(inlet.events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn only_those_with_the_token_are_let_in() {
    let running = Running::start(&FakeInlet::storing(), json!({ "auth_mode": "bearer", "token_env": "TOKEN" })).await;
    let with = |token: Option<&str>| {
        let mut request = running.request(PATH);
        if let Some(token) = token {
            request.headers_mut().insert("authorization", HeaderValue::try_from(token).unwrap());
        }
        request
    };
    for token in [None, Some("Bearer wrong"), Some("Basic canary-token"), Some("canary-token"), Some("Bearer ")] {
        let (status, code, challenge) = running.refused(with(token), "www-authenticate").await;
        let expected = match token {
            None => "Bearer realm=\"hook\"",
            Some(_) => "Bearer realm=\"hook\", error=\"invalid_token\"",
        };
        assert_eq!((status, code.as_str(), challenge.as_deref()), (401, "unauthorized", Some(expected)));
    }
    let mut client = running.open(with(Some("Bearer canary-token"))).await.unwrap();
    client.send(&frame("1")).await;
    assert_eq!(client.answer().await["code"], "accepted");
}

#[tokio::test]
async fn an_id_counts_for_more_where_a_token_was_shown() {
    for (more, is_proven) in [(json!({}), false), (json!({ "auth_mode": "bearer", "token_env": "TOKEN" }), true)] {
        let inlet = FakeInlet::storing();
        let running = Running::start(&inlet, more).await;
        let mut request = running.request(PATH);
        request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer canary-token"));
        let mut client = running.open(request).await.unwrap();
        client.send(&frame("1")).await;
        assert_eq!(client.answer().await["code"], "accepted");
        let stated = inlet.events.lock().unwrap()[0].stated.clone().unwrap();
        assert_eq!(stated.is_sender_proven, is_proven);
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_not_let_in() {
    let running =
        Running::start(&FakeInlet::storing(), json!({ "allowed_origins": ["https://app.example.com"] })).await;
    let from = |origin: &'static str| {
        let mut request = running.request(PATH);
        request.headers_mut().insert("origin", HeaderValue::from_static(origin));
        request
    };
    for origin in ["https://evil.example.com", "null", "https://app.example.com.evil.example", "http://app.example.com"]
    {
        let (status, code, _) = running.refused(from(origin), "x").await;
        assert_eq!((status, code.as_str()), (403, "origin_not_allowed"), "{origin}");
    }
    running.open(from("https://app.example.com")).await.unwrap();
}

#[tokio::test]
async fn what_does_not_open_a_websocket_is_told_so() {
    let running = Running::start(&FakeInlet::storing(), json!({})).await;
    let ask = async |request: String| {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap().to_ascii_lowercase()
    };
    let head = |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close{headers}\r\n\r\n");
    let answer = ask(head(&format!("GET {PATH}"), "")).await;
    assert!(answer.starts_with("http/1.1 426 ") && answer.contains("sec-websocket-version: 13\r\n"), "{answer}");
    let answer = ask(head(&format!("POST {PATH}"), "")).await;
    assert!(answer.starts_with("http/1.1 405 ") && answer.contains("allow: get\r\n"), "{answer}");
    let upgrade = ", upgrade\r\nupgrade: websocket\r\nsec-websocket-version: ";
    let answer =
        ask(head(&format!("GET {PATH}"), &format!("{upgrade}8\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="))).await;
    assert!(answer.starts_with("http/1.1 426 "), "{answer}");
    let answer = ask(head(&format!("GET {PATH}"), &format!("{upgrade}13\r\nsec-websocket-key: short"))).await;
    assert!(answer.starts_with("http/1.1 400 "), "{answer}");
    assert_eq!(running.refused(running.request("/ingest/ws/unheard-of"), "x").await.1, "unknown_source");
    assert_eq!(running.refused(running.request("/elsewhere"), "x").await.1, "not_found");
}

#[tokio::test]
async fn no_more_clients_than_allowed_are_let_in() {
    let running = Running::start(&FakeInlet::storing(), json!({ "max_connections": 1 })).await;
    let first = running.client().await;
    let (status, code, wait) = running.refused(running.request(PATH), "retry-after").await;
    assert_eq!((status, code.as_str(), wait.as_deref()), (503, "too_many_connections", Some("5")));
    drop(first);
    let again = async { while running.open(running.request(PATH)).await.is_err() {} };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn a_client_over_its_rate_is_told_for_each_frame() {
    let running = Running::start(&FakeInlet::storing(), json!({ "rate_per_minute_per_address": 2 })).await;
    let mut client = running.client().await;
    for (id, code) in [("1", "accepted"), ("2", "accepted"), ("3", "rate_limited")] {
        client.send(&frame(id)).await;
        let answer = client.answer().await;
        assert_eq!((&answer["id"], &answer["code"]), (&json!(id), &json!(code)));
    }
}

#[tokio::test]
async fn a_message_that_is_not_taken_closes_the_connection_with_its_code() {
    let running = Running::start(&FakeInlet::storing(), json!({ "max_frame_bytes": 100 })).await;
    let mut client = running.client().await;
    client.socket.send(Message::text("x".repeat(101))).await.unwrap();
    assert_eq!(client.close_code().await, 1009);
    let mut client = running.client().await;
    client.socket.send(Message::binary(&b"{}"[..])).await.unwrap();
    assert_eq!(client.close_code().await, 1003);
}

#[tokio::test]
async fn what_has_begun_is_answered_when_the_pipeline_ends() {
    let inlet = FakeInlet::storing();
    let permits = inlet.permits.available_permits();
    inlet.permits.forget_permits(permits);
    let running = Running::start(&inlet, json!({})).await;
    let mut client = running.client().await;
    client.send(&frame("1")).await;
    inlet.begun.acquire().await.unwrap().forget();
    let stopping = tokio::spawn(running.stop());
    tokio::task::yield_now().await;
    inlet.permits.add_permits(1);
    assert_eq!(client.answer().await["code"], "accepted");
    assert_eq!(client.close_code().await, 1001);
    drop(client);
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_silent_is_left() {
    let running = Running::start(&FakeInlet::storing(), json!({ "ping_seconds": 1 })).await;
    let mut client = running.client().await;
    let mut unread = Vec::new();
    // It reads the bytes, and answers no ping.
    timeout(PATIENCE, client.socket.get_mut().read_to_end(&mut unread)).await.unwrap().unwrap();
    assert!(unread.windows(2).any(|bytes| bytes == 1001u16.to_be_bytes()), "{unread:x?}");
}

#[tokio::test]
async fn adapters_share_an_address_by_their_paths() {
    let inlet = FakeInlet::storing();
    let running = Running::start_all(
        &inlet,
        &[
            ("http_webhook_ingress", json!({ "bind": "127.0.0.1:0" })),
            ("websocket_ingress", json!({ "auth_mode": "none" })),
        ],
    )
    .await;
    let mut client = running.client().await;
    client.send(&frame("1")).await;
    assert_eq!(client.answer().await["code"], "accepted");
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let post = "POST /webhook/github HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(post.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(inlet.events.lock().unwrap().len(), 2);
    assert_eq!(running.refused(running.request("/elsewhere"), "x").await.0, 404);
    drop(client);
    running.stop().await;
}
