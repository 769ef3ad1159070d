//! The plan: a contract that was checked and made complete. Nothing in it can be wrong, and nothing in it runs yet.

mod kafka;

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use hook_core::{
    Timestamp,
    envelope::Envelope,
    names::{AdapterId, AppId, CursorName, EnvName, Glob, RouteId, SourceName, TopicName},
    ports::{egress::EgressDriver, ingress::IngressDriver, log::TopicFilter, plugin::Plugin, verifier::SourceVerifier},
    problem::Place,
    selector::Selector,
    tls::TlsFiles,
};
use hook_expressions::cel::{EventView, Expression};

pub use kafka::{Kafka, KafkaCertificate, KafkaLogin, KafkaSasl, KafkaSecurity, KafkaTls, KafkaTopics};

/// What a process is to do, complete.
#[derive(Clone)]
pub struct Plan {
    /// The app that the contract describes.
    pub app: App,
    /// The selected profile.
    pub profile: Profile,
    /// How strict the check was.
    pub mode: ValidationMode,
    /// Every source that `serve` knows: those of the contract, and the built-in ones that are enabled.
    pub sources: BTreeMap<SourceName, SourcePlan>,
    /// What comes in.
    pub serve: ServePlan,
    /// What is bridged; `None` where no topic needs it.
    pub relay: Option<RelayPlan>,
    /// What goes out.
    pub smash: SmashPlan,
    /// Which log, and why.
    pub backbone: Backbone,
    /// How adapters reach Kafka that name no brokers of their own: the keys of such an adapter. Empty where nobody says.
    pub kafka_of_adapters: serde_json::Map<String, serde_json::Value>,
    /// How the embedded log keeps what it has.
    pub log: LogPlan,
    /// The admin address.
    pub admin: AdminPlan,
    /// Where dead letters go (`webhooks.dlq`).
    pub dead_letters: TopicName,
    /// Where the journal goes.
    pub journal: TopicName,
    /// What the environment must hold at start.
    pub environment: Vec<Requirement>,
}

impl Plan {
    /// The cursor that the relay reads with.
    pub fn relay_cursor(&self) -> CursorName {
        let group = self.relay.as_ref().and_then(|relay| relay.group.clone());
        group.unwrap_or_else(|| CursorName::of_relay(&self.app.id))
    }

    /// Whether anything is taken in or delivered. A plan of which nothing is but the relay has neither dead letters nor a
    /// journal.
    pub fn has_ends(&self) -> bool {
        !self.serve.adapters.is_empty() || !self.smash.routes.is_empty()
    }
}

/// The app that a contract describes.
#[derive(Debug, Clone)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// Its name, for people.
    pub name: String,
    /// Its version.
    pub version: semver::Version,
    /// What it is for.
    pub description: Option<String>,
}

/// The profile that was selected.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its label, for people.
    pub label: Option<String>,
    /// Environment values that it sets.
    pub env: BTreeMap<EnvName, String>,
}

/// How strict a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValidationMode {
    /// Every problem stops the start.
    #[default]
    Strict,
    /// Only security-critical problems stop the start.
    Debug,
}

/// A source as `serve` treats it.
#[derive(Clone)]
pub struct SourcePlan {
    /// Its name.
    pub name: SourceName,
    /// The name of its verifier, such as `github`.
    pub verifier_name: String,
    /// The verifier itself.
    pub verifier: Arc<dyn SourceVerifier>,
    /// The environment variables of its secrets; the place in the list is the slot.
    pub secret_env: Vec<EnvName>,
    /// The environment variable of the token that a GET challenge has to show, where the provider sends one.
    pub verify_token_env: Option<EnvName>,
    /// Overrides where the event type stands.
    pub event_type: Option<Selector>,
    /// Overrides where the delivery id stands.
    pub delivery_id: Option<Selector>,
    /// Overrides where the ordering key stands.
    pub ordering_key: Option<Selector>,
    /// How copies are recognised.
    pub dedup: DedupPlan,
    /// At most this many verified events a minute.
    pub rate_per_minute: Option<NonZeroU32>,
    /// After an event, others of its ordering key are dropped for so long.
    pub cooldown: Option<Duration>,
    /// Whether the contract has a block for it; otherwise it is built in.
    pub is_declared: bool,
}

/// How copies of an event are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupPlan {
    /// What makes two deliveries copies.
    pub by: DedupBy,
    /// For how long.
    pub window: Duration,
}

/// What makes two deliveries copies of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupBy {
    /// The delivery id, and where the signature does not cover it the body's digest too. Nothing where there is no id.
    Delivery,
    /// The delivery id alone.
    DeliveryIdOnly,
    /// The body's digest.
    Body,
}

