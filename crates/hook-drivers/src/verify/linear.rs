//! Linear: an HMAC-SHA256 of the body, in which the time of sending stands.
//!
//! <https://linear.app/developers/webhooks#securing-webhooks>

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
use http::{HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    freshness, header,
    scheme::{Scheme, SignedTime, TimeFormat, TimePlace},
};

const SIGNATURE: &str = "Linear-Signature";
const EVENT: &str = "Linear-Event";
const DELIVERY: &str = "Linear-Delivery";
const TIME: &str = "/webhookTimestamp";

/// The settings of `linear`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How far the signed time may be from now.
    #[serde(default = "default_tolerance")]
    pub tolerance: HumanDuration,
}

fn default_tolerance() -> HumanDuration {
    HumanDuration::from_secs(60)
}

/// The verifier `linear`.
pub struct Linear(Scheme);

impl Kind for Linear {
    const NAME: &'static str = "linear";
    const ABOUT: &'static str = "Linear's webhooks: `Linear-Signature` over the body, which holds the time.";
    type Settings = Settings;
    type Driver = dyn SourceVerifier;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let tolerance = freshness::tolerance(settings.tolerance).map_err(|fault| vec![fault])?;
        let time =
            SignedTime { place: TimePlace::Pointer(TIME.to_owned()), format: TimeFormat::Milliseconds, tolerance };
        Ok(Arc::new(Self(Scheme { time: Some(time), ..Scheme::of_body(SIGNATURE) })))
    }
}

impl SourceVerifier for Linear {
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        self.0.verify(request)
    }

    fn describe(&self, headers: &HeaderMap, payload: &Payload) -> Claim {
        let object = payload.string("/type").filter(|object| !object.is_empty());
        let ordering_key = issue(object.as_deref(), payload);
        let object = object.or_else(|| header::described(headers, EVENT));
        Claim {
            event_type: object.and_then(|object| event_type(object, payload)),
            delivery_id: header::described(headers, DELIVERY).map(|value| DeliveryId { value, is_signed: false }),
            ordering_key,
        }
    }

    fn signs_delivery_id(&self) -> bool {
        false
    }

    fn sent_at(&self, headers: &HeaderMap, payload: &Payload) -> Option<Timestamp> {
        self.0.sent_at(headers, payload)
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        let mut signed = self.0.sign(request)?;
        signed.headers.insert(EVENT, HeaderValue::try_from(request.event_type).ok()?);
        signed.headers.insert(DELIVERY, HeaderValue::try_from(request.delivery_id).ok()?);
        Some(signed)
    }

    fn checks(&self) -> Option<Checks> {
        Some(Checks {
            event_type: vec!["{/type}.{/action}".to_owned(), format!("{{header:{EVENT}}}.{{/action}}")],
            delivery_id: vec![format!("{{header:{DELIVERY}}}")],
            ordering_key: vec![
                "{/data/id} of an issue".to_owned(),
                "{/data/issueId}".to_owned(),
                "{/data/issue/id}".to_owned(),
            ],
            docs: "https://linear.app/developers/webhooks#securing-webhooks".to_owned(),
            ..self.0.checks()
        })
    }
}

fn event_type(object: String, payload: &Payload) -> Option<EventType> {
    let name = match payload.string("/action") {
        Some(action) if !action.is_empty() => format!("{object}.{action}"),
        _ => object,
    };
    EventType::new(name).ok()
}

/// The issue that the event is, or is about, such as a comment's.
fn issue(object: Option<&str>, payload: &Payload) -> Option<String> {
    let pointers: &[&str] = match object {
        Some("Issue") => &["/data/id"],
        _ => &["/data/issueId", "/data/issue/id"],
    };
    pointers.iter().find_map(|pointer| payload.string(pointer)).filter(|id| !id.is_empty())
}
