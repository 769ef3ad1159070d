//! The contract as it is written: one type per section, from which its JSON Schema is made.
//!
//! Adapters, plugins and sources are open here: the rest of their keys belongs to the driver or verifier that they name.

mod kafka;

use std::{collections::BTreeMap, net::SocketAddr};

use hook_core::{
    duration::HumanDuration,
    names::{AdapterId, AppId, EnvName, Glob, RouteId, TopicName},
    selector::Selector,
    transport::Transport,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use kafka::parts_of;
pub use kafka::{Brokers, KafkaSection, Properties, SaslSection, SecurityProtocol, TlsSection};

use crate::plan::{ValidationMode, WhenPinned};

/// What is received, where it is kept, and where it is delivered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Contract {
    /// The app that this contract describes.
    pub app: App,
    /// How strict checks are, and what becomes of events that nothing takes.
    #[serde(default)]
    pub policies: Policies,
    /// What comes in.
    #[serde(default)]
    pub serve: Serve,
    /// What goes out.
    #[serde(default)]
    pub smash: Smash,
    /// What is active, by profile.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
    /// Connections that adapters share, by name.
    #[serde(default)]
    pub transports: BTreeMap<String, Transport>,
    /// How the events of a source are verified, by the source's name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "source-name", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$" }))]
    pub sources: BTreeMap<String, SourceHead>,
    /// Topics that are bridged into one.
    #[serde(default)]
    pub relay: Relay,
    /// Which log keeps the events.
    pub backbone: Option<Backbone>,
    /// How the embedded log keeps what it has.
    #[serde(default)]
    pub log: LogSection,
    /// The address of health, metrics and the admin interface.
    #[serde(default)]
    pub admin: Admin,
}

/// The app that a contract describes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct App {
    /// The id, in kebab-case. It is part of the names of cursors: a new id starts anew.
    pub id: AppId,
    /// The name, for people.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The contract's own version, semantic.
    #[schemars(with = "String", extend("format" = "semver", "examples" = ["1.0.0"]))]
    pub version: semver::Version,
    /// What the app is for.
    pub description: Option<String>,
}

/// How strict checks are, and what becomes of events that nothing takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Policies {
    /// Allows a profile without any destination.
    #[serde(default)]
    pub allow_no_output: bool,
    /// What becomes of a stored event that no smash route takes.
    pub no_output_sink: Option<NoOutputSink>,
    /// Whether every problem stops the start, or only security-critical ones.
    #[serde(default)]
    pub validation_mode: ValidationMode,
}

/// What becomes of a stored event that no smash route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoOutputSink {
    /// It is counted, and rests in the log until its retention ends.
    Discard,
    /// It goes to the dead letters.
    Dlq,
}

/// What comes in.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Serve {
    /// Where events come in.
    #[serde(default)]
    pub ingress_adapters: Vec<AdapterHead>,
    /// Which events are stored in which topic.
    #[serde(default)]
    pub routes: Vec<ServeRoute>,
}

/// What goes out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Smash {
    /// Where events go.
    #[serde(default)]
    pub egress_adapters: Vec<AdapterHead>,
    /// Which stored events go to which destinations.
    #[serde(default)]
    pub routes: Vec<SmashRoute>,
}

/// What every adapter says, active or not.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct AdapterHead {
    /// The id that routes and profiles name.
    pub id: AdapterId,
    /// The driver. It decides which other keys there are.
    pub driver: String,
}

/// The keys of every ingress adapter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct IngressCommon {
    /// The id that profiles name.
    pub id: AdapterId,
    /// The driver. It decides which other keys there are.
    pub driver: String,
    /// Steps that look at every event of this adapter, in this order.
    #[serde(default)]
    pub plugins: Vec<PluginHead>,
}

