//! `http_webhook_ingress` against clients that behave well, badly and not at all.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use hook_core::{
    names::AdapterId,
    ports::ingress::{Accepted, Doors, IngressDriver, ListenError, Listener, Opening, Refused, RejectionKind},
    secret::Secrets,
    stop::Stop,
};
use hook_testkit::fake_inlet::{Answer, FakeInlet, event_id, request_id, stored};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle, time::Instant};

use crate::wire::{Client, post};

const PATH: &str = "/webhook/github";

struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

async fn open(driver: &dyn IngressDriver, adapter: &str) -> Result<Box<dyn Listener>, ListenError> {
    let (adapter, doors) = (AdapterId::new(adapter).unwrap(), Doors::default());
    driver.listen(Opening { adapter: &adapter, secrets: &secrets(), beside: None, tls: None, doors: &doors }).await
}

impl Running {
    async fn start(inlet: &Arc<FakeInlet>, settings: Value) -> Self {
        let mut all = json!({ "bind": "127.0.0.1:0" });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let entry = hook_drivers::ingress().into_iter().find(|entry| entry.name() == "http_webhook_ingress").unwrap();
        let driver = entry.build(all).ok().unwrap().driver;
        let listener = open(&*driver, "http-ingress").await.unwrap();
        let address = listener.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = Stop::when(async move { drop(stopped.await) });
        let ended = tokio::spawn(listener.run(Arc::clone(inlet) as _, stopping));
        Self { address, stop: Some(stop), ended }
    }

    async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    fn stop(&mut self) {
        drop(self.stop.take());
    }
}

fn secrets() -> Secrets {
    Arc::new(BTreeMap::new())
}

/// One request on a connection of its own.
async fn ask(running: &Running, request: impl AsRef<[u8]>) -> crate::wire::Answer {
    let mut client = running.client().await;
    client.send(request).await;
    client.receive().await
}

#[tokio::test]
async fn each_result_of_the_inlet_has_its_answer() {
    let (event, request) = (event_id().to_string(), request_id().to_string());
    let refused = |kind, code, wait| Answer::Refused(Refused { kind, code, message: "why".into(), retry_after: wait });
    let refusal = |code: &str| json!({ "code": code, "message": "why", "request_id": request });
    let wait = Some(Duration::from_millis(1500));
    for (answer, status, body, retry_after) in [
        (Answer::Taken(Accepted::Stored(stored())), 202, json!({ "code": "accepted", "event_id": event }), None),
        (Answer::Taken(Accepted::Duplicate(event_id())), 200, json!({ "code": "duplicate", "event_id": event }), None),
        (
            Answer::Taken(Accepted::NotRouted(request_id())),
            200,
            json!({ "code": "not_routed", "request_id": request }),
            None,
        ),
        (refused(RejectionKind::Unauthorized, "signature_mismatch", None), 401, refusal("signature_mismatch"), None),
        (refused(RejectionKind::Malformed, "not_json", None), 400, refusal("not_json"), None),
        (refused(RejectionKind::Unprocessable, "plugin", None), 422, refusal("plugin"), None),
        (refused(RejectionKind::TooManyRequests, "rate_limited", wait), 429, refusal("rate_limited"), Some("2")),
        (refused(RejectionKind::Unavailable, "log_unavailable", wait), 503, refusal("log_unavailable"), Some("2")),
    ] {
        let running = Running::start(&FakeInlet::new(answer), json!({})).await;
        let answer = ask(&running, post(PATH, &[], "{}")).await;
        assert_eq!((answer.status, answer.json()), (status, body));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("retry-after"), retry_after);
        let hint = (answer.code() == "duplicate").then(|| format!("hook replay {event}"));
        assert_eq!(answer.header("x-hook-hint"), hint.as_deref());
    }
}

