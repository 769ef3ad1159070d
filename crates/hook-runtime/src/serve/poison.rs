//! A message that can never become an event, as a dead letter: its bytes as they came, beside why it was refused.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hook_core::{
    SignedDuration, Timestamp,
    envelope::{DeadLetter, DeadLetterHeader, EventHeader, Meta},
    event::EventId,
    names::{EventType, SourceName},
    payload::Payload,
    ports::{ingress::Poison, log::DedupKey},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The flag of such a dead letter's event: it never was one.
const FLAG: &str = "poison";
/// So long a message that is fetched again is known to be there already.
const COPIES: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How much of a message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// All of it.
    Whole,
    /// Where it stands, for a log that cannot take more.
    Origin,
}

/// By which a copy of its dead letter is told.
pub(crate) fn copies(poison: &Poison, now: Timestamp) -> DedupKey {
    let mut hasher = Sha256::new();
    for part in ["poison", poison.adapter.as_str(), &poison.origin] {
        hasher.update(part);
        hasher.update([0]);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize()[..16]);
    DedupKey { digest, expires_at: now.checked_add(COPIES).unwrap_or(Timestamp::MAX) }
}

/// The dead letter. What reads dead letters finds an envelope in it: its payload holds the message.
pub(crate) fn letter(poison: &Poison, now: Timestamp, keeping: Keeping) -> DeadLetter {
    let body_sha256 = poison.value.as_ref().map(|value| super::gate::hex(&Sha256::digest(value)));
    DeadLetter {
        header: DeadLetterHeader {
            failed_at: now,
            error: poison.rejection.refused.message.clone(),
            destination: format!("serve/{}", poison.adapter),
            attempts: 0,
            first_attempt_at: None,
            class: None,
            event: EventHeader {
                id: EventId::generate(),
                source: poison.source.clone().unwrap_or_else(unknown),
                event_type: EventType::unknown(),
                received_at: now,
                meta: Meta {
                    ingress_adapter: Some(poison.adapter.clone()),
                    flags: vec![FLAG.to_owned()],
                    delivery_id: Some(poison.origin.clone()),
                    body_sha256,
                    ..Meta::default()
                },
            },
        },
        payload: Payload::from_checked(Bytes::from(contents(poison, keeping).to_string())),
    }
}

fn unknown() -> SourceName {
    SourceName::new("unknown").expect("the literal is a source name")
}

/// The message as one JSON object: bytes that are no plain text are in base64, under a key that says so.
fn contents(poison: &Poison, keeping: Keeping) -> Value {
    let mut contents = Map::from_iter([
        ("origin".to_owned(), json!(poison.origin)),
        ("request_id".to_owned(), json!(poison.rejection.request_id)),
        ("code".to_owned(), json!(poison.rejection.refused.code)),
        ("value_bytes".to_owned(), json!(poison.value_bytes)),
    ]);
    if keeping == Keeping::Origin {
        return Value::Object(contents);
    }
    if let Some(key) = &poison.key {
        keep(&mut contents, "key", key);
    }
    let headers = poison.headers.iter().map(|(name, value)| {
        let mut header = Map::from_iter([("name".to_owned(), json!(name))]);
        keep(&mut header, "value", value);
        Value::Object(header)
    });
    contents.insert("headers".to_owned(), headers.collect());
    if let Some(value) = &poison.value {
        keep(&mut contents, "value", value);
    }
    Value::Object(contents)
}

fn keep(fields: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    // An escape of a control character takes six bytes, which base64 does better.
    let is_plain = |text: &&str| !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    match std::str::from_utf8(bytes).ok().filter(is_plain) {
        Some(text) => fields.insert(name.to_owned(), json!(text)),
        None => fields.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes))),
    };
}

#[cfg(test)]
mod tests {
    use hook_core::{
        envelope::Layout,
        event::RequestId,
        names::AdapterId,
        ports::ingress::{Refused, Rejection, RejectionKind},
    };

    use super::*;

    fn poison(value: &'static [u8]) -> Poison {
        Poison {
            adapter: AdapterId::new("orders-in").unwrap(),
            source: SourceName::new("orders").ok(),
            origin: "orders-0-42".into(),
            key: Some(Bytes::from_static(b"order-7")),
            headers: vec![("trace".into(), Bytes::from_static(b"\xff"))],
            value: Some(Bytes::from_static(value)),
            value_bytes: value.len(),
            rejection: Rejection {
                refused: Refused {
                    kind: RejectionKind::Malformed,
                    code: "malformed_body",
                    message: "the body is not valid JSON".into(),
                    retry_after: None,
                },
                request_id: RequestId::from_bytes([9; 16]),
            },
        }
    }

    fn contents_of(poison: &Poison, keeping: Keeping) -> Value {
        let letter = letter(poison, Timestamp::UNIX_EPOCH, keeping).to_json(Layout::OneLine);
        let letter: Value = serde_json::from_slice(&letter).unwrap();
        assert_eq!(letter["error"], "the body is not valid JSON");
        assert_eq!(letter["destination"], "serve/orders-in");
        assert_eq!(letter["envelope"]["source"], "orders");
        assert_eq!(letter["envelope"]["meta"]["flags"], json!(["poison"]));
        letter["envelope"]["payload"].clone()
    }

    #[test]
    fn every_byte_is_kept_whatever_it_is() {
        let text = contents_of(&poison(b"{ \"n\": "), Keeping::Whole);
        assert_eq!(
            (&text["value"], &text["key"], &text["origin"]),
            (&json!("{ \"n\": "), &json!("order-7"), &json!("orders-0-42"))
        );
        assert_eq!(text["headers"], json!([{ "name": "trace", "value_base64": "/w==" }]));
        for bytes in [b"\x00\xff\xfe".as_slice(), b"\x00\x00"] {
            let binary = contents_of(&poison(bytes), Keeping::Whole);
            assert_eq!(STANDARD.decode(binary["value_base64"].as_str().unwrap()).unwrap(), bytes);
        }
    }

    #[test]
    fn what_no_log_can_take_is_kept_by_where_it_stands() {
        let origin = contents_of(&poison(b"canary"), Keeping::Origin);
        assert_eq!((&origin["origin"], &origin["value_bytes"]), (&json!("orders-0-42"), &json!(6)));
        assert!(!origin.to_string().contains("canary"));
    }

    #[test]
    fn only_the_same_message_of_the_same_adapter_is_a_copy() {
        let digest = |poison: &Poison| copies(poison, Timestamp::UNIX_EPOCH).digest;
        let one = poison(b"a");
        assert_eq!(digest(&one), digest(&Poison { value: None, ..one.clone() }));
        assert_ne!(digest(&one), digest(&Poison { origin: "orders-0-43".into(), ..one.clone() }));
        let other = AdapterId::new("other").unwrap();
        assert_ne!(digest(&one), digest(&Poison { adapter: other, ..one }));
    }
}
