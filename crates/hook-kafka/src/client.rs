//! How every client of librdkafka is configured, and where its log lines and errors go.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hook_core::{Timestamp, clock::SharedClock, names::CursorName};
use rdkafka::{
    ClientConfig, ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use tracing::{debug, info, warn};

use crate::{
    names::Names,
    settings::{Login, Problem, Sasl, Security, Settings},
};

/// After that long without a heartbeat the partitions of a process go to others.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// After that long a transaction that nobody ends is aborted by the broker.
pub(crate) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// A record that is larger is refused. Topics that are made here take it.
pub const MOST_RECORD: usize = 2 << 20;

/// So many times what was fetched may be what is held of it.
const UNPACKED: usize = 16;
/// Bounds of what a broker answers a consumer at once.
const LEAST_ANSWER: usize = 64 << 10;
const MOST_ANSWER: usize = 1 << 20;

const DURABLE: &str = "acknowledged means durable, on every replica that is in sync; leave it out";
const ONCE: &str = "a record is written once, also when it is sent again; leave it out";
const MARKED: &str = "hook marks what is done by itself, when a destination has it; leave it out";
const COMMITTED: &str = "only what is committed is delivered; leave it out";
const ELSEWHERE: &str = "it has a setting of its own; use that one";
const GROUPS: &str = "every cursor is a group of its own, with the instance id; leave it out";
const KEYS: &str = "records of one key share a partition with those of other clients; leave it out";

/// What carries semantics, or has a setting of its own; and why.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", ELSEWHERE),
    ("metadata.broker.list", ELSEWHERE),
    ("security.protocol", ELSEWHERE),
    ("ssl.ca.location", ELSEWHERE),
    ("ssl.certificate.location", ELSEWHERE),
    ("ssl.key.location", ELSEWHERE),
    ("ssl.key.password", ELSEWHERE),
    ("sasl.mechanism", ELSEWHERE),
    ("sasl.mechanisms", ELSEWHERE),
    ("sasl.username", ELSEWHERE),
    ("sasl.password", ELSEWHERE),
    ("queue.buffering.max.kbytes", ELSEWHERE),
    ("queued.max.messages.kbytes", ELSEWHERE),
    ("message.timeout.ms", ELSEWHERE),
    ("delivery.timeout.ms", ELSEWHERE),
    ("acks", DURABLE),
    ("request.required.acks", DURABLE),
    ("delivery.report.only.error", DURABLE),
    ("enable.idempotence", ONCE),
    ("transactional.id", ONCE),
    ("transaction.timeout.ms", ONCE),
    ("partitioner", KEYS),
    ("group.id", GROUPS),
    ("group.instance.id", GROUPS),
    ("group.protocol", GROUPS),
    ("partition.assignment.strategy", GROUPS),
    ("session.timeout.ms", GROUPS),
    ("max.poll.interval.ms", GROUPS),
    ("enable.auto.commit", MARKED),
    ("auto.commit.enable", MARKED),
    ("enable.auto.offset.store", MARKED),
    ("auto.offset.reset", MARKED),
    ("enable.partition.eof", MARKED),
    ("isolation.level", COMMITTED),
    ("allow.auto.create.topics", "hook makes topics by itself, with the partitions and replication that are set"),
];

/// Looks through both tables of librdkafka's own settings.
pub(crate) fn find_problems(settings: &Settings, problems: &mut Vec<Problem>) {
    let tables =
        [("producer_defaults", &settings.producer_defaults), ("consumer_defaults", &settings.consumer_defaults)];
    for (table, values) in tables {
        for (key, value) in values {
            if let Some((_, reason)) = OURS.iter().find(|(ours, _)| ours == key) {
                problems.push(Problem::Ours { table, key: key.clone(), reason });
            } else if let Err(error) = ClientConfig::new().set(key, value).create_native_config() {
                let reason = match error {
                    KafkaError::ClientConfig(_, reason, ..) => reason,
                    other => other.to_string(),
                };
                problems.push(Problem::NotTaken { table, key: key.clone(), reason });
            }
        }
    }
}

/// Makes clients.
#[derive(Clone)]
pub(crate) struct Clients {
    settings: Arc<Settings>,
    /// Stands for the instance id where there is none: different in every process.
    instance: String,
    health: Health,
    clock: SharedClock,
    pub(crate) names: Names,
}

