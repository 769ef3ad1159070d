//! Who sent it: signature schemes, one file each, and the sources that are known without a contract.
//!
//! | file | holds |
//! |---|---|
//! | [`github`], [`linear`], [`stripe`] | providers that are known without a contract |
//! | [`pack`] | providers that are described by data: one file each in `packs/` |
//! | [`standard_webhooks`] | a convention that many senders follow |
//! | [`hmac`] | a scheme that the contract describes |
//! | [`bearer`], [`basic`], [`none`] | a shared token; a user and a password; no proof at all |
//! | `scheme` | a signature scheme as a value, and the one function that checks signatures |
//! | `jws`, `token` | proofs that are no plain signature |
//! | [`signature`], `keys`, `freshness`, `header`, `proof`, `template`, `address` | what a scheme is made of |

mod address;
pub mod basic;
pub mod bearer;
mod freshness;
pub mod github;
mod header;
pub mod hmac;
mod jws;
mod keys;
pub mod linear;
pub mod none;
pub mod pack;
mod proof;
mod scheme;
pub mod signature;
pub mod standard_webhooks;
pub mod stripe;
mod template;
#[cfg(test)]
mod tests;
mod token;

use hook_core::{
    catalog::{BuiltinSource, Entry},
    ports::verifier::SourceVerifier,
};

/// The signature schemes that a source can name.
pub fn entries() -> Vec<Entry<dyn SourceVerifier>> {
    let ours = [
        Entry::of::<github::GitHub>(),
        Entry::of::<linear::Linear>(),
        Entry::of::<stripe::Stripe>(),
        Entry::of::<standard_webhooks::StandardWebhooks>(),
        Entry::of::<hmac::Hmac>(),
        Entry::of::<bearer::Bearer>(),
        Entry::of::<basic::Basic>(),
        Entry::of::<none::Unverified>(),
    ];
    ours.into_iter().chain(pack::entries()).collect()
}

/// The sources that need no block in the contract.
pub fn builtin_sources() -> Vec<BuiltinSource> {
    vec![
        BuiltinSource { name: "github", verifier: "github", secret_env: "HMAC_SECRET_GITHUB" },
        BuiltinSource { name: "linear", verifier: "linear", secret_env: "HMAC_SECRET_LINEAR" },
        BuiltinSource { name: "stripe", verifier: "stripe", secret_env: "HMAC_SECRET_STRIPE" },
    ]
}
