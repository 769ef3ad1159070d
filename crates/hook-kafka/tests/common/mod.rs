//! What the suites on a real broker share.
#![allow(dead_code, reason = "each suite uses a part of it")]

use std::{sync::Arc, time::Duration};

use hook_core::{BoxFuture, ports::log::Log};
use hook_kafka::{KafkaLog, Settings, settings::Protocol};
use hook_testkit::{ManualClock, log_conformance::LogFixture};

/// The settings for the broker that `scripts/services env kafka` names, in a namespace of its own.
pub(crate) fn settings() -> Settings {
    let brokers = std::env::var("KAFKA_BROKERS").unwrap_or_default();
    assert!(!brokers.is_empty(), "KAFKA_BROKERS names no broker: `just test-kafka`, or as CONTRIBUTING.md says");
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        // The first test of a file begins, and the others have it too.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
    let mut settings = Settings::new(brokers.split(','));
    settings.security.protocol = Protocol::Plaintext;
    settings.security.allow_plaintext = true;
    settings.namespace = format!("test-{}.", uuid::Uuid::now_v7().simple());
    settings.instance_id = Some("one".into());
    settings.topics.partitions = 1;
    // Records of these tests have the times that the tests give them, and a broker goes by these: none is too old.
    settings.topics.retention = Some(Duration::from_secs(100 * 365 * 24 * 3600));
    settings
}

/// A log in a namespace of its own.
pub(crate) struct Fixture {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<ManualClock>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { settings: settings(), clock: Arc::default() }
    }

    /// The log as one process of several sees it.
    pub(crate) async fn open_as(&self, instance: &str) -> KafkaLog {
        let settings = Settings { instance_id: Some(instance.into()), ..self.settings.clone() };
        KafkaLog::open(settings, self.clock.clone()).await.unwrap()
    }
}

impl LogFixture for Fixture {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Log>> {
        Box::pin(async {
            let log: Arc<dyn Log> = Arc::new(self.open_as("one").await);
            log
        })
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn removes_duplicates(&self) -> bool {
        false
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}
