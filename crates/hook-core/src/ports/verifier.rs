//! Who sent it? A verifier answers from the bytes as received.

use http::HeaderMap;
use jiff::Timestamp;
use thiserror::Error;

use crate::{names::EventType, payload::Payload, secret::Secret};

/// What a verifier may look at.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// Headers as received.
    pub headers: &'a HeaderMap,
    /// Path and query as received.
    pub url: &'a str,
    /// The body as received.
    pub body: &'a [u8],
    /// The source's secrets that are set, each with its slot: its place in the contract's list, from 0.
    pub secrets: &'a [(usize, Secret)],
    /// The time to judge freshness by.
    pub now: Timestamp,
}

/// How an event was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Which secret matched; `None` where the verifier needs none.
    pub slot: Option<usize>,
}

/// Why a request was refused. Names the rule, never the bytes. All of them are answered with 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No secret of the source is set.
    #[error("no secret is configured for this source")]
    NoSecret,
    /// No secret that is set can be used as a key, because it is not written as the scheme wants it.
    #[error("the secret of this source is not in the format that its verifier needs")]
    UnusableSecret,
    /// The signature is absent.
    #[error("the signature is missing: expected header {header}")]
    MissingSignature {
        /// Where it was expected.
        header: &'static str,
    },
    /// The signature is there, but not in the provider's format.
    #[error("the signature is malformed")]
    MalformedSignature,
    /// The signature matches no secret.
    #[error("the signature does not match")]
    SignatureMismatch,
    /// The signed time is absent or unreadable.
    #[error("the signed timestamp is missing or malformed")]
    MissingTimestamp,
    /// The signed time is too far from now.
    #[error("the signed timestamp is outside the tolerance")]
    StaleTimestamp,
}

impl Refusal {
    /// The stable code in the answer's body.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::UnusableSecret => "unusable_secret",
            Self::MissingSignature { .. } => "missing_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::SignatureMismatch => "signature_mismatch",
            Self::MissingTimestamp => "missing_timestamp",
            Self::StaleTimestamp => "stale_timestamp",
        }
    }
}

/// What a verified event says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// The event's type.
    pub event_type: Option<EventType>,
    /// What the sender calls this delivery.
    pub delivery_id: Option<DeliveryId>,
    /// Events of one ordering key are delivered in order.
    pub ordering_key: Option<String>,
}

/// A sender's name for one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryId {
    /// As the sender wrote it.
    pub value: String,
    /// Whether the signature covers it. Where it does not, the body's digest deduplicates too, because a captured body
    /// could be sent again under a new id.
    pub is_signed: bool,
}

/// A provider's signature scheme.
///
/// Implementors are pure: no I/O, no clock but `now`, no allocation that depends on anything but the bounded request.
/// Comparisons of secrets and signatures take the same time whatever differs.
pub trait SourceVerifier: Send + Sync + 'static {
    /// Checks the signature over the raw bytes, then freshness. Nothing of the body is used before its signature has
    /// passed; where the signed time stands in the body, it is read only after that. A body that is not JSON is not
    /// this function's business: it passes when its signature does, and is refused as malformed later.
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal>;

    /// Type, delivery id and ordering key of a verified event.
    fn describe(&self, headers: &HeaderMap, payload: &Payload) -> Claim;

    /// When a verified event was sent, where the signature covers that time.
    fn sent_at(&self, headers: &HeaderMap, payload: &Payload) -> Option<Timestamp> {
        let _ = (headers, payload);
        None
    }

    /// Whether the delivery id, where a request has one, is covered by the signature. Where it is not, a captured body could
    /// be sent again under another id, or without any: its digest is a key then.
    fn signs_delivery_id(&self) -> bool {
        true
    }

    /// Whether the verifier needs a secret. Where it does, a source without any is refused.
    fn needs_secret(&self) -> bool {
        true
    }

    /// Signs a request as the provider would, for `hook send` and for tests. `None` where the verifier checks no
    /// signature. The answer is the headers to add.
    fn sign(&self, request: &SigningRequest<'_>) -> Option<HeaderMap>;
}

/// What a provider signs.
#[derive(Clone, Copy)]
pub struct SigningRequest<'a> {
    /// The event's type as the provider names it, such as `pull_request`.
    pub event_type: &'a str,
    /// The provider's id for the delivery.
    pub delivery_id: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The secret to sign with.
    pub secret: &'a Secret,
    /// The time to sign.
    pub now: Timestamp,
}
