//! The producer of one adapter: a bounded queue, and an answer for each record when every replica in sync has it.

use std::{
    error::Error as StdError,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hook_core::{
    clock::SystemClock,
    outcome::{FailureClass, Outcome},
};
use rdkafka::{
    ClientContext, Message,
    client::OAuthToken,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, KafkaResult},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    classify::{self, Trouble},
    record::Outgoing,
};
use crate::{
    Settings,
    client::{Clients, Context, Health},
};

/// Bytes of one adapter that may wait for being sent: as many adapters as a contract has may do so at once.
const QUEUE: u64 = 8 << 20;
/// A topic that a broker makes when it is written to is known everywhere by then.
const TOPIC_KNOWN_AFTER: Duration = Duration::from_secs(3);

/// Where a record has come to rest.
#[derive(Debug, Clone, Copy)]
struct Place {
    partition: i32,
    offset: i64,
}

/// A producer that runs.
pub(super) struct Sender {
    native: ThreadedProducer<Reports>,
    timeout: Duration,
}

impl Sender {
    /// Makes the producer. Connections are made when something is sent.
    pub(super) fn new(mut settings: Settings, timeout: Duration) -> KafkaResult<Self> {
        settings.producer_queue = QUEUE;
        settings.append_timeout = timeout;
        let clients = Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock));
        let mut config = clients.producer();
        config.set("topic.metadata.propagation.max.ms", TOPIC_KNOWN_AFTER.min(timeout / 2).as_millis().to_string());
        let reports = Reports { context: clients.context(), trouble: Mutex::default() };
        Ok(Self { native: ThreadedProducer::from_config_and_context(&config, reports)?, timeout })
    }

    /// Sends a record, and resolves when the brokers have it.
    pub(super) async fn send(&self, topic: &str, record: &Outgoing) -> Outcome {
        let (report, answer) = oneshot::channel();
        let mut message = BaseRecord::with_opaque_to(topic, Box::new(report))
            .payload(&record.value[..])
            .headers(record.native_headers());
        if let Some(key) = &record.key {
            message = message.key(key.as_bytes());
        }
        if let Err((error, _)) = self.native.send(message) {
            return classify::failed(&error, topic, self.trouble().as_ref());
        }
        // librdkafka gives the record up by itself after that long; it looks once a second.
        match timeout(self.timeout + Duration::from_secs(2), answer).await {
            Ok(Ok(Ok(Place { partition, offset }))) => {
                Outcome::delivered(format!("partition {partition}, offset {offset}"))
            }
            Ok(Ok(Err(error))) => classify::failed(&error, topic, self.trouble().as_ref()),
            Ok(Err(_)) => Outcome::failed(FailureClass::Transient, "the producer was replaced meanwhile"),
            Err(_) => classify::timed_out(self.trouble().as_ref()),
        }
    }

    /// Whether the producer refuses everything from now on: it cannot tell what the brokers have of its records.
    pub(super) fn is_broken(&self) -> bool {
        self.native.client().fatal_error().is_some()
    }

    /// Asks a broker anything, and waits for the answer; blocks.
    pub(super) fn knock(&self) -> Result<(), String> {
        match self.native.client().fetch_metadata(None, self.timeout) {
            Ok(_) => Ok(()),
            Err(error) => Err(match self.trouble() {
                Some(Trouble::Down(reason) | Trouble::Refused(reason)) => reason,
                None => error.to_string(),
            }),
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        self.native.context().trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where the reports of the brokers arrive.
struct Reports {
    context: Context,
    trouble: Mutex<Option<Trouble>>,
}

impl Reports {
    fn set(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<Result<Place, KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Self::DeliveryOpaque) {
        // Whoever has asked may have gone; the record stays.
        let _ = report.send(match result {
            Ok(message) => {
                self.set(None);
                Ok(Place { partition: message.partition(), offset: message.offset() })
            }
            Err((error, _)) => Err(error.clone()),
        });
    }
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(trouble) = classify::trouble(&error, reason) {
            self.set(Some(trouble));
        }
        self.context.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        self.context.generate_oauth_token(config)
    }
}