/// The keys of every egress adapter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EgressCommon {
    /// The id that routes and profiles name.
    pub id: AdapterId,
    /// The driver. It decides which other keys there are.
    pub driver: String,
    /// Steps that look at every event for this adapter, in this order.
    #[serde(default)]
    pub plugins: Vec<PluginHead>,
    /// When and how often a failed delivery is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// What to do when an event is given up: write it to the dead letters, or keep its ordering key waiting.
    #[serde(default)]
    pub on_give_up: OnGiveUp,
    /// How many deliveries run at once at most.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrency: u32,
    /// How many events are held that are read and not done: then reading waits. While a breaker is open, up to ten times as many.
    #[serde(default = "default_max_ahead")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_ahead: u64,
}

fn default_concurrency() -> u32 {
    16
}

fn default_max_ahead() -> u64 {
    100_000
}

/// A step of a plugin chain.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct PluginHead {
    /// The plugin. It decides which other keys there are.
    pub driver: String,
}

/// When and how often a failed delivery is tried again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retry {
    /// Attempts after the first (5).
    #[schemars(range(max = 1_000_000))]
    pub max_retries: Option<u32>,
    /// The first back-off is at most this long.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub base_ms: u64,
    /// No back-off is longer.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub cap_ms: u64,
    /// Give up so long after the first attempt.
    pub max_age: Option<HumanDuration>,
}

impl Retry {
    /// Attempts after the first, where neither the contract nor the driver says.
    pub(crate) const DEFAULT_MAX_RETRIES: u32 = 5;
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_retries: None, base_ms: 500, cap_ms: 60_000, max_age: None }
    }
}

/// What to do when an event is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnGiveUp {
    /// Write it to the dead letters and go on.
    #[default]
    DeadLetter,
    /// Keep the events of its ordering key waiting.
    Hold,
}

/// Which events are stored in which topic.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServeRoute {
    /// The id that profiles name.
    pub id: RouteId,
    /// The sources that it takes; `*` stands for any text.
    pub source_match: Glob,
    /// The event types that it takes; `*` stands for any text, dots included.
    pub event_type_pattern: Glob,
    /// Where it stores them; `{source}` stands for the source's name.
    #[schemars(extend("format" = "target-topic", "examples" = ["webhooks.core"]))]
    pub target_topic: String,
}

/// Which stored events go to which destinations.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SmashRoute {
    /// The id that profiles name. It is part of the names of cursors.
    pub id: RouteId,
    /// The topics that it reads; `*` stands for any text.
    pub source_topic_pattern: Glob,
    /// The events that it takes: patterns of event types, `source:type`, or `cel:` and an expression over `source`, `type`,
    /// `payload` and `meta`. One that matches is enough; all are taken where there is none.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "event-filter", "examples": ["github:issues.*"] }))]
    pub event_filters: Vec<String>,
    /// Where they go.
    #[schemars(length(min = 1))]
    pub destinations: Vec<Destination>,
}

/// One destination of a route.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Destination {
    /// The egress adapter that delivers.
    pub adapter_id: AdapterId,
    /// Whether an event that it does not take is kept as a dead letter.
    #[serde(default = "yes")]
    pub required: bool,
    /// Where it begins when it is new: `now`, `earliest` or a time.
    #[schemars(extend("format" = "start-from"))]
    pub from: Option<String>,
}

fn yes() -> bool {
    true
}

/// What is active. An omitted list activates nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// What the profile is for, for people.
    #[schemars(length(min = 1))]
    pub label: Option<String>,
    /// The active ingress adapters.
    #[serde(default)]
    pub serve_adapters: Vec<String>,
    /// The active egress adapters.
    #[serde(default)]
    pub smash_adapters: Vec<String>,
    /// The active serve routes.
    #[serde(default)]
    pub serve_routes: Vec<String>,
    /// The active smash routes.
    #[serde(default)]
    pub smash_routes: Vec<String>,
    /// Environment values that the profile sets. Never secrets.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "env-name", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }))]
    pub env: BTreeMap<String, String>,
}

/// What every source says.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct SourceHead {
    /// How signatures are verified. It decides which other keys there are.
    pub verifier: String,
}