#[tokio::test]
async fn an_event_holds_everything_as_it_was_received() {
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({})).await;
    let body = "{ \"a\" : 1.0 }\n";
    let mut request =
        post("/webhook/github?x=%20y&z", &["X-GitHub-Event: push", "x-many: 1", "x-many: 2"], body).into_bytes();
    let name = request.windows(6).position(|window| window == b"x-many").unwrap();
    request.splice(name..name, *b"x-latin: \xe4\xff\r\n");
    assert_eq!(ask(&running, request).await.status, 202);
    let events = inlet.events.lock().unwrap();
    let event = &events[0];
    assert_eq!(event.body, body);
    assert_eq!(event.url, "/webhook/github?x=%20y&z");
    assert_eq!(event.source.as_str(), "github");
    assert_eq!(event.adapter.as_str(), "http-ingress");
    assert_eq!(event.headers["x-github-event"], "push");
    assert_eq!(event.headers["x-latin"].as_bytes(), b"\xe4\xff");
    assert_eq!(event.headers.get_all("x-many").iter().count(), 2);
    assert_eq!(event.peer, Some("127.0.0.1".parse().unwrap()));
}

#[tokio::test]
async fn path_source_and_method_are_checked_in_this_order() {
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({ "rate_per_minute_per_address": 1, "max_body_bytes": 4 })).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: hook\r\n\r\n");
    let large = "{\"a\":1}";
    for (request, status, code) in [
        (get("/"), 404, "not_found"),
        (get("/webhook/github/x"), 404, "not_found"),
        (get("http://hook/"), 404, "not_found"),
        ("OPTIONS * HTTP/1.1\r\nhost: hook\r\n\r\n".to_owned(), 404, "not_found"),
        ("CONNECT hook:80 HTTP/1.1\r\nhost: hook\r\n\r\n".to_owned(), 404, "not_found"),
        (post("/webhook/", &[], large), 404, "not_found"),
        (get("/webhook/gitlab"), 404, "unknown_source"),
        (post("/webhook/GitHub", &[], large), 404, "unknown_source"),
        (get(PATH), 405, "method_not_allowed"),
        (post(PATH, &[], large), 413, "body_too_large"),
        (post(PATH, &[], large), 429, "rate_limited"),
    ] {
        let answer = ask(&running, &request).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{request}");
        assert_eq!(answer.json()["request_id"], request_id().to_string());
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"));
        assert_eq!(answer.header("retry-after").is_some(), status == 429);
    }
    assert!(inlet.events.lock().unwrap().is_empty());
    let sources: Vec<_> = inlet.refusals.lock().unwrap().iter().map(|(source, _)| source.is_some()).collect();
    assert_eq!(sources.iter().position(|is_known| *is_known), Some(8));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_is_framed() {
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({ "max_body_bytes": 10 })).await;
    let head = |framing: &str| format!("POST {PATH} HTTP/1.1\r\nhost: hook\r\n{framing}\r\n\r\n");
    // Refused by its announced length alone: nothing of it was sent.
    let answer = ask(&running, head("content-length: 11")).await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    let answer = ask(&running, head("transfer-encoding: chunked") + "6\r\n{\"a\":1\r\n5\r\n    }\r\n").await;
    assert_eq!(answer.status, 413);
    assert_eq!(ask(&running, post(PATH, &[], "{\"a\":   1}")).await.status, 202);
    let exact = head("transfer-encoding: chunked") + "6\r\n{\"a\":1\r\n4\r\n   }\r\n0\r\n\r\n";
    assert_eq!(ask(&running, exact).await.status, 202);
    assert_eq!(inlet.bodies().len(), 2);
}

