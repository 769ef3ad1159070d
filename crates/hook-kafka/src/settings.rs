//! What an operator decides about the log on Kafka, and what can be wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use hook_core::{
    names::{CursorName, TopicName},
    secret::Secret,
};
use thiserror::Error;

use crate::client;

/// How to reach a cluster and what to make of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bootstrap addresses, `host:port`.
    pub brokers: Vec<String>,
    /// Stands before the name of every topic, group and transaction on the cluster, and is cut off on the way in. What does
    /// not begin with it is not seen. Empty by default.
    pub namespace: String,
    /// How connections are protected.
    pub security: Security,
    /// How topics are made, and what they must be.
    pub topics: Topics,
    /// The name of this process among others: `group.instance.id`, and the base of `transactional.id`. Two processes that
    /// run at once must not share one. `None` is for commands that come and go.
    pub instance_id: Option<String>,
    /// What removes copies of events here; `None` where this process runs no relay.
    pub deduplication: Option<Deduplication>,
    /// How many cursors this process is going to subscribe to: they share `fetch_memory`.
    pub consumers: usize,
    /// Bytes that may be fetched and not be taken yet, over all consumers.
    pub fetch_memory: u64,
    /// Bytes that may wait for being sent; at most 32 MiB.
    pub producer_queue: u64,
    /// After that long an append that the brokers have not acknowledged fails.
    pub append_timeout: Duration,
    /// That long work in flight may take when its partition goes to another process.
    pub release_timeout: Duration,
    /// librdkafka's own settings for producers. Applied first; what carries semantics is refused.
    pub producer_defaults: BTreeMap<String, String>,
    /// librdkafka's own settings for consumers. Applied first; what carries semantics is refused.
    pub consumer_defaults: BTreeMap<String, String>,
}

/// The most that may wait for being sent.
pub const MOST_PRODUCER_QUEUE: u64 = 32 << 20;

impl Settings {
    /// The defaults for a cluster. Plaintext without the second opt-in, so that [`Settings::problems`] asks for a decision.
    pub fn new(brokers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            brokers: brokers.into_iter().map(Into::into).collect(),
            namespace: String::new(),
            security: Security::default(),
            topics: Topics::default(),
            instance_id: None,
            deduplication: None,
            consumers: 8,
            fetch_memory: 64 << 20,
            producer_queue: MOST_PRODUCER_QUEUE,
            append_timeout: Duration::from_secs(10),
            release_timeout: Duration::from_secs(5),
            producer_defaults: BTreeMap::new(),
            consumer_defaults: BTreeMap::new(),
        }
    }

    /// Everything that is wrong, without asking the cluster.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.brokers.is_empty() {
            problems.push(Problem::NoBrokers);
        }
        let is_address = |text: &str| {
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        let wrong = self.brokers.iter().filter(|text| !is_address(text));
        problems.extend(wrong.map(|text| Problem::NotAnAddress(text.clone())));
        let is_name = |text: &str, extra: &[char]| {
            text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(&c)) && text.len() <= 100
        };
        if !is_name(&self.namespace, &['.', '-', '_']) {
            problems.push(Problem::NotANamespace(self.namespace.clone()));
        }
        if let Some(id) = self.instance_id.as_ref().filter(|id| id.is_empty() || !is_name(id, &['.', '-', '_'])) {
            problems.push(Problem::NotAnInstance(id.clone()));
        }
        if !(1..=MOST_PRODUCER_QUEUE).contains(&self.producer_queue) {
            problems.push(Problem::ProducerQueue(self.producer_queue));
        }
        self.security.find_problems(&mut problems);
        self.topics.find_problems(&mut problems);
        client::find_problems(self, &mut problems);
        problems
    }
}

/// A cursor to which a copy of what it has delivered is never delivered. Its progress is committed by appends alone: what tells
/// copies is written down with them.
#[derive(Debug, Clone)]
pub struct Deduplication {
    /// The relay's cursor.
    pub cursor: CursorName,
    /// So long a copy is recognised at most.
    pub window: Duration,
}

