//! The contract `apps/fan-out`: one event to everything that can take it, and nobody waits for another.

use std::{
    collections::BTreeSet,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};

use crate::support::{Contract, Home, PATIENCE, Pipeline, Receiver, Reply, poll, poll_until, sign, text};

const CONTRACT: &str = include_str!("../../../../apps/fan-out/contract.toml");
/// How many events come before the others are killed, and how many after that.
const BEFORE: u64 = 6;
const AFTER: u64 = 12;
const TOKEN: &str = "canary-token";
/// The topic that the contract names.
const TOPIC: &str = "github-events";

type Taken = Arc<Mutex<BTreeSet<String>>>;

/// Everything that the contract delivers to, where this process can be it. Those that watch come by themselves.
struct Others {
    service: Receiver,
    agent: Receiver,
    tool: Receiver,
    called: Taken,
    socket: Socket,
    home: Home,
}

impl Others {
    fn start() -> Self {
        let (service, agent, socket) = (Receiver::start(), Receiver::start(), Socket::start());
        let (tool, called) = tool();
        let places = [
            ("127.0.0.1:8080", "127.0.0.1:0".to_owned()),
            ("127.0.0.1:8090", "127.0.0.1:0".to_owned()),
            ("http://127.0.0.1:9000/events", service.url()),
            ("http://127.0.0.1:18789/hooks/agent", agent.url().replace("/events", "/hooks/agent")),
            ("http://127.0.0.1:9100/mcp", tool.url().replace("/events", "/mcp")),
            ("ws://127.0.0.1:9200/events", format!("ws://{}/events", socket.address)),
            ("127.0.0.1:9092", cluster()),
            ("\"events.jsonl\"", "\"archive/events.jsonl\"".to_owned()),
        ];
        let contract = places.iter().fold(CONTRACT.to_owned(), |contract, (written, place)| {
            assert!(contract.contains(written), "{written}");
            contract.replace(written, place)
        });
        let mut home = Home::new(&Contract::new());
        std::fs::write(home.path("contract.toml"), contract).unwrap();
        let secrets = ["SERVICE_SIGNING_SECRET", "OPENCLAW_HOOKS_TOKEN", "SOCKET_TOKEN", "WATCH_TOKEN"];
        secrets.iter().for_each(|name| home.set(name, TOKEN));
        std::fs::create_dir(home.path("kept")).unwrap();
        std::os::unix::fs::symlink("kept", home.path("archive")).unwrap();
        Self { service, agent, tool, called, socket, home }
    }

    /// Makes another place the directory of the file, in one step: the pipeline makes a directory that is missing.
    fn move_archive(&self, place: &str) {
        let next = self.home.path("next");
        std::os::unix::fs::symlink(place, &next).unwrap();
        std::fs::rename(next, self.home.path("archive")).unwrap();
    }

    fn kill(&self, name: &str) {
        match name {
            "service" => self.service.go_down(),
            "agent" => self.agent.go_down(),
            "tool" => self.tool.go_down(),
            "socket" => self.socket.go_down(),
            "archive" => self.move_archive("/dev/null"),
            name => panic!("{name}"),
        }
    }

    fn revive(&self, name: &str) {
        match name {
            "service" => self.service.come_back(),
            "agent" => self.agent.come_back(),
            "tool" => self.tool.come_back(),
            "socket" => self.socket.come_back(),
            "archive" => self.move_archive("kept"),
            name => panic!("{name}"),
        }
    }

    /// The ids that a destination has. An agent is told of events in words.
    fn taken(&self, name: &str) -> BTreeSet<String> {
        let id = |event: &Value| text(event, "/id").to_owned();
        match name {
            "service" => self.service.deliveries().iter().map(|delivery| delivery.id()).collect(),
            "tool" => self.called.lock().unwrap().clone(),
            "socket" => self.socket.taken.lock().unwrap().clone(),
            "archive" => self.home.untorn_lines_of("archive/events.jsonl").iter().map(id).collect(),
            name => panic!("{name}"),
        }
    }
}

/// What can be killed. The topic is away from the start on the embedded log, and never on Kafka, whose brokers are the log too.
const MORTAL: [&str; 5] = ["service", "agent", "tool", "socket", "archive"];

/// Where the contract's cluster is: that of the suite, or nobody.
fn cluster() -> String {
    std::env::var("KAFKA_BROKERS").ok().filter(|_| crate::LOG.is_kafka()).unwrap_or_else(|| {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        free.to_string()
    })
}

/// Accepts events of keys of their own, so that no order holds one back. Their ids.
fn accept(pipeline: &Pipeline, numbers: std::ops::Range<u64>) -> BTreeSet<String> {
    numbers.map(|number| pipeline.accept(&sign::issue(number, &format!("delivery-{number}")))).collect()
}

/// How many events a destination has.
fn delivered(pipeline: &Pipeline, name: &str) -> u64 {
    let status = pipeline.status();
    let destinations = status["destinations"].as_array().unwrap();
    let of = |status: &&Value| text(status, "/destination") == format!("core-to-all/{name}");
    destinations.iter().find(of).unwrap()["delivered"].as_u64().unwrap()
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
struct Socket {
    address: SocketAddr,
    taken: Taken,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    is_down: Arc<Mutex<bool>>,
}

impl Socket {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = Self { address, taken: Taken::default(), connections: Arc::default(), is_down: Arc::default() };
        let (taken, connections) = (Arc::clone(&socket.taken), Arc::clone(&socket.connections));
        let is_down = Arc::clone(&socket.is_down);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                connections.lock().unwrap().push(stream.try_clone().unwrap());
                if *is_down.lock().unwrap() {
                    let _ = stream.shutdown(Shutdown::Both);
                    continue;
                }
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || acknowledge(stream, &taken).ok());
            }
        });
        socket
    }

    /// Ends every connection, and those that come from now on.
    fn go_down(&self) {
        *self.is_down.lock().unwrap() = true;
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn come_back(&self) {
        *self.is_down.lock().unwrap() = false;
    }
}

