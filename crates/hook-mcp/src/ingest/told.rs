//! What a call is answered: structured, and the same as text for clients that know no structure.

use hook_core::{
    Timestamp,
    ports::ingress::{Accepted, Rejection},
};
use rmcp::model::CallToolResult;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

/// What became of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It is durable, and will be delivered.
    Queued,
    /// It is a copy of an event that is durable.
    Duplicate,
    /// It was taken, and no route of the contract wants it.
    NotRouted,
    /// It was not taken: `code` and `message` say why.
    Refused,
}

/// What a call is answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Told<'a> {
    /// What became of the event.
    status: Status,
    /// The id of the event, where there is one. `hook explain EVENT_ID` tells its story.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// The source of the event, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    /// The type of the event, as it was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    /// The topic of the log that it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka_topic: Option<&'a str>,
    /// When it was durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    queued_at: Option<Timestamp>,
    /// The class of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    /// The reason of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// Names a call that made no event. `hook explain REQUEST_ID` tells its story.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// When to call again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = without_format)]
    retry_after_ms: Option<u64>,
}

/// `uint64` is a format of OpenAPI, and clients that know it not complain of it to whoever runs them.
fn without_format(schema: &mut Schema) {
    schema.remove("format");
}

impl<'a> Told<'a> {
    fn new(status: Status, source: Option<&'a str>) -> Self {
        Self {
            status,
            event_id: None,
            source,
            event_type: None,
            kafka_topic: None,
            queued_at: None,
            code: None,
            message: None,
            request_id: None,
            retry_after_ms: None,
        }
    }
}

/// The answer to a call that was taken.
pub(super) fn taken(source: &str, accepted: &Accepted, now: Timestamp) -> CallToolResult {
    let told = |status| Told::new(status, Some(source));
    result(&match accepted {
        Accepted::Stored(event) => Told {
            event_id: Some(event.id.to_string()),
            event_type: Some(event.event_type.as_str()),
            kafka_topic: event.topics.first().map(|topic| topic.as_str()),
            queued_at: Some(now),
            ..told(Status::Queued)
        },
        Accepted::Duplicate(first) => Told { event_id: Some(first.to_string()), ..told(Status::Duplicate) },
        Accepted::NotRouted(request) => Told { request_id: Some(request.to_string()), ..told(Status::NotRouted) },
        // Nothing was published, as where no route takes it; who calls a tool asks for no proof of an address.
        Accepted::Challenged(_) => told(Status::NotRouted),
    })
}

/// The answer to a call that was refused: an error of the tool, which an agent gets to see and can mend.
pub(super) fn refused(source: Option<&str>, rejection: &Rejection) -> CallToolResult {
    let wait = rejection.refused.retry_after;
    result(&Told {
        code: Some(rejection.refused.code),
        message: Some(&rejection.refused.message),
        request_id: Some(rejection.request_id.to_string()),
        retry_after_ms: wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        ..Told::new(Status::Refused, source)
    })
}

fn result(told: &Told<'_>) -> CallToolResult {
    let value = serde_json::to_value(told).expect("strings and numbers serialise");
    match told.status {
        Status::Refused => CallToolResult::structured_error(value),
        Status::Queued | Status::Duplicate | Status::NotRouted => CallToolResult::structured(value),
    }
}
