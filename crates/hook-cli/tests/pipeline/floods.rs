//! Clients of a WebSocket that send without end, and read nothing: the process does not grow with what they send.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::support::{Contract, Home, Pipeline, text};

/// So many clients at once do the same.
const CLIENTS: usize = 8;
/// Each sends so much, unless it is stopped before.
const EACH: usize = 8 << 20;
/// A client that cannot get rid of its bytes for so long is held back as it should be.
const HELD_BACK: Duration = Duration::from_millis(500);
const MOST_FRAME: usize = 64 * 1024;
/// The most that all of them may leave of memory: a third of what they send at once, and more than what they may have on its way.
const MOST_GROWTH: u64 = 20 << 20;

/// A frame, masked with zeroes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = announced(first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

fn announced(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | 127];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}

fn open(address: SocketAddr) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    stream.set_write_timeout(Some(HELD_BACK)).unwrap();
    tungstenite::client(format!("ws://{address}/ingest/ws/orders"), stream).unwrap().0
}

/// Sends these bytes again and again, behind what goes before them, and reads nothing.
fn flood(address: SocketAddr, first: &[u8], again: &[u8]) {
    let mut socket = open(address);
    let stream = socket.get_mut();
    let batch = again.repeat((64 * 1024 / again.len()).max(1));
    let mut sent = first.len();
    let mut is_taken = stream.write_all(first).is_ok();
    while is_taken && sent < EACH {
        is_taken = stream.write_all(&batch).is_ok();
        sent += batch.len();
    }
    // Memory is looked at by then: what waits for a client is there until the client is gone.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut [0; 1]);
}

fn peak(pipeline: &Pipeline) -> u64 {
    pipeline.peak_resident_bytes()
}

/// A client that behaves is answered, and soon.
fn is_served(client: &mut tungstenite::WebSocket<TcpStream>, id: &str) {
    let frame = json!({ "id": id, "event_type": "order.paid", "payload": { "n": 1 } });
    client.send(Message::text(frame.to_string())).unwrap();
    loop {
        if let Message::Text(answer) = client.read().unwrap() {
            let answer: Value = serde_json::from_str(answer.as_str()).unwrap();
            assert_eq!((text(&answer, "/id"), text(&answer, "/code")), (id, "accepted"));
            return;
        }
    }
}

#[test]
fn floods_over_a_websocket_are_held_back_and_cost_no_memory() {
    let keys = format!("driver = \"websocket_ingress\"\nauth_mode = \"none\"\nmax_frame_bytes = {MOST_FRAME}");
    let sources = "[sources.orders]\nverifier = \"none\"\nallow_unverified = true\n";
    let contract = Contract::new().ingress_adapter("ws-in", &keys).file_output("file", "events.jsonl").with(sources);
    let home = Home::new(&contract);
    let mut pipeline = home.up();
    let address = pipeline.ingress();
    let mut good = open(address);
    is_served(&mut good, "before");
    let before = peak(&pipeline);

    let piece = frame(0x00, &[b'x'; 1000]);
    let malformed = frame(0x81, &[b'x'; 1000]);
    let floods: [(&str, Vec<u8>, Vec<u8>); 8] = [
        ("pings whose answers nobody reads", vec![], frame(0x89, &[b'x'; 125])),
        ("answers to pings that nobody has sent", vec![], frame(0x8a, &[b'x'; 125])),
        ("a message without an end", frame(0x01, b"x"), piece),
        ("pieces of nothing", frame(0x01, b"x"), frame(0x00, b"")),
        ("frames whose answers nobody reads", vec![], malformed),
        ("frames of which only the head comes", announced(0x81, MOST_FRAME as u64), vec![b'x'; 1]),
        ("frames that are too large", announced(0x81, 1 << 40), vec![b'x'; 1000]),
        ("what is no frame", vec![], vec![0xff; 1000]),
    ];
    for (name, first, again) in floods {
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| flood(address, &first, &again));
            }
            is_served(&mut good, name);
        });
        let after = peak(&pipeline);
        println!("{name}: at most {} KiB above {} KiB", (after - before) / 1024, before / 1024);
        assert!(after - before < MOST_GROWTH, "{name}: resident memory rose from {before} to {after}");
    }
    is_served(&mut good, "after");
    assert!(pipeline.is_alive());
    assert!(!pipeline.stderr().contains("panicked"), "{}", pipeline.stderr());
}
