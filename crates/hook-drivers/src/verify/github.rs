//! GitHub: an HMAC-SHA256 of the body. GitHub signs no time and no delivery id.
//!
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    names::EventType,
    payload::Payload,
    ports::verifier::{
        Checks, Claim, DeliveryId, Refusal, Signed, SignedRequest, SigningRequest, SourceVerifier, Verified,
    },
};
use http::{HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{header, scheme::Scheme};

const SIGNATURE: &str = "X-Hub-Signature-256";
const EVENT: &str = "X-GitHub-Event";
const DELIVERY: &str = "X-GitHub-Delivery";

/// The settings of `github`: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {}

/// The verifier `github`.
pub struct GitHub(Scheme);

impl Kind for GitHub {
    const NAME: &'static str = "github";
    const ABOUT: &'static str = "GitHub's webhooks: `X-Hub-Signature-256` over the body.";
    type Settings = Settings;
    type Driver = dyn SourceVerifier;

    fn build(Settings {}: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        Ok(Arc::new(Self(Scheme { prefix: "sha256=".into(), ..Scheme::of_body(SIGNATURE) })))
    }
}

impl SourceVerifier for GitHub {
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        self.0.verify(request)
    }

    fn describe(&self, headers: &HeaderMap, payload: &Payload) -> Claim {
        Claim {
            event_type: event_type(headers, payload),
            delivery_id: header::described(headers, DELIVERY).map(|value| DeliveryId { value, is_signed: false }),
            ordering_key: ordering_key(payload),
        }
    }

    fn signs_delivery_id(&self) -> bool {
        false
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        let mut signed = self.0.sign(request)?;
        signed.headers.insert(EVENT, HeaderValue::try_from(request.event_type).ok()?);
        signed.headers.insert(DELIVERY, HeaderValue::try_from(request.delivery_id).ok()?);
        Some(signed)
    }

    fn checks(&self) -> Option<Checks> {
        Some(Checks {
            event_type: vec![format!("{{header:{EVENT}}}.{{/action}}"), format!("{{header:{EVENT}}}")],
            delivery_id: vec![format!("{{header:{DELIVERY}}}")],
            ordering_key: ["pull_request", "issue"]
                .map(|object| format!("{{/repository/full_name}}#{{/{object}/number}}"))
                .into_iter()
                .chain(["{/repository/full_name}".to_owned()])
                .collect(),
            docs: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries".to_owned(),
            ..self.0.checks()
        })
    }
}

fn event_type(headers: &HeaderMap, payload: &Payload) -> Option<EventType> {
    let event = header::described(headers, EVENT)?;
    let name = match payload.string("/action") {
        Some(action) if !action.is_empty() => format!("{event}.{action}"),
        _ => event,
    };
    EventType::new(name).ok()
}

/// The repository, and in it the issue or pull request, whose numbers GitHub draws from one sequence.
fn ordering_key(payload: &Payload) -> Option<String> {
    let repository = payload.string("/repository/full_name")?;
    let number = ["/pull_request/number", "/issue/number"].iter().find_map(|pointer| payload.scalar(pointer));
    Some(match number {
        Some(number) => format!("{repository}#{number}"),
        None => repository,
    })
}
