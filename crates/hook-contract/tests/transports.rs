//! A driver gets the transport that its adapter names, and what is wrong with it is found where it is written.

mod support;

use hook_contract::Checked;
use hook_core::problem::codes;
use support::{checked, lines, of};

const CONTRACT: &str = r#"
[app]
id = "my-app"
name = "My app"
version = "1.0.0"

[[smash.egress_adapters]]
id = "tool"
driver = "tool_output"
tool_name = "notify"
transport_ref = "agent"

[[smash.egress_adapters]]
id = "other"
driver = "tool_output"
tool_name = "escalate"
transport_ref = "agent"

[[smash.routes]]
id = "core-to-tool"
source_topic_pattern = "webhooks.core"
destinations = [{ adapter_id = "tool" }, { adapter_id = "other" }]

[profiles.default]
label = "Tools"
smash_adapters = ["tool", "other"]
smash_routes = ["core-to-tool"]

[transports.agent]
"#;

fn with_transport(text: &str) -> Checked {
    checked(&format!("{CONTRACT}{text}"))
}

fn resolved(checked: &Checked, prefix: &str) -> Vec<String> {
    let values = checked.resolved.iter().filter(|value| value.key.starts_with(prefix));
    values.map(|value| format!("{} = {}", value.key, value.value)).collect()
}

#[test]
fn a_driver_gets_the_transport_and_both_are_shown_once() {
    let text = "driver = \"http_sse\"\nurl = \"https://example.com/mcp\"\nauth_mode = \"bearer\"\ntoken_env = \"AGENT_TOKEN\"\n";
    let checked = with_transport(text);
    assert_eq!(lines(&checked.problems), "");
    assert_eq!(
        resolved(&checked, "transports."),
        [
            "transports.agent.driver = \"http_sse\"",
            "transports.agent.url = \"https://example.com/mcp\"",
            "transports.agent.auth_mode = \"bearer\"",
            "transports.agent.token_env = \"AGENT_TOKEN\"",
        ]
    );
    let references = resolved(&checked, "smash.egress_adapters.tool.transport_ref");
    assert_eq!(references, ["smash.egress_adapters.tool.transport_ref = \"agent\""]);
    let plan = checked.plan.unwrap();
    assert_eq!(plan.smash.adapters[0].settings["transport_ref"], "agent");
    let needed: Vec<_> = plan.environment.iter().map(|need| (need.name.as_str(), need.needed_by.as_str())).collect();
    assert_eq!(needed, [("AGENT_TOKEN", "transport agent")]);
    assert_eq!(plan.environment[0].place.as_ref().unwrap().line, 33);
}

#[test]
fn what_a_process_is_passed_must_be_set() {
    let checked = with_transport("driver = \"stdio_jsonrpc\"\ncommand = \"agent\"\npass_env = [\"ONE\", \"TWO\"]\n");
    assert_eq!(lines(&checked.problems), "");
    let plan = checked.plan.unwrap();
    assert_eq!(plan.environment.iter().map(|need| need.name.as_str()).collect::<Vec<_>>(), ["ONE", "TWO"]);
}

#[test]
fn a_fault_that_a_driver_finds_stands_in_the_transport() {
    let place = |text: &str| {
        let problems = with_transport(text).problems;
        let [found] = problems.as_slice() else { panic!("one problem, but: {}", lines(&problems)) };
        (found.code.id, found.place.as_ref().unwrap().line, found.message.clone())
    };
    // A key that is missing: the table.
    assert_eq!(place("driver = \"stdio_jsonrpc\"\n"), (codes::SETTINGS_REFUSED.id, 29, "there is no program".into()));
    let token = "driver = \"http_sse\"\nurl = \"https://example.com/mcp\"\nauth_mode = \"none\"\ntoken_env = \"T\"\n";
    let message = "the token is not used with `auth_mode = \"none\"`".to_owned();
    assert_eq!(place(token), (codes::SETTINGS_REFUSED.id, 33, message));
}

#[test]
fn a_transport_is_named_and_not_written_into_the_adapter() {
    let text = CONTRACT.replacen("transport_ref = \"agent\"", "transport_ref = { driver = \"stdio_jsonrpc\" }", 1);
    let problems = checked(&format!("{text}driver = \"stdio_jsonrpc\"\ncommand = \"a\"\n")).problems;
    assert!(lines(&problems).contains("`transport_ref` is a table, expected a text"), "{}", lines(&problems));
}

#[test]
fn a_transport_that_is_not_there_or_broken_is_told_once() {
    let text = CONTRACT.replacen("transport_ref = \"agent\"", "transport_ref = \"agnet\"", 1);
    let problems = checked(&format!("{text}driver = \"stdio_jsonrpc\"\ncommand = \"a\"\n")).problems;
    assert_eq!(of(&codes::UNKNOWN_TRANSPORT, &problems).len(), 1);
    assert_eq!(problems.len(), 1, "{}", lines(&problems));

    let broken = with_transport("driver = \"http_sse\"\nauth_mode = \"none\"\n").problems;
    assert!(broken.len() == 1 && broken[0].message.contains("`url` is missing"), "{}", lines(&broken));
}
