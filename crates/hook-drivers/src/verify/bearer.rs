//! A shared token in the `Authorization` header (RFC 6750, section 2.1). It proves who sends, not what is sent.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    payload::Payload,
    ports::verifier::{Checks, Claim, Place, Refusal, Signed, SignedRequest, SigningRequest, SourceVerifier, Verified},
};
use hook_http::server::token::{self, SCHEME};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{header, signature};

/// The settings of `bearer`: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {}

/// The verifier `bearer`.
pub struct Bearer;

impl Kind for Bearer {
    const NAME: &'static str = "bearer";
    const ABOUT: &'static str = "Any sender that knows the token: `Authorization: Bearer TOKEN`.";
    type Settings = Settings;
    type Driver = dyn SourceVerifier;

    fn build(Settings {}: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        Ok(Arc::new(Self))
    }
}

impl SourceVerifier for Bearer {
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        let value = header::only_bytes(request.headers, AUTHORIZATION).map_err(|_| Refusal::MalformedSignature)?;
        let value = value.ok_or(Refusal::MissingSignature { place: Place::Header("Authorization") })?;
        let given = token::of_header(value).ok_or(Refusal::MalformedSignature)?;
        signature::matching_slot(request.secrets, token::of_secret, |token| token::are_equal(token, given))
    }

    fn describe(&self, _: &HeaderMap, _: &Payload) -> Claim {
        Claim::default()
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        let mut value =
            HeaderValue::from_bytes(&[SCHEME.as_bytes(), b" ", token::of_secret(request.secret)?].concat()).ok()?;
        value.set_sensitive(true);
        Some(HeaderMap::from_iter([(AUTHORIZATION, value)]).into())
    }

    fn checks(&self) -> Option<Checks> {
        Some(Checks {
            scheme: "token, compared".to_owned(),
            place: Some(Place::Header("Authorization")),
            secret: "the token".to_owned(),
            docs: "https://www.rfc-editor.org/rfc/rfc6750#section-2.1".to_owned(),
            ..super::scheme::no_checks()
        })
    }
}
