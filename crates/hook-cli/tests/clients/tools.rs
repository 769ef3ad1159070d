//! MCP with the official SDKs, as clients of ours.

use serde_json::{Value, json};

use crate::{
    peer::{Peer, installed},
    support::{
        Contract, Home, Pipeline, Receiver,
        home::{Ran, run},
        poll_until, text,
    },
};

const TOOL: &str = "serve_ingest_event";
const TOKEN: &str = "canary-token";

fn home(contract: Contract) -> Home {
    home_with(contract, "")
}

fn home_with(contract: Contract, more: &str) -> Home {
    let keys = format!(
        "driver = \"mcp_ingest_exposed\"\ntransport_driver = \"http_sse\"\nbind = \"127.0.0.1:0\"\n\
         auth_mode = \"bearer\"\ntoken_env = \"TOOL_TOKEN\"\nmax_payload_bytes = 65536\n{more}"
    );
    let sources = "[sources.orders]\nverifier = \"none\"\nallow_unverified = true\n";
    let mut home = Home::new(&contract.ingress_adapter("mcp-in", &keys).with(sources));
    home.set("TOOL_TOKEN", TOKEN);
    home
}

fn url(pipeline: &Pipeline) -> String {
    let listeners = pipeline.ready["listeners"].as_array().unwrap();
    let listener = listeners.iter().find(|listener| listener["adapter"] == "mcp-in").unwrap();
    format!("http://{}/mcp", text(listener, "/address"))
}

fn order(number: u64) -> Value {
    json!({ "source": "orders", "event_type": "order.paid", "payload": { "n": number, "text": "κόσμε 😀" } })
}

