//! How events come in: an adapter listens, and hands what it receives to the inlet.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    BoxFuture,
    event::{EventId, RawEvent, RequestId},
    names::{AdapterId, SourceName},
    stop::Stop,
};

/// What an adapter occupies. No two active adapters may claim the same address; port 0 collides with nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressClaim {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The path pattern on it, such as `/webhook/{source}`.
    pub path: String,
}

/// A protocol through which events come in.
///
/// Building one has no side effect. `listen` opens the address and fails early; the listener's `run` takes events until
/// it is stopped, then finishes the requests that it has begun.
pub trait IngressDriver: Send + Sync + 'static {
    /// The addresses that this adapter will listen on.
    fn claims(&self) -> Vec<AddressClaim>;

    /// Opens the address. `adapter` is the id that the contract gives this adapter.
    fn listen<'a>(&'a self, adapter: AdapterId) -> BoxFuture<'a, Result<Box<dyn Listener>, ListenError>>;
}

/// An adapter with its address open.
pub trait Listener: Send {
    /// Where it listens; with port 0 in the contract, the port that the system gave.
    fn address(&self) -> SocketAddr;

    /// Takes events until `stop`, then finishes what has begun and returns. Never panics on what a client sends.
    fn run(self: Box<Self>, inlet: Arc<dyn Inlet>, stop: Stop) -> BoxFuture<'static, ()>;
}

/// The address could not be opened.
#[derive(Debug, Error)]
#[error("could not listen on {address}")]
pub struct ListenError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

/// The only way into the pipeline.
pub trait Inlet: Send + Sync + 'static {
    /// The source of that name, where the contract or the built-in sources know it. `None` is answered with 404.
    fn source(&self, name: &str) -> Option<SourceName>;

    /// Verifies, checks, routes, deduplicates and stores. Resolves when the event is durable, or refused.
    fn accept(&self, event: RawEvent) -> BoxFuture<'_, Result<Accepted, Rejection>>;

    /// Records a refusal that the adapter decides by itself (404, 405, 408, 413, 429 per address), and gives it an id.
    fn refuse(&self, adapter: &AdapterId, source: Option<&SourceName>, refused: Refused) -> Rejection;
}

/// A request that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Durable under this id.
    Stored(EventId),
    /// A copy of this event, which is durable.
    Duplicate(EventId),
    /// Verified, and taken by no route.
    NotRouted(RequestId),
}

/// The reasons for a refusal, each with one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionKind {
    /// 200: another event of its key was taken just now, and the source's cooldown drops it. Not an error to the sender,
    /// who would only send it again.
    CoolingDown,
    /// 400: not one JSON object within the rules.
    Malformed,
    /// 401: not proven to come from the source.
    Unauthorized,
    /// 404: no such path or source.
    NotFound,
    /// 405: another method than the adapter takes.
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    Timeout,
    /// 413: the body is over the limit.
    TooLarge,
    /// 422: a plugin refused it.
    Unprocessable,
    /// 429: over a rate limit.
    TooManyRequests,
    /// 503: the log cannot take it now.
    Unavailable,
}

impl RejectionKind {
    /// The HTTP status of this refusal.
    pub fn status(self) -> u16 {
        match self {
            Self::CoolingDown => 200,
            Self::Malformed => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::TooLarge => 413,
            Self::Unprocessable => 422,
            Self::TooManyRequests => 429,
            Self::Unavailable => 503,
        }
    }
}

/// Why a request is refused, before it has an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The class of the refusal.
    pub kind: RejectionKind,
    /// The stable code of the answer, such as `signature_mismatch`.
    pub code: &'static str,
    /// One sentence for the sender's operator. Says which rule failed, never what the bytes were.
    pub message: String,
    /// When to try again, for 429 and 503.
    pub retry_after: Option<Duration>,
}

/// A refusal as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub refused: Refused,
    /// Names the request in `hook explain`.
    pub request_id: RequestId,
}
