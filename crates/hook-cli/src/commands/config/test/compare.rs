//! What became of an event beside what was expected.

use hook_runtime::rehearsal::{Part, Rehearsed, Stored};
use serde::Serialize;
use serde_json::{Value, json};

use super::cases::{AtDestination, Expected};

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Difference {
    /// What differs, as in the test file: `topics`, `at.route/adapter.body`.
    pub(super) what: String,
    /// What was expected.
    pub(super) expected: Value,
    /// What there is.
    pub(super) found: Value,
}

/// Everything in which an event differs from what was expected.
pub(super) fn compare(expected: &Expected, found: &Rehearsed) -> Vec<Difference> {
    let mut differences = Differences(Vec::new());
    match found {
        Rehearsed::Refused(refused) => {
            let shown = json!({ "code": refused.code, "reason": refused.message });
            match &expected.refused {
                Some(wanted) => {
                    if let Some(code) = wanted.code.as_ref().filter(|code| *code != refused.code) {
                        differences.add("refused.code", json!(code), json!(refused.code));
                    }
                    differences.part("refused.reason", wanted.reason.as_deref(), &refused.message);
                }
                None => differences.add("refused", Value::Null, shown),
            }
            not_stored(expected, &mut differences);
        }
        Rehearsed::Duplicate(_) => {
            if expected.duplicate != Some(true) {
                differences.add("duplicate", json!(expected.duplicate.unwrap_or_default()), json!(true));
            }
            not_stored(expected, &mut differences);
        }
        Rehearsed::Dropped { reason } => {
            match &expected.dropped {
                Some(wanted) => differences.part("dropped", Some(wanted), reason),
                None => differences.add("dropped", Value::Null, json!(reason)),
            }
            not_stored(expected, &mut differences);
        }
        Rehearsed::Stored(stored) => {
            if let Some(wanted) = &expected.refused {
                let wanted = json!({ "code": wanted.code, "reason": wanted.reason });
                differences.add("refused", wanted, Value::Null);
            }
            if let Some(wanted) = &expected.dropped {
                differences.add("dropped", json!(wanted), Value::Null);
            }
            if expected.duplicate == Some(true) {
                differences.add("duplicate", json!(true), json!(false));
            }
            is_as_expected(expected, stored, &mut differences);
        }
    }
    differences.0
}

/// What can only be expected of an event that is stored.
fn not_stored(expected: &Expected, differences: &mut Differences) {
    let is_none = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if let Some(topics) = expected.topics.as_ref().filter(|topics| !topics.is_empty()) {
        differences.add("topics", json!(topics), json!([]));
    }
    if !is_none(&expected.destinations) {
        differences.add("destinations", json!(expected.destinations), json!([]));
    }
    for destination in expected.at.keys() {
        differences.add(&format!("at.{destination}"), json!("the event"), Value::Null);
    }
}

fn is_as_expected(expected: &Expected, stored: &Stored, differences: &mut Differences) {
    if let Some(topics) = &expected.topics {
        differences.set("topics", topics, &stored.topics);
    }
    if let Some(event_type) = expected.r#type.as_ref().filter(|wanted| **wanted != stored.header.event_type) {
        differences.add("type", json!(event_type), json!(stored.header.event_type));
    }
    if let Some(flags) = &expected.flags {
        differences.same("flags", &json!(flags), &json!(stored.header.meta.flags));
    }
    if let Some(payload) = &expected.payload {
        differences.same("payload", &document(payload), &json_of(stored.payload.bytes()));
    }
    if let Some(wanted) = &expected.destinations {
        let delivered = stored.deliveries.iter().filter(|delivery| matches!(delivery.outcome, Part::Delivered { .. }));
        let delivered: Vec<String> = delivered.map(|delivery| delivery.destination.clone()).collect();
        differences.set("destinations", wanted, &delivered);
    }
    for (destination, wanted) in &expected.at {
        let found = stored.deliveries.iter().find(|delivery| delivery.destination == *destination);
        let what = format!("at.{destination}");
        match found {
            Some(found) => at_destination(&what, wanted, &found.outcome, differences),
            None => {
                let all: Vec<&str> = stored.deliveries.iter().map(|delivery| delivery.destination.as_str()).collect();
                differences.add(&what, json!("the event"), json!({ "the event goes to": all }));
            }
        }
    }
}

fn at_destination(what: &str, wanted: &AtDestination, found: &Part, differences: &mut Differences) {
    let key = |name: &str| format!("{what}.{name}");
    let (refused, dropped) = match found {
        Part::Refused(reason) => (Some(reason), None),
        Part::Dropped(reason) => (None, Some(reason)),
        Part::Delivered { .. } => (None, None),
    };
    for (name, wanted, found) in [("refused", &wanted.refused, refused), ("dropped", &wanted.dropped, dropped)] {
        match (wanted, found) {
            (Some(wanted), Some(found)) => differences.part(&key(name), Some(wanted), found),
            (None, None) => {}
            (wanted, found) => differences.add(&key(name), json!(wanted), json!(found)),
        }
    }
    let Part::Delivered { envelope, body } = found else { return };
    if let Some(payload) = &wanted.payload {
        differences.same(&key("payload"), &document(payload), &json_of(envelope.payload.bytes()));
    }
    if let Some(flags) = &wanted.flags {
        differences.same(&key("flags"), &json!(flags), &json!(envelope.header.meta.flags));
    }
    let body = body.as_ref().map_or(Value::Null, |body| json_of(body));
    if let Some(wanted) = &wanted.body {
        differences.same(&key("body"), &document(wanted), &body);
    }
    if let Some(wanted) = wanted.body_contains.as_ref().map(document).filter(|wanted| !contains(&body, wanted)) {
        differences.add(&key("body_contains"), wanted, body);
    }
}

struct Differences(Vec<Difference>);

impl Differences {
    fn add(&mut self, what: &str, expected: Value, found: Value) {
        self.0.push(Difference { what: what.to_owned(), expected, found });
    }

    fn same(&mut self, what: &str, expected: &Value, found: &Value) {
        if expected != found {
            self.add(what, expected.clone(), found.clone());
        }
    }

    /// A text that has to be a part of another.
    fn part(&mut self, what: &str, expected: Option<&str>, found: &str) {
        if let Some(expected) = expected.filter(|expected| !found.contains(*expected)) {
            self.add(what, json!(expected), json!(found));
        }
    }

    /// Lists whose order says nothing.
    fn set<T: PartialEq + Serialize>(&mut self, what: &str, expected: &[T], found: &[T]) {
        let is_in = |one: &[T], other: &[T]| one.iter().all(|item| other.contains(item));
        if !is_in(expected, found) || !is_in(found, expected) {
            self.add(what, json!(expected), json!(found));
        }
    }
}

/// A value of the test file: JSON in a string stands for what it is.
fn document(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        value => value.clone(),
    }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

/// Whether all of a value is in another: members of objects, elements of lists in their places, parts of texts.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        (Value::String(whole), Value::String(part)) => whole.contains(part.as_str()),
        (whole, part) => whole == part,
    }
}
