//! `hook config test`: what it shows, and how it ends.

use serde_json::json;

use super::{Place, apps};

const HEAD: &str = r#"
[app]
id = "tested"
name = "Tested"
version = "1.0.0"

[[serve.ingress_adapters]]
id = "in"
driver = "http_webhook_ingress"
bind = "127.0.0.1:0"
plugins = [{ driver = "require_payload_field", pointer = "/action" }]

[[serve.routes]]
id = "all"
source_match = "github"
event_type_pattern = "*"
target_topic = "webhooks.{source}"

[[smash.egress_adapters]]
id = "file"
driver = "file_output"
path = "events.jsonl"

[[smash.routes]]
id = "out"
source_topic_pattern = "webhooks.core"
event_filters = ["cel:payload.action == 'opened'"]
destinations = [{ adapter_id = "file" }]

[profiles.default]
label = "Default"
serve_adapters = ["in"]
smash_adapters = ["file"]
serve_routes = ["all"]
smash_routes = ["out"]
"#;

fn case(name: &str, rest: &str) -> String {
    format!("[[cases]]\nname = \"{name}\"\n[cases.event]\nsource = \"github\"\ntype = \"issues\"\n{rest}\n")
}

fn place(cases: &str) -> Place {
    Place::empty().file("contract.toml", HEAD).file("contract.test.toml", cases)
}

#[test]
fn cases_that_are_met_are_ok_and_nothing_of_the_environment_is_needed() {
    let opened = "body = { action = \"opened\" }\n[cases.expect]\ntopics = [\"webhooks.core\", \"webhooks.github\"]\n\
                  type = \"issues.opened\"\ndestinations = [\"out/file\"]\n[cases.expect.at.\"out/file\"]\n\
                  body_contains = { source = \"github\", payload = '{\"action\":\"opened\"}' }";
    let refused = "body = {}\n[cases.expect]\nrefused = { code = \"refused_by_plugin\", reason = \"/action\" }";
    let unsigned =
        "body_file = \"body.json\"\nsignature = \"none\"\n[cases.expect]\nrefused = { code = \"missing_signature\" }";
    let assumed = "body_file = \"body.json\"\nsignature = \"assumed\"\n[cases.expect]\ntype = \"unknown\"";
    let text = [case("one", opened), case("two", refused), case("three", unsigned), case("four", assumed)].concat();
    let place = place(&text.replace("payload = '{\"action\":\"opened\"}'", "payload = { action = \"opened\" }"))
        .file("body.json", "{\"action\":\"x\"}");
    let answer = place.hook("config test");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.stdout, "one ... ok\ntwo ... ok\nthree ... ok\nfour ... ok\n4 passed, 0 failed\n");
    let one = place.hook("config test --filter thr --json");
    assert_eq!(one.json()["cases"], json!([{ "name": "three", "is_ok": true }]));
}

#[test]
fn a_case_that_is_not_met_shows_what_was_expected_and_what_was_found() {
    let wrong =
        "body = { action = \"closed\" }\n[cases.expect]\ntype = \"issues.opened\"\ndestinations = [\"out/file\"]";
    let place = place(&case("one", wrong));
    let answer = place.hook("config test");
    assert_eq!(answer.code, 1);
    let expected = "one ... FAILED\n    type\n      - expected: \"issues.opened\"\n      + found:    \"issues.closed\"\n    \
                    destinations\n      - expected: [\"out/file\"]\n      + found:    []\n0 passed, 1 failed\n";
    assert_eq!(answer.stdout, expected);
    let json = place.hook("config test --json").json();
    assert_eq!(json["failed"], 1);
    assert_eq!(json["cases"][0]["differences"][0]["what"], "type");
    assert_eq!(place.hook("config test --filter nobody").code, 1, "no case at all has shown nothing");
}

#[test]
fn a_test_file_that_cannot_be_read_is_a_problem_with_its_place() {
    // The code TEST_FILE.
    let check = |cases: &str, line: u64, part: &str| {
        let answer = place(cases).hook("config test --json");
        assert_eq!(answer.code, 1);
        let problem = &answer.json()["problems"][0];
        assert_eq!(
            (problem["code"].as_str(), problem["line"].as_u64().unwrap_or(0)),
            (Some("HOOK0230"), line),
            "{problem}"
        );
        assert!(problem["message"].as_str().unwrap().contains(part), "{problem}");
    };
    check(&case("one", "bodi = {}\n[cases.expect]"), 6, "unknown field `bodi`");
    check(&case("one", "body = {}\n[cases.expect]\ntopic = []"), 8, "unknown field `topic`");
    check(&case("one", "[cases.expect]"), 0, "either `body` or `body_file`");
    check("[[cases]", 1, "");
    let without = Place::empty().file("contract.toml", HEAD).hook("config test --json");
    without.has_error("HOOK0230");
}

