//! Sends records, and answers when the brokers have all of them.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hook_core::{
    names::TopicName,
    ports::log::{DedupKey, LogError, NewRecord, Position},
};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    client::OAuthToken,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::{oneshot, watch};
use tracing::warn;

use crate::{
    client::{Context, MOST_RECORD},
    names::Names,
    view::View,
    wire::{self, Encoded},
};

/// A producer whose reports end in [`Reports`].
pub(crate) struct Producer {
    config: ClientConfig,
    context: Context,
    view: Arc<View>,
    native: RwLock<Arc<ThreadedProducer<Reports>>>,
    names: Names,
}

/// What is told about a record that was sent.
pub(crate) enum Report {
    /// One by itself.
    One { topic: TopicName, done: oneshot::Sender<Result<Vec<Position>, LogError>> },
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
        let native = RwLock::new(connect(config, &context, &view)?);
        Ok(Self { config: config.clone(), context, view, native, names })
    }

    pub(crate) fn native(&self) -> Arc<ThreadedProducer<Reports>> {
        Arc::clone(&self.native.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another one takes the place of a producer that can do nothing any more: where it cannot tell what the brokers have of
    /// its records, it refuses everything from then on.
    fn replace(&self, broken: &Arc<ThreadedProducer<Reports>>) -> KafkaResult<()> {
        let mut native = self.native.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&native, broken) {
            return Ok(());
        }
        let reason = broken.client().fatal_error().map_or_else(String::new, |(_, reason)| reason);
        warn!(reason, "producer replaced");
        *native = connect(&self.config, &self.context, &self.view)?;
        Ok(())
    }

    /// Sends a batch, and resolves when all reports are there. Topics exist already, and sizes are checked.
    pub(crate) fn send(
        &self,
        records: &[NewRecord],
        mut encoded: Vec<Encoded>,
    ) -> oneshot::Receiver<Result<Vec<Position>, LogError>> {
        if let [record] = records
            && let Some(encoded) = encoded.pop()
        {
            // Nearly every append is of one record: it needs nothing that counts.
            let (done, answer) = oneshot::channel();
            self.send_or_refuse(record, encoded, Box::new(Report::One { topic: record.topic.clone(), done }));
            return answer;
        }
        let (batch, answer) = Batch::new(records.len());
        for (index, (record, encoded)) in records.iter().zip(encoded).enumerate() {
            let report = Report::Part { batch: Arc::clone(&batch), index, topic: record.topic.clone() };
            self.send_or_refuse(record, encoded, Box::new(report));
        }
        if records.is_empty() {
            batch.state.lock().unwrap_or_else(PoisonError::into_inner).answer();
        }
        answer
    }

    /// Sends a record; one that is not taken is reported at once.
    fn send_or_refuse(&self, record: &NewRecord, encoded: Encoded, report: Box<Report>) {
        let size = encoded.size;
        if let Err((error, report)) = self.send_one(record, encoded, report) {
            report.tell(Err(failed(&error, size)));
        }
    }

    /// Sends a record that nobody waits for; `false` where there is no room.
    pub(crate) fn note(&self, record: &NewRecord, all: Arc<watch::Sender<()>>) -> bool {
        let report = Report::Note { topic: record.topic.clone(), _all: all };
        self.send_one(record, wire::encode(record, &[]), Box::new(report)).is_ok()
    }

    fn send_one(&self, record: &NewRecord, mut encoded: Encoded, report: Box<Report>) -> Result<(), Refused> {
        let native = self.native();
        match self.hand_over(&native, record, &mut encoded, report) {
            Err((error, report)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) => {
                match self.replace(&native) {
                    Ok(()) => self.hand_over(&self.native(), record, &mut encoded, report),
                    Err(error) => Err((error, report)),
                }
            }
            result => result,
        }
    }

    /// Gives a record to librdkafka, which takes the headers where it takes the record.
    fn hand_over(
        &self,
        native: &ThreadedProducer<Reports>,
        record: &NewRecord,
        encoded: &mut Encoded,
        report: Box<Report>,
    ) -> Result<(), Refused> {
        let topic = self.names.topic(&record.topic);
        let mut message = BaseRecord::with_opaque_to(&topic, report)
            .payload(&encoded.value[..])
            .timestamp(encoded.timestamp_ms)
            .headers(encoded.headers.take().unwrap_or_default());
        if let Some(key) = &record.key {
            message = message.key(&key[..]);
        }
        if let Some(partition) = encoded.partition {
            message = message.partition(partition);
        }
        native.send(message).map_err(|(error, message)| {
            encoded.headers = message.headers;
            (error, message.delivery_opaque)
        })
    }
}

