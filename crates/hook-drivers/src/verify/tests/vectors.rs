//! Every vector of `vectors/verify`, and everything that is wrong by one thing with a request that is taken.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use base64::Engine as _;
use hook_core::{
    SignedDuration, Timestamp,
    ports::verifier::{Refusal, Reply, SourceVerifier},
    secret::Secret,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use super::{Request, URL, built, with_other};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    verifier: String,
    vectors: Vec<Vector>,
    #[serde(default)]
    gets: Vec<Get>,
}

/// A request without a body by which a provider asks whether an address is ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    name: String,
    source: String,
    #[serde(default = "get")]
    method: String,
    url: String,
    token: Option<String>,
    reply: Option<ExpectedReply>,
    refusal: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedReply {
    status: u16,
    content_type: String,
    body: String,
}

impl From<Reply> for ExpectedReply {
    fn from(reply: Reply) -> Self {
        let Reply { status, content_type, body } = reply;
        Self { status, content_type, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    source: String,
    settings: Option<Value>,
    secrets: Vec<String>,
    headers: Vec<(String, String)>,
    body: String,
    url: Option<String>,
    now: Timestamp,
    expected: Expected,
    signature: Option<String>,
    #[serde(default = "yes")]
    signs_body: bool,
    fresh_for_seconds: Option<i64>,
    claim: Option<ExpectedClaim>,
    challenge: Option<ExpectedReply>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Slot(Option<usize>),
    Refusal(String),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedClaim {
    event_type: Option<String>,
    delivery_id: Option<String>,
    delivery_id_is_signed: Option<bool>,
    ordering_key: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

fn yes() -> bool {
    true
}

impl Vector {
    fn request(&self) -> Request {
        let header = |(name, value): &(String, String)| -> (HeaderName, HeaderValue) {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter().map(header) {
            headers.append(name, value);
        }
        let secrets = self.secrets.iter().map(|secret| Secret::new(secret.as_str())).enumerate().collect();
        let url = self.url.clone().unwrap_or_else(|| URL.to_owned());
        Request { headers, url, body: self.body.clone().into_bytes(), secrets, now: self.now }
    }

    /// The header that holds this text; `None` where it stands in the body or the URL.
    fn header_with(&self, signature: &str) -> Option<(&str, &str)> {
        let holder = self.headers.iter().find(|(_, value)| value.contains(signature));
        holder.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The request with one text replaced, wherever it stands.
    fn with_signature(&self, signature: &str, replacement: &str) -> Request {
        let mut request = self.request();
        request.url = request.url.replace(signature, replacement);
        if self.header_with(signature).is_none() {
            request.body = self.body.replace(signature, replacement).into_bytes();
        }
        for value in request.headers.values_mut() {
            let text = value.to_str().unwrap().replace(signature, replacement);
            *value = HeaderValue::try_from(text).unwrap();
        }
        request
    }
}

/// Each vector with its verifier, and what to call it when it fails.
fn each(mut check: impl FnMut(&str, &Vector, &dyn SourceVerifier)) {
    for file in files() {
        for vector in &file.vectors {
            let verifier: Arc<dyn SourceVerifier> =
                built(&file.verifier, vector.settings.clone().unwrap_or_else(|| serde_json::json!({})));
            check(&format!("{}: {}", file.verifier, vector.name), vector, &*verifier);
        }
    }
}

/// Each vector of a request that is taken and has a signature.
fn each_signed(mut check: impl FnMut(&str, &Vector, &str, usize, &dyn SourceVerifier)) {
    let mut count = 0;
    each(|name, vector, verifier| {
        if let (Some(signature), Expected::Slot(Some(slot))) = (&vector.signature, &vector.expected) {
            count += 1;
            check(name, vector, signature, *slot, verifier);
        }
    });
    assert!(count > 30, "only {count} vectors are signed");
}

fn files() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/verify");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files
        .map(|path| serde_json::from_slice(&fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{path:?}: {e}")))
        .collect()
}

#[test]
fn every_verifier_has_vectors_and_every_vector_a_source_and_a_name_of_its_own() {
    let files = files();
    let with_vectors: BTreeSet<&str> = files.iter().map(|file| file.verifier.as_str()).collect();
    let entries = crate::verify::entries();
    assert_eq!(with_vectors, entries.iter().map(|entry| entry.name()).collect());
    for file in &files {
        let names: BTreeSet<&str> = file.vectors.iter().map(|vector| vector.name.as_str()).collect();
        assert_eq!(names.len(), file.vectors.len(), "{}", file.verifier);
        assert!(file.vectors.iter().all(|vector| !vector.source.is_empty()), "{}", file.verifier);
    }
}

#[test]
fn every_vector_gets_its_answer() {
    each(|name, vector, verifier| match (vector.request().verify(verifier), &vector.expected) {
        (Ok(verified), Expected::Slot(slot)) => assert_eq!(verified.slot, *slot, "{name}"),
        (Err(refusal), Expected::Refusal(code)) => assert_eq!(refusal.code(), code, "{name}"),
        (answer, _) => panic!("{name}: {answer:?}"),
    });
}

#[test]
fn every_vector_says_of_itself_what_it_is() {
    each(|name, vector, verifier| {
        let Some(expected) = &vector.claim else { return };
        let claim = vector.request().describe(verifier);
        let found = ExpectedClaim {
            event_type: claim.event_type.map(|event_type| event_type.to_string()),
            delivery_id_is_signed: claim.delivery_id.as_ref().map(|id| id.is_signed),
            delivery_id: claim.delivery_id.map(|id| id.value),
            ordering_key: claim.ordering_key,
        };
        assert_eq!(found, *expected, "{name}");
    });
}

#[test]
fn a_challenge_is_answered_and_an_event_is_not() {
    let mut count = 0;
    each(|name, vector, verifier| {
        if matches!(vector.expected, Expected::Slot(_)) {
            let found = vector.request().challenge(verifier).map(ExpectedReply::from);
            assert_eq!(found, vector.challenge, "{name}");
            count += usize::from(found.is_some());
        }
    });
    assert_eq!(count, 5, "Slack, Zoom, Twitch, and two of Discord");
}

#[test]
fn a_get_is_answered_where_it_knows_the_token() {
    let mut count = 0;
    for file in files() {
        let verifier = (!file.gets.is_empty()).then(|| built(&file.verifier, serde_json::json!({})));
        for get in &file.gets {
            count += 1;
            assert!(!get.source.is_empty());
            let token = get.token.as_ref().map(|token| Secret::new(token.as_str()));
            let found = verifier.as_ref().unwrap().challenge_without_body(
                &get.method.parse().unwrap(),
                &get.url,
                token.as_ref(),
            );
            let (reply, refusal) = match found {
                None => (None, None),
                Some(Ok(reply)) => (Some(ExpectedReply::from(reply)), None),
                Some(Err(refusal)) => (None, Some(refusal.code().to_owned())),
            };
            assert_eq!((&reply, &refusal), (&get.reply, &get.refusal), "{}: {}", file.verifier, get.name);
        }
    }
    assert!(count > 10, "only {count} are asked");
}

#[test]
fn a_signature_in_another_encoding_is_refused() {
    let mut count = 0;
    each_signed(|name, vector, signature, _, verifier| {
        let base64 = || base64::engine::general_purpose::STANDARD;
        let other = match (hex::decode(signature), base64().decode(signature)) {
            (Ok(bytes), _) => base64().encode(bytes),
            (Err(_), Ok(bytes)) => hex::encode(bytes),
            (Err(_), Err(_)) => return,
        };
        count += 1;
        let answer = vector.with_signature(signature, &other).verify(verifier);
        let is_refused = matches!(answer, Err(Refusal::SignatureMismatch | Refusal::MalformedSignature));
        assert!(is_refused, "{name}: {answer:?}");
    });
    assert!(count > 50, "only {count} could be written otherwise");
}

#[test]
fn a_body_that_is_wrong_by_one_byte_is_refused() {
    each_signed(|name, vector, _, _, verifier| {
        let refused = |body: Vec<u8>, what: &str| {
            let answer = Request { body, ..vector.request() }.verify(verifier);
            assert_eq!(answer, Err(Refusal::SignatureMismatch), "{name}: {what}");
        };
        if !vector.signs_body {
            return;
        }
        let body = vector.body.as_bytes();
        for at in [0, 1, body.len() / 3, body.len() / 2, body.len() - 2, body.len() - 1] {
            for bit in [0x01, 0x20, 0x80] {
                let mut changed = body.to_vec();
                changed[at] ^= bit;
                refused(changed, &format!("byte {at} ^ {bit}"));
            }
        }
        refused(body[..body.len() - 1].to_vec(), "one byte less");
        refused(body[1..].to_vec(), "the first byte less");
        refused([body, b"\n"].concat(), "one byte more");
        refused(Vec::new(), "nothing");
    });
}

#[test]
fn a_signature_that_is_wrong_by_one_character_is_refused() {
    each_signed(|name, vector, signature, _, verifier| {
        for at in 0..signature.chars().count() {
            let wrong = with_other(signature, at);
            if wrong == signature || signature.as_bytes()[at] == b'=' {
                continue;
            }
            let answer = vector.with_signature(signature, &wrong).verify(verifier);
            let is_refused = matches!(answer, Err(Refusal::SignatureMismatch | Refusal::MalformedSignature));
            assert!(is_refused, "{name}: character {at}: {answer:?}");
        }
        for wrong in [&signature[1..], &signature[..signature.len() / 2], ""] {
            assert!(vector.with_signature(signature, wrong).verify(verifier).is_err(), "{name}: {wrong}");
        }
    });
}

#[test]
fn a_header_that_is_missing_or_twice_is_refused() {
    each_signed(|name, vector, signature, _, verifier| {
        let Some((header, value)) = vector.header_with(signature) else {
            let gone = vector.with_signature(signature, "").verify(verifier);
            return assert!(gone.is_err(), "{name}: {gone:?}");
        };
        let mut request = vector.request();
        request.headers.remove(header);
        assert!(matches!(request.verify(verifier), Err(Refusal::MissingSignature { .. })), "{name}");
        let mut request = vector.request();
        request.headers.append(header.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        assert_eq!(request.verify(verifier), Err(Refusal::MalformedSignature), "{name}");
    });
}

#[test]
fn a_time_is_fresh_exactly_as_long_as_the_vector_says() {
    let mut count = 0;
    each_signed(|name, vector, _, _, verifier| {
        let at = |seconds: i64| {
            let now = vector.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
            Request { now, ..vector.request() }.verify(verifier)
        };
        let Some(seconds) = vector.fresh_for_seconds else {
            return assert!(at(1_000_000_000).is_ok(), "{name}: no time is signed");
        };
        count += 1;
        if let Ok(shaped) = verifier.payload(&vector.request().headers, &vector.body.clone().into()) {
            let sent_at = verifier.sent_at(&vector.request().headers, &shaped.payload);
            assert_eq!(sent_at.map(Timestamp::as_second), Some(vector.now.as_second()), "{name}");
        }
        for side in [1, -1] {
            assert!(at(side * seconds).is_ok(), "{name}: {}", side * seconds);
            assert_eq!(at(side * (seconds + 1)), Err(Refusal::StaleTimestamp), "{name}: {}", side * (seconds + 1));
        }
    });
    assert!(count > 15, "only {count} vectors have a time");
}

#[test]
fn a_wrong_secret_is_refused_and_a_right_one_names_its_slot() {
    each_signed(|name, vector, _, slot, verifier| {
        let right = &vector.secrets[slot];
        let wrong = with_other(right, right.len() / 2);
        let with = |secrets: &[(usize, &str)]| {
            let secrets = secrets.iter().map(|(slot, secret)| (*slot, Secret::new(*secret))).collect();
            Request { secrets, ..vector.request() }.verify(verifier).map(|verified| verified.slot)
        };
        assert_eq!(with(&[(0, &wrong)]), Err(Refusal::SignatureMismatch), "{name}");
        assert_eq!(with(&[(0, &wrong), (1, right)]), Ok(Some(1)), "{name}");
        assert_eq!(with(&[(0, right), (1, &wrong)]), Ok(Some(0)), "{name}");
        assert_eq!(
            with(&[(3, right)]),
            Ok(Some(3)),
            "{name}: the slot is the contract's, not the place among those set"
        );
        assert_eq!(with(&[]), Err(Refusal::NoSecret), "{name}");
        assert_eq!(with(&[(0, "")]), Err(Refusal::NoSecret), "{name}");
    });
}
