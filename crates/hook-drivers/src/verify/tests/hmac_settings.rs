//! What `hmac` refuses to be told, because it could not verify what it seems to.

use hook_core::{
    Timestamp,
    catalog::{BuildError, Fault},
    ports::verifier::SampleRequest,
    secret::Secret,
};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{Request, build, built};

fn faults(settings: Value) -> Vec<Fault> {
    match build("hmac", settings) {
        Err(BuildError::Faulty(faults)) => faults,
        Err(BuildError::Unreadable { pointer, message }) => panic!("{pointer}: {message}"),
        Ok(_) => Vec::new(),
    }
}

/// Builds `hmac` from a header and these settings, and compares where its faults are.
fn check(settings: &Value, expected: &[(&str, bool)]) {
    let mut complete = json!({ "header": "X-Signature" });
    complete.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let faults = faults(complete);
    let found: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.is_security_critical)).collect();
    assert_eq!(found, expected, "{settings}: {faults:?}");
}

#[test]
fn a_description_that_can_be_right_has_no_faults() {
    check(&json!({}), &[]);
    check(&json!({ "prefix": "sha256=", "delivery_id": "header:X-Id" }), &[]);
    check(&json!({ "prefix": "HMAC-SHA256 Signature=", "tolerance": "1s", "timestamp": "/time" }), &[]);
    check(&json!({ "signed_content": "v0:{timestamp}:{body}", "timestamp": "header:X-Time" }), &[]);
    check(&json!({ "signed_content": "{body}{id}", "delivery_id": "header:X-Id" }), &[]);
}

#[test]
fn content_without_the_body_is_security_critical() {
    check(&json!({ "signed_content": "" }), &[("/signed_content", true)]);
    check(&json!({ "signed_content": "body" }), &[("/signed_content", true)]);
    check(&json!({ "signed_content": "{timestamp}", "timestamp": "header:X-Time" }), &[("/signed_content", true)]);
}

#[test]
fn a_placeholder_that_is_none_is_a_fault() {
    for template in ["{body}{url}", "{Body}", "{ body }", "{body", "{}{body}", "{{body}}"] {
        check(&json!({ "signed_content": template }), &[("/signed_content", true)]);
    }
}

#[test]
fn a_placeholder_needs_a_header_to_stand_for() {
    check(&json!({ "signed_content": "{timestamp}{body}" }), &[("/signed_content", false)]);
    check(&json!({ "signed_content": "{id}{body}" }), &[("/signed_content", false)]);
    check(&json!({ "signed_content": "{timestamp}{body}", "timestamp": "/t" }), &[("/timestamp", false)]);
    check(&json!({ "signed_content": "{id}{body}", "delivery_id": "/id" }), &[("/delivery_id", false)]);
}

#[test]
fn a_time_that_is_not_signed_is_security_critical() {
    check(&json!({ "timestamp": "header:X-Time" }), &[("/timestamp", true)]);
    check(&json!({ "timestamp": "header:X-Signature", "prefix": "v1=" }), &[("/timestamp", true)]);
}

#[test]
fn a_tolerance_needs_a_time_and_a_length() {
    check(&json!({ "tolerance": "5m" }), &[("/tolerance", false)]);
    check(&json!({ "timestamp": "/t", "tolerance": "0s" }), &[("/tolerance", false)]);
}

#[test]
fn a_header_and_a_prefix_have_to_be_possible() {
    check(&json!({ "header": "X Signature" }), &[("/header", false)]);
    check(&json!({ "header": "" }), &[("/header", false)]);
    check(&json!({ "prefix": " v1=" }), &[("/prefix", false)]);
    check(&json!({ "prefix": "ä=" }), &[("/prefix", false)]);
}

#[test]
fn all_faults_are_found_at_once() {
    let settings = json!({ "header": "", "prefix": "\n", "signed_content": "{timestamp}{body}", "tolerance": "5m" });
    let expected = [("/header", false), ("/prefix", false), ("/signed_content", false), ("/tolerance", false)];
    check(&settings, &expected);
}

#[test]
fn a_missing_signature_names_its_header() {
    let verifier = built("hmac", json!({ "header": "X-Signature" }));
    let secrets = vec![(0, Secret::new("secret"))];
    let request = Request {
        headers: HeaderMap::new(),
        url: String::new(),
        body: Vec::new(),
        secrets,
        now: Timestamp::UNIX_EPOCH,
    };
    let refusal = request.verify(&*verifier).unwrap_err();
    assert_eq!(refusal.to_string(), "the signature is missing: expected header X-Signature");
}

#[test]
fn a_sample_says_when_it_was_sent_where_its_body_has_to() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let sample = |timestamp: &str| {
        let verifier = built("hmac", json!({ "header": "X-Signature", "timestamp": timestamp }));
        let sample = verifier.sample(&SampleRequest { event_type: "invoice.paid", id: "d-1", now });
        sample.map(|sample| serde_json::from_slice::<Value>(&sample.body).unwrap())
    };
    let expected = json!({ "type": "invoice.paid", "id": "d-1", "sent": 1_700_000_000 });
    assert_eq!(sample("/sent"), Some(expected));
    assert_eq!(sample("/meta/a~1b").unwrap()["meta"], json!({ "a/b": 1_700_000_000 }));
    let verifier = built("hmac", json!({ "header": "X-Signature" }));
    assert!(verifier.sample(&SampleRequest { event_type: "x", id: "d-1", now }).is_none());
}