/// The keys of every source.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SourceCommon {
    /// How signatures are verified. It decides which other keys there are.
    pub verifier: String,
    /// The environment variables of the secrets: one, or for a rotation several, of which the first must be set.
    pub secret_env: Option<OneOrMore>,
    /// The environment variable of the token that the provider shows when it asks whether an address is ours.
    pub verify_token_env: Option<EnvName>,
    /// Where the event type stands.
    pub event_type: Option<Selector>,
    /// Where the sender's id for a delivery stands.
    pub delivery_id: Option<Selector>,
    /// Where the ordering key stands: events of one key are delivered in order.
    pub ordering_key: Option<Selector>,
    /// How copies of an event are recognised.
    #[serde(default)]
    pub dedup: Dedup,
    /// How many verified events a minute are taken at most.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub rate_per_minute: Option<u32>,
    /// After an event, others of its ordering key are dropped for so long.
    pub cooldown: Option<HumanDuration>,
    /// Takes events that nothing proves to come from the source.
    #[serde(default)]
    pub allow_unverified: bool,
}

/// The name of one environment variable, or a list of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(EnvName),
    /// Several, the current one first.
    More(#[schemars(length(min = 1))] Vec<EnvName>),
}

/// How copies of an event are recognised.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Dedup {
    /// What makes two deliveries copies.
    pub by: DedupBy,
    /// For how long.
    pub window: HumanDuration,
}

impl Default for Dedup {
    fn default() -> Self {
        Self { by: DedupBy::Delivery, window: HumanDuration::from_days(7) }
    }
}

/// What makes two deliveries copies of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DedupBy {
    /// The delivery id, and the body too where the signature does not cover that id.
    Delivery,
    /// The delivery id alone.
    DeliveryId,
    /// The body.
    Body,
}

/// Topics that are bridged into one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Relay {
    /// The topics that are read; where this is left out, those that serve writes and smash does not read.
    #[schemars(extend("items" = { "type": "string", "format": "target-topic", "examples": ["webhooks.core"] }))]
    pub topics: Option<Vec<String>>,
    /// The topic that is written.
    pub output_topic: TopicName,
}

impl Default for Relay {
    fn default() -> Self {
        Self { topics: None, output_topic: TopicName::new("webhooks.core").expect("the literal is a topic name") }
    }
}

/// Which log keeps the events.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct Backbone {
    /// The log.
    pub driver: BackboneName,
}

/// The logs that the contract format knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackboneName {
    /// In this process, on this disk.
    Embedded,
    /// Apache Kafka.
    Kafka,
}

/// How the embedded log keeps what it has.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogSection {
    /// The size at which a segment is sealed.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub segment_bytes: u64,
    /// How long and how much is kept of events (7 days).
    pub events: Keep,
    /// How long and how much is kept of dead letters (30 days).
    pub dead_letters: Keep,
    /// How long and how much is kept of the journal (7 days, 256 MiB).
    pub journal: Keep,
    /// How many bytes undelivered events may take. Half of the file system where this is left out.
    #[schemars(range(min = 1))]
    pub max_pinned: Option<u64>,
    /// What happens when they take more.
    pub when_pinned: WhenPinned,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            events: Keep::default(),
            dead_letters: Keep::default(),
            journal: Keep::default(),
            max_pinned: None,
            when_pinned: WhenPinned::default(),
        }
    }
}

/// How long and how much is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Keep {
    /// What is older may go.
    pub max_age: Option<HumanDuration>,
    /// What exceeds this may go, oldest first.
    #[schemars(range(min = 1))]
    pub max_bytes: Option<u64>,
}

/// The address of health, metrics and the admin interface.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Admin {
    /// Where it listens. Port 0 takes a free one.
    #[schemars(with = "String", extend("format" = "socket-address", "examples" = ["127.0.0.1:9464"]))]
    pub bind: SocketAddr,
    /// The environment variable of the bearer token that it asks for.
    pub token_env: Option<EnvName>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 0)), token_env: None }
    }
}
