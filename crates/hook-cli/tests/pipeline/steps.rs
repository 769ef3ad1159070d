//! Filters and plugins on both sides of the log: what they keep, change, leave out and refuse.

use serde_json::json;

use crate::{
    answers::{check_refused, check_taken, count_of_events},
    support::{Contract, Home, Receiver, home::files_below, poll, poll_until, sign, text},
};

#[test]
fn every_plugin_at_ingress_decides_before_anything_is_stored() {
    let plugins = r#"plugins = [
        { driver = "schema", schema = { required = ["who"], properties.who = { type = "string" } } },
        { driver = "filter", expression = "payload.who != 'nobody'" },
        { driver = "filter", expression = "payload.who != 'robot'", otherwise = "drop" },
        { driver = "redact", pointers = ["/secret"] },
        { driver = "transform", jq = '. + {twice: (.n * 2)}' },
        { driver = "sample", keep = 0.999999 },
    ]"#;
    let receiver = Receiver::start();
    let contract = Contract::new().ingress(plugins).http_output("service", &receiver, "body = \"payload\"");
    let home = Home::new(&contract);
    let pipeline = home.up();
    let post = |delivery: &str, body: &str| pipeline.post(&sign::github("push", delivery, body));

    check_refused(&post("d-1", "{\"n\":1}"), 422, "refused_by_plugin");
    let refused = check_refused(&post("d-2", "{\"who\":\"nobody\",\"n\":1}"), 422, "refused_by_plugin");
    check_refused(&post("d-3", "{\"who\":\"canary\",\"n\":{}}"), 422, "refused_by_plugin");
    let left_out = check_taken(&post("d-4", "{\"who\":\"robot\",\"n\":1}"), 200, "not_routed", "request_id");
    assert_eq!(count_of_events(&home), 0, "what fails is not stored");
    assert_eq!(pipeline.metric("serve_filtered_total{adapter=\"http-in\",source=\"github\"}"), 1.0);
    let told = |id: &str| home.run(&format!("explain {id}")).ok().stdout;
    assert!(told(&refused).contains("filter: not true: payload.who != 'nobody'"));
    assert!(told(&left_out).contains("filter: not true: payload.who != 'robot'"));

    pipeline.accept(&sign::github("push", "d-5", "{\"who\":\"me\",\"secret\":\"canary\",\"n\":1.50}"));
    let expected = json!({ "who": "me", "secret": "[redacted]", "n": 1.5, "twice": 3 });
    assert_eq!(receiver.wait_for(1)[0].json(), expected);
    assert!(!pipeline.stderr().contains("canary"));
}

#[test]
fn every_plugin_at_a_destination_decides_for_it_alone() {
    let plugins = r#"body = "payload"
        plugins = [
        { driver = "filter", expression = "has(payload.n)" },
        { driver = "filter", expression = "payload.n > 0", otherwise = "drop" },
        { driver = "redact", pointers = ["/who"], mark = "-" },
        { driver = "transform", jq = '{who, n: [range(.n)]}' },
        { driver = "schema", schema = { properties.n = { maxItems = 3 } } },
        { driver = "sample", keep = 0.999999 },
    ]"#;
    let receiver = Receiver::start();
    let contract = Contract::new().http_output("service", &receiver, plugins).file_output("file", "events.jsonl");
    let home = Home::new(&contract);
    let pipeline = home.up();
    let accept = |delivery: &str, body: &str| pipeline.accept(&sign::github("push", delivery, body));

    let without = accept("d-1", "{\"who\":\"me\"}");
    let left_out = accept("d-2", "{\"who\":\"me\",\"n\":0}");
    let too_long = accept("d-3", "{\"who\":\"me\",\"n\":9}");
    let endless = accept("d-4", "{\"who\":\"me\",\"n\":1000000000}");
    accept("d-5", "{\"who\":\"me\",\"n\":2}");
    assert_eq!(receiver.wait_for(1)[0].json(), json!({ "who": "-", "n": [0, 1] }));
    let letters = poll("three are refused", || {
        let letters = home.run("dlq list --json").ok().lines();
        (letters.len() == 3).then_some(letters)
    });
    let mut ids: Vec<&str> = letters.iter().map(|letter| text(letter, "/envelope/id")).collect();
    ids.sort_unstable();
    let mut refused = [without.as_str(), too_long.as_str(), endless.as_str()];
    refused.sort_unstable();
    assert_eq!(ids, refused);
    assert!(letters.iter().all(|letter| text(letter, "/error").starts_with("refused by a plugin: ")));
    poll_until("what is left out is counted", || {
        pipeline.metric("smash_filtered_total{destination=\"core-to-all/service\"}") == 1.0
    });
    assert!(home.run(&format!("explain {left_out}")).ok().stdout.contains("payload.n > 0"));
    poll_until("the other destination has them all, unchanged", || home.lines_of("events.jsonl").len() == 5);
    assert!(home.lines_of("events.jsonl").iter().all(|event| event["payload"]["who"] == "me"));
    assert_eq!(receiver.deliveries().len(), 1);
}

