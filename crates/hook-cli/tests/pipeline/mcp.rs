//! Events as calls of a tool, and the pipeline's own tools.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::mpsc,
};

use serde_json::{Map, Value, json};

use crate::support::{Contract, Home, Receiver, http::exchange, poll_until, sign, text};

fn home(contract: Contract) -> Home {
    let keys = "driver = \"mcp_ingest_exposed\"\ntransport_driver = \"http_sse\"\nbind = \"127.0.0.1:0\"\n\
                auth_mode = \"bearer\"\ntoken_env = \"MCP_TOKEN\"\nmax_payload_bytes = 65536";
    let sources = "[sources.orders]\nverifier = \"none\"\nallow_unverified = true\n";
    let mut home = Home::new(&contract.ingress_adapter("mcp-in", keys).with(sources));
    home.set("MCP_TOKEN", "canary-token");
    home
}

/// Where the server of MCP listens.
fn server(listeners: &Value) -> SocketAddr {
    let all = listeners.as_array().unwrap();
    text(all.iter().find(|listener| listener["adapter"] == "mcp-in").unwrap(), "/address").parse().unwrap()
}

/// What one call of the tool is answered; `None` where the process was killed meanwhile.
fn hand_in(address: SocketAddr, number: u64) -> Option<Value> {
    let arguments = json!({
        "source": "orders",
        "event_type": "order.paid",
        "payload": { "n": number },
        "metadata": { "delivery_id": format!("order-{number}") },
    });
    call(address, &arguments, "")
}

/// The same with these arguments, in which `PAYLOAD` stands for that text.
fn call(address: SocketAddr, arguments: &Value, payload: &str) -> Option<Value> {
    let params = json!({ "name": "serve_ingest_event", "arguments": arguments });
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params }).to_string();
    let body = body.replace("\"PAYLOAD\"", payload);
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer canary-token\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = exchange(address, (head + &body).as_bytes()).ok()?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Some(answer.json()["result"]["structuredContent"].clone())
}

#[test]
fn a_call_is_an_event_and_its_answer_says_where_it_is() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let told = hand_in(server(&pipeline.ready["listeners"]), 1).unwrap();
    assert_eq!((text(&told, "/status"), text(&told, "/source")), ("queued", "orders"));
    assert_eq!((text(&told, "/event_type"), text(&told, "/kafka_topic")), ("order.paid", "webhooks.orders"));
    let envelope = receiver.taken(text(&told, "/event_id")).json();
    assert_eq!((text(&envelope, "/event_type"), text(&envelope, "/meta/ingress_adapter")), ("order.paid", "mcp-in"));
    assert_eq!(envelope["payload"], json!({ "n": 1 }));
    let again = hand_in(server(&pipeline.ready["listeners"]), 1).unwrap();
    let (_, code) = crate::LOG.answer_to_a_copy();
    assert_eq!(text(&again, "/status"), if code == "duplicate" { "duplicate" } else { "queued" });
}

#[test]
fn a_signed_event_that_is_handed_on_stays_the_event_that_it_is() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let webhook = sign::issue(1, "delivery-1");
    let id = pipeline.accept(&webhook);
    receiver.taken(&id);
    let headers: Map<String, Value> =
        webhook.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let arguments = json!({
        "source": "github",
        "event_type": "push",
        "payload": "PAYLOAD",
        "headers": headers,
        "metadata": { "delivery_id": "another" },
    });
    let body = String::from_utf8(webhook.body).unwrap();
    let told = call(server(&pipeline.ready["listeners"]), &arguments, &body).unwrap();
    if !crate::LOG.is_kafka() {
        assert_eq!((text(&told, "/status"), text(&told, "/event_id")), ("duplicate", id.as_str()));
    }
    let again = pipeline.accept(&sign::issue(2, "delivery-2"));
    receiver.taken(&again);
    let types: BTreeSet<_> =
        receiver.deliveries().iter().map(|one| text(&one.json(), "/event_type").to_owned()).collect();
    assert_eq!((receiver.deliveries().len(), types), (2, ["issues.opened".to_owned()].into()));
}

#[test]
fn a_payload_that_webhooks_may_have_is_taken_to_the_byte() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let payload = format!("{{\"n\": 1e400, \"x\":12345678901234567890123, \"deep\":{deep}}}");
    let arguments = json!({ "source": "orders", "event_type": "order.paid", "payload": "PAYLOAD" });
    let told = call(server(&pipeline.ready["listeners"]), &arguments, &payload).unwrap();
    assert_eq!(told["status"], "queued", "{told}");
    let delivery = receiver.wait_for(1).remove(0);
    assert!(String::from_utf8(delivery.body).unwrap().contains(&payload));
}

#[test]
fn neither_payload_nor_token_is_logged_however_much_is_asked_for() {
    const PAYLOAD: u64 = 918_273_645_546_372;
    let mut home = home(Contract::new().file_output("file", "events.jsonl"));
    home.set("RUST_LOG", "trace,rmcp=trace");
    let mut pipeline = home.up();
    let address = server(&pipeline.ready["listeners"]);
    assert_eq!(hand_in(address, PAYLOAD).unwrap()["status"], "queued");
    poll_until("it is delivered", || home.lines_of("events.jsonl").len() == 1);
    assert!(pipeline.terminate().success());
    assert!(pipeline.logs().iter().any(|line| line["level"] == "DEBUG"), "the search had logs to look at");
    for canary in ["canary-token", &PAYLOAD.to_string()] {
        let logged = pipeline.stderr();
        let line = logged.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "{canary}: {line:?}");
    }
}

