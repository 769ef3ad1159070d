//! Providers that are described by data: one file each in `packs/`, and one verifier that reads them.
//!
//! ```text
//! packs/NAME.toml ─ format ─▶ Pack ─ build (with the settings of a contract) ─▶ PackVerifier
//! ```
//!
//! | file | holds |
//! |---|---|
//! | [`mod@format`] | what a pack may say |
//! | `build` | a pack and its settings as a proof to check |
//! | `selector` | where type, id and ordering key stand |
//! | `challenge` | requests that want an answer and are no events |
//! | `reply` | what a provider insists on being answered where an event was taken |
//! | `shape` | bodies that are no JSON object |
//! | `sample` | a body to try things out with |

mod build;
mod challenge;
pub mod format;
mod reply;
mod sample;
mod selector;
mod shape;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hook_core::{
    Timestamp,
    catalog::{Built, Entry, read},
    duration::HumanDuration,
    names::EventType,
    payload::{Payload, PayloadError},
    ports::verifier::{
        Checks, Claim, DeliveryId, Refusal, Reply, Sample, SampleRequest, Shaped, Signed, SignedRequest,
        SigningRequest, SourceVerifier, Verified,
    },
    secret::Secret,
};
use http::{HeaderMap, Method};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use build::Proven;
use challenge::Challenge;
use format::Pack;
use selector::Selectors;

macro_rules! packs {
    ($($name:literal),* $(,)?) => {
        /// The packs of this build, by name, as they stand in their files.
        pub const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../packs/", $name, ".toml")))),*];
    };
}

packs![
    "adyen",
    "bitbucket",
    "buildkite",
    "calendly",
    "clerk",
    "discord",
    "dockerhub",
    "dropbox",
    "figma",
    "gitlab",
    "grafana",
    "hubspot",
    "intercom",
    "jira",
    "mailgun",
    "meta",
    "netlify",
    "openai",
    "paddle",
    "pagerduty",
    "polar",
    "resend",
    "sendgrid",
    "sentry",
    "shopify",
    "slack",
    "square",
    "svix",
    "twilio",
    "twitch",
    "typeform",
    "vercel",
    "zoom",
];

static PACKS: LazyLock<Vec<Pack>> = LazyLock::new(|| {
    let parse = |&(name, text): &(&'static str, &'static str)| match Pack::parse(name, text) {
        Ok(pack) => pack,
        Err(error) => panic!("packs/{name}.toml: {error}"),
    };
    FILES.iter().map(parse).collect()
});

/// Every pack of this build, in the order of their names.
pub fn all() -> &'static [Pack] {
    &PACKS
}

/// The verifiers of all packs.
pub(super) fn entries() -> impl Iterator<Item = Entry<dyn SourceVerifier>> {
    all().iter().map(|pack| {
        let schema = move |generator: &mut SchemaGenerator| schema(pack, generator);
        Entry::described(pack.name, &pack.about, schema, move |value| {
            let settings: Settings = read(value)?;
            let settings = Settings { tolerance: settings.tolerance.or(pack.signature.tolerance), ..settings };
            let complete = serde_json::to_value(&settings).unwrap_or_default();
            let driver = PackVerifier::new(pack, settings).map_err(hook_core::catalog::BuildError::Faulty)?;
            Ok(Built { driver: Arc::new(driver) as Arc<dyn SourceVerifier>, settings: complete })
        })
    })
}

/// What a contract may set. A pack has the keys that have an effect on it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
struct Settings {
    /// How far the signed time may be from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance: Option<HumanDuration>,
    /// The address that the provider posts to, such as `https://hooks.example.com/webhook/square`: it is signed. Without it,
    /// `https://`, the `Host` header and the path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
}

fn schema(pack: &Pack, generator: &mut SchemaGenerator) -> Schema {
    let mut schema = Settings::json_schema(generator);
    if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
        match pack.signature.tolerance {
            Some(tolerance) => properties["tolerance"]["default"] = tolerance.to_string().into(),
            None => drop(properties.remove("tolerance")),
        }
        if !pack.signature.signs_url() {
            properties.remove("public_url");
        }
    }
    schema
}

/// The verifier of a pack.
struct PackVerifier {
    pack: &'static Pack,
    proven: Proven,
    event_type: Selectors,
    delivery_id: Selectors,
    ordering_key: Selectors,
    challenges: Vec<Challenge>,
}

