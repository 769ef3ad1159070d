//! A record as Kafka has it.
//!
//! The value of an event is its `EventEnvelope` as JSON, that of a dead letter its `DlqEnvelope`, each around the bytes of
//! the body as they came, so that any consumer reads them. Our header stands in a Kafka header of the record, and where
//! the body stands within the value in another:
//!
//! | Kafka header | holds |
//! |---|---|
//! | `hook.header` | the record's header, byte for byte |
//! | `hook.body` | `START+LENGTH` of the body within the value, in decimal; absent where the value is the body |
//! | `hook.origin` | on a record that was carried over from another log: `LOG/TOPIC/PARTITION/OFFSET`, where it stood there |
//! | `hook.dedup` | by which copies of the event are told: 24 bytes for each key, 16 of it and 8 until when, in milliseconds |
//!
//! A record without `hook.header` is somebody else's. Where its value is an `EventEnvelope`, it is read as one; otherwise its
//! header is empty and its body is the value, which no role takes for an event.

use std::ops::Range;

use bytes::Bytes;
use hook_core::{
    Timestamp,
    envelope::{Envelope, Written},
    names::TopicName,
    ports::log::{DedupKey, NewRecord, Position, Record},
};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use serde::Deserialize;
use serde_json::value::RawValue;

const HEADER: &str = "hook.header";
const BODY: &str = "hook.body";
const DEDUP: &str = "hook.dedup";
const ORIGIN: &str = "hook.origin";
const DEDUP_KEY: usize = 24;
/// What a record needs beside its key, value and header.
const FRAME: usize = 128;

/// A value, and the Kafka headers beside it.
pub(crate) struct Encoded {
    pub(crate) value: Bytes,
    /// Until librdkafka has taken them.
    pub(crate) headers: Option<OwnedHeaders>,
    pub(crate) timestamp_ms: i64,
    /// Where it goes; `None` where the key decides.
    pub(crate) partition: Option<i32>,
    /// About how many bytes the whole record takes.
    pub(crate) size: usize,
}

/// Lays a record out, with the keys by which copies of it are told.
pub(crate) fn encode(record: &NewRecord, dedup: &[DedupKey]) -> Encoded {
    let (value, body) = match enveloped(&record.header, &record.body) {
        Some((value, body)) => (Bytes::from(value), Some(body)),
        None => (record.body.clone(), None),
    };
    let mut headers =
        OwnedHeaders::new_with_capacity(3).insert(Header { key: HEADER, value: Some(&record.header[..]) });
    if let Some(body) = body {
        let place = format!("{}+{}", body.start, body.len());
        headers = headers.insert(Header { key: BODY, value: Some(&place) });
    }
    if !dedup.is_empty() {
        headers = headers.insert(Header { key: DEDUP, value: Some(&dedup_text(dedup)) });
    }
    let key = record.key.as_ref().map_or(0, Bytes::len);
    let size = value.len() + record.header.len() + key + FRAME;
    // librdkafka takes 0 for the time at which it sends.
    Encoded { value, headers: Some(headers), timestamp_ms: record.time.as_millisecond().max(1), partition: None, size }
}

/// The fields of an event's header, as they stand in it. `EventEnvelope` has the same, and the payload before `meta`.
#[derive(Deserialize)]
struct EventFields<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    source: &'a RawValue,
    #[serde(borrow)]
    event_type: &'a RawValue,
    #[serde(borrow)]
    received_at: &'a RawValue,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
}

/// The fields of a dead letter's header. `DlqEnvelope` has the same, with the event's envelope in the place of the event.
#[derive(Deserialize)]
struct DeadLetterFields<'a> {
    #[serde(borrow)]
    failed_at: &'a RawValue,
    #[serde(borrow)]
    error: &'a RawValue,
    #[serde(borrow)]
    destination: &'a RawValue,
    #[serde(borrow)]
    attempts: &'a RawValue,
    #[serde(borrow, default)]
    first_attempt_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    class: Option<&'a RawValue>,
    #[serde(borrow)]
    event: EventFields<'a>,
}