/// What comes in.
#[derive(Clone, Default)]
pub struct ServePlan {
    /// The active adapters.
    pub adapters: Vec<IngressAdapter>,
    /// The active routes, in the contract's order.
    pub routes: Vec<ServeRoute>,
}

/// An active ingress adapter.
#[derive(Clone)]
pub struct IngressAdapter {
    /// Its id.
    pub id: AdapterId,
    /// The name of its driver.
    pub driver_name: String,
    /// The driver, inert.
    pub driver: Arc<dyn IngressDriver>,
    /// Its plugins, in order.
    pub plugins: Vec<Arc<dyn Plugin>>,
    /// The adapter whose address it shares.
    pub beside: Option<AdapterId>,
    /// TLS of its address, whoever of those that share it has said so.
    pub tls: Option<TlsFiles>,
    /// Its settings, complete.
    pub settings: serde_json::Value,
}

/// A route from sources into a topic.
#[derive(Debug, Clone)]
pub struct ServeRoute {
    /// Its id.
    pub id: RouteId,
    /// The sources that it takes.
    pub source_match: Glob,
    /// The event types that it takes.
    pub event_type_pattern: Glob,
    /// Where it stores them.
    pub target: TargetTopic,
}

/// A topic name in which `{source}` may stand for the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetTopic(pub String);

impl TargetTopic {
    /// The topic for one source. `None` where the result is no topic name, which the check has ruled out.
    pub fn topic_for(&self, source: &SourceName) -> Option<TopicName> {
        TopicName::new(self.0.replace("{source}", source.as_str())).ok()
    }
}

/// What is bridged into one topic.
#[derive(Debug, Clone)]
pub struct RelayPlan {
    /// The topics that are read.
    pub inputs: Vec<TopicName>,
    /// The topic that is written.
    pub output: TopicName,
    /// The cursor that is read with, where it is not that of the app.
    pub group: Option<CursorName>,
    /// What happens when the log does not take a batch.
    pub retry: RelayRetry,
}

/// How the relay goes on when the log does not take a batch. What it reads stays where it is, so that trying without end
/// loses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayRetry {
    /// How often a batch is tried again before the process ends; `None` for without end.
    pub max_retries: Option<u32>,
    /// The pause before the first retry; it doubles with each.
    pub base: Duration,
    /// The longest pause.
    pub cap: Duration,
}

impl Default for RelayRetry {
    fn default() -> Self {
        Self { max_retries: None, base: Duration::from_millis(500), cap: Duration::from_secs(5) }
    }
}

impl RelayRetry {
    /// The pause after that many failures in a row, the first being 1; `None` where it is given up.
    pub fn pause(&self, failures: u32) -> Option<Duration> {
        if self.max_retries.is_some_and(|most| failures > most) {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(31);
        Some(self.base.saturating_mul(1 << doublings).min(self.cap))
    }
}

/// What goes out.
#[derive(Clone, Default)]
pub struct SmashPlan {
    /// The active adapters.
    pub adapters: Vec<EgressAdapter>,
    /// The active routes.
    pub routes: Vec<SmashRoute>,
    /// What becomes of a stored event that no route takes.
    pub unrouted: Unrouted,
}

/// What becomes of a stored event that no smash route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unrouted {
    /// It is counted and rests in the log.
    #[default]
    Count,
    /// It goes to the dead letters.
    DeadLetter,
}

/// An active egress adapter.
#[derive(Clone)]
pub struct EgressAdapter {
    /// Its id.
    pub id: AdapterId,
    /// The name of its driver.
    pub driver_name: String,
    /// The driver, inert.
    pub driver: Arc<dyn EgressDriver>,
    /// Its plugins, in order.
    pub plugins: Vec<Arc<dyn Plugin>>,
    /// When and how often to try again.
    pub retry: RetryPlan,
    /// What to do when an event is given up.
    pub on_give_up: GiveUp,
    /// At most so many attempts at once.
    pub concurrency: usize,
    /// At most so many events that are read and not done.
    pub max_ahead: u64,
    /// Its settings, complete.
    pub settings: serde_json::Value,
}

/// When and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPlan {
    /// Attempts after the first.
    pub max_retries: u32,
    /// The first back-off is at most this long.
    pub base: Duration,
    /// No back-off is longer.
    pub cap: Duration,
    /// Give up so long after the first attempt.
    pub max_age: Option<Duration>,
}

/// What to do when an event is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// Write it to the dead letters and go on with the next of its key.
    DeadLetter,
    /// Keep its key waiting.
    Hold,
}

