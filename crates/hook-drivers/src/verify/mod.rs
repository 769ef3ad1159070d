//! Who sent it: signature schemes, one file each, and the sources that are known without a contract.
//!
//! | file | holds |
//! |---|---|
//! | [`github`], [`linear`], [`stripe`] | providers |
//! | [`standard_webhooks`] | a convention that many senders follow |
//! | [`hmac`] | a scheme that the contract describes |
//! | [`bearer`], [`none`] | a shared token; no proof at all |
//! | `scheme` | a signature scheme as a value, and the one function that checks signatures |
//! | [`signature`], `freshness`, `header` | what a scheme is made of |

pub mod bearer;
mod freshness;
pub mod github;
mod header;
pub mod hmac;
pub mod linear;
pub mod none;
mod scheme;
mod sent;
pub mod signature;
pub mod standard_webhooks;
pub mod stripe;
#[cfg(test)]
mod tests;

use hook_core::{
    catalog::{BuiltinSource, Entry},
    ports::verifier::SourceVerifier,
};

/// The signature schemes that a source can name.
pub fn entries() -> Vec<Entry<dyn SourceVerifier>> {
    vec![
        Entry::of::<github::GitHub>(),
        Entry::of::<linear::Linear>(),
        Entry::of::<stripe::Stripe>(),
        Entry::of::<standard_webhooks::StandardWebhooks>(),
        Entry::of::<hmac::Hmac>(),
        Entry::of::<bearer::Bearer>(),
        Entry::of::<none::Unverified>(),
    ]
}

/// The sources that need no block in the contract.
pub fn builtin_sources() -> Vec<BuiltinSource> {
    vec![
        BuiltinSource { name: "github", verifier: "github", secret_env: "HMAC_SECRET_GITHUB" },
        BuiltinSource { name: "linear", verifier: "linear", secret_env: "HMAC_SECRET_LINEAR" },
        BuiltinSource { name: "stripe", verifier: "stripe", secret_env: "HMAC_SECRET_STRIPE" },
    ]
}
