//! What comes in: a raw event, and the verified event that only [`RawEvent::verify`] can make of it.

use std::{fmt, net::IpAddr};

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    names::{AdapterId, EventType, SourceName},
    ports::verifier::{Refusal, SignedRequest, SourceVerifier, Verified},
    secret::Secret,
};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $type(#[schemars(with = "String")] Uuid);

        impl $type {
            /// A new id (UUIDv7: ids sort by the time they were made).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id of these sixteen bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The sixteen bytes of the id.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// When the id was made, to the millisecond; `None` where it is not a UUIDv7.
            pub fn made_at(self) -> Option<Timestamp> {
                let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
                Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl std::str::FromStr for $type {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// Names one event from its acceptance to its last delivery. A relayed or replayed event keeps it.
    EventId
);
uuid_id!(
    /// Names one request, so that a refusal can be asked about although there is no event.
    RequestId
);

/// A trace id of the W3C trace context: 32 lower-case hex digits, not all zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct TraceId(String);

impl TraceId {
    /// The trace id of a `traceparent` header (W3C Trace Context, section 3.2); `None` where it is malformed.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut fields = header.trim().split('-');
        let (version, trace, parent) = (fields.next()?, fields.next()?, fields.next()?);
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_valid = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && trace.bytes().any(|byte| byte != b'0')
            && is_hex(parent, 16)
            && parent.bytes().any(|byte| byte != b'0')
            && fields.next().is_some_and(|flags| is_hex(flags, 2))
            && (version != "00" || fields.next().is_none());
        is_valid.then(|| Self(trace.to_owned()))
    }

    /// A `traceparent` of this trace, with a parent of our own (W3C Trace Context, section 3.2).
    pub fn to_traceparent(&self, parent: u64) -> String {
        // An id of only zeros is none.
        format!("00-{}-{:016x}-01", self.0, parent.max(1))
    }

    /// The 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request as an ingress adapter received it. Nothing in it is trusted yet.
#[derive(Clone)]
pub struct RawEvent {
    /// Names the request in answers, the journal and logs.
    pub request_id: RequestId,
    /// The adapter that received it.
    pub adapter: AdapterId,
    /// The source that the sender addressed.
    pub source: SourceName,
    /// Path and query as received, for providers that sign them.
    pub url: String,
    /// Headers as received.
    pub headers: HeaderMap,
    /// The body as received, already within the adapter's size limit.
    pub body: Bytes,
    /// When the last byte arrived.
    pub received_at: Timestamp,
    /// Who sent it, behind trusted proxies the address that they forward.
    pub peer: Option<IpAddr>,
    /// What the adapter knows of the event beside its bytes; `None` where only headers and body speak.
    pub stated: Option<Stated>,
}

/// What an adapter knows of an event beside its bytes: it comes before what the source says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stated {
    /// The event's type.
    pub event_type: Option<EventType>,
    /// What names this delivery among all of the source.
    pub delivery_id: Option<String>,
    /// Whether the adapter knows who sent it. Then `delivery_id` counts as signed. Otherwise anybody may have chosen it: a copy
    /// is an event of the same id and the same body, so that nobody makes another's event a duplicate by guessing its id.
    pub is_sender_proven: bool,
    /// Events of one ordering key are delivered in order.
    pub ordering_key: Option<String>,
}

impl fmt::Debug for RawEvent {
    /// Headers and body are left out: they hold signatures and payloads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawEvent")
            .field("request_id", &self.request_id)
            .field("adapter", &self.adapter)
            .field("source", &self.source)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl RawEvent {
    /// The one door to [`VerifiedEvent`]: the verifier looks at the bytes as received, before anything parses them.
    pub fn verify(
        self,
        verifier: &dyn SourceVerifier,
        secrets: &[(usize, Secret)],
        now: Timestamp,
    ) -> Result<VerifiedEvent, (Box<Self>, Refusal)> {
        let request = SignedRequest { headers: &self.headers, url: &self.url, body: &self.body, secrets, now };
        match verifier.verify(&request) {
            Ok(verified) => Ok(VerifiedEvent { raw: self, verified }),
            Err(refusal) => Err((Box::new(self), refusal)),
        }
    }
}

/// An event whose sender has proven itself. Made only by [`RawEvent::verify`].
#[derive(Debug, Clone)]
pub struct VerifiedEvent {
    raw: RawEvent,
    verified: Verified,
}

impl VerifiedEvent {
    /// The request, now trusted to come from its source.
    pub fn raw(&self) -> &RawEvent {
        &self.raw
    }

    /// How it was verified.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_yields_its_trace_id_only_where_it_is_well_formed() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let id = TraceId::from_traceparent(&format!("00-{trace}-b7ad6b7169203331-01"));
        assert_eq!(id.unwrap().as_str(), trace);
        for wrong in [
            "",
            "00-abc-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        ] {
            assert_eq!(TraceId::from_traceparent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_id_tells_when_it_was_made() {
        let before = Timestamp::now().as_millisecond();
        let made = EventId::generate().made_at().unwrap().as_millisecond();
        assert!(made >= before && made <= Timestamp::now().as_millisecond());
    }
}
