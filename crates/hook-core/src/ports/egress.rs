//! How an event leaves: one attempt at one event.

use crate::{BoxFuture, envelope::Envelope, names::EnvName, outcome::Outcome, secret::Secrets, stop::Stop};

/// One attempt at one event.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// The event, as this destination's plugins left it.
    pub envelope: &'a Envelope,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Where tokens and signing secrets are looked up.
    pub secrets: &'a Secrets,
}

/// A destination.
///
/// Implementors hold no retry and no queue: the runtime calls `deliver` again when it decides to. Building one has no
/// side effect; only `deliver`, `check` and `run` touch the world. All methods may be called concurrently.
pub trait EgressDriver: Send + Sync + 'static {
    /// Makes one attempt, within the driver's own time-out. `Delivered` is returned only when the destination has the
    /// event as durably as it ever promises. The future may be dropped at any await; the attempt then counts as not made.
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome>;

    /// Asks whether the destination could be delivered to now, without delivering anything.
    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>>;

    /// Holds background work, such as a listener, until `stop`. A driver without any needs no implementation.
    fn run(&self, stop: Stop) -> BoxFuture<'_, ()> {
        Box::pin(stop)
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
