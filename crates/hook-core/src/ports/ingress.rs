//! How events come in: an adapter listens, and hands what it receives to the inlet.

use std::{
    any::Any,
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use serde::Serialize;
use thiserror::Error;

use super::{egress::CheckError, verifier::Reply};
use crate::{
    BoxFuture,
    event::{EventId, RawEvent, RequestId},
    names::{AdapterId, EnvName, EventType, SourceName, TopicName},
    secret::Secrets,
    stop::Stop,
    tls::{Certificate, TlsFiles},
};

/// What an adapter occupies. Adapters may share an address where no path belongs to two of them; port 0 is shared with nobody
/// who asks for it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressClaim {
    /// The address to listen on; `None` for that of the only other adapter that has one.
    pub address: Option<SocketAddr>,
    /// The path pattern on it, such as `/webhook/{source}`. Empty where the address cannot be shared.
    pub path: String,
}

impl AddressClaim {
    /// Whether a path could belong to both. A segment in braces stands for any one segment.
    pub fn overlaps(&self, other: &Self) -> bool {
        let is_any = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
        let (mut ours, mut theirs) = (self.path.split('/'), other.path.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(one), Some(two)) if one == two || is_any(one) || is_any(two) => {}
                _ => return self.path.is_empty() || other.path.is_empty(),
            }
        }
    }
}

/// What an adapter is given to open what its events come from.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The id that the contract gives it.
    pub adapter: &'a AdapterId,
    /// Where it finds what it needs to prove who we are.
    pub secrets: &'a Secrets,
    /// The adapter whose address it shares; that one was opened before.
    pub beside: Option<&'a AdapterId>,
    /// TLS of the address that it opens; nothing where that speaks plain HTTP, or is another's.
    pub tls: Option<&'a TlsFiles>,
    /// What the adapters of this process have opened.
    pub doors: &'a Doors,
}

/// What the adapters of a process have opened, for those that share it.
#[derive(Default)]
pub struct Doors(Mutex<BTreeMap<AdapterId, Arc<dyn Any + Send + Sync>>>);

impl Doors {
    /// Leaves what an adapter has opened.
    pub fn leave<T: Send + Sync + 'static>(&self, adapter: &AdapterId, door: Arc<T>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(adapter.clone(), door);
    }

    /// What that adapter has opened, where it is of this kind.
    pub fn find<T: Send + Sync + 'static>(&self, adapter: &AdapterId) -> Option<Arc<T>> {
        let door = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(adapter).cloned()?;
        door.downcast().ok()
    }
}

/// A protocol through which events come in.
///
/// Building one has no side effect. `listen` opens the address and fails early; the listener's `run` takes events until
/// it is stopped, then finishes the requests that it has begun. An adapter that fetches events has no address: its `listen`
/// looks at what it was given and asks nobody, because what it fetches from may be away without holding up the others.
pub trait IngressDriver: Send + Sync + 'static {
    /// The addresses that this adapter will listen on.
    fn claims(&self) -> Vec<AddressClaim>;

    /// TLS as its own settings have it. Adapters that share an address share its TLS as well: those that leave it out have that of
    /// the others.
    fn tls(&self) -> Option<&TlsFiles> {
        None
    }

    /// The sources that this adapter gives its events by itself, whatever the sender says. The contract has to declare them,
    /// and one of them that is not verified is taken from such adapters alone.
    fn sources(&self) -> Vec<SourceName> {
        Vec::new()
    }

    /// Asks whether events could be fetched now, without fetching any. Who listens has nobody to ask.
    fn check<'a>(&'a self, _: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async { Ok(()) })
    }

    /// Opens the address, or takes its place on one that is open.
    fn listen<'a>(&'a self, opening: Opening<'a>) -> BoxFuture<'a, Result<Box<dyn Listener>, ListenError>>;
}

/// An adapter with its address open.
pub trait Listener: Send {
    /// Where it listens; with port 0 in the contract, the port that the system gave. `None` where it fetches events.
    fn address(&self) -> Option<SocketAddr>;

    /// Where it fetches events from; `None` where it listens.
    fn upstream(&self) -> Option<Upstream> {
        None
    }

    /// Why nothing comes in, where that is not for it to decide; shared with whoever shows it while it runs.
    fn trouble(&self) -> Trouble {
        Trouble::default()
    }

    /// How much waits where it fetches events from; shared with whoever shows it while it runs.
    fn behind(&self) -> Behind {
        Behind::default()
    }

    /// The certificate of its address; shared with whoever shows it while it runs. `None` without TLS, and where the address is
    /// another's.
    fn certificate(&self) -> Option<Certificate> {
        None
    }

    /// Takes events until `stop`, then finishes what has begun and returns. Never panics on what a client sends.
    fn run(self: Box<Self>, inlet: Arc<dyn Inlet>, stop: Stop) -> BoxFuture<'static, ()>;
}

/// Where an adapter fetches events from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upstream {
    /// The brokers that are asked first.
    pub brokers: Vec<String>,
    /// The topics that are read, as the cluster calls them.
    pub topics: Vec<String>,
    /// The group whose offsets say what was taken.
    pub group: String,
}

/// Why an adapter takes nothing, for people; nothing where all is well. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    /// What is wrong now.
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what is wrong, or that nothing is; gives back what was said before.
    pub fn set(&self, trouble: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), trouble)
    }
}

/// How many messages wait where an adapter fetches from, as far as that is known. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Behind(Arc<Mutex<Option<u64>>>);

impl Behind {
    /// How many, when it was last known.
    pub fn get(&self) -> Option<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many there are.
    pub fn set(&self, messages: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(messages);
    }
}