#[test]
fn what_came_before_counts_for_copies_cooldowns_and_rates() {
    let body = "body = { action = \"opened\", issue = { number = 1 }, repository = { full_name = \"a/b\" } }";
    let other = format!("[[cases.before]]\nsource = \"github\"\ntype = \"issues\"\ndelivery_id = \"other\"\n{body}");
    let case = |name: &str, again: u32, before: &str, expect: &str| {
        format!(
            "[[cases]]\nname = \"{name}\"\nagain = {again}\n{before}\n[cases.event]\nsource = \"github\"\ntype = \"issues\"\n{body}\n\
             [cases.expect]\n{expect}\n"
        )
    };
    let with = |keys: &str, cases: &str| {
        let contract =
            format!("{HEAD}\n[sources.github]\nverifier = \"github\"\nsecret_env = [\"HMAC_SECRET_GITHUB\"]\n{keys}\n");
        Place::empty().file("contract.toml", &contract).file("contract.test.toml", cases)
    };
    let copy = case("a copy", 1, "", "duplicate = true\ntopics = []");
    let answer = with("dedup = { by = \"delivery_id\", window = \"1h\" }", &copy).hook("config test");
    assert_eq!(answer.code, 0, "{answer:?}");
    let first = case("the first", 0, "", "duplicate = true");
    let answer = with("", &first).hook("config test");
    assert!(answer.stdout.contains("duplicate\n      - expected: true\n      + found:    false"), "{answer:?}");
    let unexpected = case("a copy", 1, "", "");
    let answer = with("", &unexpected).hook("config test");
    assert!(answer.stdout.contains("duplicate\n      - expected: false\n      + found:    true"), "{answer:?}");

    let cools = case("too soon", 0, &other, "refused = { code = \"cooldown\" }");
    let keys = "cooldown = \"1m\"\ndedup = { by = \"delivery_id\", window = \"1h\" }";
    assert_eq!(with(keys, &cools).hook("config test").code, 0, "{:?}", with(keys, &cools).hook("config test"));
    // One passes a minute, so that no machine is too slow for this.
    let rated = case("too many", 1, "", "refused = { code = \"rate_limited\" }");
    let answer = with("rate_per_minute = 1", &rated).hook("config test");
    assert_eq!(answer.code, 0, "{answer:?}");
    let refused = other.replace("action = \"opened\",", "");
    let answer = with("", &case("after nothing", 0, &refused, "")).hook("config test");
    assert!(answer.stdout.contains("event 1 of `before` is refused: refused_by_plugin"), "{answer:?}");
}

#[test]
fn a_tool_is_shown_with_its_arguments_and_what_an_event_lacks_is_refused() {
    let output = "driver = \"mcp_tool_output\"\ntool_name = \"note\"\ntransport_ref = \"notes\"\ntimeout_seconds = 5\n\
                  [smash.egress_adapters.arguments]\ntitle = \"{{source}}: {{payload.title}}\"";
    let source = "[sources.shop]\nverifier = \"hmac\"\nsecret_env = \"SHOP_SECRET\"\nheader = \"X-Signature\"\n\
                  event_type = \"header:X-Topic\"\n[transports.notes]\ndriver = \"stdio_jsonrpc\"\ncommand = \"true\"";
    let contract = HEAD
        .replace("driver = \"file_output\"\npath = \"events.jsonl\"", output)
        .replace("source_match = \"github\"", "source_match = \"shop\"");
    let case = |name: &str, body: &str, expect: &str| {
        format!(
            "[[cases]]\nname = \"{name}\"\n[cases.event]\nsource = \"shop\"\ntype = \"sale\"\nbody = {{ action = \"opened\"{body} }}\n\
             [cases.expect]\ntype = \"sale\"\n[cases.expect.at.\"out/file\"]\n{expect}\n"
        )
    };
    let has = case("a title", ", title = \"Tea\"", "body = { title = \"shop: Tea\" }");
    let lacks = case("no title", "", "refused = \"nothing at `payload.title`\"");
    let place = Place::empty()
        .file("contract.toml", &format!("{contract}\n{source}"))
        .file("contract.test.toml", &format!("{has}{lacks}"));
    let answer = place.hook("config test");
    assert_eq!(answer.code, 0, "{answer:?}");
    let none = place.hook("config test --filter tea");
    assert!(none.code == 1 && none.stderr.contains("has `tea` in its name"), "{none:?}");
}

#[test]
fn every_example_meets_its_own_tests() {
    let mut count = 0;
    for app in std::fs::read_dir(apps()).unwrap() {
        let contract = app.unwrap().path().join("contract.toml");
        if contract.with_extension("test.toml").exists() {
            let place = Place::empty();
            let answer = place.hook(&format!("--contract {} config test", contract.display()));
            assert_eq!(answer.code, 0, "{}: {answer:?}", contract.display());
            count += 1;
        }
    }
    assert!(count >= 3);
}
