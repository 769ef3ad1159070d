//! Events to clients that connect to us: `websocket_server_output` with the log behind it.

use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::support::{Contract, Home, PATIENCE, Pipeline, poll_until, sign, text};

/// The keys of an adapter to which clients connect.
pub(crate) const KEYS: &str = "driver = \"websocket_server_output\"\nbind = \"127.0.0.1:0\"\npath = \"/events\"\nauth_mode = \"none\"\n\
                    max_clients = 10\nqueue_depth_per_client = 1000\nsend_timeout_ms = 5000";

/// A client that is sent events.
pub(crate) struct Client(WebSocket<TcpStream>);

impl Client {
    fn open(pipeline: &Pipeline, query: &str) -> Self {
        let address = address(pipeline);
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(tungstenite::client(format!("ws://{address}/events{query}"), stream).unwrap().0)
    }

    /// One that has all events to that, or none yet.
    pub(crate) fn back(pipeline: &Pipeline, seen: &[String]) -> Self {
        let after = seen.last().map_or("earliest", String::as_str);
        Self::open(pipeline, &format!("?after={after}"))
    }

    pub(crate) fn event(&mut self) -> tungstenite::Result<Value> {
        loop {
            match self.0.read()? {
                Message::Text(text) => return Ok(serde_json::from_str(text.as_str()).unwrap()),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    fn ids(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| text(&self.event().unwrap(), "/id").to_owned()).collect()
    }

    fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.0.read().unwrap() {
                return frame.unwrap().code.into();
            }
        }
    }
}

/// Where clients are taken.
fn address(pipeline: &Pipeline) -> SocketAddr {
    let listeners = pipeline.ready["listeners"].as_array().unwrap();
    let stream = listeners.iter().find(|listener| listener["adapter"] == "stream").unwrap();
    text(stream, "/address").parse().unwrap()
}

fn accept(pipeline: &Pipeline, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| pipeline.accept(&sign::issue(1, &format!("delivery-{number}")))).collect()
}

#[test]
fn clients_are_sent_events_and_counted_and_told_when_it_ends() {
    let home = Home::new(&Contract::new().adapter("stream", KEYS).file_output("file", "events.jsonl"));
    let mut pipeline = home.up();
    let first = accept(&pipeline, 1..2);
    poll_until("without a client it is delivered", || pipeline.status()["destinations"][0]["delivered"] == 1);
    let (mut all, mut some) = (Client::open(&pipeline, ""), Client::open(&pipeline, "?type=pull*&source=github"));
    let second = accept(&pipeline, 2..3);
    let pull = pipeline.accept(&sign::github("pull_request", "delivery-3", sign::issue_body(1, "pull").to_string()));
    let event = all.event().unwrap();
    assert_eq!(text(&event, "/id"), second[0], "and not the one before it came");
    poll_until("the file has them", || home.lines_of("events.jsonl").len() == 3);
    let lines = home.lines_of("events.jsonl");
    assert!(lines.contains(&event), "as every other destination has it");
    assert_eq!(all.ids(1), std::slice::from_ref(&pull));
    assert_eq!(some.ids(1), [pull]);

    poll_until("they are counted", || pipeline.metric("smash_clients{adapter=\"stream\"}") == 2.0);
    assert_eq!(pipeline.metric("smash_clients_closed_slow_total{adapter=\"stream\"}"), 0.0);
    let status = pipeline.status();
    let listener = status["listeners"].as_array().unwrap().iter().find(|one| one["adapter"] == "stream").unwrap();
    assert_eq!((text(listener, "/state"), &listener["clients"]["connected"]), ("listening", &2.into()));
    let story = home.run(&format!("explain {}", first[0])).ok().stdout;
    assert!(story.contains("no client is connected"), "{story}");

    assert!(pipeline.terminate().success());
    assert_eq!((all.close_code(), some.close_code()), (1001, 1001));
}

#[test]
fn a_client_that_comes_back_gets_everything_once_and_in_order_whatever_is_killed() {
    const ROUNDS: u64 = 3;
    const EACH: u64 = 20;
    let home = Home::new(&Contract::new().adapter("stream", KEYS));
    let (mut accepted, mut seen) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let pipeline = home.up_supervised();
        let mut client = Client::back(&pipeline, &seen);
        accepted.extend(accept(&pipeline, round * EACH..(round + 1) * EACH));
        let missing = accepted.len() - seen.len();
        seen.extend(client.ids(missing / 2));
        pipeline.kill();
        // What was on its way when it was killed may be there.
        while let Ok(event) = client.event() {
            seen.push(text(&event, "/id").to_owned());
        }
    }
    let mut pipeline = home.up_supervised();
    let mut client = Client::back(&pipeline, &seen);
    let missing = accepted.len() - seen.len();
    seen.extend(client.ids(missing));
    // Then live, with nothing between that was there before.
    accepted.extend(accept(&pipeline, 1000..1001));
    seen.extend(client.ids(1));
    assert_eq!(seen, accepted);
    assert!(pipeline.terminate().success());
}

#[test]
fn who_was_away_gets_what_was_delivered_meanwhile_also_after_a_restart() {
    let home = Home::new(&Contract::new().adapter("stream", KEYS));
    let mut pipeline = home.up();
    let mut ids = accept(&pipeline, 0..10);
    poll_until("they are delivered to nobody", || pipeline.status()["destinations"][0]["delivered"] == 10);
    assert_eq!(Client::back(&pipeline, &ids[..3]).ids(7), ids[3..]);
    assert!(pipeline.terminate().success());

    let pipeline = home.up_supervised();
    let mut client = Client::back(&pipeline, &ids[..5]);
    ids.extend(accept(&pipeline, 10..20));
    assert_eq!(client.ids(15), ids[5..]);
    ids.extend(accept(&pipeline, 20..21));
    assert_eq!(client.ids(1), ids[20..], "nothing comes twice");
    let mut lost = Client::open(&pipeline, "?after=01890a5d-ac96-774b-bcce-b302099a8057");
    assert_eq!(lost.close_code(), 4404);
}
