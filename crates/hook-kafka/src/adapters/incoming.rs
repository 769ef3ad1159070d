//! A record of somebody else's topic as an event: which bytes are its payload, and what it says of itself.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hook_core::{
    envelope::Written,
    event::Stated,
    names::{EventType, SourceName},
    payload::Payload,
    ports::ingress::RejectionKind,
    selector::{Selector, SelectorError},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

/// What the values of records are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// What their headers say: a CloudEvent, an event of another `hook`, or else a JSON object.
    #[default]
    Auto,
    /// One JSON object, which is the payload.
    Json,
    /// A CloudEvent, in binary or structured mode.
    CloudEvents,
    /// An envelope, as `kafka_output` writes it.
    Envelope,
}

/// Where a word about an event stands: `header:NAME`, a JSON pointer into the payload, or the word itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// In the record.
    At(Selector),
    /// The same for every record.
    Constant(String),
}

impl FromStr for Word {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        match text.starts_with("header:") || text.starts_with('/') {
            true => text.parse().map(Self::At),
            false => Ok(Self::Constant(text.to_owned())),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(selector) => selector.fmt(f),
            Self::Constant(text) => f.write_str(text),
        }
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "examples": ["header:source", "/data/type", "orders"] })
    }
}

/// How records become events.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    pub(super) format: InputFormat,
    /// `None` for the topic's name.
    pub(super) source: Option<Word>,
    /// `None` for what the format says.
    pub(super) event_type: Option<Word>,
    /// `None` for the record's place.
    pub(super) delivery_id: Option<Selector>,
    /// `None` for the record's key.
    pub(super) ordering_key: Option<Word>,
    pub(super) max_body_bytes: usize,
}

/// A record as it was fetched.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) key: Option<Bytes>,
    pub(super) headers: Vec<(String, Bytes)>,
    pub(super) value: Value,
}

/// The value of a record.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Whole(Bytes),
    /// A tombstone: what had this key is gone.
    Absent,
    /// So many bytes, more than are taken.
    TooLarge(usize),
}

impl Arrived {
    /// What no other record is called. A topic that is deleted and made again has the same offsets, and another cluster may have
    /// the same topic: the record's time tells them apart.
    pub(super) fn origin(&self) -> String {
        let Self { topic, partition, offset, .. } = self;
        match self.timestamp_ms {
            Some(time) => format!("{topic}-{partition}-{offset}-{time}"),
            None => format!("{topic}-{partition}-{offset}"),
        }
    }

    /// About how many bytes of memory it takes.
    pub(super) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let value = match &self.value {
            Value::Whole(value) => value.len(),
            Value::Absent | Value::TooLarge(_) => 0,
        };
        headers + value + self.key.as_ref().map_or(0, Bytes::len) + 512
    }

    fn has_header(&self, wanted: &str) -> bool {
        self.headers.iter().any(|(name, _)| name == wanted)
    }

    /// The headers as a request would have them, for whoever verifies or selects. What no request can have is left out.
    fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        if let (None, Some(trace)) = (map.get("traceparent"), map.get("ce_traceparent").cloned()) {
            map.insert("traceparent", trace);
        }
        map
    }
}

/// A record that can be an event.
#[derive(Debug, Clone)]
pub(super) struct Readable {
    pub(super) source: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) stated: Stated,
}

/// Why a record can never be an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) kind: RejectionKind,
    pub(super) code: &'static str,
    /// Says which rule failed, never what the bytes were.
    pub(super) message: String,
}

fn malformed(code: &'static str, message: impl Into<String>) -> Unfit {
    Unfit { kind: RejectionKind::Malformed, code, message: message.into() }
}

/// What a format takes out of a record.
struct Content {
    body: Bytes,
    event_type: Option<String>,
}

