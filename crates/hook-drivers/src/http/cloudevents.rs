//! An event as a CloudEvent in structured mode (CloudEvents 1.0.2, JSON format).

use hook_core::{Timestamp, envelope::Envelope};
use serde::Serialize;
use serde_json::value::RawValue;

/// The content type of structured mode.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json";

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitionkey: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: &'a RawValue,
}

/// Renders the event. Its `id` is new on a replay, because receivers take equal ids of one source for copies.
pub(super) fn render(envelope: &Envelope, traceparent: Option<&str>) -> Result<Vec<u8>, serde_json::Error> {
    let header = &envelope.header;
    serde_json::to_vec(&CloudEvent {
        specversion: "1.0",
        id: envelope.webhook_id(),
        source: format!("/sources/{}", header.source),
        event_type: header.event_type.as_str(),
        time: header.received_at,
        datacontenttype: "application/json",
        partitionkey: header.meta.route_key.as_deref(),
        traceparent,
        data: serde_json::from_slice(envelope.payload.bytes())?,
    })
}