/// Why a record was not taken, and what was to be told of it.
type Refused = (KafkaError, Box<Report>);

fn connect(config: &ClientConfig, context: &Context, view: &Arc<View>) -> KafkaResult<Arc<ThreadedProducer<Reports>>> {
    let is_visible_at_once = config.get("transactional.id").is_none();
    let reports = Reports { context: context.clone(), view: Arc::clone(view), is_visible_at_once };
    Ok(Arc::new(ThreadedProducer::from_config_and_context(config, reports)?))
}

impl Drop for Producer {
    /// What was noted last is still on its way.
    fn drop(&mut self) {
        let _ = self.native().flush(std::time::Duration::from_secs(1));
    }
}

/// Lays records out, with the keys by which copies of them are told, and refuses those that no topic takes.
pub(crate) fn encode(records: &[NewRecord], dedup: &[DedupKey]) -> Result<Vec<Encoded>, LogError> {
    let encoded: Vec<_> = records.iter().map(|record| wire::encode(record, dedup)).collect();
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
        let result = match result {
            Ok(message) => {
                let position = Position {
                    topic: report.topic().clone(),
                    partition: message.partition().unsigned_abs(),
                    offset: message.offset().unsigned_abs(),
                };
                if self.is_visible_at_once {
                    self.view.raise_end(&(position.topic.clone(), position.partition), position.offset + 1);
                }
                Ok(position)
            }
            Err((error, message)) => {
                if matches!(*report, Report::Note { .. }) {
                    self.view.drop_note();
                }
                Err(failed(error, message.payload_len() + message.key_len()))
            }
        };
        report.tell(result);
    }
}

impl Report {
    fn topic(&self) -> &TopicName {
        match self {
            Self::One { topic, .. } | Self::Part { topic, .. } | Self::Note { topic, .. } => topic,
        }
    }

    /// Tells whoever waits. Who has asked may have gone; the record stays.
    fn tell(self, result: Result<Position, LogError>) {
        match self {
            Self::One { done, .. } => drop(done.send(result.map(|position| vec![position]))),
            Self::Part { batch, index, .. } => batch.report(index, result),
            Self::Note { .. } => {}
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hook_core::{Timestamp, clock::SystemClock};
    use rdkafka::{
        mocking::MockCluster,
        types::{RDKafkaApiKey, RDKafkaRespErr},
    };

    use super::*;
    use crate::{
        client::{Clients, Health},
        settings::Settings,
    };

    /// No broker can be asked to forget where it is, so that librdkafka plays one.
    #[tokio::test]
    async fn a_producer_that_can_do_nothing_any_more_is_replaced() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let settings = Settings::new([cluster.bootstrap_servers()]);
        let clients = Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock));
        let view = Arc::new(View::new());
        let producer = Producer::new(&clients.producer(), clients.context(), view, clients.names.clone()).unwrap();
        let record = NewRecord {
            topic: TopicName::new("t").unwrap(),
            key: None,
            time: Timestamp::UNIX_EPOCH,
            header: Bytes::new(),
            body: Bytes::from_static(b"body"),
        };
        let records = [record];
        let send = || async { producer.send(&records, encode(&records, &[]).unwrap()).await.unwrap() };
        send().await.unwrap();
        let before = producer.native();
        let lost = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER];
        cluster.request_errors(RDKafkaApiKey::Produce, &lost);
        assert!(matches!(send().await, Err(LogError::Unavailable(_))));
        assert!(before.client().fatal_error().is_some());
        assert_eq!(send().await.unwrap().len(), 1);
        assert!(!Arc::ptr_eq(&before, &producer.native()));
    }
}
