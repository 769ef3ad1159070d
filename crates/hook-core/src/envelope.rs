//! The envelope around an event: what rests in the log and what destinations are given.
//!
//! A record keeps the body's bytes as received beside a small JSON header of ours; the envelope is rendered from the
//! two, the payload verbatim.

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;
use uuid::Uuid;

use crate::{
    event::{EventId, TraceId},
    job::DeadLetterClass,
    names::{AdapterId, EventType, SourceName, TopicName},
    outcome::FailureClass,
    payload::{Payload, PayloadError},
    ports::log::{NewRecord, Record},
};

/// Everything of an event but its payload. Serialised as the header of its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventHeader {
    /// The event's id, kept through relay and replay.
    pub id: EventId,
    /// Where it came from.
    pub source: SourceName,
    /// What happened there.
    pub event_type: EventType,
    /// When it was received (RFC 3339, UTC).
    #[schemars(with = "String")]
    pub received_at: Timestamp,
    /// What we know beside.
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    pub meta: Meta,
}

/// Optional knowledge about an event. New fields may come; readers ignore what they do not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// The trace id of the sender's `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// The adapter that received the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_adapter: Option<AdapterId>,
    /// Source, `:`, ordering key. Events of one route key are delivered in order; without one no order is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_key: Option<String>,
    /// Marks of plugins and the sanitizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// How far the event is to be trusted; absent on events from before there was such a thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// What the sender calls this delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// SHA-256 of the body as received, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_sha256: Option<String>,
    /// When the sender sent it, where its signature covers that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sent_at: Option<Timestamp>,
    /// The body as received, where the payload was made from something else: from a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_body: Option<String>,
    /// Present on an event that an operator sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

impl Meta {
    /// Whether nothing is known; an empty `meta` is left out.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who vouches for an event, and for what of it nobody does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trust {
    /// The rule by which the sender proved itself: the name of the source's verifier, or `adapter` where the adapter knows who
    /// sent it. Absent where nothing proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_by: Option<String>,
    /// Which of the source's secrets matched, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_slot: Option<usize>,
    /// Where users' own text stands in the payload, as RFC 6901 pointers; the empty pointer is all of it. The sender vouches for
    /// having passed it on, and nobody for what it says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_text: Vec<String>,
}

/// Marks an event that was taken from the log and sent again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// Names the replay: the job that sends it.
    #[schemars(with = "String")]
    pub id: Uuid,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The destinations (`route/adapter`) that it is for; left out where it is for all that take it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
}

impl EventHeader {
    /// The destinations that it is for alone, whatever their routes take; `None` where the routes decide.
    pub fn addressees(&self) -> Option<&[String]> {
        self.meta.replay.as_ref().map(|replay| replay.to.as_slice()).filter(|to| !to.is_empty())
    }

    /// The names by which a table of this event's fields may be known: the rule that its sender has passed, and its source. None
    /// where all of the payload counts as written by users: there was no table, or a plugin has made another payload.
    pub fn providers(&self) -> Vec<&str> {
        let trust = self.meta.trust.as_ref();
        if trust.is_some_and(|trust| trust.user_text.iter().any(String::is_empty)) {
            return Vec::new();
        }
        let rule = trust.and_then(|trust| trust.authenticated_by.as_deref());
        rule.into_iter().chain([self.source.as_str()]).collect()
    }
}

/// An event with its payload.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Who, what, when.
    pub header: EventHeader,
    /// The body as received.
    pub payload: Payload,
}

/// A record that is not an event of ours.
#[derive(Debug, Error)]
#[error("the record's header is not one of ours")]
pub struct DecodeError(#[from] serde_json::Error);

/// How an envelope is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The payload verbatim, whitespace included.
    Verbatim,
    /// On one line: the payload without the whitespace outside its strings.
    OneLine,
}

impl Envelope {
    /// Reads an event back from its record.
    pub fn from_record(record: &Record) -> Result<Self, DecodeError> {
        Ok(Self {
            header: serde_json::from_slice(&record.header)?,
            payload: Payload::from_checked(record.body.clone()),
        })
    }

