//! Standard Webhooks: HMAC-SHA256 of an id, a time and the body.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::sync::Arc;

use hook_core::{
    Timestamp,
    catalog::{Fault, Kind},
    duration::HumanDuration,
    names::EventType,
    payload::Payload,
    ports::verifier::{
        Checks, Claim, DeliveryId, Refusal, Signed, SignedRequest, SigningRequest, SourceVerifier, Verified,
    },
};
use http::{HeaderMap, HeaderName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    freshness, header,
    scheme::{Part, Scheme, SignedTime, TimeFormat, TimePlace},
    signature::{Encoding, SecretEncoding},
};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIME: HeaderName = HeaderName::from_static("webhook-timestamp");

/// The settings of `standard-webhooks`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How far the signed time may be from now.
    #[serde(default = "default_tolerance")]
    pub tolerance: HumanDuration,
}

fn default_tolerance() -> HumanDuration {
    HumanDuration::from_secs(300)
}

/// The verifier `standard-webhooks`.
pub struct StandardWebhooks(Scheme);

impl Kind for StandardWebhooks {
    const NAME: &'static str = "standard-webhooks";
    const ABOUT: &'static str = "Any sender that follows Standard Webhooks, with signatures of version `v1`.";
    type Settings = Settings;
    type Driver = dyn SourceVerifier;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let tolerance = freshness::tolerance(settings.tolerance).map_err(|fault| vec![fault])?;
        Ok(Arc::new(Self(Scheme {
            prefix: "v1,".into(),
            separators: vec![' '],
            encoding: Encoding::Base64,
            secret: SecretEncoding::Marked,
            content: vec![Part::Id, Part::Text(".".into()), Part::Time, Part::Text(".".into()), Part::Body],
            time: Some(SignedTime { place: TimePlace::Header(TIME), format: TimeFormat::Seconds, tolerance }),
            id: Some(ID),
            ..Scheme::of_body("webhook-signature")
        })))
    }
}

impl SourceVerifier for StandardWebhooks {
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        self.0.verify(request)
    }

    fn describe(&self, headers: &HeaderMap, payload: &Payload) -> Claim {
        Claim {
            event_type: payload.string("/type").and_then(|name| EventType::new(name).ok()),
            delivery_id: header::described(headers, ID).map(|value| DeliveryId { value, is_signed: true }),
            ordering_key: None,
        }
    }

    fn sent_at(&self, headers: &HeaderMap, payload: &Payload) -> Option<Timestamp> {
        self.0.sent_at(headers, payload)
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        self.0.sign(request)
    }

    fn checks(&self) -> Option<Checks> {
        Some(Checks {
            event_type: vec!["{/type}".to_owned()],
            delivery_id: vec![format!("{{header:{ID}}}")],
            docs: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"
                .to_owned(),
            ..self.0.checks()
        })
    }
}