impl Mapping {
    /// Reads a record.
    pub(super) fn read(&self, arrived: &Arrived) -> Result<Readable, Unfit> {
        let value = match &arrived.value {
            Value::Whole(value) => value,
            Value::Absent => return Err(malformed("no_value", "the record has no value: it is a tombstone")),
            Value::TooLarge(bytes) => {
                let limit = self.max_body_bytes;
                let message = format!("the value has {bytes} bytes, and `max_body_bytes` is {limit}");
                return Err(Unfit { kind: RejectionKind::TooLarge, code: "body_too_large", message });
            }
        };
        let headers = arrived.header_map();
        let content = self.unwrap(arrived, &headers, value)?;
        let payload = match self.looks_inside() {
            true => {
                Payload::parse(content.body.clone()).map_err(|error| malformed("malformed_body", error.to_string()))?
            }
            // Nothing is looked up in it, and the inlet parses it.
            false => Payload::from_checked(content.body.clone()),
        };
        let select = |word: &Word| match word {
            Word::At(selector) => selector.select(&headers, &payload),
            Word::Constant(text) => Some(text.clone()),
        };
        let source = match &self.source {
            Some(word) => select(word).ok_or_else(|| malformed("no_source", "nothing says which source it is from"))?,
            None => arrived.topic.clone(),
        };
        let event_type = match &self.event_type {
            Some(word) => {
                let missing = || malformed("no_event_type", "nothing says which type of event it is");
                Some(select(word).ok_or_else(missing)?)
            }
            None => content.event_type,
        };
        let event_type = event_type.map(EventType::new).transpose().map_err(|_| {
            malformed("malformed_event_type", "the event type is longer than 256 bytes, or holds control characters")
        })?;
        let named = self.delivery_id.as_ref().and_then(|selector| selector.select(&headers, &payload));
        let ordering_key = match &self.ordering_key {
            Some(word) => select(word),
            None => arrived.key.as_deref().filter(|key| !key.is_empty()).map(text_of_key),
        };
        let delivery_id = Some(named.unwrap_or_else(|| arrived.origin()));
        Ok(Readable {
            source: source.to_ascii_lowercase(),
            headers,
            body: content.body,
            // The brokers say who may write to a topic.
            stated: Stated { event_type, delivery_id, is_sender_proven: true, ordering_key },
        })
    }

    /// The source that every record has, where that does not depend on the record.
    pub(super) fn source_of(&self, topic: &str) -> Option<SourceName> {
        match &self.source {
            None => SourceName::new(topic.to_ascii_lowercase()).ok(),
            Some(Word::Constant(name)) => SourceName::new(name).ok(),
            Some(Word::At(_)) => None,
        }
    }

    fn looks_inside(&self) -> bool {
        let is_pointer = |word: &Option<Word>| matches!(word, Some(Word::At(Selector::Pointer(_))));
        is_pointer(&self.source)
            || is_pointer(&self.event_type)
            || is_pointer(&self.ordering_key)
            || matches!(self.delivery_id, Some(Selector::Pointer(_)))
    }

    fn unwrap(&self, arrived: &Arrived, headers: &HeaderMap, value: &Bytes) -> Result<Content, Unfit> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let media_type = header("content-type").unwrap_or_default().to_ascii_lowercase();
        let as_it_is = || {
            let event_type = header("event_type").or_else(|| header("ce_type"));
            Content { body: value.clone(), event_type }
        };
        let is_cloud = arrived.has_header("ce_specversion") || media_type.starts_with("application/cloudevents");
        match self.format {
            InputFormat::Json => Ok(as_it_is()),
            InputFormat::CloudEvents if !is_cloud => {
                Err(malformed("not_a_cloudevent", "no header says that it is a CloudEvent"))
            }
            InputFormat::CloudEvents | InputFormat::Auto if is_cloud => cloud_event(&media_type, value, as_it_is),
            InputFormat::Envelope => {
                envelope(value).ok_or_else(|| malformed("not_an_envelope", "the value is not the envelope of an event"))
            }
            // An event of ours has such a header in every format; the value says in which it is.
            InputFormat::Auto if arrived.has_header("event_id") || arrived.has_header("hook.header") => {
                Ok(envelope(value).unwrap_or_else(as_it_is))
            }
            InputFormat::Auto | InputFormat::CloudEvents => Ok(as_it_is()),
        }
    }
}

/// A CloudEvent by the Kafka protocol binding, version 1.0.
fn cloud_event(media_type: &str, value: &Bytes, binary: impl FnOnce() -> Content) -> Result<Content, Unfit> {
    #[derive(Deserialize)]
    struct Structured<'a> {
        #[serde(rename = "type")]
        event_type: String,
        #[serde(borrow, default)]
        data: Option<&'a RawValue>,
        #[serde(default)]
        data_base64: Option<String>,
    }
    if media_type.starts_with("application/cloudevents-batch") {
        return Err(malformed(
            "cloudevents_batch",
            "it is a batch of CloudEvents; the binding to Kafka has one a record",
        ));
    }
    if !media_type.starts_with("application/cloudevents") {
        return Ok(binary());
    }
    let wrong = || malformed("malformed_cloudevent", "the value is not a CloudEvent in JSON");
    let event: Structured<'_> = object(value).ok_or_else(wrong)?;
    let body = match (event.data, event.data_base64) {
        (Some(data), _) => value.slice_ref(data.get().as_bytes()),
        (None, Some(data)) => Bytes::from(STANDARD.decode(data).map_err(|_| wrong())?),
        // An event without data says only that it happened.
        (None, None) => Bytes::from_static(b"{}"),
    };
    Ok(Content { body, event_type: Some(event.event_type) })
}

