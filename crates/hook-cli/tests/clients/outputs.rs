//! `mcp_tool_output` with servers of MCP's official SDKs.

use serde_json::{Value, json};

use crate::{
    peer::{Peer, program},
    support::{Contract, Home, poll, sign, text},
};

/// A list of TOML.
fn list(words: &[&str]) -> String {
    json!(words).to_string()
}

/// A contract whose only output calls the tool over a transport.
fn contract(tool: &str, transport: &str) -> Contract {
    let keys = format!(
        "driver = \"mcp_tool_output\"\ntool_name = \"{tool}\"\ntransport_ref = \"server\"\n\
         retry = {{ max_retries = 2, base_ms = 20, cap_ms = 100 }}"
    );
    Contract::new().adapter("agent", &keys).with(&format!("[transports.server]\n{transport}\n"))
}

/// Has the server called with a few events, and compares what it got with what was sent.
fn is_called(home: &Home, calls: &str) {
    let pipeline = home.up();
    for number in 0..10 {
        let delivery = format!("delivery-{number}");
        let id = pipeline.accept(&sign::issue(number, &delivery));
        let call = poll("the tool is called", || {
            home.lines_of(calls).into_iter().find(|call: &Value| call["id"] == id.as_str())
        });
        assert_eq!((text(&call, "/source"), text(&call, "/event_type")), ("github", "issues.opened"));
        assert_eq!(call["payload"], sign::issue_body(number, &delivery));
    }
    poll("all are delivered", || (pipeline.status()["destinations"][0]["delivered"] == 10).then_some(()));
    assert_eq!(home.lines_of(calls).len(), 10, "each once");
}

fn stdio(server: &str, home: &mut Home) {
    let calls = home.path("calls.jsonl");
    let command = program(server);
    let command_line: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_str().unwrap())
        .chain(["stdio", calls.to_str().unwrap()])
        .collect();
    let transport =
        format!("driver = \"stdio_jsonrpc\"\ncommand = \"{}\"\nargs = {}", command_line[0], list(&command_line[1..]));
    home.contract(&contract("take_event", &transport));
    is_called(home, "calls.jsonl");
}

fn http(server: &str, home: &mut Home) {
    let calls = home.path("calls.jsonl");
    let peer = Peer::start(server, &["http", calls.to_str().unwrap()]);
    let url = peer.said();
    let transport = format!("driver = \"http_sse\"\nurl = \"{}\"\nauth_mode = \"none\"", text(&url, "/url"));
    home.contract(&contract("take_event", &transport));
    is_called(home, "calls.jsonl");
}

fn home() -> Home {
    Home::new(&Contract::new().file_output("file", "events.jsonl"))
}

#[test]
fn a_typescript_server_is_called_over_stdio() {
    stdio("mcp_server.mjs", &mut home());
}

#[test]
fn a_python_server_is_called_over_stdio() {
    stdio("mcp_server.py", &mut home());
}

#[test]
fn a_typescript_server_is_called_over_http() {
    http("mcp_server.mjs", &mut home());
}

#[test]
fn a_python_server_is_called_over_http() {
    http("mcp_server.py", &mut home());
}

#[test]
fn a_token_is_shown_and_an_error_of_the_tool_is_a_failure() {
    let mut home = home();
    let calls = home.path("calls.jsonl");
    let peer = Peer::start("mcp_server.mjs", &["http", calls.to_str().unwrap(), "tool-token-3c41"]);
    let url = peer.said();
    let transport = format!(
        "driver = \"http_sse\"\nurl = \"{}\"\nauth_mode = \"bearer\"\ntoken_env = \"TOOL_TOKEN\"",
        text(&url, "/url")
    );
    home.set("TOOL_TOKEN", "tool-token-3c41");
    home.contract(&contract("refuse_event", &transport));
    let pipeline = home.up();
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    let letter = poll("it is given up", || home.run("dlq list --json").ok().lines().into_iter().next());
    assert!(letter.to_string().contains(&id), "{letter}");
    assert!(home.run(&format!("explain {id}")).ok().stdout.contains("not today"), "{letter}");
}
