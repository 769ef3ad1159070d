//! An event as a record of somebody else's topic: its key, its headers, its value.

use hook_core::envelope::{Envelope, Layout};
use rdkafka::message::{Header, OwnedHeaders};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the key of a record is. Records of one key share a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyMode {
    /// The event's id: events are spread evenly, in no order.
    EventId,
    /// Source, `:`, ordering key: events of one key stay in order. An event without an ordering key has no key.
    OrderingKey,
    /// The source: its events stay in order, in one partition.
    Source,
    /// No key.
    None,
}

/// What the value of a record is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValueFormat {
    /// The event's envelope.
    #[default]
    Envelope,
    /// The payload alone, byte for byte as it was received.
    Payload,
    /// A CloudEvent in binary mode: the payload, and its attributes as `ce_` headers.
    CloudEvents,
}

/// A record that is ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) key: Option<String>,
    /// By name, in the order in which they are written.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) value: Vec<u8>,
}

impl Outgoing {
    /// Lays an event out. The id of a CloudEvent is new on a replay, because receivers take equal ids of one source for
    /// copies; `event_id` stays, and `replay_id` says that it is one.
    pub(super) fn of(envelope: &Envelope, key_mode: KeyMode, format: ValueFormat) -> Self {
        let header = &envelope.header;
        let key = match key_mode {
            KeyMode::EventId => Some(header.id.to_string()),
            KeyMode::OrderingKey => header.meta.route_key.clone(),
            KeyMode::Source => Some(header.source.to_string()),
            KeyMode::None => None,
        };
        let traceparent = header.meta.trace_id.as_ref().map(|trace| trace.to_traceparent(rand_parent()));
        let mut headers = vec![
            ("event_id", header.id.to_string()),
            ("event_type", header.event_type.to_string()),
            ("source", header.source.to_string()),
        ];
        headers.extend(header.meta.replay.as_ref().map(|replay| ("replay_id", replay.id.to_string())));
        headers.extend(traceparent.clone().map(|traceparent| ("traceparent", traceparent)));
        let value = match format {
            ValueFormat::Envelope => envelope.to_json(Layout::Verbatim),
            ValueFormat::Payload | ValueFormat::CloudEvents => envelope.payload.bytes().to_vec(),
        };
        if format == ValueFormat::CloudEvents {
            headers.extend([
                ("ce_specversion", "1.0".to_owned()),
                ("ce_id", envelope.webhook_id()),
                ("ce_source", format!("/sources/{}", header.source)),
                ("ce_type", header.event_type.to_string()),
                ("ce_time", header.received_at.to_string()),
            ]);
            headers.extend(header.meta.route_key.clone().map(|key| ("ce_partitionkey", key)));
            headers.extend(traceparent.map(|traceparent| ("ce_traceparent", traceparent)));
        }
        headers.push(("content-type", "application/json".to_owned()));
        Self { key, headers, value }
    }

    /// The headers as librdkafka takes them.
    pub(super) fn native_headers(&self) -> OwnedHeaders {
        let headers = OwnedHeaders::new_with_capacity(self.headers.len());
        self.headers
            .iter()
            .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value.as_bytes()) }))
    }
}

/// A parent of our own.
fn rand_parent() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hook_core::{
        Timestamp,
        envelope::{EventHeader, Meta, Replay},
        event::{EventId, TraceId},
        names::{EventType, SourceName},
        payload::Payload,
    };

    use super::*;

    const ID: &str = "07070707-0707-0707-0707-070707070707";
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn event() -> Envelope {
        Envelope {
            header: EventHeader {
                id: EventId::from_bytes([7; 16]),
                source: SourceName::new("github").unwrap(),
                event_type: EventType::new("issues.opened").unwrap(),
                received_at: Timestamp::UNIX_EPOCH,
                meta: Meta { route_key: Some("github:a/b#1".into()), ..Meta::default() },
            },
            payload: Payload::parse(Bytes::from_static(b"{ \"n\": 1.0 }")).unwrap(),
        }
    }

    fn value(record: &Outgoing, name: &str) -> Option<String> {
        record.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_key_is_what_the_mode_says() {
        let key = |event: &Envelope, mode| Outgoing::of(event, mode, ValueFormat::Envelope).key;
        assert_eq!(key(&event(), KeyMode::EventId).as_deref(), Some(ID));
        assert_eq!(key(&event(), KeyMode::OrderingKey).as_deref(), Some("github:a/b#1"));
        assert_eq!(key(&event(), KeyMode::Source).as_deref(), Some("github"));
        assert_eq!(key(&event(), KeyMode::None), None);
        let mut unordered = event();
        unordered.header.meta.route_key = None;
        assert_eq!(key(&unordered, KeyMode::OrderingKey), None);
    }

    #[test]
    fn the_value_is_the_envelope_or_the_bytes_that_came() {
        let value = |format| Outgoing::of(&event(), KeyMode::None, format).value;
        assert_eq!(value(ValueFormat::Envelope), event().to_json(Layout::Verbatim));
        assert_eq!(value(ValueFormat::Payload), b"{ \"n\": 1.0 }");
        assert_eq!(value(ValueFormat::CloudEvents), b"{ \"n\": 1.0 }");
    }

    #[test]
    fn headers_tell_of_the_event_and_of_its_trace_where_it_has_one() {
        let plain = Outgoing::of(&event(), KeyMode::None, ValueFormat::Payload);
        let names: Vec<_> = plain.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["event_id", "event_type", "source", "content-type"]);
        assert_eq!(value(&plain, "event_id").as_deref(), Some(ID));
        assert_eq!(value(&plain, "event_type").as_deref(), Some("issues.opened"));
        let mut traced = event();
        traced.header.meta.trace_id = TraceId::from_traceparent(&format!("00-{TRACE}-b7ad6b7169203331-01"));
        let traced = Outgoing::of(&traced, KeyMode::None, ValueFormat::Envelope);
        let trace = TraceId::from_traceparent(&value(&traced, "traceparent").unwrap());
        assert_eq!(trace.unwrap().as_str(), TRACE);
    }

    #[test]
    fn a_cloudevent_has_its_attributes_as_headers_and_a_new_id_on_a_replay() {
        let record = Outgoing::of(&event(), KeyMode::None, ValueFormat::CloudEvents);
        let expected = [
            ("ce_specversion", "1.0"),
            ("ce_id", ID),
            ("ce_source", "/sources/github"),
            ("ce_type", "issues.opened"),
            ("ce_time", "1970-01-01T00:00:00Z"),
            ("ce_partitionkey", "github:a/b#1"),
            ("content-type", "application/json"),
        ];
        for (name, said) in expected {
            assert_eq!(value(&record, name).as_deref(), Some(said), "{name}");
        }
        let mut again = event();
        again.header.meta.replay = Some(Replay { id: uuid::Uuid::nil(), at: Timestamp::UNIX_EPOCH, to: Vec::new() });
        let again = Outgoing::of(&again, KeyMode::None, ValueFormat::CloudEvents);
        assert_eq!(value(&again, "event_id").as_deref(), Some(ID));
        assert_eq!(value(&again, "ce_id"), Some(format!("{ID}_{}", uuid::Uuid::nil())));
        assert_eq!(value(&again, "replay_id"), Some(uuid::Uuid::nil().to_string()));
    }
}
