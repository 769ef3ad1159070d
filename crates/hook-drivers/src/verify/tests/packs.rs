//! Every pack through its port: what it signs it takes, and what it says of itself is so. What it refuses stands in `vectors`.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use hook_core::{
    ports::verifier::{Address, Refusal, SampleRequest, SigningRequest, SourceVerifier},
    secret::Secret,
};
use http::{HeaderValue, header::HOST};
use serde_json::json;

use super::{Request, Timestamp, built};
use crate::verify::pack::{
    self,
    format::{Pack, Scheme},
};

const HOST_SHOWN: &str = "localhost:8080";
const ED25519_PRIVATE: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
const ED25519_PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
/// A throw-away pair of `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.
const P256_PRIVATE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgm2WbZwNfH0jZZVlCWznBlSJSXAzVHo+tG77MtmqG6AehRANCAAR1KluKzj95XH1qTe3WPY/aKwVwKdize59cJSh8HMp/EEOG/OnEOGwBvgPhoHRb2m1jrAysv28L1qyXUdORYSza";
const P256_PUBLIC: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdSpbis4/eVx9ak3t1j2P2isFcCnYs3ufXCUofBzKfxBDhvzpxDhsAb4D4aB0W9ptY6wMrL9vC9asl1HTkWEs2g==";
/// The public key of SendGrid's example: nobody here has its private one.
const P256_OTHER: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
/// What any HMAC takes: also as hex, and as base64.
const TEXT: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";