#[test]
fn every_call_that_was_answered_is_delivered_whatever_is_killed() {
    const ROUNDS: u64 = 3;
    const CLIENTS: u64 = 8;
    let home = home(Contract::new().file_output("file", "events.jsonl"));
    let mut accepted = BTreeSet::new();
    for round in 0..ROUNDS {
        let pipeline = home.up_supervised();
        let address = server(&pipeline.ready["listeners"]);
        let (told, answers) = mpsc::sync_channel(1024);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let told = told.clone();
                std::thread::spawn(move || {
                    let first = (round * CLIENTS + client) * 1_000_000;
                    let calls = (first..).map_while(|number| Some((number, hand_in(address, number)?)));
                    calls.for_each(|(number, answer)| {
                        assert_eq!(answer["status"], "queued");
                        told.send(number).unwrap();
                    });
                })
            })
            .collect();
        drop(told);
        // The others are in the middle of theirs.
        accepted.extend(answers.iter().take(40));
        pipeline.kill();
        accepted.extend(answers.iter());
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
    let _pipeline = home.up_supervised();
    poll_until("everything that was answered is delivered", || {
        let lines = home.untorn_lines_of("events.jsonl");
        let delivered: BTreeSet<_> = lines.iter().map(|line| line["payload"]["n"].as_u64().unwrap()).collect();
        accepted.is_subset(&delivered)
    });
    assert!(accepted.len() as u64 >= ROUNDS * 40);
}

/// An agent that has started `hook mcp`.
struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    asked: u64,
}

impl Agent {
    fn start(home: &Home, flags: &str) -> Self {
        let mut command = home.command(&format!("mcp {flags}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut agent = Self { child, stdin, stdout, asked: 0 };
        let client = json!({ "name": "test", "version": "1" });
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        assert_eq!(agent.ask("initialize", &params)["serverInfo"]["name"], "hook");
        agent.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        agent
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        self.say(&json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params }));
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], self.asked, "{line}");
        answer["result"].clone()
    }

    fn tools(&mut self) -> BTreeSet<String> {
        let listed = self.ask("tools/list", &json!({}));
        listed["tools"].as_array().unwrap().iter().map(|tool| text(tool, "/name").to_owned()).collect()
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        self.ask("tools/call", &json!({ "name": tool, "arguments": arguments }))
    }

    /// The answer of a call that is well.
    fn answer(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], json!(false), "{result}");
        result["structuredContent"].clone()
    }

    /// Closes the conversation; how it ends then.
    fn leave(mut self) -> i32 {
        drop(self.stdin.take());
        self.child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn an_agent_that_operates_the_pipeline_sees_what_people_see_and_changes_nothing() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.taken(&id);
    let mut agent = Agent::start(&home, "");
    let read_only =
        ["explain", "list_dead_letters", "list_events", "list_replays", "show_dead_letters", "show_event", "status"];
    assert_eq!(agent.tools(), read_only.map(str::to_owned).into());

    assert_eq!(agent.answer("status", &json!({}))["ready"], true);
    let listed = agent.answer("list_events", &json!({ "source": "github", "since": "1h", "limit": 5 }));
    assert_eq!((text(&listed, "/items/0/id"), &listed["items"][0]["payload"]), (id.as_str(), &Value::Null));
    let shown = agent.call("show_event", &json!({ "id": id }));
    let (known, fenced) = (text(&shown, "/content/0/text"), text(&shown, "/content/1/text"));
    assert!(known.contains(&id) && !known.contains("\"action\""), "{known}");
    assert!(fenced.contains("<<<DATA ") && fenced.contains("\"action\":\"opened\""), "{fenced}");
    assert_eq!(shown.get("structuredContent"), None, "an agent could be shown that without its fence");
    poll_until("its story is told", || {
        let story = agent.answer("explain", &json!({ "id": id }));
        story["destinations"][0]["state"] == "delivered"
    });
    assert_eq!(agent.answer("list_dead_letters", &json!({})), json!({ "items": [] }));
    for (tool, arguments, part) in [
        ("explain", json!({ "id": "--help" }), "invalid value"),
        ("explain", json!({}), "missing field `id`"),
        ("list_events", json!({ "since": "soon" }), "invalid value"),
        ("show_dead_letters", json!({ "id": id }), "has no dead letter"),
    ] {
        let result = agent.call(tool, &arguments);
        let told = text(&result, "/content/0/text");
        assert!(result["isError"] == json!(true) && told.contains(part), "{told}");
    }
    assert_eq!(agent.call("replay_event", &json!({ "id": id })), Value::Null, "it is an error of the protocol");
    assert_eq!(agent.leave(), 0);
    assert_eq!(receiver.deliveries().len(), 1);
}

#[test]
fn an_agent_that_may_write_delivers_again() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.taken(&id);
    let mut agent = Agent::start(&home, "--allow-write");
    assert!(agent.tools().contains("replay_event"));
    agent.answer("replay_event", &json!({ "id": id }));
    receiver.wait_for(2);
    let selection = json!({ "source": "github", "since": "1h" });
    assert_eq!(agent.answer("replay_events", &selection)["events"], 1, "it is counted, and nothing is sent");
    assert_eq!(agent.answer("redrive_dead_letters", &json!({ "error_class": "transient" }))["events"], 0);
    let sent = json!({ "source": "github", "since": "1h", "send": true });
    assert_eq!(agent.answer("replay_events", &sent)["sent"], 1);
    receiver.wait_for(3);
    let jobs = agent.answer("list_replays", &json!({}));
    assert_eq!(jobs["items"].as_array().unwrap().len(), 2);
    assert_eq!(agent.leave(), 0);
}
