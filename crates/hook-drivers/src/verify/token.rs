//! A shared token that is sent along: it proves who sends, not what is sent.

use hook_core::ports::verifier::{Refusal, Signed, SignedRequest, SigningRequest, Verified};
use hook_http::server::token;

use super::{
    proof::{self, Proof},
    signature,
};

/// A token as a value: where it stands, and what stands before it.
pub(crate) struct Token {
    pub(crate) proof: Proof,
    /// What stands before the token, such as `Token `.
    pub(crate) prefix: &'static str,
}

impl Token {
    /// Whether the request carries one of the source's tokens.
    pub(crate) fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        let fields = self.proof.is_in_body().then(|| proof::fields(request.body)).transpose()?;
        let value = self.proof.find(request, fields.as_ref())?;
        let given = value.strip_prefix(self.prefix).map(str::as_bytes).map(<[u8]>::trim_ascii);
        let given = given.filter(|given| !given.is_empty()).ok_or(Refusal::MalformedSignature)?;
        signature::matching_slot(request.secrets, token::of_secret, |token| token::are_equal(token, given))
    }

    /// Puts the token into a request.
    pub(crate) fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        let token = std::str::from_utf8(token::of_secret(request.secret)?).ok()?;
        let body = self.proof.is_in_body().then(|| serde_json::from_slice(request.body)).transpose().ok()?;
        let mut signed = Signed::default();
        self.proof.put(&format!("{}{token}", self.prefix), &mut signed, body)?;
        Some(signed)
    }
}
