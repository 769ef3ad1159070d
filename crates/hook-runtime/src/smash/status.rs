//! What an operator may ask about a destination.

use std::sync::{Arc, Mutex, PoisonError};

use hook_core::Timestamp;
use serde::Serialize;

/// A destination as it is now.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DestinationStatus {
    /// `route/adapter`.
    pub destination: String,
    /// The name of its driver.
    pub driver: String,
    /// Whether its events must reach it.
    pub required: bool,
    /// How it is.
    pub state: DestinationState,
    /// Since when its breaker is open; `None` while it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker_open_since: Option<Timestamp>,
    /// The last error, until the next delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Events read and not yet done.
    pub pending: usize,
    /// Events whose key waits because they were given up and the contract says `hold`.
    pub held: usize,
    /// Events delivered since the start.
    pub delivered: u64,
    /// Keys that wait for a retry, those with the most attempts first. Shown only on the admin socket: keys come from senders.
    #[serde(skip)]
    pub waiting: Vec<WaitingKey>,
}

/// How a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationState {
    /// It takes events, or has none to take.
    #[default]
    Delivering,
    /// Its breaker is open: it is probed from time to time.
    Open,
}

/// A key that waits for a retry.
#[derive(Debug, Clone, Serialize)]
pub struct WaitingKey {
    /// The route key; `None` for an event without one.
    pub key: Option<String>,
    /// Attempts at its first event.
    pub attempts: u32,
}

/// A status that its worker writes and others read.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatusCell(Arc<Mutex<DestinationStatus>>);

impl StatusCell {
    pub(crate) fn get(&self) -> DestinationStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut DestinationStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