fn acknowledge(stream: TcpStream, taken: &Taken) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut socket = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    loop {
        if let Message::Text(frame) = socket.read()? {
            let event: Value = serde_json::from_str(frame.as_str())?;
            taken.lock().unwrap().insert(text(&event, "/id").to_owned());
            socket.send(Message::text(json!({ "ack": event["id"] }).to_string()))?;
        }
    }
}

/// A client of the contract's own WebSocket server.
fn watch(pipeline: &Pipeline, count: u64) -> BTreeSet<String> {
    let listeners = pipeline.ready["listeners"].as_array().unwrap();
    let watchers = listeners.iter().find(|listener| listener["adapter"] == "watchers").unwrap();
    let address: SocketAddr = text(watchers, "/address").parse().unwrap();
    let mut request = format!("ws://{address}/events?after=earliest").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut socket, _) = tungstenite::client(request, stream).unwrap();
    let mut seen = BTreeSet::new();
    while (seen.len() as u64) < count {
        if let Message::Text(frame) = socket.read().unwrap() {
            seen.insert(text(&serde_json::from_str(frame.as_str()).unwrap(), "/id").to_owned());
        }
    }
    seen
}

/// Everybody has some events; everybody else is killed while events come in, and this one has all of them.
fn check_survivor(name: &str) {
    let others = Others::start();
    let pipeline = others.home.up();
    let mut ids = accept(&pipeline, 0..BEFORE);
    for name in MORTAL {
        poll_until(&format!("{name} has the first"), || delivered(&pipeline, name) == BEFORE);
    }
    let killed: Vec<_> = MORTAL.into_iter().filter(|other| *other != name).collect();
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| accept(&pipeline, BEFORE..BEFORE + AFTER));
        killed.iter().for_each(|other| others.kill(other));
        ids.extend(loading.join().unwrap());
    });
    // Some of these came before the last was killed; these did not.
    ids.extend(accept(&pipeline, BEFORE + AFTER..BEFORE + 2 * AFTER));
    let all = BEFORE + 2 * AFTER;
    poll_until(&format!("{name} has everything"), || delivered(&pipeline, name) == all);
    if MORTAL.contains(&name) && name != "agent" {
        assert_eq!(others.taken(name), ids);
    }
    for other in &killed {
        let had = delivered(&pipeline, other);
        assert!((BEFORE..=BEFORE + AFTER).contains(&had), "{other} is away, has {had}, and {name} did not wait for it");
    }
    assert_eq!(watch(&pipeline, all), ids, "those who watch wait for nobody");
    killed.iter().for_each(|other| others.revive(other));
    poll_until("who came back has what it missed", || killed.iter().all(|other| delivered(&pipeline, other) == all));
    for other in killed.iter().filter(|other| **other != "agent") {
        assert_eq!(others.taken(other), ids, "{other}");
    }
}

#[test]
fn a_service_that_survives_waits_for_nobody() {
    check_survivor("service");
}

#[test]
fn an_agent_that_survives_waits_for_nobody() {
    check_survivor("agent");
}

#[test]
fn a_tool_that_survives_waits_for_nobody() {
    check_survivor("tool");
}

#[test]
fn a_socket_that_survives_waits_for_nobody() {
    check_survivor("socket");
}

#[test]
fn a_file_that_survives_waits_for_nobody() {
    check_survivor("archive");
}

/// Makes the contract's topic as a pipeline does that has it for its log.
fn make_topic() {
    let contract = Contract::new().target_topic(TOPIC).file_output("file", "events.jsonl");
    let mut home = Home::new(&contract);
    home.set("KAFKA_NAMESPACE", "");
    home.up().terminate();
}

#[test]
fn one_event_reaches_everything_and_each_delivery_is_counted() {
    let reached: Vec<_> = if crate::LOG.is_kafka() {
        make_topic();
        MORTAL.into_iter().chain(["topic", "watchers"]).collect()
    } else {
        MORTAL.into_iter().chain(["watchers"]).collect()
    };
    let others = Others::start();
    let pipeline = others.home.up();
    let ids = accept(&pipeline, 0..BEFORE);
    for name in &reached {
        poll_until(&format!("{name} has everything"), || delivered(&pipeline, name) == BEFORE);
        let sample = format!("smash_egress_success_total{{adapter=\"{name}\"}}");
        let counted = poll("it is counted", || Some(pipeline.metric(&sample)).filter(|counted| *counted > 0.0));
        assert_eq!(counted, BEFORE as f64, "{name}");
    }
    for name in ["service", "tool", "socket", "archive"] {
        assert_eq!(others.taken(name), ids, "{name}");
    }
    assert_eq!(others.agent.deliveries().len() as u64, BEFORE);
    assert_eq!(watch(&pipeline, BEFORE), ids);
    let taken_in = "serve_ingress_events_total{adapter=\"http-in\",source=\"github\"}";
    assert_eq!(pipeline.metric(taken_in), BEFORE as f64);
    if !crate::LOG.is_kafka() {
        assert_eq!(delivered(&pipeline, "topic"), 0, "nobody is there");
    }
}
