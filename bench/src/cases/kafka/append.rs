//! The log's port alone: as many tasks as may be under way, each waiting for its append.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hook_bench::error::Error;
use hook_core::{
    clock::SystemClock,
    names::TopicName,
    ports::log::{Append, Log, LogError},
};
use hook_kafka::{KafkaLog, Settings, settings::Protocol};
use tokio::task::JoinSet;

use super::{
    Stage, Way, all_taken,
    records::{Event, TOPIC, pool},
};

async fn open(stage: &Stage, namespace: &str) -> Result<KafkaLog, Error> {
    let mut settings = Settings::new(stage.bootstrap.split(','));
    settings.namespace = namespace.to_owned();
    settings.security.protocol = Protocol::Plaintext;
    settings.security.allow_plaintext = true;
    settings.topics.expected = BTreeSet::from_iter(TopicName::new(TOPIC).ok());
    let log = KafkaLog::open(settings, Arc::new(SystemClock)).await;
    log.map_err(|error| Error::Unexpected(format!("the log could not be opened: {error}")))
}

/// Makes the topic of a run as the log makes it.
pub(super) async fn make_topic(stage: &Stage, namespace: &str) -> Result<(), Error> {
    open(stage, namespace).await?.close().await.map_err(|error| closed(&error))
}

pub(super) async fn measure(stage: &Stage, under_way: u32) -> Result<Way, Error> {
    let log = Arc::new(open(stage, &stage.namespace()).await?);
    let events = Arc::new(pool(stage.scale.body_bytes)?);
    let counts = Arc::new(Counts::default());
    let mut tasks = JoinSet::new();
    for first in 0..under_way {
        let (log, events, counts) = (Arc::clone(&log), Arc::clone(&events), Arc::clone(&counts));
        tasks.spawn(async move {
            // Each has its part of the keys, as connections have.
            let mut at = first as usize;
            while !counts.must_stop.load(Ordering::Relaxed) {
                let Event { record, dedup, .. } = &events[at % events.len()];
                at += under_way as usize;
                let append = Append { records: vec![record.clone()], dedup: dedup.clone(), ..Append::default() };
                let count = if log.append(append).await.is_ok() { &counts.acknowledged } else { &counts.failed };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let window = stage.watch(|| counts.acknowledged.load(Ordering::Relaxed)).await;
    counts.must_stop.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    log.close().await.map_err(|error| closed(&error))?;
    all_taken(counts.failed.load(Ordering::Relaxed))?;
    Ok(Way::of(&window?, 0))
}

#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    failed: AtomicU64,
    must_stop: AtomicBool,
}

fn closed(error: &LogError) -> Error {
    Error::Unexpected(format!("the log could not be closed: {error}"))
}
