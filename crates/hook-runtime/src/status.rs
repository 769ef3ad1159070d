//! What a running process says of itself: the third form of a contract, after text and plan.

use std::{collections::BTreeSet, net::SocketAddr};

use hook_contract::plan::{Role, ValidationMode};
use hook_core::{
    names::{AdapterId, AppId, CursorName, SourceName, TopicName},
    ports::{egress::Attendance, ingress::Upstream, log::LogState},
    tls::CertificateStatus,
};
use serde::Serialize;

use crate::{lag::Lag, smash::DestinationStatus};

/// A process as it runs now.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Whether it takes and delivers events: every role is up, the log takes appends, and it is not ending.
    pub ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<String>,
    /// The app.
    pub app: AppId,
    /// The selected profile.
    pub profile: String,
    /// How strict the contract was checked.
    pub validation_mode: ValidationMode,
    /// The roles of this process.
    pub roles: Vec<Role>,
    /// The name of this process among others, where it was given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Ingress adapters, and destinations that listen.
    pub listeners: Vec<ListenerStatus>,
    /// Sources, where this process serves.
    pub sources: Vec<SourceStatus>,
    /// The relay, where this process has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayStatus>,
    /// Destinations.
    pub destinations: Vec<DestinationStatus>,
    /// Cursors of this app that nothing reads any more.
    pub orphans: Vec<Orphan>,
    /// Which log it is.
    pub backbone: BackboneStatus,
    /// How far each cursor of the contract is behind, whoever reads with it.
    pub lag: Vec<Lag>,
    /// The log.
    pub log: LogState,
}

/// Which log it is.
#[derive(Debug, Clone, Serialize)]
pub struct BackboneStatus {
    /// `embedded` or `kafka`.
    pub driver: &'static str,
    /// The brokers that were asked first. Those that there are stand in the state of the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub brokers: Vec<String>,
    /// The topics that the contract names or writes.
    pub topics: BTreeSet<TopicName>,
}

/// An adapter that takes events, or a destination that listens, as it runs.
#[derive(Debug, Clone, Serialize)]
pub struct ListenerStatus {
    /// Its id.
    pub adapter: AdapterId,
    /// The name of its driver.
    pub driver: String,
    /// Where it listens; left out where it fetches events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Where it fetches events from: `brokers`, `topics`, `group`; left out where it listens.
    #[serde(flatten)]
    pub upstream: Option<Upstream>,
    /// How many messages wait there, whoever fetches them; left out where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// How it is.
    pub state: ListenerState,
    /// Why nothing comes in, where that is not for it to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The certificate of its address; left out where that speaks without TLS, or is shown with another adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// Who is connected; left out where it takes events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<Attendance>,
}

/// How such an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerState {
    /// It takes events, or clients.
    Listening,
    /// It answers 503, because the log takes nothing now.
    Refusing,
    /// The process is ending.
    Stopping,
}

/// A source as it is set up.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    /// Its name.
    pub source: SourceName,
    /// The name of its verifier.
    pub verifier: String,
    /// Whether its events can be verified.
    pub state: SourceState,
}

/// Whether a source's events can be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum SourceState {
    /// A secret is set, or none is needed.
    #[serde(rename = "ready")]
    Ready,
    /// No secret is set: every event is answered with 401.
    #[serde(rename = "no secret")]
    NoSecret,
}

/// The relay as it runs.
#[derive(Debug, Clone, Serialize)]
pub struct RelayStatus {
    /// The topics that it reads.
    pub inputs: Vec<TopicName>,
    /// The topic that it writes.
    pub output: TopicName,
}

/// A cursor of this app that no active destination has.
#[derive(Debug, Clone, Serialize)]
pub struct Orphan {
    /// The cursor.
    pub cursor: CursorName,
    /// Events that it has not delivered.
    pub undelivered: u64,
    /// The `from` value that makes a destination deliver them; `None` where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}