impl Clients {
    pub(crate) fn new(settings: Arc<Settings>, health: Health, clock: SharedClock) -> Self {
        let instance = settings.instance_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
        let names = Names::new(&settings.namespace);
        Self { settings, instance, health, clock, names }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether copies of what this cursor has delivered are removed here.
    pub(crate) fn keeps_memory_of(&self, cursor: &CursorName) -> bool {
        self.settings.deduplication.as_ref().is_some_and(|deduplication| deduplication.cursor == *cursor)
    }

    /// What this process calls itself.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn context(&self) -> Context {
        let token_file = match &self.settings.security.sasl {
            Some(Sasl::OauthBearer { token_file }) => Some(token_file.clone()),
            _ => None,
        };
        Context { health: self.health.clone(), clock: Arc::clone(&self.clock), token_file, witness: None }
    }

    /// What all clients have in common.
    pub(crate) fn base(&self, defaults: &BTreeMap<String, String>) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", format!("hook-{}", self.instance));
        config.set("topic.metadata.refresh.interval.ms", "30000");
        config.set("reconnect.backoff.max.ms", "1000");
        config.set("socket.keepalive.enable", "true");
        config.set("log.connection.close", "false");
        config.extend(defaults.clone());
        config.set("bootstrap.servers", self.settings.brokers.join(","));
        secure(&mut config, &self.settings.security);
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// Writes what is durable when the brokers say so.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut defaults = BTreeMap::from([
            ("linger.ms".to_owned(), "2".to_owned()),
            ("compression.type".to_owned(), "lz4".to_owned()),
        ]);
        // `linger.ms` and `compression.type` are names for these; the operator may use either.
        for (alias, name) in [("queue.buffering.max.ms", "linger.ms"), ("compression.codec", "compression.type")] {
            if self.settings.producer_defaults.contains_key(alias) {
                defaults.remove(name);
            }
        }
        defaults.extend(self.settings.producer_defaults.clone());
        let mut config = self.base(&defaults);
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", (MOST_RECORD + MOST_RECORD / 2).to_string())
            .set("queue.buffering.max.kbytes", self.settings.producer_queue.div_ceil(1024).to_string())
            .set("message.timeout.ms", self.settings.append_timeout.as_millis().to_string());
        config
    }

    /// Writes records and the progress of a cursor together.
    pub(crate) fn transactions(&self, cursor: &CursorName) -> ClientConfig {
        self.transaction(self.names.transactions(&self.instance, cursor))
    }

    /// Makes a cursor, one process at a time.
    pub(crate) fn making(&self, cursor: &CursorName) -> ClientConfig {
        self.transaction(self.names.making(cursor))
    }

    /// Carries records over from another log, one process at a time.
    pub(crate) fn carrying(&self) -> ClientConfig {
        let mut config = self.transaction(self.names.carrying());
        config.set("linger.ms", "2");
        config
    }

    fn transaction(&self, id: String) -> ClientConfig {
        let mut config = self.producer();
        let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
        config.set("transactional.id", id).set("transaction.timeout.ms", &timeout).set("message.timeout.ms", timeout);
        // Its batches come one after the other, and wait for each other.
        config.set("linger.ms", "0");
        config
    }

    /// Takes part in the group of a cursor.
    pub(crate) fn member(&self, cursor: &CursorName) -> ClientConfig {
        let mut config = self.consumer(self.names.group(cursor));
        if let Some(instance) = &self.settings.instance_id {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// Takes part in a group that is not one of ours.
    pub(crate) fn foreign_member(&self, group: &str) -> ClientConfig {
        self.consumer(group.to_owned())
    }

    /// Speaks for the group of a cursor without being a member.
    pub(crate) fn outside(&self, cursor: &CursorName) -> ClientConfig {
        self.consumer(self.names.group(cursor))
    }

    /// Reads here and there, in no group.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer(self.names.reader());
        config
            .set("enable.partition.eof", "true")
            // A place that is gone is an answer, not a reason to read from somewhere else.
            .set("auto.offset.reset", "error")
            // A question behind the end is held by the broker for so long, and the next one to it waits behind that.
            .set("fetch.wait.max.ms", "10")
            .set("queued.max.messages.kbytes", "256")
            .set("fetch.message.max.bytes", "262144");
        config
    }

    fn consumer(&self, group: String) -> ClientConfig {
        let share = self.fetch_share();
        // Brokers count compressed bytes, and what is held is unpacked: bodies shrink to a tenth and less. A larger record comes all
        // the same, alone.
        let answer = (share / UNPACKED).clamp(LEAST_ANSWER, MOST_ANSWER);
        let mut defaults = BTreeMap::from([
            ("fetch.queue.backoff.ms".to_owned(), "20".to_owned()),
            ("heartbeat.interval.ms".to_owned(), "3000".to_owned()),
        ]);
        defaults.extend(self.settings.consumer_defaults.clone());
        let mut config = self.base(&defaults);
        config
            .set("group.id", group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", (share / 1024).max(1).to_string())
            .set("fetch.message.max.bytes", (answer / 2).to_string())
            .set("fetch.max.bytes", answer.to_string())
            // No answer may be bound below it.
            .set("message.max.bytes", answer.to_string());
        config
    }

    /// How many bytes of records librdkafka may hold for one consumer. As much again waits outside of it, and a third of what
    /// there is goes to answers that are being unpacked, and to those that are kept for the last record in them.
    pub(crate) fn fetch_share(&self) -> usize {
        let consumers = u64::try_from(self.settings.consumers.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.settings.fetch_memory / consumers / 3).unwrap_or(usize::MAX).max(1 << 16)
    }
}

fn secure(config: &mut ClientConfig, security: &Security) {
    config.set("security.protocol", security.protocol.as_str());
    let files = [
        ("ssl.ca.location", &security.tls.authority),
        ("ssl.certificate.location", &security.tls.certificate),
        ("ssl.key.location", &security.tls.key),
    ];
    for (key, file) in files {
        if let Some(file) = file {
            config.set(key, file.to_string_lossy());
        }
    }
    if let Some(password) = security.tls.key_password.as_ref().and_then(|secret| secret.expose_str()) {
        config.set("ssl.key.password", password);
    }
    let Some(sasl) = &security.sasl else { return };
    config.set("sasl.mechanism", sasl.mechanism());
    if let Sasl::Plain(login) | Sasl::ScramSha256(login) | Sasl::ScramSha512(login) = sasl {
        let Login { username, password } = login;
        config.set("sasl.username", username).set("sasl.password", password.expose_str().unwrap_or_default());
    }
}

/// What the clients know about the cluster's health.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    unavailable: Arc<Mutex<Option<String>>>,
}

