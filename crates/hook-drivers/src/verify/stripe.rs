//! Stripe: HMAC-SHA256 of a time and the body, one `v1=` for each active secret.
//!
//! <https://docs.stripe.com/webhooks#verify-manually>

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
use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    freshness,
    scheme::{Part, Scheme, SignedTime, TimeFormat, TimePlace},
};

/// The settings of `stripe`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How far the signed time may be from now.
    #[serde(default = "default_tolerance")]
    pub tolerance: HumanDuration,
}

fn default_tolerance() -> HumanDuration {
    HumanDuration::from_secs(300)
}

/// The verifier `stripe`.
pub struct Stripe(Scheme);

impl Kind for Stripe {
    const NAME: &'static str = "stripe";
    const ABOUT: &'static str = "Stripe's webhooks: `Stripe-Signature` over a time and the body.";
    type Settings = Settings;
    type Driver = dyn SourceVerifier;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let tolerance = freshness::tolerance(settings.tolerance).map_err(|fault| vec![fault])?;
        Ok(Arc::new(Self(Scheme {
            prefix: "v1=".into(),
            separators: vec![','],
            content: vec![Part::Time, Part::Text(".".into()), Part::Body],
            time: Some(SignedTime {
                place: TimePlace::Element(&["t=", "ts="]),
                format: TimeFormat::Seconds,
                tolerance,
            }),
            ..Scheme::of_body("Stripe-Signature")
        })))
    }
}

impl SourceVerifier for Stripe {
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        self.0.verify(request)
    }

    /// No ordering key: Stripe promises no order, so that lanes would only make events wait for each other.
    fn describe(&self, _: &HeaderMap, payload: &Payload) -> Claim {
        let id = payload.string("/id").filter(|id| !id.is_empty());
        Claim {
            event_type: payload.string("/type").and_then(|name| EventType::new(name).ok()),
            delivery_id: id.map(|value| DeliveryId { value, is_signed: true }),
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
            delivery_id: vec!["{/id}".to_owned()],
            delivery_id_is_signed: true,
            docs: "https://docs.stripe.com/webhooks#verify-manually".to_owned(),
            ..self.0.checks()
        })
    }
}
