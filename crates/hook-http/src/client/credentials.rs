//! What an outgoing request proves itself with: a bearer token, and a Standard Webhooks signature.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use hook_core::{
    names::EnvName,
    outcome::{FailureClass, Outcome},
    secret::{Secret, Secrets},
};
use http::HeaderValue;
use sha2::Sha256;

/// How the Standard Webhooks specification marks a secret that is written in base64.
const SECRET_PREFIX: &str = "whsec_";

/// The secret of that name, or why the attempt cannot be made.
pub fn look_up(secrets: &Secrets, name: &EnvName) -> Result<Secret, Outcome> {
    secrets.get(name).ok_or_else(|| misconfigured(format!("{name} is not set")))
}

/// The value of an `Authorization` header.
pub fn bearer(token: &Secret, name: &EnvName) -> Result<HeaderValue, Outcome> {
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token.expose().trim_ascii()].concat())
        .map_err(|_| misconfigured(format!("{name} holds a character that no header can carry")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The value of a `webhook-signature` header (Standard Webhooks, "Signature scheme").
pub fn signature(
    secret: &Secret,
    name: &EnvName,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Result<HeaderValue, Outcome> {
    let key = signing_key(secret, name)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    Ok(HeaderValue::try_from(signature).expect("base64 is ASCII"))
}

/// A secret with the prefix is base64; any other is used as it is.
fn signing_key(secret: &Secret, name: &EnvName) -> Result<Vec<u8>, Outcome> {
    let Some(encoded) = secret.expose_str().and_then(|text| text.trim().strip_prefix(SECRET_PREFIX)) else {
        return Ok(secret.expose().to_vec());
    };
    STANDARD
        .decode(encoded)
        .map_err(|_| misconfigured(format!("{name} begins with `{SECRET_PREFIX}`, but base64 does not follow")))
}

fn misconfigured(error: String) -> Outcome {
    Outcome::failed(FailureClass::Misconfigured, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> EnvName {
        EnvName::new("SIGNING_SECRET").unwrap()
    }

    #[test]
    fn the_signature_is_that_of_the_published_example() {
        // From the tests of the reference libraries of Standard Webhooks.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let value = signature(&secret, &name(), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(value, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_named_and_not_shown() {
        let secret = Secret::new("whsec_canary!");
        let Err(Outcome::Failed(failure)) = signature(&secret, &name(), "id", 0, b"") else { panic!() };
        assert!(failure.error.contains("SIGNING_SECRET") && !failure.error.contains("canary"));
        let Err(Outcome::Failed(failure)) = bearer(&Secret::new("canary\nx"), &name()) else { panic!() };
        assert_eq!(failure.class, FailureClass::Misconfigured);
        assert!(failure.error.contains("SIGNING_SECRET") && !failure.error.contains("canary"));
    }

    #[test]
    fn a_token_is_sent_without_the_line_break_of_its_file_and_is_never_shown() {
        let value = bearer(&Secret::new("canary\n"), &name()).unwrap();
        assert_eq!(value, "Bearer canary");
        assert!(!format!("{value:?}").contains("canary"));
    }
}
