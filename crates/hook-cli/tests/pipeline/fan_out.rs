//! The contract `apps/fan-out`: one event to everything that can take it, and nobody waits for another.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::support::{Contract, Home, PATIENCE, Pipeline, Receiver, Reply, poll_until, sign, text};

const CONTRACT: &str = include_str!("../../../../apps/fan-out/contract.toml");
const EVENTS: u64 = 12;
const TOKEN: &str = "canary-token";
/// What the contract says where each destination is, and what of it can be away. Those that watch are never away: they come.
const PLACES: [(&str, &str); 6] = [
    ("service", "http://127.0.0.1:9000/events"),
    ("agent", "http://127.0.0.1:18789/hooks/agent"),
    ("tool", "http://127.0.0.1:9100/mcp"),
    ("socket", "ws://127.0.0.1:9200/events"),
    ("topic", "127.0.0.1:9092"),
    ("archive", "events.jsonl"),
];

type Taken = Arc<Mutex<BTreeSet<String>>>;

/// The contract, where those that are not named stand at these places.
fn home(places: &[(&str, String)]) -> Home {
    let mut contract = CONTRACT.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8090", "127.0.0.1:0");
    for (name, written) in PLACES {
        let place = places.iter().find(|(there, _)| *there == name);
        let place = place.map_or_else(|| nowhere(name), |(_, place)| place.clone());
        assert!(contract.contains(written), "{name}");
        contract = contract.replace(written, &place);
    }
    let mut home = Home::new(&Contract::new());
    std::fs::write(home.path("contract.toml"), contract).unwrap();
    let secrets = ["SERVICE_SIGNING_SECRET", "OPENCLAW_HOOKS_TOKEN", "SOCKET_TOKEN", "WATCH_TOKEN"];
    secrets.iter().for_each(|name| home.set(name, TOKEN));
    home
}

/// A place where nobody is.
fn nowhere(name: &str) -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    match name {
        "archive" => "/dev/null/events.jsonl".to_owned(),
        "topic" => format!("127.0.0.1:{port}"),
        "socket" => format!("ws://127.0.0.1:{port}/events"),
        _ => format!("http://127.0.0.1:{port}/hooks/agent"),
    }
}

/// Accepts events of keys of their own, so that no order holds one back. Their ids.
fn accept(pipeline: &Pipeline) -> BTreeSet<String> {
    (0..EVENTS).map(|number| pipeline.accept(&sign::issue(number, &format!("delivery-{number}")))).collect()
}

/// How many events a destination has.
fn delivered(pipeline: &Pipeline, name: &str) -> u64 {
    let status = pipeline.status();
    let destinations = status["destinations"].as_array().unwrap();
    let of = |status: &&Value| text(status, "/destination") == format!("core-to-all/{name}");
    destinations.iter().find(of).unwrap()["delivered"].as_u64().unwrap()
}

/// Everybody else is away, and this one has everything.
fn check_alone(name: &str, place: String, taken: impl Fn() -> BTreeSet<String>) {
    let home = home(&[(name, place)]);
    let pipeline = home.up();
    let ids = accept(&pipeline);
    poll_until(&format!("{name} has everything"), || taken() == ids);
    for (other, _) in PLACES.iter().filter(|(other, _)| *other != name) {
        assert_eq!(delivered(&pipeline, other), 0, "{other} is away, and {name} did not wait for it");
    }
    poll_until("those that watch wait for nobody", || delivered(&pipeline, "watchers") == EVENTS);
}

/// A tool over MCP, as far as a call needs it.
fn tool() -> (Receiver, Taken) {
    let (receiver, taken) = (Receiver::start(), Taken::default());
    let calls = Arc::clone(&taken);
    receiver.script(move |request, _| {
        let Ok(message) = serde_json::from_slice::<Value>(&request.body) else { return Reply::status(405) };
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                "serverInfo": { "name": "test", "version": "1" },
            }),
            "tools/list" => json!({ "tools": [{ "name": "notify", "inputSchema": { "type": "object" } }] }),
            "tools/call" => {
                calls.lock().unwrap().insert(text(&message, "/params/arguments/id").to_owned());
                json!({ "content": [] })
            }
            _ => return Reply::status(202),
        };
        let body = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string().into_bytes();
        Reply { body, ..Reply::status(200) }
    });
    (receiver, taken)
}

