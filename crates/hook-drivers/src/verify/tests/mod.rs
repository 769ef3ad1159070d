//! Verifiers through their port: vectors that other implementations share, promises that each of them keeps, and what
//! `hmac` refuses to be told.

mod hmac_settings;
mod packs;
mod promises;
mod vectors;

use std::sync::Arc;

use hook_core::{
    Timestamp,
    catalog::BuildError,
    ports::verifier::{Claim, Refusal, Reply, SignedRequest, SourceVerifier, Verified},
    secret::Secret,
};
use http::HeaderMap;
use serde_json::Value;

/// A request with its secrets, owned, so that a test can change one thing and try again.
#[derive(Clone)]
struct Request {
    headers: HeaderMap,
    url: String,
    body: Vec<u8>,
    secrets: Vec<(usize, Secret)>,
    now: Timestamp,
}

impl Request {
    fn verify(&self, verifier: &dyn SourceVerifier) -> Result<Verified, Refusal> {
        verifier.verify(&self.signed())
    }

    fn signed(&self) -> SignedRequest<'_> {
        let Self { headers, url, body, secrets, now } = self;
        SignedRequest { headers, url, body, secrets, now: *now }
    }

    fn challenge(&self, verifier: &dyn SourceVerifier) -> Option<Reply> {
        let verified = self.verify(verifier).unwrap();
        verifier.challenge(&self.signed(), verified)
    }

    fn describe(&self, verifier: &dyn SourceVerifier) -> Claim {
        let payload = verifier.payload(&self.headers, &self.body.clone().into()).unwrap().payload;
        verifier.describe(&self.headers, &payload)
    }
}

fn build(verifier: &str, settings: Value) -> Result<Arc<dyn SourceVerifier>, BuildError> {
    let entries = super::entries();
    let entry = entries.iter().find(|entry| entry.name() == verifier).unwrap();
    entry.build(settings).map(|built| built.driver)
}

fn built(verifier: &str, settings: Value) -> Arc<dyn SourceVerifier> {
    match build(verifier, settings) {
        Ok(driver) => driver,
        Err(error) => panic!("{verifier}: {error:?}"),
    }
}

/// Path and query where a test says none.
const URL: &str = "/webhook/test?a=1";

/// Another character of the same alphabet: of hex, base64 and tokens alike.
fn other(character: char) -> char {
    match character {
        '0' => '1',
        '0'..='9' => '0',
        'a' => 'b',
        _ => 'a',
    }
}

/// The text with the character at a place replaced by another.
fn with_other(text: &str, place: usize) -> String {
    text.chars().enumerate().map(|(at, character)| if at == place { other(character) } else { character }).collect()
}

#[test]
fn every_built_in_source_has_its_verifier_without_any_setting() {
    let sources = super::builtin_sources();
    let names: Vec<_> = sources.iter().map(|source| (source.name, source.secret_env)).collect();
    assert_eq!(
        names,
        [("github", "HMAC_SECRET_GITHUB"), ("linear", "HMAC_SECRET_LINEAR"), ("stripe", "HMAC_SECRET_STRIPE")]
    );
    for source in sources {
        assert!(built(source.verifier, serde_json::json!({})).needs_secret(), "{}", source.name);
    }
}