impl PackVerifier {
    fn new(pack: &'static Pack, settings: Settings) -> Result<Self, Vec<hook_core::catalog::Fault>> {
        let proven = build::proven(pack, settings)?;
        let selectors = |texts: &'static [String]| match Selectors::parse(texts) {
            Ok(selectors) => selectors,
            Err(error) => panic!("packs/{}.toml: {error}", pack.name),
        };
        let challenge = |challenge| match Challenge::new(challenge) {
            Ok(challenge) => challenge,
            Err(error) => panic!("packs/{}.toml: {error}", pack.name),
        };
        Ok(Self {
            pack,
            proven,
            event_type: selectors(&pack.event.r#type),
            delivery_id: selectors(&pack.event.delivery_id),
            ordering_key: selectors(&pack.event.ordering_key),
            challenges: pack.challenge.iter().map(challenge).collect(),
        })
    }
}

impl SourceVerifier for PackVerifier {
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        self.proven.verify(request)
    }

    fn payload(&self, _: &HeaderMap, body: &Bytes) -> Result<Shaped, PayloadError> {
        shape::payload(&self.pack.body.shapes, body)
    }

    fn describe(&self, headers: &HeaderMap, payload: &Payload) -> Claim {
        let id = self.delivery_id.select(headers, payload);
        Claim {
            event_type: self.event_type.select(headers, payload).and_then(|(name, _)| EventType::new(name).ok()),
            delivery_id: id.map(|(value, by)| DeliveryId { value, is_signed: self.proven.signs(by) }),
            ordering_key: self.ordering_key.select(headers, payload).map(|(key, _)| key),
        }
    }

    fn sent_at(&self, headers: &HeaderMap, payload: &Payload) -> Option<Timestamp> {
        self.proven.sent_at(headers, payload)
    }

    fn signs_delivery_id(&self) -> bool {
        self.delivery_id.iter().all(|selector| self.proven.signs(selector))
    }

    fn signs_body(&self) -> bool {
        self.proven.signs_body()
    }

    fn challenge(&self, request: &SignedRequest<'_>, verified: Verified) -> Option<Reply> {
        let is_asked = |challenge: &&Challenge| challenge.is_posted();
        let mut asked = self.challenges.iter().filter(is_asked).peekable();
        asked.peek()?;
        // What cannot be read is refused after this, by the same parser.
        let payload = shape::payload(&self.pack.body.shapes, &Bytes::copy_from_slice(request.body)).ok()?.payload;
        let secret = request.secrets.iter().find(|(slot, _)| Some(*slot) == verified.slot).map(|(_, secret)| secret);
        asked.find_map(|challenge| challenge.answer_post(request.headers, &payload, secret))
    }

    fn challenge_without_body(
        &self,
        method: &Method,
        url: &str,
        token: Option<&Secret>,
    ) -> Option<Result<Reply, Refusal>> {
        self.challenges.iter().find_map(|challenge| challenge.answer_without_body(method, url, token))
    }

    fn needs_challenge_token(&self) -> bool {
        self.challenges.iter().any(Challenge::needs_token)
    }

    fn reply(&self, body: &Bytes) -> Option<Reply> {
        reply::to(self.pack, body)
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        let mut signed = self.proven.sign(request)?;
        let beside = [(&self.event_type, request.event_type), (&self.delivery_id, request.delivery_id)];
        for (selectors, value) in beside {
            let Some(name) = selectors.header() else { continue };
            if !signed.headers.contains_key(name) {
                signed.headers.insert(name, value.parse().ok()?);
            }
        }
        for (name, value) in &self.pack.sample.headers {
            signed.headers.insert(http::HeaderName::try_from(name).ok()?, value.parse().ok()?);
        }
        Some(signed)
    }

    fn sample(&self, request: &SampleRequest<'_>) -> Option<Sample> {
        Some(sample::of(&self.pack.sample, request, self.event_type.parts_of_first()))
    }

    fn checks(&self) -> Option<Checks> {
        let needs_token = self.needs_challenge_token();
        let token = "A GET challenge has to show the token of `verify_token_env` (`VERIFY_TOKEN_<SOURCE>`).";
        Some(Checks {
            event_type: self.pack.event.r#type.clone(),
            delivery_id: self.pack.event.delivery_id.clone(),
            delivery_id_is_signed: !self.delivery_id.is_empty() && self.signs_delivery_id(),
            ordering_key: self.pack.event.ordering_key.clone(),
            secret: self.pack.secret.clone(),
            bodies: self.pack.body.shapes.iter().map(|shape| shape.shown()).collect(),
            challenges: self.pack.challenge.iter().map(|challenge| challenge.about.clone()).collect(),
            docs: self.pack.docs.clone(),
            notes: self.pack.notes.iter().cloned().chain(needs_token.then(|| token.to_owned())).collect(),
            ..self.proven.checks()
        })
    }
}