/// An adapter cannot take events.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address could not be opened.
    #[error("could not listen on {address}")]
    Address {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file of TLS cannot be used.
    #[error("could not use {} for TLS: {reason}", .file.display())]
    Tls {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The adapter whose address was to be shared has none that can be.
    #[error("{0} has no address that can be shared")]
    NotShared(AdapterId),
    /// A secret that the adapter names is not set.
    #[error("{0} is not set")]
    MissingSecret(EnvName),
    /// The client of what events come from cannot be made: such as a file of TLS that cannot be read.
    #[error("could not make a client for {address}: {reason}")]
    Client {
        /// What it was to reach.
        address: String,
        /// Why not.
        reason: String,
    },
}

/// The only way into the pipeline.
pub trait Inlet: Send + Sync + 'static {
    /// The source of that name, where the contract or the built-in sources know it and take it from this adapter. `None` is
    /// answered with 404.
    fn source(&self, adapter: &AdapterId, name: &str) -> Option<SourceName>;

    /// Verifies, checks, routes, deduplicates and stores. Resolves when the event is durable, or refused.
    fn accept(&self, event: RawEvent) -> BoxFuture<'_, Result<Accepted, Rejection>>;

    /// The answer to a request without a body, by which the provider of a source asks whether this address is ours. Nothing is
    /// published. `None` where that source is only posted to.
    fn challenge(
        &self,
        _: &AdapterId,
        _source: &SourceName,
        _method: &Method,
        _url: &str,
    ) -> Option<Result<Reply, Rejection>> {
        None
    }

    /// What the provider of a source insists on being answered where its event with this body was taken; `None` where any
    /// success will do.
    fn reply(&self, _: &SourceName, _body: &Bytes) -> Option<Reply> {
        None
    }

    /// Records a refusal that the adapter decides by itself (404, 405, 408, 413, 429 per address), and gives it an id.
    fn refuse(&self, adapter: &AdapterId, source: Option<&SourceName>, refused: Refused) -> Rejection;

    /// Writes a message that was refused for good to the dead letters, where nobody can be told to mend it: its adapter passes
    /// over it then. Resolves when that is durable, with the id of the dead letter; a message that is there already is not
    /// written twice where the log tells copies. A refusal says that the log cannot take it now.
    fn set_aside(&self, poison: Poison) -> BoxFuture<'_, Result<EventId, Refused>>;
}

/// A message that can never become an event, as it came.
#[derive(Clone)]
pub struct Poison {
    /// The adapter that has it.
    pub adapter: AdapterId,
    /// The source that it would have come from, where that is known.
    pub source: Option<SourceName>,
    /// Names the message where it comes from, such as `orders-0-42`; no other message of the adapter is called so.
    pub origin: String,
    /// What it is kept by where it comes from.
    pub key: Option<Bytes>,
    /// What stands beside its value.
    pub headers: Vec<(String, Bytes)>,
    /// Its bytes; `None` where they are too large to be kept twice.
    pub value: Option<Bytes>,
    /// How many bytes the value has.
    pub value_bytes: usize,
    /// Why it was refused, as it was recorded.
    pub rejection: Rejection,
}

impl std::fmt::Debug for Poison {
    /// Key, headers and value are left out: they hold what a sender wrote.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poison")
            .field("adapter", &self.adapter)
            .field("origin", &self.origin)
            .field("value_bytes", &self.value_bytes)
            .field("code", &self.rejection.refused.code)
            .finish_non_exhaustive()
    }
}

/// An event that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: EventId,
    /// Its type, as it was stored.
    pub event_type: EventType,
    /// The topics that it went to: at least one.
    pub topics: Vec<TopicName>,
}

/// A request that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Durable.
    Stored(Stored),
    /// A copy of this event, which is durable.
    Duplicate(EventId),
    /// Verified, and taken by no route.
    NotRouted(RequestId),
    /// Verified, and no event: its provider asks for this answer. Nothing was published.
    Challenged(Reply),
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
    /// 403: proven or not, it may not do this.
    Forbidden,
    /// 404: no such path or source.
    NotFound,
    /// 405: another method than the adapter takes.
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    Timeout,
    /// 413: the body is over the limit.
    TooLarge,
    /// 426: the path is for another protocol.
    UpgradeRequired,
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
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::TooLarge => 413,
            Self::Unprocessable => 422,
            Self::UpgradeRequired => 426,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_overlap_where_one_path_could_belong_to_both() {
        let overlap = |one: &str, two: &str| {
            let claim = |path: &str| AddressClaim { address: None, path: path.to_owned() };
            assert_eq!(claim(one).overlaps(&claim(two)), claim(two).overlaps(&claim(one)));
            claim(one).overlaps(&claim(two))
        };
        assert!(overlap("/webhook/{source}", "/webhook/{source}"));
        assert!(overlap("/webhook/{source}", "/webhook/mcp"));
        assert!(overlap("/{source}/in", "/mcp/{source}"));
        assert!(overlap("", "/mcp"), "an address without paths is not shared");
        assert!(!overlap("/webhook/{source}", "/ingest/ws/{source}"));
        assert!(!overlap("/webhook/{source}", "/mcp"));
        assert!(!overlap("/mcp", "/mcp/"));
    }

    #[test]
    fn a_door_is_found_by_who_has_opened_it_and_by_its_kind() {
        let (doors, adapter) = (Doors::default(), AdapterId::new("http-in").unwrap());
        assert!(doors.find::<u8>(&adapter).is_none());
        doors.leave(&adapter, Arc::new(7u8));
        assert_eq!(doors.find::<u8>(&adapter).as_deref(), Some(&7));
        assert!(doors.find::<u16>(&adapter).is_none());
    }
}
