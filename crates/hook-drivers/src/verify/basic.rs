//! A user and a password in the `Authorization` header (RFC 7617). They prove who sends, not what is sent.

use std::sync::Arc;

use base64::Engine as _;
use hook_core::{
    catalog::{Fault, Kind},
    payload::Payload,
    ports::verifier::{Checks, Claim, Place, Refusal, Signed, SignedRequest, SigningRequest, SourceVerifier, Verified},
    secret::Secret,
};
use hook_http::server::token;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    header,
    signature::{self, BASE64},
};

const SCHEME: &[u8] = b"Basic ";

/// The settings of `basic`: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {}

/// The verifier `basic`.
pub struct Basic;

impl Kind for Basic {
    const NAME: &'static str = "basic";
    const ABOUT: &'static str =
        "Any sender that knows a user and a password: `Authorization: Basic …`. The secret is `USER:PASSWORD`.";
    type Settings = Settings;
    type Driver = dyn SourceVerifier;

    fn build(Settings {}: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        Ok(Arc::new(Self))
    }
}

impl SourceVerifier for Basic {
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        let value = header::only_bytes(request.headers, AUTHORIZATION).map_err(|_| Refusal::MalformedSignature)?;
        let value = value.ok_or(Refusal::MissingSignature { place: Place::Header("Authorization") })?;
        let given = credentials(value).ok_or(Refusal::MalformedSignature)?;
        signature::matching_slot(request.secrets, pair, |pair| token::are_equal(pair, &given))
    }

    fn describe(&self, _: &HeaderMap, _: &Payload) -> Claim {
        Claim::default()
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        let value = [SCHEME, BASE64.encode(pair(request.secret)?).as_bytes()].concat();
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        value.set_sensitive(true);
        Some(HeaderMap::from_iter([(AUTHORIZATION, value)]).into())
    }

    fn checks(&self) -> Option<Checks> {
        Some(Checks {
            scheme: "user and password, compared".to_owned(),
            place: Some(Place::Header("Authorization")),
            secret: "`USER:PASSWORD`".to_owned(),
            docs: "https://www.rfc-editor.org/rfc/rfc7617".to_owned(),
            ..super::scheme::no_checks()
        })
    }
}

/// User and password of a secret, which a colon parts.
fn pair(secret: &Secret) -> Option<&[u8]> {
    token::of_secret(secret).filter(|pair| pair.contains(&b':'))
}

/// User and password of such a header.
fn credentials(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.split_at_checked(SCHEME.len())?;
    let given = BASE64.decode(encoded.trim_ascii()).ok()?;
    (scheme.eq_ignore_ascii_case(SCHEME) && given.contains(&b':')).then_some(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_taken_in_any_case_and_a_secret_needs_a_colon() {
        let encoded = BASE64.encode("user:pass:word");
        for header in [format!("Basic {encoded}"), format!("basic   {encoded}"), format!("BASIC {encoded} ")] {
            assert_eq!(credentials(header.as_bytes()).as_deref(), Some(&b"user:pass:word"[..]), "{header}");
        }
        for header in ["", "Basic", "Basic ", "Basic dXNlcg==", "Bearer dXNlcjpwYXNz", "Basic *"] {
            assert_eq!(credentials(header.as_bytes()), None, "{header}");
        }
        assert_eq!(pair(&Secret::new("user:password\n")), Some(&b"user:password"[..]));
        assert_eq!(pair(&Secret::new("password")), None);
    }
}