/// The payload of an `EventEnvelope`, verbatim; `None` where the value is none.
fn envelope(value: &Bytes) -> Option<Content> {
    let Written { header, payload } = Written::read(value).ok()?;
    Some(Content { body: payload, event_type: Some(header.event_type.to_string()) })
}

/// Reads a JSON object; what reads structs takes an array of their fields as well.
fn object<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<T> {
    let is_object = value.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(value).ok()).flatten()
}

/// A key that is no text is known by its bytes in hex.
fn text_of_key(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => text.to_owned(),
        Err(_) => key.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str = r#"{"id":"07070707-0707-0707-0707-070707070707","source":"github","event_type":"ping","received_at":"1970-01-01T00:00:00Z","payload":{ "n": 1.0 }}"#;

    fn mapping() -> Mapping {
        Mapping {
            format: InputFormat::Auto,
            source: None,
            event_type: None,
            delivery_id: None,
            ordering_key: None,
            max_body_bytes: 100,
        }
    }

    fn record(headers: &[(&str, &str)], value: &str) -> Arrived {
        Arrived {
            topic: "orders".into(),
            partition: 2,
            offset: 42,
            timestamp_ms: Some(1000),
            key: Some(Bytes::from_static(b"order-7")),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())))
                .collect(),
            value: Value::Whole(Bytes::copy_from_slice(value.as_bytes())),
        }
    }

    fn word(text: &str) -> Option<Word> {
        Some(text.parse().unwrap())
    }

    #[track_caller]
    fn check(mapping: &Mapping, record: &Arrived, body: &str, event_type: Option<&str>) {
        let read = mapping.read(record).unwrap();
        assert_eq!(read.body, body.as_bytes());
        assert_eq!(read.stated.event_type.as_ref().map(EventType::as_str), event_type);
    }

    #[track_caller]
    fn unfit(mapping: &Mapping, record: &Arrived, code: &str) {
        let unfit = mapping.read(record).unwrap_err();
        assert_eq!(unfit.code, code);
        assert!(!unfit.message.contains("canary"), "{}", unfit.message);
    }

    #[test]
    fn a_record_is_called_by_its_place_and_ordered_by_its_key() {
        let read = mapping().read(&record(&[("event_type", "order.paid")], "{\"n\":1}")).unwrap();
        assert_eq!(read.source, "orders");
        assert_eq!(read.stated.delivery_id.as_deref(), Some("orders-2-42-1000"));
        assert_eq!(read.stated.ordering_key.as_deref(), Some("order-7"));
        assert_eq!(read.stated.event_type.unwrap().as_str(), "order.paid");
        let keyed = |key: Option<&'static [u8]>| Arrived { key: key.map(Bytes::from_static), ..record(&[], "{}") };
        let key = |key| mapping().read(&keyed(key)).unwrap().stated.ordering_key;
        assert_eq!((key(None), key(Some(b""))), (None, None));
        assert_eq!(key(Some(b"\xff\x00")).as_deref(), Some("ff00"));
    }

    #[test]
    fn what_the_mapping_names_is_looked_up_in_headers_and_payload() {
        let mapping = Mapping {
            source: word("header:origin"),
            event_type: word("/kind"),
            delivery_id: Some("/id".parse().unwrap()),
            ordering_key: word("/customer/id"),
            ..mapping()
        };
        let value = r#"{"id":"a1","kind":"order.paid","customer":{"id":7}}"#;
        let read = mapping.read(&record(&[("Origin", "Shop"), ("event_type", "other")], value)).unwrap();
        let Stated { event_type, delivery_id, ordering_key, .. } = read.stated;
        assert_eq!((read.source.as_str(), event_type.unwrap().as_str()), ("shop", "order.paid"));
        assert_eq!((delivery_id.as_deref(), ordering_key.as_deref()), (Some("a1"), Some("7")));
        // Without an id of its own a record is still told from all others.
        let read = mapping.read(&record(&[("origin", "shop")], "{\"kind\":\"order.paid\"}")).unwrap();
        assert_eq!((read.stated.delivery_id.as_deref(), read.stated.ordering_key), (Some("orders-2-42-1000"), None));
        unfit(&mapping, &record(&[], "{}"), "no_source");
        unfit(&mapping, &record(&[("origin", "shop")], "{}"), "no_event_type");
        unfit(&mapping, &record(&[("origin", "shop")], "canary"), "malformed_body");
        let constant = Mapping { source: word("shop"), event_type: word("order"), ..mapping };
        check(&constant, &record(&[], "{}"), "{}", Some("order"));
    }

    #[test]
    fn a_cloudevent_is_known_by_its_headers_in_both_modes() {
        let binary = record(&[("ce_specversion", "1.0"), ("ce_type", "order.paid"), ("ce_id", "1")], "{\"n\":1}");
        check(&mapping(), &binary, "{\"n\":1}", Some("order.paid"));
        let structured = |value| record(&[("content-type", "application/cloudevents+json; charset=utf-8")], value);
        let whole = structured(r#"{"specversion":"1.0","id":"1","source":"/s","type":"order.paid","data":{ "n": 1 }}"#);
        check(&mapping(), &whole, "{ \"n\": 1 }", Some("order.paid"));
        let encoded =
            structured(r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"eyJuIjoxfQ=="}"#);
        check(&mapping(), &encoded, "{\"n\":1}", Some("t"));
        check(&mapping(), &structured(r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#), "{}", Some("t"));
        unfit(&mapping(), &structured("[\"canary\"]"), "malformed_cloudevent");
        let batch = record(&[("content-type", "application/cloudevents-batch+json")], "[]");
        unfit(&mapping(), &batch, "cloudevents_batch");
        let only = Mapping { format: InputFormat::CloudEvents, ..mapping() };
        unfit(&only, &record(&[], "{}"), "not_a_cloudevent");
        check(&only, &binary, "{\"n\":1}", Some("order.paid"));
    }

    #[test]
    fn an_event_of_ours_is_taken_out_of_its_envelope() {
        let ours = [("event_id", "07070707-0707-0707-0707-070707070707"), ("event_type", "ping"), ("source", "github")];
        check(&mapping(), &record(&ours, ENVELOPE), "{ \"n\": 1.0 }", Some("ping"));
        check(&mapping(), &record(&ours, "{\"n\":1}"), "{\"n\":1}", Some("ping"));
        // Without our headers it is a JSON object like any other.
        check(&mapping(), &record(&[], ENVELOPE), ENVELOPE, None);
        let only = Mapping { format: InputFormat::Envelope, ..mapping() };
        check(&only, &record(&[], ENVELOPE), "{ \"n\": 1.0 }", Some("ping"));
        unfit(&only, &record(&[], "{\"canary\":1}"), "not_an_envelope");
        let plain = Mapping { format: InputFormat::Json, ..mapping() };
        check(&plain, &record(&ours, ENVELOPE), ENVELOPE, Some("ping"));
    }

    #[test]
    fn what_can_never_be_an_event_says_why() {
        unfit(&mapping(), &Arrived { value: Value::Absent, ..record(&[], "") }, "no_value");
        unfit(&mapping(), &Arrived { value: Value::TooLarge(101), ..record(&[], "") }, "body_too_large");
        let long = "canary".repeat(100);
        unfit(&mapping(), &record(&[("event_type", &long)], "{}"), "malformed_event_type");
    }

    #[test]
    fn a_trace_goes_on_under_either_name() {
        let read = |name| mapping().read(&record(&[(name, "00-a-b-01")], "{}")).unwrap().headers;
        assert_eq!(read("ce_traceparent")["traceparent"], "00-a-b-01");
        assert_eq!(read("traceparent")["traceparent"], "00-a-b-01");
    }

    #[test]
    fn a_source_is_known_beforehand_where_no_record_names_it() {
        assert_eq!(mapping().source_of("Orders").unwrap().as_str(), "orders");
        assert_eq!(mapping().source_of("shop.orders"), None, "a dot is in no name of a source");
        let named = Mapping { source: word("shop"), ..mapping() };
        assert_eq!(named.source_of("shop.orders").unwrap().as_str(), "shop");
        assert_eq!(Mapping { source: word("/shop"), ..mapping() }.source_of("orders"), None);
    }
}
