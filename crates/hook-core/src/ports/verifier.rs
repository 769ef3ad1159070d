//! Who sent it? A verifier answers from the bytes as received.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::{
    names::EventType,
    payload::{Payload, PayloadError},
    secret::Secret,
};

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
    #[error("the signature is missing: expected {place}")]
    MissingSignature {
        /// Where it was expected.
        place: Place,
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

/// Where in a request a proof stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In this header.
    Header(&'static str),
    /// In this parameter of the URL.
    Query(&'static str),
    /// In this field of the body, a JSON pointer.
    Field(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "the parameter `{name}` of the URL"),
            Self::Field(pointer) => write!(f, "the field `{pointer}` of the body"),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
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

/// What a provider wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status: a success.
    pub status: u16,
    /// The type of the body; empty where there is none.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
}

/// The payload of a request, in the shape that its provider sends.
#[derive(Debug, Clone)]
pub struct Shaped {
    /// One JSON object.
    pub payload: Payload,
    /// The body as received, where the payload does not hold it.
    pub received: Option<String>,
}

/// What a verifier checks, for people who set it up.
#[derive(Debug, Clone, Serialize)]
pub struct Checks {
    /// How the sender proves itself, such as `HMAC-SHA256`.
    pub scheme: String,
    /// Where the proof stands; `None` where there is none.
    pub place: Option<Place>,
    /// What is signed, such as `{timestamp}.{body}`; empty where nothing is.
    pub signed_content: String,
    /// The headers that are signed with it, beside that of the time.
    pub signed_headers: Vec<String>,
    /// Where the signed time stands, and how far from now it may be.
    pub time: Option<TimeCheck>,
    /// Where the event's type stands.
    pub event_type: Vec<String>,
    /// Where the delivery id stands.
    pub delivery_id: Vec<String>,
    /// Whether the signature covers that id.
    pub delivery_id_is_signed: bool,
    /// Where the ordering key stands.
    pub ordering_key: Vec<String>,
    /// What the secret is, and how it is written.
    pub secret: String,
    /// Whether `hook send` needs another key than the verifier: the private one of a pair.
    pub is_key_pair: bool,
    /// Bodies that are taken, such as `JSON object`.
    pub bodies: Vec<&'static str>,
    /// What is answered instead of being published.
    pub challenges: Vec<String>,
    /// Where the provider's algorithm is published.
    pub docs: String,
    /// What else whoever sets it up has to know.
    pub notes: Vec<String>,
}

/// A signed time, for people.
#[derive(Debug, Clone, Serialize)]
pub struct TimeCheck {
    /// Where it stands.
    pub place: String,
    /// Whether it is read from the body, after the signature has passed.
    pub is_in_body: bool,
    /// How many seconds from now it may be.
    #[serde(rename = "tolerance_seconds", serialize_with = "as_seconds")]
    pub tolerance: Duration,
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

/// A provider's signature scheme.
///
/// Implementors are pure: no I/O, no clock but `now`, no allocation that depends on anything but the bounded request.
/// Comparisons of secrets and signatures take the same time whatever differs.
pub trait SourceVerifier: Send + Sync + 'static {
    /// Checks the signature over the raw bytes, then freshness. Nothing of the body is used before its signature has
    /// passed; where the signed time stands in the body, it is read only after that. Where the signature itself stands in the
    /// body, only what it covers is read, and within the limits of every payload. A body that is not JSON is otherwise not
    /// this function's business: it passes when its signature does, and is refused as malformed later.
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal>;

    /// The payload of a verified body: one JSON object, unless the provider sends something else.
    fn payload(&self, _: &HeaderMap, body: &Bytes) -> Result<Shaped, PayloadError> {
        Payload::parse(body.clone()).map(|payload| Shaped { payload, received: None })
    }

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

    /// Whether the signature covers the whole body. Where it does not, an id that stands there could be another's.
    fn signs_body(&self) -> bool {
        true
    }

    /// Whether the verifier needs a secret. Where it does, a source without any is refused.
    fn needs_secret(&self) -> bool {
        true
    }

    /// The answer to a verified request that is no event, but asks whether we are who we claim to be. Nothing is published
    /// then.
    fn challenge(&self, _: &SignedRequest<'_>, _: Verified) -> Option<Reply> {
        None
    }

    /// The answer to a GET or a HEAD by which the provider asks whether an address is ours; `None` where it does not ask this
    /// way. `token` is what it has to know, where [`SourceVerifier::needs_challenge_token`] says that it does.
    fn challenge_without_body(
        &self,
        _method: &Method,
        _url: &str,
        _token: Option<&Secret>,
    ) -> Option<Result<Reply, Refusal>> {
        None
    }

    /// Whether a challenge without a body has to show a token.
    fn needs_challenge_token(&self) -> bool {
        false
    }

    /// What the provider insists on being answered where an event with this body was taken, in place of the usual answer.
    fn reply(&self, _body: &Bytes) -> Option<Reply> {
        None
    }

    /// Signs a request as the provider would, for `hook send` and for tests. `None` where the verifier checks no
    /// signature, or where nothing can be signed with this secret.
    fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed>;

    /// A small body in the shape of the provider; `None` where the provider has none of its own.
    fn sample(&self, _: &SampleRequest<'_>) -> Option<Sample> {
        None
    }

    /// What it checks, for people; `None` where it is not set up by people.
    fn checks(&self) -> Option<Checks> {
        None
    }
}

/// What a provider signs.
#[derive(Clone, Copy)]
pub struct SigningRequest<'a> {
    /// The event's type as the provider names it, such as `pull_request`.
    pub event_type: &'a str,
    /// The provider's id for the delivery.
    pub delivery_id: &'a str,
    /// Where it is posted to: host, path and query, without the scheme.
    pub address: Address<'a>,
    /// The body.
    pub body: &'a [u8],
    /// The secret to sign with; of a key pair the private key.
    pub secret: &'a Secret,
    /// The time to sign.
    pub now: Timestamp,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// The value of the `Host` header.
    pub host: &'a str,
    /// Path and query.
    pub url: &'a str,
}

/// What a signature adds to a request.
#[derive(Debug, Clone, Default)]
pub struct Signed {
    /// Headers to add.
    pub headers: HeaderMap,
    /// A parameter to add to the URL.
    pub parameter: Option<(String, String)>,
    /// The body to send instead, where the signature stands in it.
    pub body: Option<Vec<u8>>,
}

impl From<HeaderMap> for Signed {
    fn from(headers: HeaderMap) -> Self {
        Self { headers, parameter: None, body: None }
    }
}

/// What a sample should look like.
#[derive(Debug, Clone, Copy)]
pub struct SampleRequest<'a> {
    /// The event's type as `hook` names it, such as `pull_request.opened`.
    pub event_type: &'a str,
    /// Makes one body differ from the next.
    pub id: &'a str,
    /// The time that the body claims.
    pub now: Timestamp,
}

/// A body to try things out with.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The event's name as the provider sends it beside the body.
    pub event_name: String,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}