/// The value around a body, and where the body stands in it; `None` where the header is neither an event's nor a dead
/// letter's.
fn enveloped(header: &[u8], body: &[u8]) -> Option<(Vec<u8>, Range<usize>)> {
    if body.first().is_none_or(|first| *first != b'{' && !first.is_ascii_whitespace()) {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() + header.len() + 64);
    if let Some(gap) = gap(header) {
        out.extend_from_slice(&header[..gap]);
        let body = write_payload(body, &mut out);
        out.extend_from_slice(&header[gap..]);
        return Some((out, body));
    }
    if let Ok(event) = serde_json::from_slice::<EventFields<'_>>(header) {
        let body = event.write(body, &mut out);
        return Some((out, body));
    }
    let letter: DeadLetterFields<'_> = serde_json::from_slice(header).ok()?;
    let none = RawValue::NULL;
    let fields = [
        ("{\"failed_at\":", letter.failed_at),
        (",\"error\":", letter.error),
        (",\"destination\":", letter.destination),
        (",\"attempts\":", letter.attempts),
        (",\"first_attempt_at\":", letter.first_attempt_at.unwrap_or(none)),
    ];
    write(&fields, &mut out);
    if let Some(class) = letter.class {
        write(&[(",\"class\":", class)], &mut out);
    }
    out.extend_from_slice(b",\"envelope\":");
    let body = letter.event.write(body, &mut out);
    out.push(b'}');
    Some((out, body))
}

/// Where the payload goes in an event's header as we write it: before `meta`, or before the end. `None` where the header looks
/// otherwise; then it is parsed. Every event passes here, and what is made of it is the same.
fn gap(header: &[u8]) -> Option<usize> {
    const FIELDS: [&[u8]; 4] = [b"{\"id\":\"", b",\"source\":\"", b",\"event_type\":\"", b",\"received_at\":\""];
    let mut at = 0;
    for field in FIELDS {
        let value = header.get(at..)?.strip_prefix(field)?;
        let end = value.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if value[end] == b'\\' {
            return None;
        }
        at += field.len() + end + 1;
    }
    let rest = &header[at..];
    (rest == b"}" || (rest.starts_with(b",\"meta\":{") && rest.ends_with(b"}}"))).then_some(at)
}

fn write_payload(body: &[u8], out: &mut Vec<u8>) -> Range<usize> {
    out.extend_from_slice(b",\"payload\":");
    let start = out.len();
    out.extend_from_slice(body);
    start..out.len()
}

impl EventFields<'_> {
    fn write(&self, body: &[u8], out: &mut Vec<u8>) -> Range<usize> {
        let fields = [
            ("{\"id\":", self.id),
            (",\"source\":", self.source),
            (",\"event_type\":", self.event_type),
            (",\"received_at\":", self.received_at),
        ];
        write(&fields, out);
        let body = write_payload(body, out);
        if let Some(meta) = self.meta {
            write(&[(",\"meta\":", meta)], out);
        }
        out.push(b'}');
        body
    }
}

fn write(fields: &[(&str, &RawValue)], out: &mut Vec<u8>) {
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value.get().as_bytes());
    }
}

/// The record that a message holds.
pub(crate) fn decode(topic: TopicName, message: &BorrowedMessage<'_>) -> Record {
    let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let headers = message.headers();
    let (header, body) = match headers.and_then(|headers| find(headers, HEADER)) {
        Some(header) => {
            let place = headers.and_then(|headers| find(headers, BODY));
            (Bytes::copy_from_slice(header), ours(&value, place))
        }
        None => somebody_elses(&value).unwrap_or((Bytes::new(), value)),
    };
    let time_ms = message.timestamp().to_millis().unwrap_or_default();
    let position =
        Position { topic, partition: message.partition().unsigned_abs(), offset: message.offset().unsigned_abs() };
    Record {
        position,
        key: message.key().map(Bytes::copy_from_slice),
        time: Timestamp::from_millisecond(time_ms).unwrap_or(Timestamp::UNIX_EPOCH),
        header,
        body,
    }
}

/// The keys by which copies of a message are told.
pub(crate) fn dedup(message: &BorrowedMessage<'_>) -> Vec<DedupKey> {
    message.headers().and_then(|headers| find(headers, DEDUP)).map_or_else(Vec::new, dedup_keys)
}

/// Where a record stood in the log that it was carried over from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The id of that log.
    pub log: String,
    /// The place there.
    pub position: Position,
}

/// Lays a record out that comes from another log.
pub(crate) fn encode_carried(record: &NewRecord, log: &str, position: &Position) -> Encoded {
    let mut encoded = encode(record, &[]);
    let Position { topic, partition, offset } = position;
    let text = format!("{log}/{topic}/{partition}/{offset}");
    let origin = Header { key: ORIGIN, value: Some(&text) };
    encoded.headers = encoded.headers.map(|headers| headers.insert(origin));
    encoded.size += text.len();
    encoded
}

