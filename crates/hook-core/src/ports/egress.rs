//! How an event leaves: one attempt at one event.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    BoxFuture,
    envelope::Envelope,
    names::EnvName,
    outcome::Outcome,
    ports::{
        history::{History, NoHistory},
        ingress::{AddressClaim, ListenError},
        log::Position,
    },
    secret::Secrets,
    stop::Stop,
    tls::{Certificate, TlsFiles},
};

/// One attempt at one event.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// The event, as this destination's plugins left it.
    pub envelope: &'a Envelope,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Where tokens and signing secrets are looked up.
    pub secrets: &'a Secrets,
    /// Where the event stands; `None` where it comes from no log.
    pub place: Option<Place<'a>>,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Whose it is: `route/adapter`.
    pub destination: &'a str,
    /// Its place in the log.
    pub position: &'a Position,
}

/// What a driver's background work is given.
#[derive(Clone)]
pub struct Host {
    /// When it has to end.
    pub stop: Stop,
    /// Where tokens are looked up.
    pub secrets: Secrets,
    /// What the adapter's destinations were given before.
    pub history: Arc<dyn History>,
}

impl Host {
    /// One without a log.
    pub fn without_log(stop: Stop, secrets: Secrets) -> Self {
        Self { stop, secrets, history: Arc::new(NoHistory) }
    }
}

/// In which order a destination is given its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Those of one key one after the other, others at once.
    #[default]
    Key,
    /// All one after the other, as the log has them. For drivers whose attempts do not wait for anybody: one that fails comes
    /// again behind others.
    Log,
}

/// A destination.
///
/// Implementors hold no retry and no queue: the runtime calls `deliver` again when it decides to. Building one has no
/// side effect; only `deliver`, `check`, `listen` and `run` touch the world. All methods may be called concurrently.
pub trait EgressDriver: Send + Sync + 'static {
    /// Makes one attempt, within the driver's own time-out. `Delivered` is returned only when the destination has the
    /// event as durably as it ever promises. The future may be dropped at any await; the attempt then counts as not made.
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome>;

    /// What `deliver` sends as its body for an event, without sending anything: pure, but for secrets that stand in it. Nothing
    /// where a driver has no body of its own to show; an error where `deliver` would refuse the event for good before it is sent.
    fn render(&self, envelope: &Envelope, secrets: &Secrets) -> Result<Option<Bytes>, String> {
        let _ = (envelope, secrets);
        Ok(None)
    }

    /// Asks whether the destination could be delivered to now, without delivering anything.
    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>>;

    /// In which order it wants its events.
    fn order(&self) -> Order {
        Order::Key
    }

    /// The addresses that it listens on, for destinations that come to us. It shares none of them.
    fn claims(&self) -> Vec<AddressClaim> {
        Vec::new()
    }

    /// TLS of the address that it listens on.
    fn tls(&self) -> Option<&TlsFiles> {
        None
    }

    /// Opens its address, which the first `run` then takes over. `None` where it has none.
    fn listen<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<Option<SocketAddr>, ListenError>> {
        let _ = secrets;
        Box::pin(async { Ok(None) })
    }

    /// The certificate of its address, once that is open. `None` without TLS.
    fn certificate(&self) -> Option<Certificate> {
        None
    }

    /// Who is connected to it, where destinations come to us.
    fn audience(&self) -> Option<Audience> {
        None
    }

    /// Holds background work, such as a listener, until the host's stop. A driver without any needs no implementation.
    fn run(&self, host: Host) -> BoxFuture<'_, ()> {
        Box::pin(host.stop)
    }
}

/// Counts who is connected to a driver that listens. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Audience(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connected: AtomicU64,
    left_behind: AtomicU64,
}

/// What an [`Audience`] has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Attendance {
    /// Clients that are connected now.
    pub connected: u64,
    /// Clients that were closed because they took events too slowly, since the start.
    pub closed_as_slow: u64,
}

impl Audience {
    /// A client that is connected for as long as this is held.
    #[must_use]
    pub fn enter(&self) -> Presence {
        self.0.connected.fetch_add(1, Ordering::Relaxed);
        Presence(self.clone())
    }

    /// A client is closed because it takes events too slowly.
    pub fn leave_behind(&self) {
        self.0.left_behind.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn get(&self) -> Attendance {
        let Counts { connected, left_behind } = &*self.0;
        Attendance { connected: connected.load(Ordering::Relaxed), closed_as_slow: left_behind.load(Ordering::Relaxed) }
    }
}

/// Counts a client as connected until it is dropped.
#[derive(Debug)]
pub struct Presence(Audience);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a destination could not be delivered to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CheckError {
    /// A secret that the driver names is not set.
    #[error("{0} is not set")]
    MissingSecret(EnvName),
    /// The destination did not answer.
    #[error("{0}")]
    Unreachable(String),
}
