//! A small catalog with the names and settings of the real one, and drivers that do nothing.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::{net::SocketAddr, sync::Arc};

use hook_contract::{Checked, Options, check};
use hook_core::{
    BoxFuture,
    catalog::{BuiltinSource, Catalog, Entry, Fault, Kind, PlannedDriver},
    names::{EnvName, SourceName},
    outcome::Outcome,
    payload::Payload,
    ports::{
        egress::{CheckError, Delivery, EgressDriver},
        ingress::{AddressClaim, IngressDriver, ListenError, Listener, Opening},
        plugin::{Draft, Plugin, Verdict},
        verifier::{Claim, Refusal, Signed, SignedRequest, SigningRequest, SourceVerifier, Verified},
    },
    problem::{Code, Problem},
    secret::Secrets,
    selector::Selector,
    tls::TlsFiles,
    transport::Transport,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) const FILE: &str = "contract.toml";

/// Checks with the small catalog and no options.
pub(crate) fn checked(text: &str) -> Checked {
    check(FILE, text, &catalog(), &Options::default())
}

/// Checks with the small catalog.
pub(crate) fn checked_with(text: &str, options: &Options) -> Checked {
    check(FILE, text, &catalog(), options)
}

/// The problems of one code.
pub(crate) fn of<'p>(code: &Code, problems: &'p [Problem]) -> Vec<&'p Problem> {
    problems.iter().filter(|problem| problem.code == code).collect()
}