/// Where a message was carried over from.
pub(crate) fn origin(message: &BorrowedMessage<'_>) -> Option<Origin> {
    origin_of(message.headers().and_then(|headers| find(headers, ORIGIN))?)
}

fn origin_of(text: &[u8]) -> Option<Origin> {
    let mut parts = std::str::from_utf8(text).ok()?.rsplitn(4, '/');
    let (offset, partition) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let topic = TopicName::new(parts.next()?).ok()?;
    Some(Origin { log: parts.next()?.to_owned(), position: Position { topic, partition, offset } })
}

fn dedup_text(keys: &[DedupKey]) -> Vec<u8> {
    let mut text = Vec::with_capacity(keys.len() * DEDUP_KEY);
    for key in keys {
        text.extend_from_slice(&key.digest);
        text.extend_from_slice(&key.expires_at.as_millisecond().to_be_bytes());
    }
    text
}

fn dedup_keys(text: &[u8]) -> Vec<DedupKey> {
    let each = |text: &[u8]| {
        let (digest, expires_ms) = text.split_at_checked(DEDUP_KEY - 8)?;
        let expires_ms = i64::from_be_bytes(expires_ms.try_into().ok()?);
        let expires_at = Timestamp::from_millisecond(expires_ms).ok()?;
        Some(DedupKey { digest: digest.try_into().ok()?, expires_at })
    };
    text.chunks_exact(DEDUP_KEY).filter_map(each).collect()
}

fn find<'a>(headers: &'a BorrowedHeaders, name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.key == name).map(|header| header.value.unwrap_or_default())
}

/// The body within a value of ours. A place that somebody has bent is not followed.
fn ours(value: &Bytes, place: Option<&[u8]>) -> Bytes {
    let range = place.and_then(|place| {
        let (start, length) = std::str::from_utf8(place).ok()?.split_once('+')?;
        let start: usize = start.parse().ok()?;
        let end = start.checked_add(length.parse().ok()?)?;
        (end <= value.len()).then_some(start..end)
    });
    range.map_or_else(|| value.clone(), |range| value.slice(range))
}

/// An event that somebody else has written as an `EventEnvelope`: its header and its payload. Whoever reads a record of ours
/// relies on what ingress has checked.
fn somebody_elses(value: &Bytes) -> Option<(Bytes, Bytes)> {
    let Envelope { header, payload } = Written::read(value).ok()?.check().ok()?;
    Some((serde_json::to_vec(&header).ok()?.into(), payload.bytes().clone()))
}

#[cfg(test)]
mod tests {
    use hook_core::{
        envelope::{DeadLetter, DeadLetterHeader, EventHeader, Layout, Meta},
        event::EventId,
        names::{EventType, SourceName},
        payload::Payload,
    };

    use super::*;

    fn event(body: &'static str) -> Envelope {
        let mut meta = Meta { route_key: Some("github:a/b#1".into()), ..Meta::default() };
        meta.flags.push("seen".into());
        Envelope {
            header: EventHeader {
                id: EventId::from_bytes([7; 16]),
                source: SourceName::new("github").unwrap(),
                event_type: EventType::new("issues.opened").unwrap(),
                received_at: "2026-01-01T12:00:00Z".parse().unwrap(),
                meta,
            },
            payload: Payload::parse(Bytes::from_static(body.as_bytes())).unwrap(),
        }
    }

    fn topic() -> TopicName {
        TopicName::new("webhooks.core").unwrap()
    }

    fn letter(body: &'static str, first_attempt_at: Option<Timestamp>) -> DeadLetter {
        let event = event(body);
        DeadLetter {
            header: DeadLetterHeader {
                failed_at: Timestamp::UNIX_EPOCH,
                error: "500 \"no\"".into(),
                destination: "route/out".into(),
                attempts: 6,
                first_attempt_at,
                class: first_attempt_at.map(|_| hook_core::outcome::FailureClass::Transient),
                event: event.header,
            },
            payload: event.payload,
        }
    }

    #[test]
    fn the_value_of_an_event_is_its_envelope_and_the_body_stands_in_it_as_it_came() {
        let body = "{ \"n\": 1.0,\t\"s\": \"\\u00e9\" }";
        let event = event(body);
        let record = event.to_record(topic());
        let (value, place) = enveloped(&record.header, &record.body).unwrap();
        assert_eq!(value, event.to_json(Layout::Verbatim));
        assert_eq!(&value[place], body.as_bytes());
        let mut bare = event;
        bare.header.meta = Meta::default();
        let record = bare.to_record(topic());
        assert_eq!(enveloped(&record.header, &record.body).unwrap().0, bare.to_json(Layout::Verbatim));
    }