/// The tool as it was listed.
fn the_tool(listed: &Value) -> &Value {
    let tools = listed["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 1);
    let tool = &tools[0];
    assert_eq!(tool["name"], TOOL);
    assert_eq!(tool["inputSchema"]["required"], json!(["source", "payload"]));
    assert_eq!(tool["outputSchema"]["type"], "object");
    assert!(!tool["outputSchema"].to_string().contains("uint64"), "a format that JSON Schema does not have");
    tool
}

/// Lists the tool and calls it well and badly, from a client that is connected.
fn use_the_tool(client: &mut Peer, receiver: &Receiver, first: u64) {
    the_tool(&client.ask("list", json!({})));
    for number in first..first + 20 {
        let called = client.ask("call", json!({ "name": TOOL, "args": order(number) }));
        let told = &called["structuredContent"];
        assert_ne!(called["isError"], true, "{called}");
        assert_eq!(
            (&told["status"], &told["source"], &told["event_type"]),
            (&json!("queued"), &json!("orders"), &json!("order.paid"))
        );
        assert_eq!(text(told, "/kafka_topic"), "webhooks.orders");
        assert!(text(told, "/queued_at").ends_with('Z'));
        // The same as text, for clients that know no structure.
        assert_eq!(serde_json::from_str::<Value>(text(&called, "/content/0/text")).unwrap(), *told);
        let envelope = receiver.taken(text(told, "/event_id")).json();
        assert_eq!(envelope["payload"], order(number)["payload"]);
        assert_eq!(text(&envelope, "/meta/ingress_adapter"), "mcp-in");
    }
    let unknown = json!({ "source": "unheard-of", "payload": {} });
    let refused = client.ask("call", json!({ "name": TOOL, "args": unknown }));
    assert_eq!((&refused["isError"], &refused["structuredContent"]["code"]), (&json!(true), &json!("unknown_source")));
}

/// A client that shows no token, or another, is not let in. What it says of that is its own: here, a word of it.
fn is_turned_away(client: &str, url: &str, word: &str) {
    for token in [None, Some("wrong")] {
        let mut client = Peer::start(client, &[]);
        let refused = client.try_ask("connect", json!({ "url": url, "token": token }));
        let error = refused["error"].as_str().unwrap_or_else(|| panic!("it was let in: {refused}"));
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn the_typescript_client_lists_and_calls_the_tool() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let mut client = Peer::start("mcp_client.mjs", &[]);
    let connected = client.ask("connect", json!({ "url": url(&pipeline), "token": TOKEN }));
    assert!(connected["capabilities"]["tools"].is_object(), "{connected}");
    use_the_tool(&mut client, &receiver, 0);
    is_turned_away("mcp_client.mjs", &url(&pipeline), "unauthorized");
}

#[test]
fn the_python_client_lists_and_calls_the_tool_in_the_protocol_of_today_and_of_old() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    for (mode, first) in [("auto", 0), ("legacy", 100), ("2026-07-28", 200)] {
        let mut client = Peer::start("mcp_client.py", &[]);
        client.ask("connect", json!({ "url": url(&pipeline), "token": TOKEN, "mode": mode }));
        use_the_tool(&mut client, &receiver, first);
    }
    is_turned_away("mcp_client.py", &url(&pipeline), "Server returned an error");
}

/// The command line of the Inspector: one process a question. It finds itself only where its own package is above.
fn inspector(url: &str, token: &str, arguments: &[&str]) -> Ran {
    let mut command = std::process::Command::new("node");
    let packages = installed().join("node/node_modules");
    command.current_dir(&packages).arg(packages.join(".bin/mcp-inspector-cli"));
    command.args(["--cli", url, "--transport", "http"]);
    command.args(["--header", &format!("Authorization: Bearer {token}")]).args(arguments);
    run(command, "mcp-inspector-cli")
}

#[test]
fn the_command_line_of_the_inspector_lists_and_calls_the_tool() {
    let receiver = Receiver::start();
    let home = home(Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let url = url(&pipeline);
    let json = |ran: Ran| serde_json::from_str::<Value>(&ran.ok().stdout).unwrap();
    the_tool(&json(inspector(&url, TOKEN, &["--method", "tools/list"])));
    let arguments = [
        "--method",
        "tools/call",
        "--tool-name",
        TOOL,
        "--tool-arg",
        "source=orders",
        "event_type=order.paid",
        "payload={\"n\":1}",
    ];
    let called = json(inspector(&url, TOKEN, &arguments));
    assert_eq!(called["structuredContent"]["status"], "queued");
    let envelope = receiver.taken(text(&called, "/structuredContent/event_id")).json();
    assert_eq!(envelope["payload"], json!({ "n": 1 }));
    let refused = inspector(&url, "wrong", &["--method", "tools/list"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("nauthorized") || refused.stderr.contains("401"), "{refused:?}");
}

/// A browser asks first what its page may do, without the token.
#[test]
fn a_page_of_an_allowed_origin_calls_the_tool_and_another_page_may_not() {
    let mut browser = Peer::start("browser.mjs", &[installed().join("chromium").to_str().unwrap()]);
    let origins = browser.ask("origins", json!({}))["origins"].take();
    let origin = format!("allowed_origins = [{}]", origins[0]);
    let home = home_with(Contract::new().file_output("file", "events.jsonl"), &origin);
    let pipeline = home.up();
    let params = json!({ "name": TOOL, "arguments": order(1) });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    browser.ask("visit", json!({ "origin": origins[0] }));
    let called = browser.ask("post", json!({ "url": url(&pipeline), "token": TOKEN, "body": call }));
    assert_eq!(
        (&called["status"], &called["body"]["result"]["structuredContent"]["status"]),
        (&json!(200), &json!("queued"))
    );
    let refused = browser.ask("post", json!({ "url": url(&pipeline), "token": "wrong", "body": call }));
    assert_eq!((&refused["status"], &refused["body"]["code"]), (&json!(401), &json!("unauthorized")));
    browser.ask("visit", json!({ "origin": origins[1] }));
    let refused = browser.ask("post", json!({ "url": url(&pipeline), "token": TOKEN, "body": call }));
    assert_eq!(refused, json!({ "status": null }));
    poll_until("the one event is delivered", || home.lines_of("events.jsonl").len() == 1);
}

/// What the clients make of it is theirs; what they are told is RFC 6750, section 3.
#[test]
fn a_wrong_token_gets_a_challenge() {
    let home = home(Contract::new().file_output("file", "events.jsonl"));
    let pipeline = home.up();
    let address = url(&pipeline).replace("http://", "").replace("/mcp", "").parse().unwrap();
    for (header, challenge) in [
        ("", "Bearer realm=\"hook\""),
        ("authorization: Bearer wrong\r\n", "Bearer realm=\"hook\", error=\"invalid_token\""),
        ("authorization: Basic Y2FuYXJ5LXRva2Vu\r\n", "Bearer realm=\"hook\", error=\"invalid_token\""),
    ] {
        let request =
            format!("POST /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}content-length: 2\r\n\r\n{{}}");
        let answer = crate::support::http::exchange(address, request.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(challenge)));
    }
}
