//! Events over WebSocket, in and out.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, client::IntoClientRequest};

use crate::support::{Contract, Home, PATIENCE, Receiver, poll_until, sign, text};

/// A client that sends events of the source `orders`.
struct Client(WebSocket<TcpStream>);

impl Client {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{address}/ingest/ws/orders").into_client_request().unwrap();
        request.headers_mut().insert("authorization", "Bearer canary-token".parse().unwrap());
        Self(tungstenite::client(request, stream).unwrap().0)
    }

    fn send(&mut self, number: u64) -> tungstenite::Result<()> {
        let frame = json!({ "id": format!("order-{number}"), "event_type": "order.paid", "payload": { "n": number } });
        self.0.send(Message::text(frame.to_string()))
    }

    fn answer(&mut self) -> tungstenite::Result<Value> {
        loop {
            if let Message::Text(text) = self.0.read()? {
                return Ok(serde_json::from_str(text.as_str()).unwrap());
            }
        }
    }
}

fn home(contract: Contract) -> Home {
    let keys = "driver = \"websocket_ingress\"\nauth_mode = \"bearer\"\ntoken_env = \"SOCKET_TOKEN\"";
    let sources = "[sources.orders]\nverifier = \"none\"\nallow_unverified = true\n";
    let mut home = Home::new(&contract.ingress_adapter("ws-in", keys).with(sources));
    home.set("SOCKET_TOKEN", "canary-token");
    home
}

#[test]
fn frames_and_webhooks_come_in_at_one_address() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let listeners = pipeline.ready["listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 2);
    assert_eq!(listeners[0]["address"], listeners[1]["address"]);

    let mut client = Client::open(pipeline.ingress());
    client.send(1).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((text(&answer, "/id"), text(&answer, "/code")), ("order-1", "accepted"));
    let envelope = receiver.taken(text(&answer, "/event_id")).json();
    assert_eq!(envelope["payload"], json!({ "n": 1 }));
    assert_eq!((text(&envelope, "/source"), text(&envelope, "/event_type")), ("orders", "order.paid"));
    assert_eq!(text(&envelope, "/meta/ingress_adapter"), "ws-in");

    client.0.send(Message::text("{\"id\":\"untyped\",\"payload\":{}}")).unwrap();
    let untyped = receiver.taken(text(&client.answer().unwrap(), "/event_id")).json();
    assert_eq!(text(&untyped, "/event_type"), "unknown");
    client.0.send(Message::text(untyped.to_string())).unwrap();
    assert_eq!(text(&client.answer().unwrap(), "/code"), "accepted", "an envelope is a frame");

    let webhook = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.taken(&webhook);
    let (_, code) = crate::LOG.answer_to_a_copy();
    client.send(1).unwrap();
    assert_eq!(text(&client.answer().unwrap(), "/code"), code, "`id` names the delivery");
}

#[test]
fn every_frame_that_was_answered_is_delivered_whatever_is_killed() {
    const ROUNDS: u64 = 4;
    const AT_ONCE: u64 = 32;
    let home = home(Contract::new().file_output("file", "events.jsonl"));
    let mut accepted = BTreeSet::new();
    let mut next = 0;
    for _ in 0..ROUNDS {
        let pipeline = home.up_supervised();
        let mut client = Client::open(pipeline.ingress());
        (next..next + AT_ONCE).for_each(|number| client.send(number).unwrap());
        // The rest is on its way when it is killed.
        for number in next..next + AT_ONCE / 2 {
            let answer = client.answer().unwrap();
            assert_eq!(text(&answer, "/id"), format!("order-{number}"), "answers keep the order of their frames");
            assert_eq!(text(&answer, "/code"), "accepted");
            accepted.insert(number);
        }
        pipeline.kill();
        // What was answered before the end counts too.
        while let Ok(answer) = client.answer() {
            let number = text(&answer, "/id").trim_start_matches("order-").parse().unwrap();
            accepted.insert(number);
        }
        next += AT_ONCE;
    }
    let _pipeline = home.up_supervised();
    poll_until("everything that was accepted is delivered", || {
        let lines = home.untorn_lines_of("events.jsonl");
        let delivered: BTreeSet<_> = lines.iter().map(|line| line["payload"]["n"].as_u64().unwrap()).collect();
        accepted.is_subset(&delivered)
    });
    assert!(accepted.len() as u64 >= ROUNDS * AT_ONCE / 2);
}

#[test]
fn events_go_out_as_frames_and_wait_while_nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let keys = format!(
        "driver = \"websocket_client_output\"\nurl = \"{url}\"\nauth_mode = \"none\"\nsend_timeout_ms = 2000\n\
         retry_policy = \"none\"\nack = true\nretry = {{ max_retries = 3, base_ms = 20, cap_ms = 100 }}"
    );
    let home = Home::new(&Contract::new().adapter("socket", &keys));
    drop(listener);
    let pipeline = home.up();
    let ids: Vec<_> = (1..=3).map(|number| pipeline.accept(&sign::issue(1, &format!("delivery-{number}")))).collect();
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let listener = std::net::TcpListener::bind(address).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut socket = tungstenite::accept(stream).unwrap();
    for id in &ids {
        let event: Value = loop {
            if let Message::Text(text) = socket.read().unwrap() {
                break serde_json::from_str(text.as_str()).unwrap();
            }
        };
        assert_eq!(text(&event, "/id"), id, "one key, in order");
        socket.send(Message::text(json!({ "ack": id }).to_string())).unwrap();
    }
    poll_until("all are delivered", || pipeline.status()["destinations"][0]["delivered"] == 3);
}