/// One line per problem, for snapshots.
pub(crate) fn lines(problems: &[Problem]) -> String {
    let line = |problem: &Problem| {
        let place = problem.place.as_ref().map_or("-".into(), |place| format!("{}:{}", place.line, place.column));
        let severity = if problem.is_error() { "error" } else { "warning" };
        format!("{place} {} {severity} {} | {}", problem.code.id, problem.message, problem.help)
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

macro_rules! kind {
    ($kind:ident, $name:literal, $settings:ty, $driver:ty, $build:expr) => {
        struct $kind;
        impl Kind for $kind {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = "Does nothing.";
            type Settings = $settings;
            type Driver = $driver;
            fn build(settings: $settings) -> Result<Arc<$driver>, Vec<Fault>> {
                let build: fn($settings) -> Result<Arc<$driver>, Vec<Fault>> = $build;
                build(settings)
            }
        }
    };
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct WebhookSettings {
    /// Where to listen.
    bind: SocketAddr,
    /// The path; `{source}` is the source's name.
    #[serde(default = "default_path")]
    path_template: String,
    /// The largest body.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1))]
    max_body_bytes: u64,
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    read_timeout_seconds: u64,
    trusted_proxy_cidrs: Option<Vec<String>>,
    rate_per_minute_per_address: Option<std::num::NonZeroU32>,
    tls: Option<TlsFiles>,
}

fn default_path() -> String {
    "/webhook/{source}".into()
}

fn default_limit() -> u64 {
    1_048_576
}

fn default_timeout() -> u64 {
    10
}

fn yes() -> bool {
    true
}

struct Silent {
    bind: Option<SocketAddr>,
    path: String,
    tls: Option<TlsFiles>,
}

impl IngressDriver for Silent {
    fn claims(&self) -> Vec<AddressClaim> {
        vec![AddressClaim { address: self.bind, path: self.path.clone() }]
    }
    fn tls(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }
    fn listen<'a>(&'a self, _: Opening<'a>) -> BoxFuture<'a, Result<Box<dyn Listener>, ListenError>> {
        unreachable!("a check listens nowhere")
    }
}

kind!(Webhook, "http_webhook_ingress", WebhookSettings, dyn IngressDriver, |settings| {
    if !settings.path_template.contains("{source}") {
        return Err(vec![Fault::at("/path_template", "the path has no `{source}`", "write `/webhook/{source}`")]);
    }
    Ok(Arc::new(Silent { bind: Some(settings.bind), path: settings.path_template, tls: settings.tls }))
});

#[derive(Serialize, Deserialize, JsonSchema)]
struct SocketSettings {
    auth_mode: String,
    bind: Option<SocketAddr>,
    tls: Option<TlsFiles>,
    #[serde(default = "socket_path")]
    path_template: String,
}

fn socket_path() -> String {
    "/ingest/ws/{source}".into()
}

kind!(Socket, "websocket_ingress", SocketSettings, dyn IngressDriver, |settings| {
    Ok(Arc::new(Silent { bind: settings.bind, path: settings.path_template, tls: settings.tls }))
});

#[derive(Serialize, Deserialize, JsonSchema)]
struct KafkaInSettings {
    topics: Vec<String>,
    group_id: String,
    source: Option<SourceName>,
    brokers: Option<serde_json::Value>,
    security_protocol: Option<String>,
    allow_plaintext: Option<bool>,
    tls: Option<KafkaTls>,
    sasl: Option<KafkaSasl>,
}

struct Fetching(Vec<SourceName>);

impl IngressDriver for Fetching {
    fn claims(&self) -> Vec<AddressClaim> {
        Vec::new()
    }
    fn sources(&self) -> Vec<SourceName> {
        self.0.clone()
    }
    fn listen<'a>(&'a self, _: Opening<'a>) -> BoxFuture<'a, Result<Box<dyn Listener>, ListenError>> {
        unreachable!("a check fetches nothing")
    }
}

kind!(KafkaIn, "kafka_ingress", KafkaInSettings, dyn IngressDriver, |settings| {
    let by_topic = || settings.topics.iter().filter_map(|topic| SourceName::new(topic).ok()).collect();
    Ok(Arc::new(Fetching(settings.source.map_or_else(by_topic, |source| vec![source]))))
});

struct Nowhere;

impl EgressDriver for Nowhere {
    fn deliver<'a>(&'a self, _: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        unreachable!("a check delivers nothing")
    }
    fn check<'a>(&'a self, _: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        unreachable!("a check of a contract asks nobody")
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct OpenClawSettings {
    url: String,
    token_env: EnvName,
    #[schemars(range(min = 1))]
    timeout_seconds: u64,
    max_retries: u32,
    #[serde(default)]
    allow_networks: Vec<String>,
}

kind!(OpenClaw, "openclaw_http_output", OpenClawSettings, dyn EgressDriver, |_| Ok(Arc::new(Nowhere)));

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
enum Body {
    /// The whole envelope.
    #[default]
    Envelope,
    /// The payload alone.
    Payload,
    CloudEvents,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct HttpSettings {
    url: String,
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: Body,
    token_env: Option<EnvName>,
    signing_secret_env: Option<EnvName>,
    #[serde(default = "default_timeout")]
    timeout_seconds: u64,
    #[serde(default = "yes")]
    compress: bool,
    #[serde(default)]
    allow_networks: Vec<String>,
}

fn post() -> String {
    "POST".into()
}

kind!(Http, "http_output", HttpSettings, dyn EgressDriver, |settings| {
    if !settings.url.starts_with("http") {
        return Err(vec![Fault::at("/url", "the URL has no scheme", "write `https://…`")]);
    }
    if settings.url.contains("169.254.169.254") {
        let fault = Fault::at("/url", "this address is never reached", "name another");
        return Err(vec![fault.security_critical()]);
    }
    Ok(Arc::new(Nowhere))
});

#[derive(Serialize, Deserialize, JsonSchema)]
struct FileSettings {
    #[schemars(length(min = 1))]
    path: String,
}

kind!(File, "file_output", FileSettings, dyn EgressDriver, |_| Ok(Arc::new(Nowhere)));

/// Clients come to it.
struct Somewhere(SocketAddr);

impl EgressDriver for Somewhere {
    fn deliver<'a>(&'a self, _: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        unreachable!("a check delivers nothing")
    }
    fn check<'a>(&'a self, _: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        unreachable!("a check of a contract asks nobody")
    }
    fn claims(&self) -> Vec<AddressClaim> {
        vec![AddressClaim { address: Some(self.0), path: "/events".into() }]
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct StreamSettings {
    bind: SocketAddr,
    path: Option<String>,
    auth_mode: Option<String>,
    max_clients: Option<u32>,
    queue_depth_per_client: Option<u32>,
    send_timeout_ms: Option<u32>,
    allowed_origins: Option<Vec<String>>,
}

kind!(Stream, "websocket_server_output", StreamSettings, dyn EgressDriver, |settings| {
    Ok(Arc::new(Somewhere(settings.bind)))
});

#[derive(Serialize, Deserialize, JsonSchema)]
struct KafkaSettings {
    topic: String,
    key_mode: String,
    format: Option<String>,
    /// Like the real one it takes a list or a text.
    brokers: Option<serde_json::Value>,
    security_protocol: Option<String>,
    allow_plaintext: Option<bool>,
    tls: Option<KafkaTls>,
    sasl: Option<KafkaSasl>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct KafkaTls {
    cert_path: Option<String>,
    key_path: Option<String>,
    key_password_env: Option<EnvName>,
    ca_path: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct KafkaSasl {
    mechanism: String,
    username_env: Option<EnvName>,
    password_env: Option<EnvName>,
    token_file: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct ToolSettings {
    tool_name: String,
    /// The transport.
    #[schemars(with = "String")]
    transport_ref: Transport,
}

kind!(Tool, "tool_output", ToolSettings, dyn EgressDriver, |settings| match settings.transport_ref {
    Transport::StdioJsonrpc { command: None, .. } => {
        Err(vec![Fault::at("/transport_ref/command", "there is no program", "name one")])
    }
    Transport::HttpSse { auth_mode, token_env, .. } => match auth_mode.fault(token_env.as_ref()) {
        Some(fault) => Err(vec![Fault { pointer: format!("/transport_ref{}", fault.pointer), ..fault }]),
        None => Ok(Arc::new(Nowhere)),
    },
    Transport::StdioJsonrpc { .. } => Ok(Arc::new(Nowhere)),
});

kind!(KafkaOut, "kafka_output", KafkaSettings, dyn EgressDriver, |settings| match settings.brokers {
    Some(_) => Ok(Arc::new(Nowhere)),
    None => Err(vec![Fault::at("/brokers", "nothing says where the brokers are", "write `brokers`")]),
});

struct Scheme {
    needs_secret: bool,
}

impl SourceVerifier for Scheme {
    fn verify(&self, _: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        Err(Refusal::NoSecret)
    }
    fn describe(&self, _: &http::HeaderMap, _: &Payload) -> Claim {
        Claim::default()
    }
    fn needs_secret(&self) -> bool {
        self.needs_secret
    }
    fn sign(&self, _: &SigningRequest<'_>) -> Option<Signed> {
        None
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct NoSettings {}

#[derive(Serialize, Deserialize, JsonSchema)]
struct ToleranceSettings {
    tolerance: Option<hook_core::duration::HumanDuration>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct HmacSettings {
    #[serde(default)]
    algorithm: Algorithm,
    header: String,
    prefix: Option<String>,
    #[serde(default)]
    encoding: Encoding,
    #[serde(default = "body")]
    signed_content: String,
    timestamp: Option<Selector>,
    tolerance: Option<hook_core::duration::HumanDuration>,
}

fn body() -> String {
    "{body}".into()
}

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    #[default]
    Sha256,
    Sha1,
    Sha512,
}

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Hex,
    Base64,
}

const SECRET: Scheme = Scheme { needs_secret: true };

kind!(GitHub, "github", NoSettings, dyn SourceVerifier, |_| Ok(Arc::new(SECRET)));
kind!(Linear, "linear", ToleranceSettings, dyn SourceVerifier, |_| Ok(Arc::new(SECRET)));
kind!(Stripe, "stripe", ToleranceSettings, dyn SourceVerifier, |_| Ok(Arc::new(SECRET)));
kind!(Standard, "standard-webhooks", ToleranceSettings, dyn SourceVerifier, |_| Ok(Arc::new(SECRET)));
kind!(Bearer, "bearer", NoSettings, dyn SourceVerifier, |_| Ok(Arc::new(SECRET)));
kind!(Hmac, "hmac", HmacSettings, dyn SourceVerifier, |_| Ok(Arc::new(SECRET)));
kind!(Unverified, "none", NoSettings, dyn SourceVerifier, |_| Ok(Arc::new(Scheme { needs_secret: false })));

struct Keep;

impl Plugin for Keep {
    fn apply(&self, _: &mut Draft) -> Verdict {
        Verdict::Keep
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct AliasSettings {
    from: String,
    to: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct PointerSettings {
    pointer: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct FlagSettings {
    flag: String,
}

kind!(Alias, "event_type_alias", AliasSettings, dyn Plugin, |_| Ok(Arc::new(Keep)));
kind!(
    Field,
    "require_payload_field",
    PointerSettings,
    dyn Plugin,
    |settings| match settings.pointer.starts_with('/') {
        true => Ok(Arc::new(Keep)),
        false => Err(vec![Fault::at("/pointer", "no JSON pointer", "write `/repository`")]),
    }
);
kind!(Flag, "add_meta_flag", FlagSettings, dyn Plugin, |_| Ok(Arc::new(Keep)));

/// The catalog.
pub(crate) fn catalog() -> Catalog {
    let source = |name, secret_env| BuiltinSource { name, verifier: name, secret_env };
    Catalog {
        ingress: vec![Entry::of::<Webhook>(), Entry::of::<KafkaIn>(), Entry::of::<Socket>()],
        egress: vec![
            Entry::of::<OpenClaw>(),
            Entry::of::<Http>(),
            Entry::of::<File>(),
            Entry::of::<KafkaOut>(),
            Entry::of::<Stream>(),
            Entry::of::<Tool>(),
        ],
        verifiers: vec![
            Entry::of::<GitHub>(),
            Entry::of::<Linear>(),
            Entry::of::<Stripe>(),
            Entry::of::<Standard>(),
            Entry::of::<Hmac>(),
            Entry::of::<Bearer>(),
            Entry::of::<Unverified>(),
        ],
        plugins: vec![Entry::of::<Alias>(), Entry::of::<Field>(), Entry::of::<Flag>()],
        sources: vec![
            source("github", "HMAC_SECRET_GITHUB"),
            source("linear", "HMAC_SECRET_LINEAR"),
            source("stripe", "HMAC_SECRET_STRIPE"),
        ],
        planned: vec![
            PlannedDriver {
                side: "serve",
                name: "mcp_ingest_exposed",
                install: Some("`cargo install sockets` installs one that does"),
            },
            PlannedDriver { side: "smash", name: "mcp_tool_output", install: None },
        ],
    }
}
