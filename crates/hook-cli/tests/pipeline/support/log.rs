//! What the pipelines under test run on.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::Value;

/// A log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each suite has one of them")]
pub(crate) enum LogUnderTest {
    /// The embedded log, in a directory of each test.
    Embedded,
    /// Kafka, in a namespace of each test. The variables of the suite's own environment say where it is.
    Kafka,
}

/// The variables that say how the broker is reached.
const VARIABLES: [&str; 9] = [
    "KAFKA_BROKERS",
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_ALLOW_PLAINTEXT",
    "KAFKA_TLS_CA",
    "KAFKA_TLS_CERT",
    "KAFKA_TLS_KEY",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
];

static NAMESPACES: AtomicUsize = AtomicUsize::new(0);

impl LogUnderTest {
    pub(crate) fn is_kafka(self) -> bool {
        self == Self::Kafka
    }

    /// How long anything may take that takes milliseconds on an idle machine.
    pub(crate) const fn patience(self) -> Duration {
        match self {
            Self::Embedded => Duration::from_secs(30),
            Self::Kafka => Duration::from_secs(120),
        }
    }

    /// How long after a restart what a killed process has left may take. On Kafka a membership or a transaction that nobody
    /// ends lasts ten seconds; the rest is for a busy machine.
    pub(crate) const fn comes_back_within(self) -> Duration {
        match self {
            Self::Embedded => Duration::from_secs(2),
            Self::Kafka => Duration::from_secs(30),
        }
    }

    /// Its name in the ready line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Kafka => "kafka",
        }
    }

    /// How a copy of an event is answered whose first is stored. The embedded log knows it; Kafka stores it as well.
    pub(crate) fn answer_to_a_copy(self) -> (u16, &'static str) {
        match self {
            Self::Embedded => (200, "duplicate"),
            Self::Kafka => (202, "accepted"),
        }
    }

    /// Whether so many records are as many as were stored. On Kafka the marks of transactions count as well.
    pub(crate) fn counts(self, counted: &Value, stored: u64) -> bool {
        let counted = counted.as_u64().unwrap();
        if self.is_kafka() { counted >= stored } else { counted == stored }
    }

    /// What a pipeline on it has in its environment.
    pub(crate) fn environment(self) -> Vec<(String, String)> {
        if !self.is_kafka() {
            return Vec::new();
        }
        let given = VARIABLES.map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
        let mut variables: Vec<_> = given.into_iter().flatten().collect();
        let how =
            "run this suite with a broker: scripts/services up kafka; env $(scripts/services env kafka) cargo test …";
        assert!(variables.iter().any(|(name, _)| name == VARIABLES[0]), "KAFKA_BROKERS is not set; {how}");
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let started = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let namespace = format!("t{}-{started}-{number}.", std::process::id());
        variables.push(("KAFKA_NAMESPACE".to_owned(), namespace));
        variables
    }

    /// What a process of a role is given. On Kafka it has a name: one that was killed comes back without a session timeout.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Embedded => &[],
            Self::Kafka => &["--instance-id", "tested"],
        }
    }
}
