//! What plugins keep, change, leave out and refuse, and which settings are faults.

use std::sync::Arc;

use hook_core::{
    catalog::{BuildError, Fault},
    envelope::Meta,
    names::{EventType, SourceName},
    payload::Payload,
    ports::plugin::{Draft, Plugin, Verdict},
};
use serde_json::{Value, json};

use super::*;

fn try_build(name: &str, settings: Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let entries = entries();
    let entry = entries.iter().find(|entry| entry.name() == name).unwrap();
    entry.build(settings).map(|built| built.driver)
}

fn build(name: &str, settings: Value) -> Arc<dyn Plugin> {
    try_build(name, settings).ok().unwrap()
}

fn faults(name: &str, settings: Value) -> Vec<Fault> {
    match try_build(name, settings) {
        Err(BuildError::Faulty(faults)) => faults,
        Err(BuildError::Unreadable { pointer, message }) => panic!("{pointer}: {message}"),
        Ok(_) => Vec::new(),
    }
}

fn draft(body: &str) -> Draft {
    Draft {
        source: SourceName::new("github").unwrap(),
        event_type: EventType::new("issues.opened").unwrap(),
        meta: Meta { flags: vec!["first".to_owned()], ..Meta::default() },
        payload: Payload::parse(body.to_owned().into()).unwrap(),
    }
}

#[test]
fn an_alias_renames_exactly_its_event_type() {
    let check = |from: &str, expected: &str| {
        let plugin = build("event_type_alias", json!({ "from": from, "to": "ticket.new" }));
        let mut draft = draft("{}");
        assert_eq!(plugin.apply(&mut draft), Verdict::Keep);
        assert_eq!(draft.event_type.as_str(), expected, "{from}");
    };
    check("issues.opened", "ticket.new");
    check("issues", "issues.opened");
    check("issues.*", "issues.opened");
    check("Issues.opened", "issues.opened");
}

#[test]
fn an_alias_that_changes_nothing_is_a_fault_and_a_type_that_cannot_be_is_unreadable() {
    assert_eq!(faults("event_type_alias", json!({ "from": "a", "to": "a" }))[0].pointer, "/to");
    let error = try_build("event_type_alias", json!({ "from": "a", "to": "" })).err();
    assert!(matches!(error, Some(BuildError::Unreadable { pointer, .. }) if pointer == "/to"));
}

