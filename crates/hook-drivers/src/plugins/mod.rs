//! Small, pure steps of a plugin chain, one file each.

pub mod add_meta_flag;
pub mod event_type_alias;
pub mod require_payload_field;

use hook_core::{catalog::Entry, ports::plugin::Plugin};

/// The plugins that an adapter can name.
pub fn entries() -> Vec<Entry<dyn Plugin>> {
    vec![
        Entry::of::<event_type_alias::EventTypeAlias>(),
        Entry::of::<require_payload_field::RequirePayloadField>(),
        Entry::of::<add_meta_flag::AddMetaFlag>(),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hook_core::{
        catalog::{BuildError, Fault},
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
            flags: vec!["first".to_owned()],
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
        assert_eq!(draft.flags, ["first", "second"]);
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
}