    /// The record of this event in a topic.
    pub fn to_record(&self, topic: TopicName) -> NewRecord {
        NewRecord {
            topic,
            key: self.header.meta.route_key.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes())),
            time: self.header.received_at,
            header: to_json(&self.header).into(),
            body: self.payload.bytes().clone(),
        }
    }

    /// The envelope as JSON: `id`, `source`, `event_type`, `received_at`, `payload`, `meta`.
    pub fn to_json(&self, layout: Layout) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.bytes().len() + 512);
        out.push(b'{');
        self.write_fields(layout, &mut out);
        out.push(b'}');
        out
    }

    /// The fields of [`Envelope::to_json`] without the braces, for a writer that adds fields of its own.
    pub fn write_fields(&self, layout: Layout, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Head<'a> {
            id: EventId,
            source: &'a SourceName,
            event_type: &'a EventType,
            received_at: Timestamp,
        }
        let EventHeader { id, source, event_type, received_at, meta } = &self.header;
        let head = to_json(&Head { id: *id, source, event_type, received_at: *received_at });
        out.extend_from_slice(&head[1..head.len() - 1]);
        out.extend_from_slice(b",\"payload\":");
        match layout {
            Layout::Verbatim => out.extend_from_slice(self.payload.bytes().trim_ascii()),
            Layout::OneLine => self.payload.write_compact(out),
        }
        if !meta.is_empty() {
            out.extend_from_slice(b",\"meta\":");
            out.extend_from_slice(&to_json(meta));
        }
    }

    /// The id that receivers deduplicate by: the event's, and on a replay followed by `_` and the replay's.
    pub fn webhook_id(&self) -> String {
        match &self.header.meta.replay {
            Some(replay) => format!("{}_{}", self.header.id, replay.id),
            None => self.header.id.to_string(),
        }
    }
}

/// An envelope that somebody has written as [`Envelope::to_json`] does: nobody has looked at its payload yet.
#[derive(Debug, Clone)]
pub struct Written {
    /// Who, what, when.
    pub header: EventHeader,
    /// The payload as it stands in the text.
    pub payload: Bytes,
}

impl Written {
    /// Reads the one envelope of a text.
    pub fn read(text: &Bytes) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            id: EventId,
            source: SourceName,
            event_type: EventType,
            received_at: Timestamp,
            #[serde(borrow)]
            payload: &'a RawValue,
            #[serde(default)]
            meta: Option<Meta>,
        }
        // What reads structs takes an array of their fields as well.
        if text.trim_ascii_start().starts_with(b"[") {
            return Err(serde::de::Error::custom("a list is no envelope"));
        }
        let Fields { id, source, event_type, received_at, payload, meta } = serde_json::from_slice(text)?;
        Ok(Self {
            header: EventHeader { id, source, event_type, received_at, meta: meta.unwrap_or_default() },
            payload: text.slice_ref(payload.get().as_bytes()),
        })
    }

    /// Reads the envelopes of a text, one after the other. The first that is none is the last.
    pub fn read_all(text: &Bytes) -> impl Iterator<Item = Result<Self, serde_json::Error>> {
        let values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
        values.map(|value| Self::read(&text.slice_ref(value?.get().as_bytes())))
    }

    /// The event, where its payload is one.
    pub fn check(self) -> Result<Envelope, PayloadError> {
        Ok(Envelope { header: self.header, payload: Payload::parse(self.payload)? })
    }
}

/// Everything of a dead letter but the payload. Serialised as the header of its record, whose body is the event's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterHeader {
    /// When the destination was given up.
    #[schemars(with = "String")]
    pub failed_at: Timestamp,
    /// The last error.
    pub error: String,
    /// The destination that did not take it: `route/adapter`, or the cursor that has no destination.
    pub destination: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// When the first attempt began; `None` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub first_attempt_at: Option<Timestamp>,
    /// What the last failure meant; `None` where there was no attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// The event, unchanged.
    pub event: EventHeader,
}

/// What dead letters name as their destination that no route took.
pub const UNROUTED: &str = "unrouted";

impl DeadLetterHeader {
    /// Why the event is here.
    pub fn class(&self) -> DeadLetterClass {
        match self.class {
            Some(class) => DeadLetterClass::Failed(class),
            None if self.destination == UNROUTED => DeadLetterClass::Unrouted,
            None if self.destination.starts_with("serve/") => DeadLetterClass::Unreadable,
            None if self.error.starts_with(REFUSED_BY_PLUGIN) => DeadLetterClass::Plugin,
            None => DeadLetterClass::Unknown,
        }
    }
}

/// What the error of a dead letter begins with that a plugin has refused.
pub const REFUSED_BY_PLUGIN: &str = "refused by a plugin: ";

/// An event that one destination did not take.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Why and when.
    pub header: DeadLetterHeader,
    /// The event's payload.
    pub payload: Payload,
}

impl DeadLetter {
    /// Reads a dead letter back from its record.
    pub fn from_record(record: &Record) -> Result<Self, DecodeError> {
        Ok(Self {
            header: serde_json::from_slice(&record.header)?,
            payload: Payload::from_checked(record.body.clone()),
        })
    }

    /// The record of this dead letter.
    pub fn to_record(&self, topic: TopicName) -> NewRecord {
        NewRecord {
            topic,
            key: Some(Bytes::copy_from_slice(&self.header.event.id.to_bytes())),
            time: self.header.failed_at,
            header: to_json(&self.header).into(),
            body: self.payload.bytes().clone(),
        }
    }