/// So long a copy is recognised at most.
pub const MOST_WINDOW: Duration = Duration::from_secs(24 * 3600);

impl Deduplication {
    /// For a day.
    pub fn of(cursor: CursorName) -> Self {
        Self { cursor, window: MOST_WINDOW }
    }
}

/// How connections are protected.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// What is spoken.
    pub protocol: Protocol,
    /// The second half of the opt-in for a protocol without encryption.
    pub allow_plaintext: bool,
    /// Files for TLS.
    pub tls: Tls,
    /// Who we are, for the protocols that ask.
    pub sasl: Option<Sasl>,
}

/// What is spoken with the brokers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// TLS; with a certificate of ours the broker knows us by it.
    Tls,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslTls,
}

impl Protocol {
    /// Its name in `security.protocol`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslTls => "sasl_ssl",
        }
    }

    fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::SaslTls)
    }

    fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }
}

impl std::str::FromStr for Protocol {
    type Err = Problem;

    /// Reads what `KAFKA_SECURITY_PROTOCOL` says, in any case.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let all = [Self::Plaintext, Self::Tls, Self::SaslPlaintext, Self::SaslTls];
        let found = all.into_iter().find(|protocol| protocol.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| Problem::NotAProtocol(text.to_owned()))
    }
}

/// Files for TLS, all PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Whom we trust to sign the brokers' certificates; the system's roots where it is `None`.
    pub authority: Option<PathBuf>,
    /// Our certificate, for mTLS.
    pub certificate: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
    /// What the key is encrypted with.
    pub key_password: Option<Secret>,
}

/// Who we are.
#[derive(Debug, Clone)]
pub enum Sasl {
    /// `PLAIN`.
    Plain(Login),
    /// `SCRAM-SHA-256`.
    ScramSha256(Login),
    /// `SCRAM-SHA-512`.
    ScramSha512(Login),
    /// `OAUTHBEARER` with a JWT that something else keeps fresh in a file, such as a projected token of Kubernetes.
    OauthBearer {
        /// The file; it is read again before the token expires.
        token_file: PathBuf,
    },
}

impl Sasl {
    /// Its name in `sasl.mechanism`.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::ScramSha256(_) => "SCRAM-SHA-256",
            Self::ScramSha512(_) => "SCRAM-SHA-512",
            Self::OauthBearer { .. } => "OAUTHBEARER",
        }
    }
}

/// A name and a password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Security {
    fn find_problems(&self, problems: &mut Vec<Problem>) {
        let protocol = self.protocol;
        if !protocol.is_encrypted() && !self.allow_plaintext {
            problems.push(Problem::Plaintext(protocol.as_str()));
        }
        let needs_tls = protocol.is_encrypted()
            || self.sasl.as_ref().is_some_and(|sasl| protocol.is_sasl() && !matches!(sasl, Sasl::Plain(_)));
        if needs_tls && !cfg!(any(feature = "tls", feature = "vendored")) {
            let mechanism = self.sasl.as_ref().map(Sasl::mechanism);
            let wanted = if protocol.is_encrypted() { "TLS" } else { mechanism.unwrap_or("TLS") };
            problems.push(Problem::NotInThisBuild(wanted));
        }
        if protocol.is_sasl() && self.sasl.is_none() {
            problems.push(Problem::NoLogin(protocol.as_str()));
        }
        if !protocol.is_sasl() && self.sasl.is_some() {
            problems.push(Problem::UnusedLogin(protocol.as_str()));
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            problems.push(Problem::HalfACertificate);
        }
        let password_is_text = |login: &Login| login.password.expose_str().is_some();
        let login = self.sasl.as_ref().and_then(|sasl| match sasl {
            Sasl::Plain(login) | Sasl::ScramSha256(login) | Sasl::ScramSha512(login) => Some(login),
            Sasl::OauthBearer { .. } => None,
        });
        if login.is_some_and(|login| !password_is_text(login)) {
            problems.push(Problem::NotText("the SASL password"));
        }
    }
}

