//! A producer as librdkafka gives it, with nothing around it: what it has to do for a record is what everybody has to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Thread,
    time::Duration,
};

use hook_bench::error::Error;
use rdkafka::{
    ClientConfig, ClientContext,
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};

use super::{
    Stage, Way, all_taken, append,
    records::{Laid, TOPIC, pool},
};

/// Before it is looked again whether there is room.
const LOOK: Duration = Duration::from_millis(1);
const FLUSH: Duration = Duration::from_secs(20);

/// Where the reports arrive.
struct Reports {
    counts: Arc<Counts>,
    sender: Thread,
}

#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    failed: AtomicU64,
    under_way: AtomicU64,
    must_stop: AtomicBool,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.counts.acknowledged } else { &self.counts.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.counts.under_way.fetch_sub(1, Ordering::Relaxed);
        self.sender.unpark();
    }
}

/// The settings of the log's own producer.
fn settings(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    let settings = [
        ("bootstrap.servers", bootstrap),
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("partitioner", "murmur2_random"),
        ("linger.ms", "2"),
        ("compression.type", "lz4"),
        ("queue.buffering.max.kbytes", "32768"),
        ("message.timeout.ms", "10000"),
    ];
    config.extend(settings.map(|(key, value)| (key.to_owned(), value.to_owned())));
    config
}

pub(super) async fn measure(stage: &Stage, under_way: u32) -> Result<Way, Error> {
    let namespace = stage.namespace();
    append::make_topic(stage, &namespace).await?;
    let laid: Vec<_> = pool(stage.scale.body_bytes)?.iter().map(super::records::Event::lay_out).collect();
    let counts = Arc::new(Counts::default());
    let sender = {
        let (counts, config, topic) = (Arc::clone(&counts), settings(&stage.bootstrap), format!("{namespace}{TOPIC}"));
        std::thread::spawn(move || send(&config, &counts, &topic, &laid, u64::from(under_way)))
    };
    let window = stage.watch(|| counts.acknowledged.load(Ordering::Relaxed)).await;
    counts.must_stop.store(true, Ordering::Relaxed);
    let ended = tokio::task::spawn_blocking(move || sender.join()).await;
    let ended = ended.map_err(|error| Error::Unexpected(error.to_string()))?;
    ended
        .map_err(|_| Error::Unexpected("the bare producer has panicked".to_owned()))?
        .map_err(|error| refused(&error))?;
    all_taken(counts.failed.load(Ordering::Relaxed))?;
    Ok(Way::of(&window?, 0))
}

/// Sends until it is stopped, and waits for the last reports.
fn send(
    config: &ClientConfig,
    counts: &Arc<Counts>,
    topic: &str,
    records: &[Laid],
    most: u64,
) -> Result<(), KafkaError> {
    let reports = Reports { counts: Arc::clone(counts), sender: std::thread::current() };
    let producer: ThreadedProducer<Reports> = ThreadedProducer::from_config_and_context(config, reports)?;
    for Laid { key, value, headers, timestamp_ms } in records.iter().cycle() {
        while counts.under_way.load(Ordering::Relaxed) >= most {
            std::thread::park_timeout(LOOK);
        }
        if counts.must_stop.load(Ordering::Relaxed) {
            break;
        }
        counts.under_way.fetch_add(1, Ordering::Relaxed);
        let mut record =
            BaseRecord::to(topic).key(&key[..]).payload(value).timestamp(*timestamp_ms).headers(headers.clone());
        while let Err((error, refused)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error);
            }
            std::thread::park_timeout(LOOK);
            record = refused;
        }
    }
    producer.flush(FLUSH)
}

fn refused(error: &KafkaError) -> Error {
    Error::Unexpected(format!("the bare producer: {error}"))
}
