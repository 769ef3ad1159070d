//! Small events in the shape of the built-in sources, for trying things out.

use hook_core::{
    Timestamp,
    ports::verifier::{SampleRequest, SourceVerifier},
};
use serde_json::{Value, json};

/// The event's name as the provider sends it beside the body, and the body.
pub struct Sample {
    /// What goes into the provider's event header, such as `pull_request`.
    pub event_name: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A sample in the shape of whoever the verifier verifies.
pub fn for_verifier(verifier: (&str, &dyn SourceVerifier), event_type: &str, id: &str, now: Timestamp) -> Sample {
    let (name, verifier) = verifier;
    match verifier.sample(&SampleRequest { event_type, id, now }) {
        Some(sample) => Sample { event_name: sample.event_name, body: sample.body },
        None => of(name, event_type, id, now.as_millisecond()),
    }
}

/// A sample of an event type as `hook` names it, such as `pull_request.opened`. `time_ms` is the time that the body
/// claims, in Unix milliseconds; `id` makes one body differ from the next.
pub fn of(source: &str, event_type: &str, id: &str, time_ms: i64) -> Sample {
    let (object, action) = event_type.split_once('.').unwrap_or((event_type, ""));
    let body = match source {
        "github" => github(object, action, id),
        "linear" => linear(object, action, id, time_ms),
        "stripe" => stripe(event_type, id, time_ms),
        _ => json!({ "type": event_type, "id": id }),
    };
    let event_name = if source == "stripe" || action.is_empty() { event_type } else { object };
    Sample { event_name: event_name.to_owned(), body: body.to_string().into_bytes() }
}

fn github(object: &str, action: &str, id: &str) -> Value {
    let mut body = json!({
        "repository": { "full_name": "octo-org/hello-world" },
        "sender": { "login": "octocat" },
        "sample": id,
    });
    if !action.is_empty() {
        body["action"] = action.into();
    }
    match object {
        "pull_request" => body[object] = json!({ "number": 7, "title": "Add a greeting" }),
        "issues" | "issue_comment" => body["issue"] = json!({ "number": 12, "title": "The greeting is missing" }),
        "ping" => body["zen"] = "Keep it logically awesome.".into(),
        _ => {}
    }
    body
}

fn linear(object: &str, action: &str, id: &str, time_ms: i64) -> Value {
    json!({
        "action": action,
        "type": object,
        "data": { "id": id, "title": "Write the release notes", "team": { "key": "ENG" } },
        "webhookTimestamp": time_ms,
    })
}

fn stripe(event_type: &str, id: &str, time_ms: i64) -> Value {
    json!({
        "id": format!("evt_{id}"),
        "object": "event",
        "type": event_type,
        "created": time_ms / 1000,
        "data": { "object": { "id": "in_sample", "amount_paid": 4200, "currency": "eur" } },
    })
}