/// How topics are made, and what they must be.
#[derive(Debug, Clone)]
pub struct Topics {
    /// The topics that the contract names. They are checked when the log is opened, and made where they may be.
    pub expected: BTreeSet<TopicName>,
    /// Whether topics that are missing are made.
    pub auto_create: bool,
    /// How many partitions a topic has at least.
    pub partitions: u32,
    /// On how many brokers each of them rests at least.
    pub replication: u16,
    /// How long records are kept, in topics that are made here; the broker's default where it is `None`.
    pub retention: Option<Duration>,
    /// Topics with another retention, such as dead letters.
    pub retention_of: BTreeMap<TopicName, Duration>,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            expected: BTreeSet::new(),
            auto_create: true,
            partitions: 3,
            replication: 1,
            retention: Some(Duration::from_secs(7 * 24 * 3600)),
            retention_of: BTreeMap::new(),
        }
    }
}

impl Topics {
    fn find_problems(&self, problems: &mut Vec<Problem>) {
        if self.partitions == 0 {
            problems.push(Problem::Zero("topic_partitions"));
        }
        if self.replication == 0 {
            problems.push(Problem::Zero("topic_replication_factor"));
        }
    }

    /// How long records of a topic are kept.
    pub(crate) fn retention(&self, topic: &TopicName) -> Option<Duration> {
        self.retention_of.get(topic).copied().or(self.retention)
    }
}