impl Health {
    /// Why nothing can be stored now.
    pub(crate) fn unavailable(&self) -> Option<String> {
        self.unavailable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, unavailable: Option<String>) {
        *self.unavailable.lock().unwrap_or_else(PoisonError::into_inner) = unavailable;
    }
}

/// What every client shares.
#[derive(Clone)]
pub(crate) struct Context {
    health: Health,
    clock: SharedClock,
    token_file: Option<PathBuf>,
    witness: Option<Witness>,
}

impl Context {
    /// The same, whose errors and lines somebody remembers.
    pub(crate) fn seen_by(self, witness: Witness) -> Self {
        Self { witness: Some(witness), ..self }
    }
}

/// What has ended a connection. A broker that refuses our certificate says so in an alert, and librdkafka calls that an end like
/// any other.
pub(crate) fn meant(code: RDKafkaErrorCode, reason: &str) -> RDKafkaErrorCode {
    match code {
        RDKafkaErrorCode::BrokerTransportFailure if reason.contains("SSL alert") => RDKafkaErrorCode::SSL,
        _ => code,
    }
}

/// Remembers what has happened on the connections of a client: it is told nowhere else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    errors: Vec<(RDKafkaErrorCode, String)>,
    /// The newest version of each question that a broker answers.
    versions: BTreeMap<String, i16>,
}

/// So many errors are remembered at most.
const MOST_ERRORS: usize = 100;

impl Witness {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_error(&self, code: RDKafkaErrorCode, reason: &str) {
        let mut seen = self.seen();
        if seen.errors.len() < MOST_ERRORS {
            seen.errors.push((meant(code, reason), reason.to_owned()));
        }
    }

    /// Reads lines such as `… ApiKey TxnOffsetCommit (28) Versions 0..5`.
    pub(crate) fn note_line(&self, line: &str) {
        let Some((name, rest)) = line.split_once("ApiKey ").and_then(|(_, rest)| rest.split_once(' ')) else { return };
        let newest = rest.rsplit_once("..").and_then(|(_, newest)| newest.trim().parse().ok());
        if let Some(newest) = newest {
            self.seen().versions.insert(name.to_owned(), newest);
        }
    }

    pub(crate) fn errors(&self) -> Vec<(RDKafkaErrorCode, String)> {
        self.seen().errors.clone()
    }

    pub(crate) fn has_versions(&self) -> bool {
        !self.seen().versions.is_empty()
    }

    pub(crate) fn version_of(&self, question: &str) -> Option<i16> {
        self.seen().versions.get(question).copied()
    }
}