/// A route from topics to destinations.
#[derive(Debug, Clone)]
pub struct SmashRoute {
    /// Its id.
    pub id: RouteId,
    /// The topics that it reads.
    pub topics: TopicFilter,
    /// It takes events that any of these take; all where there is none.
    pub event_filters: Vec<EventFilter>,
    /// Where its events go.
    pub destinations: Vec<Destination>,
}

/// A filter of a smash route.
#[derive(Debug, Clone)]
pub enum EventFilter {
    /// By source and event type.
    Pattern {
        /// The source, where the filter names one.
        source: Option<Glob>,
        /// The event type.
        event_type: Glob,
    },
    /// By an expression over the event.
    Expression(Box<Expression>),
}

/// Whether a route takes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// It does.
    Taken,
    /// It does not.
    Left,
    /// It does not, and an expression has no answer for the event, such as one about a field that is not there.
    Unanswered,
}

impl EventFilter {
    /// Why the filter has no answer for an event; `None` where it has one.
    pub fn unanswered(&self, event: EventView<'_>) -> Option<String> {
        match self {
            Self::Pattern { .. } => None,
            Self::Expression(expression) => expression.matches(event).err().map(|error| error.to_string()),
        }
    }

    /// Whether the filter takes an event.
    pub fn look(&self, event: EventView<'_>) -> Taking {
        let is_taken = match self {
            Self::Pattern { source, event_type } => {
                source.as_ref().is_none_or(|glob| glob.matches(event.source)) && event_type.matches(event.event_type)
            }
            Self::Expression(expression) => match expression.matches(event) {
                Ok(truth) => truth,
                Err(_) => return Taking::Unanswered,
            },
        };
        if is_taken { Taking::Taken } else { Taking::Left }
    }
}

impl SmashRoute {
    /// Whether the route takes an event of a topic that it reads.
    pub fn takes(&self, event: &Envelope) -> bool {
        self.look(event) == Taking::Taken
    }

    /// The same, telling apart what is left because nobody knows.
    pub fn look(&self, event: &Envelope) -> Taking {
        if self.event_filters.is_empty() {
            return Taking::Taken;
        }
        let mut taking = Taking::Left;
        for filter in &self.event_filters {
            match filter.look(event.into()) {
                Taking::Taken => return Taking::Taken,
                Taking::Unanswered => taking = Taking::Unanswered,
                Taking::Left => {}
            }
        }
        taking
    }
}

/// One destination of a route.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The adapter that delivers.
    pub adapter: AdapterId,
    /// Whether an event that it does not take is kept as a dead letter.
    pub required: bool,
    /// Where its cursor begins when it is made; `None` for the default.
    pub from: Option<StartFrom>,
}

/// Where a destination added later begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// With the next event.
    Now,
    /// With the oldest that is kept.
    Earliest,
    /// With the first of that time or later.
    Time(Timestamp),
}

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backbone {
    /// The log.
    pub driver: BackboneDriver,
    /// Whether the contract says so; otherwise the environment does, or it is the default.
    pub is_declared: bool,
}

/// The logs that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackboneDriver {
    /// In this process, on this disk.
    Embedded,
    /// Apache Kafka.
    Kafka(Box<Kafka>),
}

/// How the embedded log keeps what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlan {
    /// The size at which a segment is sealed.
    pub segment_bytes: u64,
    /// Retention of events.
    pub events: Retention,
    /// Retention of dead letters.
    pub dead_letters: Retention,
    /// Retention of the journal.
    pub journal: Retention,
    /// How many bytes undelivered events may take; `None` for half of the file system.
    pub max_pinned: Option<u64>,
    /// What happens when they take more.
    pub when_pinned: WhenPinned,
}

/// How long and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What is older may go.
    pub max_age: Duration,
    /// What exceeds this may go, oldest first; `None` for no bound.
    pub max_bytes: Option<u64>,
}

/// What happens when undelivered events take more than their share of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenPinned {
    /// Ingress answers 503 until there is room.
    #[default]
    Block,
    /// The oldest go, counted and logged.
    DropOldest,
}

/// The admin address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminPlan {
    /// Where it listens.
    pub bind: SocketAddr,
    /// The bearer token that it asks for, where one is named.
    pub token_env: Option<EnvName>,
}

/// The three roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes events in.
    Serve,
    /// Bridges topics.
    Relay,
    /// Delivers.
    Smash,
}

/// An environment variable that must be set before a role starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The variable.
    pub name: EnvName,
    /// Who needs it.
    pub role: Role,
    /// What needs it, for people: `egress adapter openclaw-output`.
    pub needed_by: String,
    /// Where the contract names it; `None` where it is built in.
    pub place: Option<Place>,
}
