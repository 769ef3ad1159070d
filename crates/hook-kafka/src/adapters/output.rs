//! `kafka_output`: one record a delivery, on a cluster of the adapter's own.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    envelope::Envelope,
    names::TopicName,
    outcome::{FailureClass, Outcome},
    ports::egress::{CheckError, Delivery, EgressDriver},
    secret::Secrets,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    connection::{Brokers, Connection, Known, Sasl, SecurityProtocol, Tls, connection_of},
    record::Outgoing,
    sender::Sender,
};

pub use super::record::{KeyMode, ValueFormat};

/// Longer than any broker takes, an election among them included.
const LONGEST_TIMEOUT_SECONDS: u64 = 3600;

/// The settings of `kafka_output`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The topic to write to.
    pub topic: TopicName,
    /// What the key of a record is; records of one key share a partition.
    pub key_mode: KeyMode,
    /// What the value of a record is.
    #[serde(default)]
    pub format: ValueFormat,
    /// The brokers that are asked first, each `HOST:PORT`: a list, or one text with commas. Where it is left out, those of the
    /// Kafka log, and how they are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<Brokers>,
    /// How connections are protected. `plaintext` and `sasl_plaintext` need `allow_plaintext` as well.
    #[serde(default)]
    pub security_protocol: SecurityProtocol,
    /// Allows connections without encryption: whoever is on the network can then read and change events.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// The files of TLS.
    #[serde(default)]
    pub tls: Tls,
    /// How we prove who we are, with `sasl_ssl` and `sasl_plaintext`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// How long one attempt may take.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: NonZeroU64,
}

fn default_timeout_seconds() -> NonZeroU64 {
    const { NonZeroU64::new(10).expect("not zero") }
}

/// The driver `kafka_output`.
pub struct KafkaOutput {
    topic: TopicName,
    key_mode: KeyMode,
    format: ValueFormat,
    connection: Connection,
    timeout: Duration,
    /// Made at the first attempt, and again where a secret has changed or it can do nothing any more.
    running: Mutex<Option<Running>>,
}

struct Running {
    known: Known,
    sender: Arc<Sender>,
}

impl Kind for KafkaOutput {
    const NAME: &'static str = "kafka_output";
    const ABOUT: &'static str = "Writes events to a topic of Apache Kafka.";
    type Settings = Settings;
    type Driver = dyn EgressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let connection = connection_of!(settings);
        let mut faults = connection.faults();
        let seconds = settings.timeout_seconds.get();
        if seconds > LONGEST_TIMEOUT_SECONDS {
            let help = format!("write at most {LONGEST_TIMEOUT_SECONDS}");
            faults.push(Fault::at("/timeout_seconds", format!("{seconds} is too much"), help));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Arc::new(Self {
            topic: settings.topic,
            key_mode: settings.key_mode,
            format: settings.format,
            connection,
            timeout: Duration::from_secs(seconds),
            running: Mutex::default(),
        }))
    }
}

impl EgressDriver for KafkaOutput {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let sender = match self.sender(delivery.secrets) {
                Ok(sender) => sender,
                Err(error) => return Outcome::failed(FailureClass::Misconfigured, error.to_string()),
            };
            let record = Outgoing::of(delivery.envelope, self.key_mode, self.format);
            sender.send(self.topic.as_str(), &record).await
        })
    }

    fn render(&self, envelope: &Envelope, _: &Secrets) -> Result<Option<Bytes>, String> {
        Ok(Some(Outgoing::of(envelope, self.key_mode, self.format).value.into()))
    }

    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            let sender = self.sender(secrets)?;
            let knocked = tokio::task::spawn_blocking(move || sender.knock()).await;
            let knocked = knocked.unwrap_or_else(|error| Err(error.to_string()));
            let address = self.connection.address();
            knocked.map_err(|reason| CheckError::Unreachable(format!("no broker answers at {address}: {reason}")))
        })
    }
}

impl KafkaOutput {
    /// The producer, with the secrets as they are now.
    fn sender(&self, secrets: &Secrets) -> Result<Arc<Sender>, CheckError> {
        let known = self.connection.look_up(secrets).map_err(CheckError::MissingSecret)?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref().filter(|running| running.known == known && !running.sender.is_broken())
        {
            return Ok(Arc::clone(&running.sender));
        }
        let sender = Sender::new(self.connection.settings(&known), self.timeout);
        let sender = Arc::new(sender.map_err(|error| CheckError::Unreachable(error.to_string()))?);
        *running = Some(Running { known, sender: Arc::clone(&sender) });
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use hook_core::catalog::{BuildError, Entry};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_topic_a_key_and_brokers_are_all_that_must_be_said_where_plaintext_is_allowed() {
        let settings = json!({
            "topic": "orders",
            "key_mode": "ordering_key",
            "brokers": "kafka-1:9092",
            "security_protocol": "plaintext",
            "allow_plaintext": true,
        });
        let built = Entry::of::<KafkaOutput>().build(settings).ok().unwrap();
        assert_eq!(
            built.settings,
            json!({
                "topic": "orders",
                "key_mode": "ordering_key",
                "format": "envelope",
                "brokers": "kafka-1:9092",
                "security_protocol": "plaintext",
                "allow_plaintext": true,
                "tls": {},
                "timeout_seconds": 10,
            })
        );
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let settings = json!({
            "topic": "orders",
            "key_mode": "none",
            "security_protocol": "plaintext",
            "timeout_seconds": 100_000,
        });
        let Err(BuildError::Faulty(faults)) = Entry::of::<KafkaOutput>().build(settings) else { panic!() };
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/brokers", "/security_protocol", "/timeout_seconds"]);
        for (key, value) in [("key_mode", json!("hash")), ("topic", json!("a b")), ("timeout_seconds", json!(0))] {
            let mut settings = json!({ "topic": "orders", "key_mode": "none" });
            settings[key] = value;
            let Err(BuildError::Unreadable { pointer, .. }) = Entry::of::<KafkaOutput>().build(settings) else {
                panic!("{key}")
            };
            assert_eq!(pointer, format!("/{key}"));
        }
    }
}