/// What is wrong with the settings. `Display` says what and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// Nothing to connect to.
    #[error("no broker is named; set KAFKA_BROKERS or `brokers` to addresses such as `kafka-1:9092,kafka-2:9092`")]
    NoBrokers,
    /// An address of another shape.
    #[error("expected a broker as `host:port`, such as `kafka-1:9092`, found `{0}`")]
    NotAnAddress(String),
    /// A namespace that no topic can begin with.
    #[error("expected a namespace of letters, digits, `.`, `_` and `-`, such as `team-a.`, found `{0}`")]
    NotANamespace(String),
    /// An instance id that no group takes.
    #[error("expected an instance id of letters, digits, `.`, `_` and `-`, such as `smash-1`, found `{0}`")]
    NotAnInstance(String),
    /// A protocol that does not exist.
    #[error("expected a security protocol (ssl, sasl_ssl, plaintext, sasl_plaintext), found `{0}`")]
    NotAProtocol(String),
    /// Plaintext with half an opt-in.
    #[error(
        "the security protocol {0} sends events and passwords unencrypted; use ssl or sasl_ssl, or opt in twice: \
         KAFKA_SECURITY_PROTOCOL={0} and KAFKA_ALLOW_PLAINTEXT=true"
    )]
    Plaintext(&'static str),
    /// Something that the build was made without.
    #[error(
        "this build of hook has no {0}; install one that has it: `cargo install hook-cli --features kafka-tls` (needs \
         OpenSSL's headers) or `--features kafka-vendored` (brings its own)"
    )]
    NotInThisBuild(&'static str),
    /// SASL without a mechanism.
    #[error("the security protocol {0} needs a SASL mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")]
    NoLogin(&'static str),
    /// A mechanism without SASL.
    #[error("a SASL mechanism is set, and the security protocol {0} does not use it; use sasl_ssl, or remove it")]
    UnusedLogin(&'static str),
    /// A certificate without its key, or the other way round.
    #[error("mTLS needs a certificate and its key: set KAFKA_TLS_CERT and KAFKA_TLS_KEY, or neither")]
    HalfACertificate,
    /// A secret that is not UTF-8.
    #[error("{0} is not valid UTF-8")]
    NotText(&'static str),
    /// A number that must not be 0.
    #[error("expected {0} to be at least 1, found 0")]
    Zero(&'static str),
    /// A queue that is too large or takes nothing.
    #[error("expected a producer queue of 1 byte to 32 MiB, found {0} bytes")]
    ProducerQueue(u64),
    /// A setting of librdkafka that is ours.
    #[error("`{key}` cannot be set in {table}: {reason}")]
    Ours {
        /// `producer_defaults` or `consumer_defaults`.
        table: &'static str,
        /// librdkafka's name of it.
        key: String,
        /// Why it is ours.
        reason: &'static str,
    },
    /// A setting that librdkafka does not know or take.
    #[error("`{key}` in {table} is not taken: {reason}")]
    NotTaken {
        /// `producer_defaults` or `consumer_defaults`.
        table: &'static str,
        /// librdkafka's name of it.
        key: String,
        /// What librdkafka says.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Settings {
        let mut settings = Settings::new(["127.0.0.1:9092"]);
        settings.security.allow_plaintext = true;
        settings
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Settings), expected: &str) {
        let mut settings = allowed();
        change(&mut settings);
        let problems: Vec<_> = settings.problems().iter().map(ToString::to_string).collect();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:#?}");
    }

    #[test]
    fn plaintext_needs_both_opt_ins() {
        assert_eq!(allowed().problems(), []);
        check(|settings| settings.security.allow_plaintext = false, "opt in twice");
    }

    #[test]
    fn what_carries_semantics_cannot_be_overridden() {
        let set = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        check(|settings| settings.producer_defaults = set("acks", "1"), "`acks` cannot be set in producer_defaults");
        check(|settings| settings.consumer_defaults = set("isolation.level", "read_uncommitted"), "committed");
        check(|settings| settings.consumer_defaults = set("no.such.thing", "1"), "No such configuration property");
        check(|settings| settings.producer_defaults = set("linger.ms", "soon"), "`linger.ms` in producer_defaults");
        let mut settings = allowed();
        settings.producer_defaults = set("linger.ms", "20");
        assert_eq!(settings.problems(), []);
    }

    #[test]
    fn every_problem_of_the_settings_is_found() {
        check(|settings| settings.brokers.clear(), "no broker is named");
        check(|settings| settings.brokers.push("kafka".into()), "found `kafka`");
        check(|settings| settings.namespace = "a b".into(), "namespace");
        check(|settings| settings.instance_id = Some("a/b".into()), "instance id");
        check(|settings| settings.producer_queue = 33 << 20, "32 MiB");
        check(|settings| settings.topics.partitions = 0, "topic_partitions");
        check(|settings| settings.topics.replication = 0, "topic_replication_factor");
        check(|settings| settings.security.tls.key = Some("key.pem".into()), "KAFKA_TLS_CERT");
        check(|settings| settings.security.protocol = Protocol::SaslPlaintext, "needs a SASL mechanism");
        let login = |password: &[u8]| Login { username: "hook".into(), password: Secret::new(password) };
        check(|settings| settings.security.sasl = Some(Sasl::Plain(login(b"secret"))), "does not use it");
        check(
            |settings| {
                settings.security.protocol = Protocol::SaslPlaintext;
                settings.security.sasl = Some(Sasl::Plain(login(&[255])));
            },
            "not valid UTF-8",
        );
        assert!("tls".parse::<Protocol>().is_err());
        assert_eq!("SASL_SSL".parse(), Ok(Protocol::SaslTls));
    }

    #[test]
    #[cfg(not(any(feature = "tls", feature = "vendored")))]
    fn a_build_without_tls_says_how_to_get_one_with_it() {
        check(|settings| settings.security.protocol = Protocol::Tls, "--features kafka-tls");
        let login = Login { username: "hook".into(), password: Secret::new(*b"secret") };
        check(
            |settings| {
                settings.security.protocol = Protocol::SaslPlaintext;
                settings.security.sasl = Some(Sasl::ScramSha512(login));
            },
            "no SCRAM-SHA-512",
        );
    }
}
