//! No verification. A contract has to say that this is what it wants.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    payload::Payload,
    ports::verifier::{Claim, Refusal, Signed, SignedRequest, SigningRequest, SourceVerifier, Verified},
};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of `none`: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {}

/// The verifier `none`.
pub struct Unverified;

impl Kind for Unverified {
    const NAME: &'static str = "none";
    const ABOUT: &'static str = "Anyone: nothing is verified. Needs `allow_unverified = true`.";
    type Settings = Settings;
    type Driver = dyn SourceVerifier;

    fn build(Settings {}: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        Ok(Arc::new(Self))
    }
}

impl SourceVerifier for Unverified {
    fn verify(&self, _: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        Ok(Verified { slot: None })
    }

    fn describe(&self, _: &HeaderMap, _: &Payload) -> Claim {
        Claim::default()
    }

    fn needs_secret(&self) -> bool {
        false
    }

    fn sign(&self, _: &SigningRequest<'_>) -> Option<Signed> {
        None
    }
}
