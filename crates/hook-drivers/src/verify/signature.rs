//! HMACs over parts of a request, and the comparisons that tell nothing by their time.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, Mac, digest::KeyInit};
use hook_core::{
    ports::verifier::{Refusal, Verified},
    secret::Secret,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Padding is written and not asked for: senders differ, and it carries nothing.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How the Standard Webhooks specification marks a secret that is written in base64.
const SECRET_PREFIX: &str = "whsec_";

/// The hash function of an HMAC (RFC 2104).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-1, for old senders that know nothing better.
    Sha1,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The HMAC of the parts, one after the other. Nothing is copied together.
    pub(crate) fn mac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha256 => mac::<Hmac<Sha256>>(key, parts),
            Self::Sha1 => mac::<Hmac<Sha1>>(key, parts),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, parts),
        }
    }

    /// What people call an HMAC with it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "HMAC-SHA256",
            Self::Sha1 => "HMAC-SHA1",
            Self::Sha512 => "HMAC-SHA512",
        }
    }

    /// How many bytes a signature has.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Sha256 => Sha256::output_size(),
            Self::Sha1 => Sha1::output_size(),
            Self::Sha512 => Sha512::output_size(),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// How the bytes of a signature are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal digits.
    #[default]
    Hex,
    /// Base64 with the standard alphabet.
    Base64,
}

impl Encoding {
    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
        }
    }

    pub(crate) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
        }
    }
}

/// How the text of a secret becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    /// The secret's bytes are the key.
    #[default]
    Text,
    /// The secret is written in hexadecimal digits.
    Hex,
    /// The secret is written in base64, with or without `whsec_` before it.
    Base64,
    /// As Standard Webhooks has it: base64 where it begins with `whsec_`, otherwise the bytes.
    #[serde(skip)]
    Marked,
}

impl SecretEncoding {
    /// How the secret is written, for people.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            Self::Text => "as the provider shows it",
            Self::Hex => "in hex, as the provider shows it",
            Self::Base64 => "in base64, as the provider shows it",
            Self::Marked => "as the provider shows it, with its `whsec_`",
        }
    }

    /// The key of a secret; `None` where it is not written in this encoding, or is empty: an empty key proves nothing.
    pub(crate) fn key(self, secret: &Secret) -> Option<Cow<'_, [u8]>> {
        let text = || secret.expose_str().map(str::trim);
        let marked = || text()?.strip_prefix(SECRET_PREFIX);
        let key: Cow<'_, [u8]> = match self {
            Self::Text => secret.expose().into(),
            Self::Hex => Encoding::Hex.decode(text()?)?.into(),
            Self::Base64 => Encoding::Base64.decode(marked().or_else(text)?)?.into(),
            Self::Marked => match marked() {
                Some(encoded) => Encoding::Base64.decode(encoded)?.into(),
                None => secret.expose().into(),
            },
        };
        Some(key).filter(|key| !key.is_empty())
    }
}

/// Finds the first secret of which `matches` makes a match, and names its slot. `key_of` says which can be used.
pub(crate) fn matching_slot<'s, K>(
    secrets: &'s [(usize, Secret)],
    key_of: impl Fn(&'s Secret) -> Option<K>,
    matches: impl Fn(K) -> bool,
) -> Result<Verified, Refusal> {
    if secrets.iter().all(|(_, secret)| secret.expose().is_empty()) {
        return Err(Refusal::NoSecret);
    }
    let mut keys = secrets.iter().filter_map(|(slot, secret)| Some((*slot, key_of(secret)?))).peekable();
    if keys.peek().is_none() {
        return Err(Refusal::UnusableSecret);
    }
    let slot = keys.find_map(|(slot, key)| matches(key).then_some(slot));
    slot.map(|slot| Verified { slot: Some(slot) }).ok_or(Refusal::SignatureMismatch)
}

/// Whether the signature is one of those given. The time depends on how many there are, not on their bytes; lengths
/// are no secret, because a signature's length is that of its hash function.
pub(crate) fn is_among(signature: &[u8], given: &[Vec<u8>]) -> bool {
    let none = subtle::Choice::from(0);
    given.iter().fold(none, |found, candidate| found | signature.ct_eq(candidate)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, section 3, and RFC 4231, section 4.3: test case 2 of each.
    #[test]
    fn the_published_hmac_vectors_hold_however_the_message_is_cut() {
        let check = |algorithm: Algorithm, expected: &str| {
            for parts in [&["what do ya want for nothing?"][..], &["what do ", "", "ya want", " for nothing?"]] {
                let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
                let mac = algorithm.mac(b"Jefe", &parts);
                assert_eq!(hex::encode(&mac), expected);
                assert_eq!(mac.len(), algorithm.length());
            }
        };
        check(Algorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        check(Algorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        check(
            Algorithm::Sha512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        );
    }

    #[test]
    fn a_signature_is_found_at_any_place_and_at_no_other_length() {
        let given = [vec![1, 2], vec![1, 2, 3], vec![9, 9, 9]];
        assert!(is_among(&[1, 2, 3], &given));
        assert!(is_among(&[9, 9, 9], &given));
        assert!(!is_among(&[1, 2, 4], &given));
        assert!(!is_among(&[1], &given));
        assert!(!is_among(&[], &[]));
    }

    #[test]
    fn a_secret_becomes_a_key_as_its_encoding_says() {
        let check = |encoding: SecretEncoding, secret: &str, key: Option<&[u8]>| {
            assert_eq!(encoding.key(&Secret::new(secret)).as_deref(), key, "{encoding:?} {secret}");
        };
        check(SecretEncoding::Text, "whsec_YWJj", Some(b"whsec_YWJj"));
        check(SecretEncoding::Text, "", None);
        check(SecretEncoding::Hex, "616263\n", Some(b"abc"));
        check(SecretEncoding::Hex, "61626", None);
        check(SecretEncoding::Base64, "whsec_YWJj", Some(b"abc"));
        check(SecretEncoding::Base64, "YWJjZA==", Some(b"abcd"));
        check(SecretEncoding::Base64, "YWJjZA", Some(b"abcd"));
        check(SecretEncoding::Base64, "YWJ*", None);
        check(SecretEncoding::Marked, "whsec_YWJj", Some(b"abc"));
        check(SecretEncoding::Marked, "YWJj", Some(b"YWJj"));
        check(SecretEncoding::Marked, "whsec_", None);
    }
}