/// A WebSocket server that acknowledges everything.
fn socket() -> (SocketAddr, Taken) {
    let (listener, taken) = (TcpListener::bind("127.0.0.1:0").unwrap(), Taken::default());
    let (address, events) = (listener.local_addr().unwrap(), Arc::clone(&taken));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let _ = acknowledge(stream, &events);
        }
    });
    (address, taken)
}

fn acknowledge(stream: TcpStream, taken: &Taken) -> Result<(), Box<dyn std::error::Error>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut socket = tungstenite::accept(stream)?;
    loop {
        if let Message::Text(frame) = socket.read()? {
            let event: Value = serde_json::from_str(frame.as_str())?;
            taken.lock().unwrap().insert(text(&event, "/id").to_owned());
            socket.send(Message::text(json!({ "ack": event["id"] }).to_string()))?;
        }
    }
}

fn ids_of(receiver: &Receiver) -> BTreeSet<String> {
    receiver.deliveries().iter().map(|delivery| delivery.json()["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_service_alone_waits_for_nobody() {
    let receiver = Receiver::start();
    check_alone("service", receiver.url(), || ids_of(&receiver));
}

#[test]
fn an_agent_alone_waits_for_nobody() {
    let receiver = Receiver::start();
    let place = receiver.url().replace("/events", "/hooks/agent");
    let home = home(&[("agent", place)]);
    let pipeline = home.up();
    accept(&pipeline);
    receiver.wait_for(usize::try_from(EVENTS).unwrap());
    assert_eq!(delivered(&pipeline, "service"), 0);
}

#[test]
fn a_tool_alone_waits_for_nobody() {
    let (receiver, taken) = tool();
    check_alone("tool", receiver.url().replace("/events", "/mcp"), || taken.lock().unwrap().clone());
}

#[test]
fn a_socket_alone_waits_for_nobody() {
    let (address, taken) = socket();
    check_alone("socket", format!("ws://{address}/events"), || taken.lock().unwrap().clone());
}

#[test]
fn a_file_alone_waits_for_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.jsonl");
    check_alone("archive", path.to_str().unwrap().to_owned(), || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| text_of(line, "id")).collect()
    });
}

fn text_of(line: &str, key: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap()[key].as_str().unwrap().to_owned()
}

#[test]
fn one_event_reaches_everything_but_a_cluster_that_is_away() {
    let (service, agent) = (Receiver::start(), Receiver::start());
    let ((tool, called), (address, framed)) = (tool(), socket());
    let places = [
        ("service", service.url()),
        ("agent", agent.url().replace("/events", "/hooks/agent")),
        ("tool", tool.url().replace("/events", "/mcp")),
        ("socket", format!("ws://{address}/events")),
        ("archive", "events.jsonl".to_owned()),
    ];
    let home = home(&places);
    let pipeline = home.up();
    let ids = accept(&pipeline);
    for (name, _) in PLACES.iter().filter(|(name, _)| *name != "topic") {
        poll_until(&format!("{name} has everything"), || delivered(&pipeline, name) == EVENTS);
    }
    assert_eq!(ids_of(&service), ids);
    assert_eq!((&*called.lock().unwrap(), &*framed.lock().unwrap()), (&ids, &ids));
    assert_eq!(agent.deliveries().len() as u64, EVENTS);
    assert_eq!(home.lines_of("events.jsonl").len() as u64, EVENTS);
    assert_eq!((delivered(&pipeline, "watchers"), delivered(&pipeline, "topic")), (EVENTS, 0));
}
