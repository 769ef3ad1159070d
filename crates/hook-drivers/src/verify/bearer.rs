//! A shared token in the `Authorization` header (RFC 6750, section 2.1). It proves who sends, not what is sent.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    payload::Payload,
    ports::verifier::{Claim, Refusal, SignedRequest, SigningRequest, SourceVerifier, Verified},
    secret::Secret,
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{header, signature};

const SCHEME: &[u8] = b"Bearer";

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
        let value = value.ok_or(Refusal::MissingSignature { header: "Authorization" })?;
        let given = token_of_header(value).ok_or(Refusal::MalformedSignature)?;
        signature::matching_slot(request.secrets, token, |token| signature::are_equal(token, given))
    }

    fn describe(&self, _: &HeaderMap, _: &Payload) -> Claim {
        Claim::default()
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Option<HeaderMap> {
        let mut value = HeaderValue::from_bytes(&[SCHEME, b" ", token(request.secret)?].concat()).ok()?;
        value.set_sensitive(true);
        Some(HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }
}

/// Whether the value of an `Authorization` header carries the token, in a time that does not depend on where it differs.
pub(crate) fn matches(secret: &Secret, header: &[u8]) -> bool {
    token(secret).zip(token_of_header(header)).is_some_and(|(token, given)| signature::are_equal(token, given))
}

/// A token without the line break of the file that it came from: no header could carry that.
fn token(secret: &Secret) -> Option<&[u8]> {
    Some(secret.expose().trim_ascii()).filter(|token| !token.is_empty())
}

fn token_of_header(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME) && token.first() == Some(&b' ');
    Some(token.trim_ascii()).filter(|token| is_bearer && !token.is_empty())
}