#[test]
fn a_required_field_refuses_its_absence_and_says_only_where() {
    let check = |pointer: &str, body: &str, is_kept: bool| {
        let verdict = build("require_payload_field", json!({ "pointer": pointer })).apply(&mut draft(body));
        match verdict {
            Verdict::Keep => assert!(is_kept, "{pointer} in {body}"),
            Verdict::Drop { reason } => panic!("{reason}"),
            Verdict::Refuse { reason } => {
                assert!(!is_kept, "{pointer} in {body}");
                assert_eq!(reason, format!("the payload has no field at `{pointer}`"));
            }
        }
    };
    check("/a", r#"{"a":1}"#, true);
    check("/a", r#"{"a":null}"#, true);
    check("/a", r#"{"b":"canary"}"#, false);
    check("/a/b", r#"{"a":{"b":[]}}"#, true);
    check("/a/b", r#"{"a":"b"}"#, false);
    check("/a/1", r#"{"a":[0,1]}"#, true);
    check("/a/2", r#"{"a":[0,1]}"#, false);
    check("/x~1y", r#"{"x/y":0}"#, true);
    check("/x~0y", r#"{"x~y":0}"#, true);
    check("/", r#"{"":0}"#, true);
}

#[test]
fn a_pointer_against_rfc_6901_is_a_fault() {
    for wrong in ["a", "a/b", "#/a", "/a~", "/a~2", "/~/b", ""] {
        let faults = faults("require_payload_field", json!({ "pointer": wrong }));
        assert_eq!(faults.len(), 1, "{wrong}");
        assert_eq!(faults[0].pointer, "/pointer");
    }
    for right in ["/", "/a", "/a/0", "/a~0b/~1", "//", "/ä b"] {
        assert_eq!(faults("require_payload_field", json!({ "pointer": right })), [], "{right}");
    }
}

#[test]
fn a_flag_is_added_at_the_end_and_once() {
    let mut draft = draft("{}");
    for flag in ["second", "first", "second"] {
        let plugin = build("add_meta_flag", json!({ "flag": flag }));
        assert_eq!(plugin.apply(&mut draft), Verdict::Keep);
    }
    assert_eq!(draft.meta.flags, ["first", "second"]);
}

#[test]
fn a_flag_that_is_empty_long_or_not_plain_is_a_fault() {
    let long = "a".repeat(65);
    for wrong in ["", &long, "a b", "a\n", "ä\u{7f}"] {
        assert_eq!(faults("add_meta_flag", json!({ "flag": wrong })).len(), 1, "{wrong:?}");
    }
    let longest = "a".repeat(64);
    for right in ["a", "needs-review", "team:core/1", &longest] {
        assert_eq!(faults("add_meta_flag", json!({ "flag": right })), [], "{right}");
    }
}

#[test]
fn every_setting_is_required_described_and_its_schema_stands_alone() {
    for entry in entries() {
        let schema = entry.schema().to_value();
        assert!(!schema.to_string().contains("$ref"), "{}", entry.name());
        for (key, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{} {key}", entry.name());
        }
        assert!(matches!(entry.build(json!({})), Err(BuildError::Unreadable { .. })), "{}", entry.name());
    }
}

/// What a plugin makes of a body, or why it does not pass.
fn after(name: &str, settings: Value, body: &str) -> Result<String, Verdict> {
    let mut draft = draft(body);
    match build(name, settings).apply(&mut draft) {
        Verdict::Keep => Ok(String::from_utf8(draft.payload.bytes().to_vec()).unwrap()),
        verdict => Err(verdict),
    }
}

#[test]
fn a_filter_keeps_what_its_expression_is_true_of_and_fails_closed() {
    let verdict = |settings: Value, body: &str| build("filter", settings).apply(&mut draft(body));
    let open = |otherwise: &str| json!({ "expression": "payload.action == 'opened'", "otherwise": otherwise });
    let reason = || "filter: not true: payload.action == 'opened'".to_owned();
    assert_eq!(verdict(json!({ "expression": "'first' in meta.flags && source == 'github'" }), "{}"), Verdict::Keep);
    for otherwise in ["refuse", "drop"] {
        assert_eq!(verdict(open(otherwise), r#"{"action":"opened"}"#), Verdict::Keep);
        let unanswered = "filter: there is no `payload.action`: payload.action == 'opened'".to_owned();
        assert_eq!(
            verdict(open(otherwise), "{}"),
            Verdict::Refuse { reason: unanswered },
            "no answer is no permission"
        );
    }
    assert_eq!(verdict(open("refuse"), r#"{"action":"closed"}"#), Verdict::Refuse { reason: reason() });
    assert_eq!(verdict(open("drop"), r#"{"action":"closed"}"#), Verdict::Drop { reason: reason() });
    let faults = faults("filter", json!({ "expression": "payload.action = 1" }));
    assert_eq!((faults[0].pointer.as_str(), faults.len()), ("/expression", 1));
    assert_eq!(faults[0].message, "`=` means nothing here (at character 16)");
}

#[test]
fn a_transform_gives_one_object_or_the_event_is_refused() {
    let program = |jq: &str| json!({ "jq": jq });
    assert_eq!(after("transform", program("{title: .a}"), r#"{"a":1.10}"#), Ok(r#"{"title":1.10}"#.to_owned()));
    for jq in ["empty", "., .", ".a", "error(\"no\")", "[range(1e9)]", "def f: f; f"] {
        assert!(matches!(after("transform", program(jq), "{}"), Err(Verdict::Refuse { .. })), "{jq}");
    }
    let faults = faults("transform", program("{a: env}"));
    assert_eq!((faults[0].pointer.as_str(), faults[0].message.as_str()), ("/jq", "there is no `env` (at character 5)"));
}

#[test]
fn a_redacted_payload_differs_in_nothing_but_the_marks() {
    let check = |pointers: &[&str], body: &str, expected: &str| {
        let made = after("redact", json!({ "pointers": pointers, "mark": "-" }), body);
        assert_eq!(made.as_deref(), Ok(expected), "{pointers:?}");
    };
    check(&["/a"], "{ \"a\" : {\"x\": 1} ,\n \"b\": 1.10 }", "{ \"a\" : \"-\" ,\n \"b\": 1.10 }");
    check(&["/nobody", "/a/b"], r#"{"a":1}"#, r#"{"a":1}"#);
    check(
        &["/l/*/m", "/l/1/n"],
        r#"{"l":[{"m":"x@y"},{"m":2,"n":3}, 4]}"#,
        r#"{"l":[{"m":"-"},{"m":"-","n":"-"}, 4]}"#,
    );
    check(&["/a/*"], r#"{"a":{"x":1,"y":[2]}}"#, r#"{"a":{"x":"-","y":"-"}}"#);
    check(&["/a/b", "/a"], r#"{"a":{"b":1}}"#, r#"{"a":"-"}"#);
    check(&["/a/b"], r#"{"a":{"b":"first","b":"last","\u0062":3}}"#, r#"{"a":{"b":"-","b":"-","\u0062":"-"}}"#);
    check(&["/x~1y/a~0b"], r#"{"x/y":{"a~b":null}}"#, r#"{"x/y":{"a~b":"-"}}"#);
    check(&["/l/01", "/l/+1"], r#"{"l":[1,2]}"#, r#"{"l":[1,2]}"#);
    let made = after("redact", json!({ "pointers": ["/a"] }), r#"{"a":"canary"}"#);
    assert_eq!(made.as_deref(), Ok(r#"{"a":"[redacted]"}"#));
    for wrong in ["", "a", "/a~"] {
        assert_eq!(faults("redact", json!({ "pointers": ["/ok", wrong] }))[0].pointer, "/pointers/1", "{wrong}");
    }
    assert_eq!(faults("redact", json!({ "pointers": [] }))[0].pointer, "/pointers");
}

#[test]
fn a_sample_keeps_its_share_and_always_the_same_events() {
    let kept = |settings: &Value, meta: &dyn Fn(usize) -> Meta| -> Vec<usize> {
        let plugin = build("sample", settings.clone());
        let is_kept = |number: &usize| {
            let mut draft = Draft { meta: meta(*number), ..draft("{}") };
            plugin.apply(&mut draft) == Verdict::Keep
        };
        (0..2_000).filter(is_kept).collect()
    };
    let delivery = |number: usize| Meta { delivery_id: Some(format!("d-{number}")), ..Meta::default() };
    let tenth = kept(&json!({ "keep": 0.1 }), &delivery);
    assert!((150..250).contains(&tenth.len()), "{}", tenth.len());
    assert_eq!(kept(&json!({ "keep": 0.1 }), &delivery), tenth, "another process chooses alike");
    let half = kept(&json!({ "keep": 0.5 }), &delivery);
    assert!(tenth.iter().all(|number| half.contains(number)));
    assert_ne!(kept(&json!({ "keep": 0.1, "seed": "other" }), &delivery), tenth);
    let flagged = |number: usize| Meta { flags: vec!["later".into()], ..delivery(number) };
    assert_eq!(kept(&json!({ "keep": 0.1 }), &flagged), tenth, "what others set does not matter");
    let body = |number: usize| Meta { body_sha256: Some(format!("{number}")), ..Meta::default() };
    assert!((150..250).contains(&kept(&json!({ "keep": 0.1 }), &body).len()));
    let key = |number: usize| Meta { route_key: Some(format!("github:k{}", number % 2)), ..delivery(number) };
    let by_key = kept(&json!({ "keep": 0.5, "by": "ordering_key" }), &key).len();
    assert!([0, 1_000, 2_000].contains(&by_key), "a key is kept as a whole: {by_key}");
    for wrong in [0.0, 1.0, -1.0, 2.0] {
        assert_eq!(faults("sample", json!({ "keep": wrong }))[0].pointer, "/keep", "{wrong}");
    }
}

#[test]
fn a_schema_refuses_what_it_does_not_describe_and_names_only_the_place() {
    let table = json!({ "schema": { "required": ["a"], "properties": { "a": { "type": "integer" } } } });
    let text = json!({ "schema": table["schema"].to_string() });
    for settings in [table, text] {
        assert!(after("schema", settings.clone(), r#"{"a":1}"#).is_ok());
        let reason = "schema: `/a` does not meet `/properties/a/type`".to_owned();
        assert_eq!(after("schema", settings.clone(), r#"{"a":"canary"}"#), Err(Verdict::Refuse { reason }));
        assert!(after("schema", settings, "{}").is_err());
    }
    let wrong = |schema: Value| faults("schema", json!({ "schema": schema }))[0].message.clone();
    assert_eq!(
        wrong(json!({ "properties": { "a": { "typ": 1 } } })),
        "at `/properties/a/typ`: there is no keyword `typ`"
    );
    assert!(wrong(json!({ "$ref": "https://example.com/s.json" })).contains("nothing is fetched"));
    assert!(wrong(json!("{")).contains("no JSON"));
}
