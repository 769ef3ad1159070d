//! WebSocket with clients that we have not written.

use serde_json::{Value, json};

use crate::{
    peer::{Peer, installed},
    support::{Contract, Home, Pipeline, Receiver, poll_until, text},
};

fn event(id: &str) -> Value {
    json!({ "id": id, "event_type": "order.paid", "payload": { "order": id, "text": "κόσμε 😀", "total": 12.50 } })
}

const SOURCES: &str = "[sources.orders]\nverifier = \"none\"\nallow_unverified = true\n";

fn url(pipeline: &Pipeline) -> String {
    format!("ws://{}/ingest/ws/orders", pipeline.ingress())
}

#[test]
fn the_python_library_sends_events_and_each_is_answered_and_delivered() {
    const EVENTS: usize = 500;
    let receiver = Receiver::start();
    let keys = "driver = \"websocket_ingress\"\nauth_mode = \"bearer\"\ntoken_env = \"SOCKET_TOKEN\"";
    let contract = Contract::new().ingress_adapter("ws-in", keys).http_output("service", &receiver, "").with(SOURCES);
    let mut home = Home::new(&contract);
    home.set("SOCKET_TOKEN", "canary-token");
    let pipeline = home.up();
    let mut client = Peer::start("websockets_client.py", &[]);
    let url = url(&pipeline);
    let bearer = "Bearer realm=\"hook\"";
    for (token, challenge) in [(None, bearer.to_owned()), (Some("wrong"), format!("{bearer}, error=\"invalid_token\""))]
    {
        let refused = client.ask("open", json!({ "url": url, "token": token }));
        assert_eq!(refused, json!({ "status": 401, "www_authenticate": challenge }));
    }
    assert_eq!(client.ask("open", json!({ "url": url, "token": "canary-token" })), json!({}));
    assert!(client.ask("ping", json!({}))["seconds"].as_f64().is_some());

    let frames: Vec<_> = (0..EVENTS).map(|number| event(&number.to_string())).collect();
    let answers = client.ask("send", json!({ "frames": frames }))["answers"].take();
    let mut ids = Vec::new();
    for (number, answer) in answers.as_array().unwrap().iter().enumerate() {
        assert_eq!((text(answer, "/id"), text(answer, "/code")), (number.to_string().as_str(), "accepted"));
        ids.push(text(answer, "/event_id"));
    }
    for (number, id) in ids.iter().enumerate() {
        let envelope = receiver.taken(id).json();
        assert_eq!(envelope["payload"], event(&number.to_string())["payload"]);
    }

    let copy = client.ask("send", json!({ "frames": [event("0")] }))["answers"][0].take();
    assert_eq!((text(&copy, "/code"), text(&copy, "/event_id")), ("duplicate", ids[0]));
    let whole = event("in pieces").to_string();
    let pieces: Vec<_> = whole.chars().map(String::from).collect();
    assert_eq!(client.ask("send_pieces", json!({ "pieces": pieces }))["code"], "accepted");
    let wrong = client.ask("send", json!({ "frames": [{ "id": "no payload" }] }))["answers"][0].take();
    assert_eq!(wrong["code"], "malformed_frame");
    assert_eq!(client.ask("close", json!({})), json!({ "code": 1000 }));
    receiver.wait_for(EVENTS + 1);
}

#[test]
fn what_no_route_takes_is_answered_as_such() {
    let keys = "driver = \"websocket_ingress\"\nauth_mode = \"none\"";
    let contract = Contract::new().serves_only("github").ingress_adapter("ws-in", keys);
    let home = Home::new(&contract.file_output("file", "events.jsonl").with(SOURCES));
    let pipeline = home.up();
    let mut client = Peer::start("websockets_client.py", &[]);
    client.ask("open", json!({ "url": url(&pipeline) }));
    let answer = client.ask("send", json!({ "frames": [event("1")] }))["answers"][0].take();
    assert_eq!((&answer["id"], &answer["code"]), (&json!("1"), &json!("not_routed")));
}

/// A browser cannot send a token with a WebSocket: what it can be held to is where its page comes from.
#[test]
fn a_page_of_an_allowed_origin_sends_events_and_another_page_is_not_let_in() {
    let mut browser = Peer::start("browser.mjs", &[installed().join("chromium").to_str().unwrap()]);
    let origins = browser.ask("origins", json!({}))["origins"].take();
    let keys = format!("driver = \"websocket_ingress\"\nauth_mode = \"none\"\nallowed_origins = [{}]", origins[0]);
    let contract = Contract::new().ingress_adapter("ws-in", &keys).file_output("file", "events.jsonl").with(SOURCES);
    let home = Home::new(&contract);
    let pipeline = home.up();
    let url = url(&pipeline);

    browser.ask("visit", json!({ "origin": origins[0] }));
    assert_eq!(browser.ask("open", json!({ "url": url })), json!({ "open": true }));
    browser.ask("send", json!({ "frames": [event("1"), event("2"), event("2"), {}] }));
    let answers = browser.ask("take", json!({ "count": 4 }))["messages"].take();
    let codes: Vec<_> = answers.as_array().unwrap().iter().map(|answer| text(answer, "/code")).collect();
    assert_eq!(codes, ["accepted", "accepted", "duplicate", "malformed_frame"]);
    assert_eq!(browser.ask("close", json!({})), json!({ "code": 1000, "reason": "", "wasClean": true }));

    browser.ask("visit", json!({ "origin": origins[1] }));
    let refused = browser.ask("open", json!({ "url": url }));
    assert_eq!((&refused["open"], &refused["code"]), (&json!(false), &json!(1006)));
    poll_until("both are delivered", || {
        let lines = home.lines_of("events.jsonl");
        let orders: Vec<_> = lines.iter().map(|line| &line["payload"]["order"]).collect();
        assert!(orders.len() <= 2, "{orders:?}");
        orders.len() == 2
    });
    assert_eq!(home.lines_of("events.jsonl")[0]["payload"], event("1")["payload"]);
}

#[test]
fn a_page_is_told_why_its_connection_ends() {
    let mut browser = Peer::start("browser.mjs", &[installed().join("chromium").to_str().unwrap()]);
    let origins = browser.ask("origins", json!({}))["origins"].take();
    let keys = format!(
        "driver = \"websocket_ingress\"\nauth_mode = \"none\"\nmax_frame_bytes = 1000\nallowed_origins = [{}]",
        origins[0]
    );
    let contract = Contract::new().ingress_adapter("ws-in", &keys).file_output("file", "events.jsonl").with(SOURCES);
    let home = Home::new(&contract);
    let mut pipeline = home.up();
    browser.ask("visit", json!({ "origin": origins[0] }));
    browser.ask("open", json!({ "url": url(&pipeline) }));
    browser.ask("send", json!({ "frames": [{ "id": "1", "payload": { "text": "x".repeat(100_000) } }] }));
    assert_eq!(browser.ask("take", json!({ "count": 1 })), json!({ "messages": [], "open": false }));
    let told = browser.ask("close", json!({}));
    assert_eq!((&told["code"], &told["reason"]), (&json!(1009), &json!("the frame is too large")));
    browser.ask("open", json!({ "url": url(&pipeline) }));
    assert!(pipeline.terminate().success());
    assert_eq!(browser.ask("take", json!({ "count": 1 })), json!({ "messages": [], "open": false }));
    let told = browser.ask("close", json!({}));
    assert_eq!((&told["code"], &told["reason"]), (&json!(1001), &json!("the pipeline ends")));
}