/// The secrets that a pack signs with and verifies with.
fn secrets(pack: &Pack) -> (&'static str, &'static str) {
    match pack.signature.scheme {
        Scheme::Ed25519 => (ED25519_PRIVATE, ED25519_PUBLIC),
        Scheme::EcdsaP256 => (P256_PRIVATE, P256_PUBLIC),
        _ => (TEXT, TEXT),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// The sample of a pack, signed, as it arrives.
fn arrived(pack: &Pack, verifier: &dyn SourceVerifier) -> Request {
    let (private, public) = secrets(pack);
    let request = SampleRequest { event_type: &pack.sample.event, id: "d-1", now: now() };
    let sample = verifier.sample(&request).unwrap();
    let url = "/webhook/pack?a=1";
    let signed = verifier.sign(&SigningRequest {
        event_type: &sample.event_name,
        delivery_id: "d-1",
        address: Address { host: HOST_SHOWN, url },
        body: &sample.body,
        secret: &Secret::new(private),
        now: now(),
    });
    let signed = signed.unwrap_or_else(|| panic!("{} cannot sign its own sample", pack.name));
    let mut headers = signed.headers;
    headers.insert(HOST, HeaderValue::from_static(HOST_SHOWN));
    let url = match signed.parameter {
        Some((name, value)) => format!("{url}&{name}={value}"),
        None => url.to_owned(),
    };
    let body = signed.body.unwrap_or(sample.body);
    Request { headers, url, body, secrets: vec![(0, Secret::new(public))], now: now() }
}

fn each(check: impl Fn(&'static Pack, Arc<dyn SourceVerifier>)) {
    for pack in pack::all() {
        check(pack, built(pack.name, json!({})));
    }
}

#[test]
fn every_file_of_the_folder_is_a_pack_of_this_build() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs");
    let files: BTreeSet<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let built: BTreeSet<String> = pack::FILES.iter().map(|(name, _)| format!("{name}.toml")).collect();
    assert_eq!(files, built);
    assert!(pack::all().iter().all(|pack| pack.docs.starts_with("https://") && !pack.secret.is_empty()));
}

#[test]
fn what_a_pack_signs_it_takes_and_names_the_slot() {
    each(|pack, verifier| {
        let verified = arrived(pack, &*verifier).verify(&*verifier);
        assert_eq!(verified.map(|verified| verified.slot), Ok(Some(0)), "{}", pack.name);
    });
}

#[test]
fn a_sample_is_an_event_of_the_type_that_was_asked_for() {
    each(|pack, verifier| {
        let request = arrived(pack, &*verifier);
        assert_eq!(request.challenge(&*verifier), None, "{}", pack.name);
        let claim = request.describe(&*verifier);
        let event_type = claim.event_type.map(|name| name.to_string()).unwrap_or_default();
        assert_eq!(event_type, pack.sample.event, "{}", pack.name);
        let claims_id = claim.delivery_id.is_some();
        // Discord's interactions have an id, and its events have none.
        assert_eq!(claims_id, !pack.event.delivery_id.is_empty() && pack.name != "discord", "{}", pack.name);
        assert!(claim.delivery_id.is_none_or(|id| id.value.contains("d-1")), "{}", pack.name);
        assert_eq!(claim.ordering_key.is_some(), !pack.event.ordering_key.is_empty(), "{}", pack.name);
    });
}

#[test]
fn an_id_counts_as_signed_only_where_changing_it_is_noticed() {
    each(|pack, verifier| {
        let request = arrived(pack, &*verifier);
        let Some(id) = request.describe(&*verifier).delivery_id else { return };
        let mut changed = request;
        let in_header = changed.headers.values_mut().find(|value| value.as_bytes() == b"d-1");
        match in_header {
            Some(value) => *value = HeaderValue::from_static("d-2"),
            None => changed.body = String::from_utf8(changed.body).unwrap().replace("d-1", "d-2").into_bytes(),
        }
        assert_eq!(changed.verify(&*verifier).is_err(), id.is_signed, "{}", pack.name);
        assert_eq!(verifier.signs_delivery_id(), id.is_signed, "{}", pack.name);
    });
}

#[test]
fn a_body_counts_as_signed_only_where_changing_it_is_noticed() {
    each(|pack, verifier| {
        let mut request = arrived(pack, &*verifier);
        // Whitespace at its end changes the meaning of none, and of a form its last field.
        request.body.push(b' ');
        assert_eq!(request.verify(&*verifier).is_err(), verifier.signs_body(), "{}", pack.name);
    });
}

#[test]
fn nothing_is_taken_without_a_secret_and_nothing_signed_with_an_empty_one() {
    each(|pack, verifier| {
        let request = arrived(pack, &*verifier);
        for secrets in [vec![], vec![(0, Secret::new(""))]] {
            let answer = Request { secrets, ..request.clone() }.verify(&*verifier);
            assert_eq!(answer, Err(Refusal::NoSecret), "{}", pack.name);
        }
        let empty = SigningRequest {
            event_type: "x",
            delivery_id: "d-1",
            address: Address { host: HOST_SHOWN, url: "/" },
            body: &request.body,
            secret: &Secret::new(""),
            now: now(),
        };
        assert!(verifier.sign(&empty).is_none(), "{}", pack.name);
        assert!(verifier.needs_secret(), "{}", pack.name);
    });
}

#[test]
fn header_values_that_are_huge_or_no_text_are_refused_without_a_panic() {
    each(|pack, verifier| {
        let huge = [",", "v1=", "t=1,", "ts=1;", "v1,AAAA ", "sha256=", "0", "a.b.", ";;"];
        let huge = huge.map(|piece| HeaderValue::try_from(piece.repeat(200_000 / piece.len())).unwrap());
        for value in huge.into_iter().chain([HeaderValue::from_bytes(b"\xff\xfe\x80").unwrap()]) {
            let mut request = arrived(pack, &*verifier);
            request.headers.values_mut().for_each(|header| *header = value.clone());
            let is_in_header = pack.signature.header.is_some();
            assert_eq!(request.verify(&*verifier).is_err(), is_in_header, "{}", pack.name);
        }
    });
}

#[test]
fn bodies_that_cannot_be_read_make_no_verifier_panic() {
    let deep = b"[".repeat(200_000);
    each(|pack, verifier| {
        for body in [&b""[..], b"\xff\xff", b"[1,2]", b"{", b"null", b"a=1&b=2", b"{\"type\":{}}", &deep] {
            let request = Request { body: body.to_vec(), ..arrived(pack, &*verifier) };
            let _ = verifier.challenge(&request.signed(), hook_core::ports::verifier::Verified { slot: Some(0) });
            let refused = request.verify(&*verifier).is_err();
            assert_eq!(refused, verifier.signs_body() || pack.signature.field.is_some(), "{}", pack.name);
            if let Ok(shaped) = verifier.payload(&request.headers, &body.to_vec().into()) {
                let _ = verifier.describe(&request.headers, &shaped.payload);
            }
        }
    });
}

#[test]
fn two_keys_of_a_pair_can_be_set_while_one_takes_the_place_of_the_other() {
    for name in ["discord", "sendgrid"] {
        let (pack, verifier) = (pack::all().iter().find(|pack| pack.name == name).unwrap(), built(name, json!({})));
        let mut request = arrived(pack, &*verifier);
        let (_, public) = secrets(pack);
        let other = if name == "discord" {
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        } else {
            P256_OTHER
        };
        request.secrets = vec![(0, Secret::new(other)), (1, Secret::new(public))];
        assert_eq!(request.verify(&*verifier).map(|verified| verified.slot), Ok(Some(1)), "{name}");
        request.secrets.truncate(1);
        assert_eq!(request.verify(&*verifier), Err(Refusal::SignatureMismatch), "{name}");
        request.secrets = vec![(0, Secret::new("no key"))];
        assert_eq!(request.verify(&*verifier), Err(Refusal::UnusableSecret), "{name}");
    }
}

#[test]
fn discord_is_told_what_becomes_of_an_interaction() {
    let verifier = built("discord", json!({}));
    let check = |body: &'static str, status: u16, expected: &str| {
        let reply = verifier.reply(&body.into()).unwrap();
        assert_eq!((reply.status, &*reply.body), (status, expected.as_bytes()), "{body}");
        assert_eq!(reply.content_type, if expected.is_empty() { "" } else { "application/json" }, "{body}");
    };
    check(r#"{"type":2,"data":{"name":"deploy"}}"#, 200, r#"{"type":5}"#);
    check(r#"{"type":3}"#, 200, r#"{"type":6}"#);
    check(r#"{"type":4}"#, 200, r#"{"type":8,"data":{"choices":[]}}"#);
    check(r#"{"type":5}"#, 200, r#"{"type":5}"#);
    check(r#"{"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}"#, 204, "");
    check("what nobody could read", 204, "");
}

#[test]
fn a_pack_has_the_settings_that_have_an_effect_on_it() {
    let entries = crate::verify::entries();
    let keys = |name: &str| -> Vec<String> {
        let schema = entries.iter().find(|entry| entry.name() == name).unwrap().schema().to_value();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys("gitlab"), Vec::<String>::new());
    assert_eq!(keys("slack"), ["tolerance"]);
    assert_eq!(keys("square"), ["public_url"]);
    assert_eq!(keys("hubspot"), ["tolerance", "public_url"]);
    let build = |settings| super::build("square", settings).map(|_| ());
    assert!(build(json!({ "public_url": "https://hooks.example.com/square" })).is_ok());
    assert!(build(json!({ "public_url": "hooks.example.com" })).is_err());
    assert!(super::build("slack", json!({ "tolerance": "0s" })).is_err());
}

#[test]
fn every_verifier_says_what_it_checks() {
    for entry in crate::verify::entries().iter().filter(|entry| !["hmac", "none"].contains(&entry.name())) {
        let checks = built(entry.name(), json!({})).checks();
        let checks = checks.unwrap_or_else(|| panic!("{} says nothing", entry.name()));
        assert!(checks.place.is_some() && !checks.docs.is_empty(), "{}", entry.name());
    }
}