#[test]
fn a_route_takes_what_an_expression_is_true_of() {
    let receiver = Receiver::start();
    let filters =
        "event_filters = [\"star.*\", \"cel:source == 'github' && payload.issue.number > 5 && 'seen' in meta.flags\"]";
    let contract = Contract::new()
        .ingress("plugins = [{ driver = \"add_meta_flag\", flag = \"seen\" }]")
        .http_output("service", &receiver, "")
        .smash_keys(filters);
    let home = Home::new(&contract);
    let pipeline = home.up();
    pipeline.accept(&sign::issue(5, "d-1"));
    pipeline.accept(&sign::github("push", "d-2", "{}"));
    let number = pipeline.accept(&sign::issue(6, "d-3"));
    let pattern = pipeline.accept(&sign::github("star", "d-4", "{\"action\":\"created\"}"));
    receiver.taken(&number);
    receiver.taken(&pattern);
    assert_eq!(receiver.deliveries().len(), 2);
    let unanswered = "smash_filter_unanswered_total{destination=\"core-to-all/service\"}";
    poll_until("an expression without an answer is counted", || pipeline.metric(unanswered) == 1.0);
}

#[test]
fn what_is_redacted_of_a_form_is_nowhere_else_in_the_event() {
    const SECRET: &str = "slack-secret-1f0d";
    let redacts = |pointer: &str| format!("plugins = [{{ driver = \"redact\", pointers = [\"{pointer}\"] }}]");
    let receiver = Receiver::start();
    let contract = Contract::new()
        .ingress(&redacts("/text"))
        .with("[sources.slack]\nverifier = \"slack\"\nsecret_env = [\"SLACK_SECRET\"]\n")
        .http_output("service", &receiver, &redacts("/user_name"))
        .file_output("file", "events.jsonl");
    let mut home = Home::new(&contract);
    home.set("SLACK_SECRET", SECRET);
    let mut pipeline = home.up();
    let form = "team_id=T1&channel_id=C1&command=%2Fdeploy&text=canary-of-the-text&user_name=canary-of-the-name&trigger_id=t.1";
    assert_eq!(pipeline.post(&sign::slack(SECRET, form)).status, 200);
    let delivered = receiver.wait_for(1).remove(0);
    assert!(!String::from_utf8_lossy(&delivered.body).contains("canary"), "{:?}", delivered.json());
    assert_eq!(delivered.json()["payload"]["user_name"], "[redacted]");
    let kept = poll("the other destination has it", || home.lines_of("events.jsonl").pop());
    assert_eq!(
        (&kept["payload"]["text"], &kept["payload"]["user_name"]),
        (&json!("[redacted]"), &json!("canary-of-the-name"))
    );
    assert!(pipeline.terminate().success());
    for file in files_below(&home.path("data")) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(18).any(|window| window == b"canary-of-the-text");
        assert!(!found, "{} holds what was redacted at ingress", file.display());
    }
}