    #[test]
    fn a_header_that_looks_otherwise_makes_the_same_value() {
        let event = event("{\"n\":1}");
        let (header, body) = (event.to_record(topic()).header, Bytes::from_static(b"{\"n\":1}"));
        assert!(gap(&header).is_some());
        let text = String::from_utf8(header.to_vec()).unwrap();
        let others =
            [text.replace("{\"id\"", "{ \"id\""), text.replace("github", "gith\\u0075b"), text.replace("}}", "} }")];
        for other in others {
            assert_ne!(other, text);
            assert_eq!(gap(other.as_bytes()), None, "{other}");
            let (value, place) = enveloped(other.as_bytes(), &body).unwrap();
            assert_eq!(&value[place], b"{\"n\":1}");
            let parsed: serde_json::Value = serde_json::from_slice(&value).unwrap();
            let expected: serde_json::Value = serde_json::from_slice(&event.to_json(Layout::Verbatim)).unwrap();
            assert_eq!(parsed, expected);
        }
        for cut in 0..header.len() {
            assert_eq!(gap(&header[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn white_space_around_a_body_is_kept() {
        let body = "\r\n {\"a\":1} \n";
        let record = event(body).to_record(topic());
        let (value, place) = enveloped(&record.header, &record.body).unwrap();
        assert_eq!(&value[place], body.as_bytes());
        serde_json::from_slice::<serde_json::Value>(&value).unwrap();
    }

    #[test]
    fn the_value_of_a_dead_letter_is_its_envelope() {
        for first_attempt_at in [None, Some(Timestamp::UNIX_EPOCH)] {
            let letter = letter("{ \"a\": 1 }", first_attempt_at);
            let record = letter.to_record(topic());
            let (value, place) = enveloped(&record.header, &record.body).unwrap();
            assert_eq!(value, letter.to_json(Layout::Verbatim));
            assert_eq!(&value[place], b"{ \"a\": 1 }");
        }
    }

    #[test]
    fn what_is_no_event_is_its_own_value() {
        let body = Bytes::from_static(b"{}");
        for header in [&b"{}"[..], b"", b"[1]", br#"{"step":"delivered","at":"2026-01-01T00:00:00Z"}"#] {
            assert!(enveloped(header, &body).is_none());
        }
        assert!(enveloped(&event("{}").to_record(topic()).header, b"").is_none());
    }

    #[test]
    fn an_envelope_of_somebody_else_is_an_event() {
        let ours = event("{ \"a\": 1 }");
        let value = Bytes::from(ours.to_json(Layout::Verbatim));
        let (header, body) = somebody_elses(&value).unwrap();
        assert_eq!(serde_json::from_slice::<EventHeader>(&header).unwrap(), ours.header);
        assert_eq!(body, "{ \"a\": 1 }");
        assert!(somebody_elses(&Bytes::from_static(b"{}")).is_none());
    }

    #[test]
    fn keys_of_copies_come_back_and_what_is_bent_does_not() {
        let key = |digest: u8| DedupKey { digest: [digest; 16], expires_at: Timestamp::from_second(7).unwrap() };
        let text = dedup_text(&[key(1), key(2)]);
        assert_eq!(dedup_keys(&text), [key(1), key(2)]);
        assert_eq!(dedup_keys(&text[..47]), [key(1)]);
        assert!(dedup_keys(&[0xff; 23]).is_empty());
    }

    #[test]
    fn an_origin_is_read_back_and_what_is_bent_is_none() {
        let position = Position { topic: TopicName::new("t").unwrap(), partition: 3, offset: u64::MAX };
        let origin = Origin { log: "a".into(), position };
        assert_eq!(origin_of(b"a/t/3/18446744073709551615"), Some(origin));
        for bent in [&b"a"[..], b"t/0/1", b"a/t/x/1", b"a/t/1/-1", b"a//1/1", &[255]] {
            assert_eq!(origin_of(bent), None);
        }
    }

    #[test]
    fn a_place_that_is_bent_is_not_followed() {
        let value = Bytes::from_static(b"0123456789");
        assert_eq!(ours(&value, Some(b"2+3")), "234");
        for bent in [&b"2+9"[..], b"+", b"18446744073709551615+1", b"x+1", b"2", &[255]] {
            assert_eq!(ours(&value, Some(bent)), value);
        }
    }
}
