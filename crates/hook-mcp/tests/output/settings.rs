//! What a contract may write.

use serde_json::{Value, json};

use super::build;

fn faults(settings: Value) -> Vec<(String, String)> {
    let faults = build(settings).err().unwrap_or_default();
    faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect()
}

fn pointers(settings: Value) -> Vec<String> {
    faults(settings).into_iter().map(|(pointer, _)| pointer).collect()
}

fn process(beside: &Value) -> Value {
    let mut settings = json!({
        "tool_name": "take", "transport_ref": { "driver": "stdio_jsonrpc", "command": "server" },
    });
    settings.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
    settings
}

#[test]
fn the_least_that_is_needed_is_enough() {
    assert_eq!(faults(process(&json!({}))), []);
    let http = json!({ "driver": "http_sse", "url": "https://example.com/mcp", "auth_mode": "none" });
    assert_eq!(faults(json!({ "tool_name": "take", "transport_ref": http })), []);
}

#[test]
fn a_process_needs_a_program_and_no_networks() {
    let settings = json!({
        "tool_name": "take", "transport_ref": { "driver": "stdio_jsonrpc" }, "allow_networks": ["10.0.0.0/8"],
    });
    assert_eq!(pointers(settings), ["/allow_networks", "/transport_ref/command"]);
    let twice = json!({ "driver": "stdio_jsonrpc", "command": "x", "env": { "A": "1" }, "pass_env": ["B", "A"] });
    assert_eq!(pointers(json!({ "tool_name": "take", "transport_ref": twice })), ["/transport_ref/pass_env/1"]);
}

#[test]
fn an_address_is_checked_as_everywhere() {
    let http = |url: &str, auth_mode: &str| json!({ "tool_name": "take", "transport_ref": { "driver": "http_sse", "url": url, "auth_mode": auth_mode } });
    assert_eq!(pointers(http("https://example.com/mcp", "bearer")), ["/transport_ref/token_env"]);
    assert_eq!(pointers(http("ftp://example.com/mcp", "none")), ["/transport_ref/url"]);
    assert_eq!(pointers(http("http://169.254.169.254/mcp", "none")), ["/transport_ref/url"]);
}

#[test]
fn all_faults_are_found_at_once() {
    let settings = process(&json!({
        "arguments": { "a": "{{nothing}}" }, "timeout_seconds": 60, "max_timeout_seconds": 30,
    }));
    assert_eq!(pointers(settings), ["/arguments/a", "/max_timeout_seconds"]);
    assert_eq!(pointers(process(&json!({ "timeout_seconds": 5000 }))), ["/timeout_seconds"]);
    assert_eq!(faults(process(&json!({ "timeout_seconds": 600 }))), [], "the longest time follows");
}
