//! Sends records, and answers when the brokers have all of them.

use std::sync::{Arc, Mutex, PoisonError};

use hook_core::{
    names::TopicName,
    ports::log::{LogError, NewRecord, Position},
};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    client::OAuthToken,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::{oneshot, watch};

use crate::{
    client::{Context, MOST_RECORD},
    names::Names,
    view::View,
    wire::{self, Encoded},
};

/// A producer whose reports end in [`Reports`].
pub(crate) struct Producer {
    native: ThreadedProducer<Reports>,
    names: Names,
}

/// What is told about a record that was sent.
pub(crate) enum Report {
    /// One of a batch.
    Part { batch: Arc<Batch>, index: usize, topic: TopicName },
    /// One that nobody waits for, but for those who wait that all of them are through.
    Note { topic: TopicName, _all: Arc<watch::Sender<()>> },
}

/// A batch under way.
pub(crate) struct Batch {
    state: Mutex<Underway>,
}

struct Underway {
    left: usize,
    positions: Vec<Option<Position>>,
    failed: Option<LogError>,
    done: Option<oneshot::Sender<Result<Vec<Position>, LogError>>>,
}

impl Batch {
    fn new(records: usize) -> (Arc<Self>, oneshot::Receiver<Result<Vec<Position>, LogError>>) {
        let (done, answer) = oneshot::channel();
        let state = Underway { left: records, positions: vec![None; records], failed: None, done: Some(done) };
        (Arc::new(Self { state: Mutex::new(state) }), answer)
    }

    fn report(&self, index: usize, result: Result<Position, LogError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(position) => state.positions[index] = Some(position),
            // The first error says most.
            Err(error) => drop(state.failed.get_or_insert(error)),
        }
        state.left -= 1;
        if state.left == 0 {
            state.answer();
        }
    }
}

impl Underway {
    fn answer(&mut self) {
        let positions = std::mem::take(&mut self.positions).into_iter().flatten().collect();
        let result = self.failed.take().map_or(Ok(positions), Err);
        if let Some(done) = self.done.take() {
            // Whoever has asked may have gone; the records stay.
            let _ = done.send(result);
        }
    }
}

impl Producer {
    pub(crate) fn new(config: &ClientConfig, context: Context, view: Arc<View>, names: Names) -> KafkaResult<Self> {
        let is_visible_at_once = config.get("transactional.id").is_none();
        let reports = Reports { context, view, is_visible_at_once };
        Ok(Self { native: ThreadedProducer::from_config_and_context(config, reports)?, names })
    }

    pub(crate) fn native(&self) -> &ThreadedProducer<Reports> {
        &self.native
    }

    /// Sends a batch, and resolves when all reports are there. Topics exist already, and sizes are checked.
    pub(crate) fn send(
        &self,
        records: &[NewRecord],
        encoded: Vec<Encoded>,
    ) -> oneshot::Receiver<Result<Vec<Position>, LogError>> {
        let (batch, answer) = Batch::new(records.len());
        for (index, (record, encoded)) in records.iter().zip(encoded).enumerate() {
            let report = Report::Part { batch: Arc::clone(&batch), index, topic: record.topic.clone() };
            if let Err(error) = self.send_one(record, encoded, report) {
                batch.report(index, Err(error));
            }
        }
        if records.is_empty() {
            batch.state.lock().unwrap_or_else(PoisonError::into_inner).answer();
        }
        answer
    }

    /// Sends a record that nobody waits for; `false` where there is no room.
    pub(crate) fn note(&self, record: &NewRecord, all: Arc<watch::Sender<()>>) -> bool {
        let report = Report::Note { topic: record.topic.clone(), _all: all };
        self.send_one(record, wire::encode(record), report).is_ok()
    }

    fn send_one(&self, record: &NewRecord, encoded: Encoded, report: Report) -> Result<(), LogError> {
        let topic = self.names.topic(&record.topic);
        let mut message = BaseRecord::with_opaque_to(&topic, Box::new(report))
            .payload(&encoded.value[..])
            .timestamp(encoded.timestamp_ms)
            .headers(encoded.headers);
        if let Some(key) = &record.key {
            message = message.key(&key[..]);
        }
        self.native.send(message).map_err(|(error, _)| failed(&error, encoded.size))
    }
}

impl Drop for Producer {
    /// What was noted last is still on its way.
    fn drop(&mut self) {
        let _ = self.native.flush(std::time::Duration::from_secs(1));
    }
}

/// Lays records out, and refuses those that no topic takes.
pub(crate) fn encode(records: &[NewRecord]) -> Result<Vec<Encoded>, LogError> {
    let encoded: Vec<_> = records.iter().map(wire::encode).collect();
    match encoded.iter().find(|encoded| encoded.size > MOST_RECORD) {
        Some(large) => Err(LogError::TooLarge { bytes: large.size, limit: MOST_RECORD }),
        None => Ok(encoded),
    }
}

fn failed(error: &KafkaError, size: usize) -> LogError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => LogError::TooLarge { bytes: size, limit: MOST_RECORD },
        Some(RDKafkaErrorCode::QueueFull) => {
            LogError::Unavailable("the queue to the brokers is full: they take less than comes in".into())
        }
        Some(RDKafkaErrorCode::MessageTimedOut) => {
            LogError::Unavailable("the brokers have not acknowledged the record in time".into())
        }
        _ => LogError::Unavailable(error.to_string()),
    }
}

/// Where the reports of the brokers arrive.
pub(crate) struct Reports {
    context: Context,
    view: Arc<View>,
    /// What is part of a transaction is seen when that is committed.
    is_visible_at_once: bool,
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        let place = |topic: &TopicName, partition: i32, offset: i64| Position {
            topic: topic.clone(),
            partition: partition.unsigned_abs(),
            offset: offset.unsigned_abs(),
        };
        let raise = |position: &Position| {
            if !self.is_visible_at_once {
                return;
            }
            self.view.raise_end(&(position.topic.clone(), position.partition), position.offset + 1);
        };
        match (*report, result) {
            (Report::Part { batch, index, topic }, Ok(message)) => {
                let position = place(&topic, message.partition(), message.offset());
                raise(&position);
                batch.report(index, Ok(position));
            }
            (Report::Part { batch, index, .. }, Err((error, message))) => {
                batch.report(index, Err(failed(error, message.payload_len() + message.key_len())));
            }
            (Report::Note { topic, .. }, Ok(message)) => raise(&place(&topic, message.partition(), message.offset())),
            (Report::Note { .. }, Err(_)) => self.view.drop_note(),
        }
    }
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(config)
    }
}
