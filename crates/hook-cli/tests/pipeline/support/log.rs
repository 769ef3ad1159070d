//! What the pipelines under test run on.

use std::sync::atomic::{AtomicUsize, Ordering};

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
const VARIABLES: [&str; 3] = ["KAFKA_BROKERS", "KAFKA_SECURITY_PROTOCOL", "KAFKA_ALLOW_PLAINTEXT"];

static NAMESPACES: AtomicUsize = AtomicUsize::new(0);

impl LogUnderTest {
    pub(crate) fn is_kafka(self) -> bool {
        self == Self::Kafka
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