#[tokio::test]
async fn a_client_that_sends_megabytes_too_many_can_send_them_all_and_read_why_they_are_refused() {
    let running = Running::start(&FakeInlet::storing(), json!({ "max_body_bytes": 1000 })).await;
    for _ in 0..3 {
        let mut client = running.client().await;
        client.send(post(PATH, &[], &"x".repeat(30_000_000))).await;
        assert_eq!(client.receive().await.status, 413);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_told_so_after_the_time_out() {
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({ "read_timeout_seconds": 7 })).await;
    for partial in ["POST /webh", "POST /webhook/github HTTP/1.1\r\nhost: hook\r\n"] {
        let started = Instant::now();
        let answer = ask(&running, partial).await;
        assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(started.elapsed().as_secs(), 7);
    }
    let started = Instant::now();
    let partial = post(PATH, &[], "{\"a\":1}");
    let answer = ask(&running, &partial[..partial.len() - 1]).await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    assert_eq!(started.elapsed().as_secs(), 7);
    assert!(inlet.events.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_trickle_of_bytes_does_not_extend_the_time_out() {
    let running = Running::start(&FakeInlet::storing(), json!({ "read_timeout_seconds": 7 })).await;
    let mut client = running.client().await;
    client.send(format!("POST {PATH} HTTP/1.1\r\nhost: hook\r\ncontent-length: 100\r\n\r\n")).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.send("x").await;
    }
    let started = Instant::now();
    assert_eq!(client.receive().await.status, 408);
    assert!(started.elapsed() <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_without_a_word() {
    let running = Running::start(&FakeInlet::storing(), json!({})).await;
    let mut client = running.client().await;
    let started = Instant::now();
    assert!(client.is_closed().await);
    assert_eq!(started.elapsed().as_secs(), 10);
    let mut client = running.client().await;
    client.send(post(PATH, &[], "{}")).await;
    assert_eq!(client.receive().await.status, 202);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_connection_serves_many_requests_also_when_they_come_at_once() {
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({})).await;
    let mut client = running.client().await;
    let pipeline: String = (0..50).map(|number| post(PATH, &[], &format!("{{\"n\":{number}}}"))).collect();
    client.send(pipeline).await;
    for _ in 0..50 {
        assert_eq!(client.receive().await.status, 202);
    }
    client.send("GET / HTTP/1.1\r\nhost: hook\r\n\r\n").await;
    assert_eq!(client.receive().await.status, 404);
    client.send(post(PATH, &[], "{}")).await;
    assert_eq!(client.receive().await.status, 202);
    let expected: Vec<_> = (0..50).map(|number| format!("{{\"n\":{number}}}").into_bytes()).collect();
    assert_eq!(inlet.bodies()[..50], expected);
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_client_gets_its_answer() {
    let inlet = FakeInlet::storing();
    inlet.permits.forget_permits(1_000_000);
    let running = Running::start(&inlet, json!({})).await;
    let mut client = running.client().await;
    client.send(post(PATH, &[], "{}")).await;
    client.half_close().await;
    inlet.begun.acquire().await.unwrap().forget();
    // Time moves only when everybody waits: by then the server has seen the end of what the client sends.
    tokio::time::sleep(Duration::from_secs(1)).await;
    inlet.permits.add_permits(1);
    assert_eq!(client.receive().await.status, 202);
    assert!(client.is_closed().await);

    let whole = post(PATH, &[], "{\"a\":1}");
    let mut client = running.client().await;
    client.send(&whole[..whole.len() - 2]).await;
    client.half_close().await;
    let answer = client.receive().await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "incomplete_body"));

    let mut client = running.client().await;
    client.send(&whole[..20]).await;
    client.half_close().await;
    assert!(client.is_closed().await);
    assert_eq!(inlet.bodies(), [b"{}".to_vec()]);
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_harms_nobody() {
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, json!({})).await;
    let head = |headers: &str| format!("POST {PATH} HTTP/1.1\r\nhost: hook\r\n{headers}\r\n");
    let many: String = (0..200).map(|number| format!("x-{number}: a\r\n")).collect();
    for (request, status) in [
        ("\r\n\r\nhello there\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(), 400),
        (head("content-length: abc\r\n"), 400),
        (head("content-length: -1\r\n"), 400),
        (head("content-length: 99999999999999999999999\r\n"), 400),
        (head("content-length: 2\r\ncontent-length: 3\r\n"), 400),
        (head("no colon\r\n"), 400),
        (head("transfer-encoding: chunked\r\n") + "zz\r\n{}\r\n0\r\n\r\n", 400),
        (head("transfer-encoding: chunked\r\n") + "ffffffffffffffffffff\r\n{}", 400),
        (head(&many), 431),
        (head(&format!("x-long: {}\r\n", "a".repeat(100_000))), 431),
        (format!("POST /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000)), 414),
    ] {
        let mut client = running.client().await;
        client.push(&request).await;
        let answer = client.receive().await;
        assert!(answer.status == status || (status == 414 && answer.status == 431), "{request:.80} {answer:?}");
        assert!(client.is_closed().await, "{request:.80}");
    }
    assert!(inlet.events.lock().unwrap().is_empty());
    assert_eq!(ask(&running, post(PATH, &[], "{}")).await.status, 202);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_or_not() {
    let running = Running::start(&FakeInlet::storing(), json!({ "max_body_bytes": 10 })).await;
    let head = |length| {
        format!("POST {PATH} HTTP/1.1\r\nhost: hook\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut client = running.client().await;
    client.send(head(2)).await;
    assert_eq!(client.receive().await.status, 100);
    client.send("{}").await;
    assert_eq!(client.receive().await.status, 202);
    assert_eq!(ask(&running, head(11)).await.status, 413);
}

#[tokio::test]
async fn the_limit_counts_the_address_that_a_trusted_proxy_forwards() {
    let settings = json!({ "rate_per_minute_per_address": 1, "trusted_proxy_cidrs": ["127.0.0.0/8"] });
    let inlet = FakeInlet::storing();
    let running = Running::start(&inlet, settings).await;
    for (forwarded, status) in [("1.1.1.1", 202), ("1.1.1.1", 429), ("2.2.2.2", 202), ("1.1.1.1, 2.2.2.2", 429)] {
        let answer = ask(&running, post(PATH, &[&format!("x-forwarded-for: {forwarded}")], "{}")).await;
        assert_eq!(answer.status, status, "{forwarded}");
    }
    assert_eq!(inlet.events.lock().unwrap()[1].peer, Some("2.2.2.2".parse().unwrap()));

    let running = Running::start(&FakeInlet::storing(), json!({ "rate_per_minute_per_address": 1 })).await;
    assert_eq!(ask(&running, post(PATH, &["x-forwarded-for: 1.1.1.1"], "{}")).await.status, 202);
    assert_eq!(ask(&running, post(PATH, &["x-forwarded-for: 2.2.2.2"], "{}")).await.status, 429);
}

#[tokio::test]
async fn a_connection_over_the_limit_waits_for_another_to_end() {
    let running = Running::start(&FakeInlet::storing(), json!({ "max_connections": 1 })).await;
    let mut first = running.client().await;
    first.send(post(PATH, &[], "{}")).await;
    assert_eq!(first.receive().await.status, 202);
    let mut second = running.client().await;
    second.send(post(PATH, &[], "{}")).await;
    first.send(post(PATH, &[], "{}")).await;
    assert_eq!(first.receive().await.status, 202);
    drop(first);
    assert_eq!(second.receive().await.status, 202);
}

#[tokio::test]
async fn a_client_that_goes_away_harms_nobody() {
    let inlet = FakeInlet::storing();
    inlet.permits.forget_permits(1_000_000);
    let running = Running::start(&inlet, json!({})).await;
    let mut gone = running.client().await;
    gone.send(post(PATH, &[], "{}")).await;
    inlet.begun.acquire().await.unwrap().forget();
    gone.reset();
    inlet.permits.add_permits(2);
    assert_eq!(ask(&running, post(PATH, &[], "{\"a\":1}")).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_the_requests_in_flight_finish_and_takes_no_other() {
    let inlet = FakeInlet::storing();
    let mut running = Running::start(&inlet, json!({})).await;
    let (mut idle, mut fresh, mut busy) = (running.client().await, running.client().await, running.client().await);
    idle.send(post(PATH, &[], "{}")).await;
    assert_eq!(idle.receive().await.status, 202);
    inlet.begun.acquire().await.unwrap().forget();
    inlet.permits.forget_permits(1_000_000);
    busy.send(post(PATH, &[], "{}")).await;
    inlet.begun.acquire().await.unwrap().forget();
    let started = Instant::now();
    running.stop();
    assert!(idle.is_closed().await);
    assert!(fresh.is_closed().await);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(TcpStream::connect(running.address).await.is_err());
    inlet.permits.add_permits(1);
    assert_eq!(busy.receive().await.status, 202);
    assert!(busy.is_closed().await);
    drop((idle, fresh, busy));
    running.ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_although_a_request_does_not() {
    let inlet = FakeInlet::storing();
    inlet.permits.forget_permits(1_000_000);
    let mut running = Running::start(&inlet, json!({ "read_timeout_seconds": 7 })).await;
    let mut stuck = running.client().await;
    stuck.send(post(PATH, &[], "{}")).await;
    inlet.begun.acquire().await.unwrap().forget();
    let started = Instant::now();
    running.stop();
    running.ended.await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 12);
    assert!(stuck.is_closed().await);
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let running = Running::start(&FakeInlet::storing(), json!({})).await;
    let entry = hook_drivers::ingress().remove(0);
    let driver = entry.build(json!({ "bind": running.address })).ok().unwrap().driver;
    let error = open(&*driver, "second").await.err().unwrap();
    assert_eq!(error.to_string(), format!("could not listen on {}", running.address));
}