    /// The `DlqEnvelope` as JSON: `failed_at`, `error`, `destination`, `attempts`, `first_attempt_at`, `class`, `envelope`.
    pub fn to_json(&self, layout: Layout) -> Vec<u8> {
        #[derive(Serialize)]
        struct Rendered<'a> {
            failed_at: Timestamp,
            error: &'a str,
            destination: &'a str,
            attempts: u32,
            first_attempt_at: Option<Timestamp>,
            #[serde(skip_serializing_if = "Option::is_none")]
            class: Option<FailureClass>,
            envelope: Box<RawValue>,
        }
        let event = Envelope { header: self.header.event.clone(), payload: self.payload.clone() };
        let text = String::from_utf8(event.to_json(layout)).unwrap_or_default();
        let DeadLetterHeader { failed_at, error, destination, attempts, first_attempt_at, class, .. } = &self.header;
        to_json(&Rendered {
            failed_at: *failed_at,
            error,
            destination,
            attempts: *attempts,
            first_attempt_at: *first_attempt_at,
            class: *class,
            envelope: RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        })
    }
}

/// Our own types have string keys and no failing serialisers, so that this cannot fail.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data serialises")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(body: &'static str) -> Envelope {
        Envelope {
            header: EventHeader {
                id: EventId::from_bytes([7; 16]),
                source: SourceName::new("github").unwrap(),
                event_type: EventType::new("issues.opened").unwrap(),
                received_at: Timestamp::UNIX_EPOCH,
                meta: Meta::default(),
            },
            payload: Payload::parse(Bytes::from_static(body.as_bytes())).unwrap(),
        }
    }

    #[test]
    fn an_envelope_keeps_the_payload_verbatim_and_leaves_an_empty_meta_out() {
        let text = String::from_utf8(envelope("{ \"n\": 1.0 }").to_json(Layout::Verbatim)).unwrap();
        assert_eq!(
            text,
            r#"{"id":"07070707-0707-0707-0707-070707070707","source":"github","event_type":"issues.opened","received_at":"1970-01-01T00:00:00Z","payload":{ "n": 1.0 }}"#
        );
    }

    #[test]
    fn a_record_gives_back_the_same_envelope() {
        let mut before = envelope("{\"a\":1}");
        before.header.meta.route_key = Some("github:a/b#1".into());
        before.header.meta.trust = Some(Trust {
            authenticated_by: Some("github".into()),
            secret_slot: Some(0),
            user_text: vec!["/issue/title".into()],
        });
        let new = before.to_record(TopicName::new("webhooks.core").unwrap());
        assert_eq!(new.key.as_deref(), Some(b"github:a/b#1".as_slice()));
        let after = Envelope::from_record(&Record::of(new, 0, 3)).unwrap();
        assert_eq!(after.header, before.header);
        assert_eq!(after.payload.bytes(), before.payload.bytes());
    }

    #[test]
    fn an_envelope_that_was_written_is_read() {
        let mut before = envelope("{ \"n\": 1.0 }");
        before.header.meta.flags.push("seen".into());
        let text = Bytes::from(before.to_json(Layout::Verbatim));
        let after = Written::read(&text).unwrap().check().unwrap();
        assert_eq!((after.header, after.payload.bytes()), (before.header, before.payload.bytes()));
        let both = Bytes::from([&text[..], b"\n", &text[..]].concat());
        assert_eq!(Written::read_all(&both).filter(|written| written.is_ok()).count(), 2);
        assert!(Written::read(&both).is_err());
    }

    #[test]
    fn what_is_no_envelope_is_not_read() {
        let list = r#"["07070707-0707-0707-0707-070707070707","github","ping","1970-01-01T00:00:00Z",{},{}]"#;
        for text in ["", "{}", "[]", "text", "{\"id\":7}", list] {
            assert!(Written::read(&Bytes::from_static(text.as_bytes())).is_err(), "{text}");
        }
        let twice = Bytes::from(envelope(r#"{"a":1}"#).to_json(Layout::Verbatim));
        let twice = Bytes::from(String::from_utf8(twice.to_vec()).unwrap().replace(r#"{"a":1}"#, r#"{"a":1,"a":2}"#));
        assert!(Written::read(&twice).unwrap().check().is_err(), "two equal keys could be read as two events");
    }

    #[test]
    fn a_dead_letter_holds_the_envelope_unchanged() {
        let event = envelope("{\"a\": 1}");
        let letter = DeadLetter {
            header: DeadLetterHeader {
                failed_at: Timestamp::UNIX_EPOCH,
                error: "500 Internal Server Error".into(),
                destination: "route/out".into(),
                attempts: 6,
                first_attempt_at: None,
                class: Some(FailureClass::Transient),
                event: event.header.clone(),
            },
            payload: event.payload.clone(),
        };
        let json: serde_json::Value = serde_json::from_slice(&letter.to_json(Layout::OneLine)).unwrap();
        let inner: serde_json::Value = serde_json::from_slice(&event.to_json(Layout::Verbatim)).unwrap();
        assert_eq!(json["envelope"], inner);
        assert_eq!(json["attempts"], 6);
    }
}
