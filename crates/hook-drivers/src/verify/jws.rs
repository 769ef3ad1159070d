//! A JSON Web Signature with HMAC-SHA256 (RFC 7515, RFC 7518 section 3.2) whose claims hold the digest of the body.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use hook_core::{
    payload::Payload,
    ports::verifier::{Refusal, Signed, SignedRequest, SigningRequest, Verified},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    proof::Proof,
    signature::{self, Algorithm, SecretEncoding},
};

/// The only algorithm that is taken: the header may not choose another, or none.
const ALGORITHM: &str = "HS256";
/// Longer than any signature that holds an issuer and a digest.
const LONGEST: usize = 4096;

/// Such a signature as a value.
pub(crate) struct Jws {
    pub(crate) proof: Proof,
    /// What the claim `iss` has to be.
    pub(crate) issuer: &'static str,
    /// A pointer to the claim that is the SHA-256 of the body, in hex.
    pub(crate) digest: &'static str,
}

impl Jws {
    /// Checks the signature, then that it is about this body.
    pub(crate) fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        let value = self.proof.find(request, None)?;
        let (signed, given) = value.rsplit_once('.').filter(|_| value.len() <= LONGEST).ok_or(MALFORMED)?;
        let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
        let given = vec![URL_SAFE_NO_PAD.decode(given).map_err(|_| MALFORMED)?];
        let header = object(header).ok_or(MALFORMED)?;
        if header.string("/alg").as_deref() != Some(ALGORITHM) || header.pointer("/crit").is_some() {
            return Err(MALFORMED);
        }
        let verified = signature::matching_slot(
            request.secrets,
            |secret| SecretEncoding::Text.key(secret),
            |key| signature::is_among(&Algorithm::Sha256.mac(&key, &[signed.as_bytes()]), &given),
        )?;
        let claims = object(claims).ok_or(MALFORMED)?;
        let digest = claims.string(self.digest).unwrap_or_default();
        let is_of_body: bool = hex::encode(Sha256::digest(request.body)).as_bytes().ct_eq(digest.as_bytes()).into();
        match is_of_body && claims.string("/iss").as_deref() == Some(self.issuer) {
            true => Ok(verified),
            false => Err(Refusal::SignatureMismatch),
        }
    }

    /// Signs as the provider does.
    pub(crate) fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        let key = SecretEncoding::Text.key(request.secret)?;
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let digest = hex::encode(Sha256::digest(request.body));
        let header = part(json!({ "alg": ALGORITHM, "typ": "JWT" }));
        let claim = self.digest.trim_start_matches('/');
        let signed = format!("{header}.{}", part(json!({ "iss": self.issuer, claim: digest })));
        let mac = Algorithm::Sha256.mac(&key, &[signed.as_bytes()]);
        let mut added = Signed::default();
        self.proof.put(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac)), &mut added, None)?;
        Some(added)
    }
}

const MALFORMED: Refusal = Refusal::MalformedSignature;

fn object(part: &str) -> Option<Payload> {
    Payload::parse(Bytes::from(URL_SAFE_NO_PAD.decode(part).ok()?)).ok()
}