/// What librdkafka warns of and mends by itself: at every start the coordinator of transactions is asked before it is ready.
fn is_mended(facility: &str, message: &str) -> bool {
    facility == "GETPID" && message.contains("retrying")
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(witness) = &self.witness {
            witness.note_line(message);
            return;
        }
        match level {
            RDKafkaLogLevel::Warning if is_mended(facility, message) => debug!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => warn!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => info!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Debug => debug!(facility, message, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.health.set(Some(format!("no broker answers: {reason}")));
        }
        if let (Some(witness), Some(code)) = (&self.witness, error.rdkafka_error_code()) {
            witness.note_error(code, reason);
        }
        debug!(%error, reason, "kafka client");
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        let file = self.token_file.as_ref().ok_or("no token file is set")?;
        let token = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let token = token.trim().to_owned();
        let claims = Claims::of(&token).ok_or_else(|| format!("{} holds no JWT with `exp`", file.display()))?;
        let lifetime_ms = claims.exp.saturating_mul(1000);
        if lifetime_ms <= self.clock.now().as_millisecond() {
            return Err(format!("the token in {} has expired", file.display()).into());
        }
        Ok(OAuthToken { token, principal_name: claims.sub, lifetime_ms })
    }
}

impl ConsumerContext for Context {}

/// What we read of a token. The broker checks it; we only need to know when to read the file again.
#[derive(serde::Deserialize)]
struct Claims {
    exp: i64,
    #[serde(default)]
    sub: String,
}

impl Claims {
    fn of(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
    }
}

/// A consumer that asks questions or reads here and there.
pub(crate) type Reader = BaseConsumer<Context>;

/// Makes a consumer without a group of its own.
pub(crate) fn connect(config: &ClientConfig, context: Context) -> KafkaResult<Reader> {
    let reader = config.create_with_context(context)?;
    serve(&reader);
    Ok(reader)
}

/// Gives a consumer the token that it asks for, at the beginning and from time to time: it is served only when it is polled, and
/// without a token no question reaches a broker.
pub(crate) fn serve(reader: &Reader) {
    // Nothing is assigned to it: what comes are errors of connections, which the context has seen.
    let _ = reader.poll(Duration::ZERO);
}

#[cfg(test)]
mod tests {
    use hook_core::clock::SystemClock;

    use super::*;

    #[test]
    fn a_token_says_until_when_it_is_good() {
        let body = URL_SAFE_NO_PAD.encode(br#"{"sub":"hook","exp":1767225600,"aud":["kafka"]}"#);
        let claims = Claims::of(&format!("e30.{body}.c2ln")).unwrap();
        assert_eq!((claims.exp, claims.sub.as_str()), (1_767_225_600, "hook"));
        for wrong in ["", "e30", "e30.e30.", "e30.!.x"] {
            assert!(Claims::of(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_mended_by_itself_is_no_warning() {
        let line = "[thrd:main]: Failed to acquire transactional PID from broker TxnCoordinator/1: Broker: Coordinator load \
                    in progress: retrying";
        assert!(is_mended("GETPID", line));
        assert!(!is_mended("GETPID", "[thrd:main]: Fatal error: Broker: Transactional Id authorization failed"));
        assert!(!is_mended("FAIL", line));
    }

    #[test]
    fn the_fetch_memory_is_divided_among_the_consumers() {
        let mut settings = Settings::new(["127.0.0.1:9092"]);
        (settings.consumers, settings.fetch_memory) = (16, 96 << 20);
        let clients = Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock));
        assert_eq!(clients.fetch_share(), 2 << 20);
        let config = clients.member(&CursorName::new("app.route.out").unwrap());
        assert_eq!(config.get("queued.max.messages.kbytes"), Some("2048"));
        assert_eq!(config.get("fetch.max.bytes"), Some("131072"), "an answer may unpack to all of the share");
    }

    #[test]
    fn every_configuration_is_one_that_librdkafka_takes() {
        let mut settings = Settings::new(["127.0.0.1:9092"]);
        settings.instance_id = Some("one".into());
        settings.producer_defaults = BTreeMap::from([("queue.buffering.max.ms".into(), "9".into())]);
        let clients = Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock));
        let cursor = CursorName::new("app.route.out").unwrap();
        let member = clients.member(&cursor);
        assert_eq!(member.get("group.instance.id"), Some("one"));
        assert_eq!(clients.transactions(&cursor).get("transactional.id"), Some("one.app.route.out"));
        assert_eq!(clients.producer().get("linger.ms"), None);
        let others = [clients.producer(), clients.transactions(&cursor), clients.outside(&cursor), clients.reader()];
        for config in others.into_iter().chain([member]) {
            config.create_native_config().unwrap();
        }
    }
}
