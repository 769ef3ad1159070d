//! What every verifier promises, a sentence each.

use std::{panic::AssertUnwindSafe, panic::catch_unwind, sync::Arc};

use hook_core::{
    Timestamp,
    ports::verifier::{Address, Refusal, SigningRequest, SourceVerifier},
    secret::Secret,
};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{Request, URL, built};
use crate::verify::pack;

const BODY: &str =
    r#"{"id":"d-1","type":"Issue","action":"create","data":{"id":"x"},"webhookTimestamp":1700000000000}"#;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HUGE: usize = 200_000;

/// A verifier as a contract may set it up.
struct Subject {
    name: String,
    secret: &'static str,
    other_secret: &'static str,
    verifier: Arc<dyn SourceVerifier>,
    schema: Value,
}

type Promise = (&'static str, fn(&Subject) -> bool);

const PROMISES: &[Promise] = &[
    ("a request without anything is refused, unless nothing is verified", |subject| {
        let empty = Request { headers: HeaderMap::new(), body: Vec::new(), ..subject.signed(BODY) };
        empty.verify(&*subject.verifier).is_err() == subject.verifier.needs_secret()
    }),
    ("what it signs it takes, and names the slot of the secret", |subject| {
        let slot = subject.verifier.needs_secret().then_some(0);
        subject.signed(BODY).verify(&*subject.verifier).map(|verified| verified.slot) == Ok(slot)
    }),
    ("what is signed with another secret is refused", |subject| {
        let secrets = vec![(0, Secret::new(subject.other_secret))];
        let answer = Request { secrets, ..subject.signed(BODY) }.verify(&*subject.verifier);
        !subject.verifier.needs_secret() || answer == Err(Refusal::SignatureMismatch)
    }),
    ("without a secret, or with an empty one, nothing is taken where one is needed", |subject| {
        [vec![], vec![(0, Secret::new(""))]].into_iter().all(|secrets| {
            let answer = Request { secrets, ..subject.signed(BODY) }.verify(&*subject.verifier);
            !subject.verifier.needs_secret() || answer == Err(Refusal::NoSecret)
        })
    }),
    ("nothing is signed with an empty secret", |subject| subject.sign(BODY.as_bytes(), "").is_none()),
    ("a header without which a request is refused may not stand there twice", |subject| {
        let signed = subject.signed(BODY);
        signed.headers.keys().all(|name| {
            let mut missing = signed.clone();
            missing.headers.remove(name);
            let mut twice = signed.clone();
            twice.headers.append(name, signed.headers[name].clone());
            missing.verify(&*subject.verifier).is_ok() || twice.verify(&*subject.verifier).is_err()
        })
    }),
    ("header values that are no text are refused without a panic", |subject| {
        subject.with_every_header(&HeaderValue::from_bytes(b"\xff\xfe\x80").unwrap())
    }),
    ("huge headers are refused without a panic", |subject| {
        [",", "v1=", "t=1,", "t=1,v1=00,", "v1,AAAA ", "sha256=", "Bearer ", "0", ";;ts="].iter().all(|piece| {
            let text = piece.repeat(HUGE / piece.len());
            subject.with_every_header(&HeaderValue::try_from(text).unwrap())
        })
    }),
    ("a body that is no JSON is taken where its signature is right", |subject| {
        [&b""[..], b"\xff\xff", b"[1,2]", b"{", b"a=1&b=2", &b"[".repeat(HUGE)].into_iter().all(|body| {
            let Some(headers) = subject.sign(body, subject.secret) else { return !subject.verifier.needs_secret() };
            Request { headers, body: body.to_vec(), ..subject.signed(BODY) }.verify(&*subject.verifier).is_ok()
        })
    }),
    ("a payload of surprising values is described without a panic", |subject| {
        let values = ["null", "1", "true", "[]", "{}", "\"\"", "\"\\u0000\"", "-0.1e-9", "[[[[]]]]"];
        values.iter().all(|value| {
            let members = ["id", "type", "action", "repository", "issue", "pull_request", "data", "webhookTimestamp"];
            let members: Vec<String> = members.iter().map(|name| format!("\"{name}\":{value}")).collect();
            let body = format!("{{{}}}", members.join(",")).into_bytes();
            let request = Request { body, ..subject.signed(BODY) };
            request.describe(&*subject.verifier).ordering_key.is_none_or(|key| !key.is_empty())
        })
    }),
    ("a long or broken event type is none, rather than half of one", |subject| {
        ["a".repeat(10_000), "a\nb".to_owned()].iter().all(|text| {
            let body = json!({ "type": text, "action": text }).to_string().into_bytes();
            let mut headers = HeaderMap::new();
            headers.insert("x-github-event", HeaderValue::from_static("issues"));
            Request { body, headers, ..subject.signed(BODY) }.describe(&*subject.verifier).event_type.is_none()
        })
    }),
    ("its schema needs no other document, and describes every setting", |subject| {
        let properties = subject.schema.get("properties").and_then(Value::as_object);
        !subject.schema.to_string().contains("$ref")
            && properties.into_iter().flatten().all(|(_, property)| property["description"].is_string())
    }),
];

impl Subject {
    fn sign(&self, body: &[u8], secret: &str) -> Option<HeaderMap> {
        let signed = self.verifier.sign(&SigningRequest {
            event_type: "issues",
            delivery_id: "d-1",
            body,
            address: Address { host: "localhost", url: URL },
            secret: &Secret::new(secret),
            now: now(),
        })?;
        Some(signed.headers)
    }

    fn signed(&self, body: &str) -> Request {
        let headers = self.sign(body.as_bytes(), self.secret).unwrap_or_default();
        Request {
            headers,
            url: URL.to_owned(),
            body: body.into(),
            secrets: vec![(0, Secret::new(self.secret))],
            now: now(),
        }
    }

    /// Whether a request is refused whose headers all hold this.
    fn with_every_header(&self, value: &HeaderValue) -> bool {
        let mut request = self.signed(BODY);
        request.headers.values_mut().for_each(|header| *header = value.clone());
        request.verify(&*self.verifier).is_err() == self.verifier.needs_secret()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// Every verifier of ours with its defaults (packs have tests of their own), and `hmac` in the ways in which it differs most.
fn subjects() -> Vec<Subject> {
    let entries = crate::verify::entries();
    let subject = |name: &str, settings: Value| Subject {
        name: format!("{name} {settings}"),
        secret: if name == "basic" { "user:password" } else { SECRET },
        other_secret: if name == "basic" { "user:passwore" } else { "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" },
        verifier: built(name, settings),
        schema: entries.iter().find(|entry| entry.name() == name).unwrap().schema().to_value(),
    };
    let is_ours = |name: &&str| *name != "hmac" && pack::all().iter().all(|pack| pack.name != *name);
    let plain = entries.iter().map(|entry| entry.name()).filter(is_ours);
    let described = [
        json!({ "header": "X-Signature" }),
        json!({ "header": "X-Signature", "algorithm": "sha1", "prefix": "sha1=", "delivery_id": "header:X-Delivery" }),
        json!({ "header": "X-Signature", "algorithm": "sha512", "encoding": "base64", "secret_encoding": "base64",
                "signed_content": "{id}.{timestamp}.{body}", "prefix": "v1,", "timestamp": "header:X-Time",
                "delivery_id": "header:X-Delivery" }),
        json!({ "header": "X-Signature", "prefix": "v1=", "signed_content": "{timestamp}.{body}",
                "timestamp": "header:X-Signature", "delivery_id": "/id" }),
        json!({ "header": "X-Signature", "timestamp": "/webhookTimestamp", "tolerance": "1m" }),
    ];
    plain.map(|name| subject(name, json!({}))).chain(described.map(|settings| subject("hmac", settings))).collect()
}

#[test]
fn every_verifier_keeps_every_promise() {
    let subjects = subjects();
    let mut broken = Vec::new();
    for subject in &subjects {
        for (sentence, keeps) in PROMISES {
            let kept = catch_unwind(AssertUnwindSafe(|| keeps(subject)));
            if !matches!(kept, Ok(true)) {
                broken.push(format!("{}: {sentence}", subject.name));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    assert_eq!(subjects.len(), 12);
}

#[test]
fn what_a_provider_signs_says_what_it_was_told() {
    let check = |name: &str, event_type: Option<&str>, is_signed: bool| {
        let subjects = subjects();
        let subject = subjects.iter().find(|subject| subject.name.starts_with(name)).unwrap();
        let claim = subject.signed(BODY).describe(&*subject.verifier);
        assert_eq!(claim.event_type.as_ref().map(AsRef::as_ref), event_type, "{name}");
        let id = claim.delivery_id.unwrap();
        assert_eq!((id.value.as_str(), id.is_signed), ("d-1", is_signed), "{name}");
    };
    check("github", Some("issues.create"), false);
    check("linear", Some("Issue.create"), false);
    check("stripe", Some("Issue"), true);
    check("standard-webhooks", Some("Issue"), true);
}
