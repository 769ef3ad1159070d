//! Signatures of key pairs: the provider keeps the private key, and the secret of the source is the public one.

use base64::Engine as _;
use hook_core::secret::Secret;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        UnparsedPublicKey, VerificationAlgorithm,
    },
};

use super::signature::BASE64;

/// What stands before the key in a public key of RFC 5280 (`SubjectPublicKeyInfo`, DER): its algorithm, and lengths.
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_KEY_BYTES: usize = 32;
/// The two coordinates, after the byte that says that both are there.
const P256_KEY_BYTES: usize = 65;

/// A signature algorithm of key pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPair {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA with P-256 and SHA-256, its signatures in DER.
    EcdsaP256,
}

impl KeyPair {
    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256 => "ECDSA P-256 with SHA-256",
        }
    }

    /// Whether a signature can have so many bytes.
    pub(crate) fn fits(self, length: usize) -> bool {
        match self {
            Self::Ed25519 => length == 64,
            // Two integers of at most 33 bytes, each with tag and length, in a sequence.
            Self::EcdsaP256 => (8..=72).contains(&length),
        }
    }

    /// The public key of a secret: raw, or as a `SubjectPublicKeyInfo`, in hex, base64 or PEM.
    pub(crate) fn public_key(self, secret: &Secret) -> Option<Vec<u8>> {
        let bytes = decode(secret)?;
        let (mark, length): (&[u8], _) = match self {
            Self::Ed25519 => (&SPKI_ED25519, ED25519_KEY_BYTES),
            Self::EcdsaP256 => (&SPKI_P256, P256_KEY_BYTES),
        };
        let key = bytes.strip_prefix(mark).unwrap_or(&bytes);
        (key.len() == length).then(|| key.to_vec())
    }

    /// Whether the key has signed the message. All of it is public, so that its time may tell what it likes.
    pub(crate) fn verify(self, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self {
            Self::Ed25519 => &ED25519,
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
        };
        UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    }

    /// Signs with a private key: as PKCS#8 in PEM, hex or base64; of Ed25519 also its 32 bytes. `None` where it is another.
    pub(crate) fn sign(self, secret: &Secret, message: &[u8]) -> Option<Vec<u8>> {
        let bytes = decode(secret)?;
        match self {
            Self::Ed25519 if bytes.len() == ED25519_KEY_BYTES => {
                Some(Ed25519KeyPair::from_seed_unchecked(&bytes).ok()?.sign(message).as_ref().to_vec())
            }
            Self::Ed25519 => {
                Some(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).ok()?.sign(message).as_ref().to_vec())
            }
            Self::EcdsaP256 => {
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &bytes, &random).ok()?;
                Some(pair.sign(&random, message).ok()?.as_ref().to_vec())
            }
        }
    }
}

/// The bytes of a key's text: what stands between the lines of a PEM, hex digits, or base64.
fn decode(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose_str()?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let text: String = lines.collect();
    hex::decode(&text).ok().or_else(|| BASE64.decode(&text).ok()).filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn the_published_vector_of_ed25519_holds_in_both_directions() {
        let seed = Secret::new("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let public = Secret::new("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                         387b2eaeb4302aeeb00d291612bb0c00";
        let signed = KeyPair::Ed25519.sign(&seed, &[0x72]).unwrap();
        assert_eq!(hex::encode(&signed), signature);
        let key = KeyPair::Ed25519.public_key(&public).unwrap();
        assert!(KeyPair::Ed25519.verify(&key, &[0x72], &signed));
        assert!(!KeyPair::Ed25519.verify(&key, &[0x73], &signed));
    }

    #[test]
    fn a_key_is_read_raw_and_wrapped_in_each_encoding_and_never_as_one_of_another_kind() {
        let raw = [7u8; 32];
        let wrapped = [&SPKI_ED25519[..], &raw].concat();
        let base64 = BASE64.encode(&wrapped);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
        for text in [hex::encode(raw), hex::encode(&wrapped), BASE64.encode(raw), base64, pem] {
            let secret = Secret::new(text);
            assert_eq!(KeyPair::Ed25519.public_key(&secret), Some(raw.to_vec()));
            assert_eq!(KeyPair::EcdsaP256.public_key(&secret), None);
        }
        for wrong in ["", "07", "not a key", "-----BEGIN PUBLIC KEY-----"] {
            assert_eq!(KeyPair::Ed25519.public_key(&Secret::new(wrong)), None, "{wrong}");
        }
    }
}
