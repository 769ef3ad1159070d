//! Takes records over from another log, none of them twice.
//!
//! Each part is a transaction, and each record says in a header where it stood. All carriers of a namespace share one
//! `transactional.id`: [`Carrier::fence`] ends whatever one that was killed has left open, so that what is read back
//! afterwards is all that there is, and all that there ever will be of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hook_core::{
    Timestamp,
    names::{CursorName, TopicName},
    ports::log::{DedupKey, From, LogError, NewRecord, Position, Record},
};
use rdkafka::{error::KafkaError, producer::Producer as _};
use tokio::sync::mpsc;

use crate::{
    client::{Clients, MOST_RECORD, Reader, TRANSACTION_TIMEOUT},
    cluster::{self, PATIENCE},
    copies,
    error::unavailable,
    log::blocking,
    names::Names,
    partitioner::partition_of,
    produce::Producer,
    read::{Next, Part, Reading},
    topics::Topics,
    transaction::{Failed, transact},
    view::{Partition, View},
    wire::{self, Encoded, Origin},
};

/// One partition is asked for so long before other events are served.
const SLICE: Duration = Duration::from_millis(100);
/// So many records wait for whoever reads back.
const AHEAD: usize = 1024;

/// A record that stands on the cluster, and where it came from; `None` where it was not carried over.
#[derive(Debug, Clone)]
pub struct Carried {
    /// The record.
    pub record: Record,
    /// Where it stood.
    pub origin: Option<Origin>,
}

/// An event that the other log has taken, so that a copy of it that comes later is one here too.
#[derive(Debug, Clone)]
pub struct Known {
    /// The topic that the relay reads, where a copy would come to.
    pub topic: TopicName,
    /// The key of its record. A copy has the same, and so comes to the same partition.
    pub key: Bytes,
    /// When it was received.
    pub received_at: Timestamp,
    /// By which copies of it are told.
    pub dedup: Vec<DedupKey>,
}

/// Takes records over from one log.
pub struct Carrier {
    clients: Clients,
    view: Arc<View>,
    asker: Arc<Reader>,
    topics: Arc<Topics>,
    from: String,
    /// `None` until it is fenced, and after a part has failed.
    producer: Arc<Mutex<Option<Producer>>>,
}

impl Carrier {
    pub(crate) fn new(
        (clients, view, asker): (Clients, Arc<View>, Arc<Reader>),
        topics: Arc<Topics>,
        from: &str,
    ) -> Self {
        Self { clients, view, asker, topics, from: from.to_owned(), producer: Arc::default() }
    }

    /// How large a record is on the cluster, or that it is too large for it.
    pub fn size(record: &NewRecord) -> Result<usize, LogError> {
        match wire::encode(record, &[]).size {
            bytes if bytes > MOST_RECORD => Err(LogError::TooLarge { bytes, limit: MOST_RECORD }),
            bytes => Ok(bytes),
        }
    }

    /// Makes the topics that are missing, or says why it must not.
    pub async fn ensure(&self, topics: &BTreeSet<TopicName>) -> Result<(), LogError> {
        self.topics.ensure_all(topics).await
    }

    /// From here on no carrier that began earlier can store anything, and what this one has stored is there to be read.
    pub async fn fence(&self) -> Result<(), LogError> {
        let (clients, view, producer) = (self.clients.clone(), Arc::clone(&self.view), Arc::clone(&self.producer));
        blocking(move || {
            let mut producer = producer.lock().unwrap_or_else(PoisonError::into_inner);
            *producer = None;
            let made = Producer::new(&clients.carrying(), clients.context(), view, clients.names.clone());
            let made = made.map_err(unavailable)?;
            made.native().init_transactions(TRANSACTION_TIMEOUT + PATIENCE).map_err(unavailable)?;
            *producer = Some(made);
            Ok(())
        })
        .await
    }

    /// Stores records, each with where it stood. All of them or none, in their order. After a failure it must be fenced again.
    pub async fn append(&self, part: Vec<(NewRecord, Position)>) -> Result<(), LogError> {
        let encode = |(record, position): &(NewRecord, Position)| wire::encode_carried(record, &self.from, position);
        let encoded = part.iter().map(encode).collect();
        self.send(part.into_iter().map(|(record, _)| record).collect(), encoded).await
    }

    /// Lets the relay of that cursor take later copies of these events for what they are. Returns how many keys that takes;
    /// what has expired takes none. The same events once more change nothing. After a failure it must be fenced again.
    pub async fn remember(&self, cursor: &CursorName, known: Vec<Known>) -> Result<usize, LogError> {
        let Some(topic) = Names::dedup(cursor).filter(|_| !known.is_empty()) else { return Ok(0) };
        let (asker, names, name) = (Arc::clone(&self.asker), self.clients.names.clone(), topic.clone());
        let (sources, partitions) = blocking(move || {
            let (_, sources) = cluster::describe(&asker, &names).map_err(unavailable)?;
            let shape = cluster::describe_one(&asker, &names.topic(&name)).map_err(unavailable)?;
            let missing = || LogError::Unavailable(format!("topic {name} does not exist"));
            Ok((sources, shape.ok_or_else(missing)?.partitions))
        })
        .await?;
        let now = self.clients.now();
        let (mut records, mut encoded) = (Vec::new(), Vec::new());
        for Known { topic: source, key, received_at, dedup } in known {
            let Some(shape) = sources.get(&source) else { continue };
            let source = (source, partition_of(&key, shape.partitions));
            for entry in dedup.iter().map(|key| copies::Entry::elsewhere(key, received_at)) {
                if entry.expires_ms <= now.as_millisecond() {
                    continue;
                }
                let record = copies::record(&topic, &source, &entry, now);
                let partition = Some(cluster::number(source.1 % partitions));
                encoded.push(Encoded { partition, ..wire::encode(&record, &[]) });
                records.push(record);
            }
        }
        let keys = records.len();
        self.send(records, encoded).await?;
        Ok(keys)
    }

    /// One transaction.
    async fn send(&self, records: Vec<NewRecord>, encoded: Vec<Encoded>) -> Result<(), LogError> {
        let (clients, producer) = (self.clients.clone(), Arc::clone(&self.producer));
        blocking(move || {
            let mut held = producer.lock().unwrap_or_else(PoisonError::into_inner);
            let producer = held.take().ok_or(LogError::Closed)?;
            match transact(&producer, &clients, &records, encoded, None) {
                Ok(_) => {
                    *held = Some(producer);
                    Ok(())
                }
                Err(Failed::Aborted(error) | Failed::Unknown(error)) => Err(error),
            }
        })
        .await
    }

    /// Reads topics from their beginnings to the ends that they have now, each partition in its order. Of what was stored since
    /// the last fence some may be missing.
    pub async fn read_back(&self, topics: &BTreeSet<TopicName>) -> Result<ReadBack, LogError> {
        let (clients, asker, topics) = (self.clients.clone(), Arc::clone(&self.asker), topics.clone());
        let stretches = blocking(move || {
            let (_, shapes) = cluster::describe(&asker, &clients.names).map_err(unavailable)?;
            let mut partitions = cluster::partitions_of(&shapes);
            partitions.retain(|(topic, _)| topics.contains(topic));
            let at = |from| cluster::starts(&asker, &clients.names, &partitions, from).map_err(unavailable);
            let (starts, ends) = (at(From::Earliest)?, at(From::Now)?);
            let stretch = |(partition, start): (Partition, u64)| {
                let end = ends.get(&partition).copied().unwrap_or(start);
                (partition, (start, end))
            };
            Ok(starts.into_iter().map(stretch).collect::<BTreeMap<_, _>>())
        })
        .await?;
        let ends = stretches.iter().map(|(partition, (_, end))| (partition.clone(), *end)).collect();
        let (sender, records) = mpsc::channel(AHEAD);
        let clients = self.clients.clone();
        let run = move || {
            if let Err(error) = read(&clients, &stretches, &sender) {
                // Whoever reads may have gone.
                let _ = sender.blocking_send(Err(unavailable(error)));
            }
        };
        // The thread ends with its last record, or when nobody takes any more.
        let thread = std::thread::Builder::new().name("kafka/read-back".into()).spawn(run);
        thread.map_err(|error| LogError::Unavailable(format!("no thread to read back: {error}")))?;
        Ok(ReadBack { ends, records })
    }
}

/// What is being read back.
pub struct ReadBack {
    /// Where each partition ends; what comes later is not read.
    pub ends: BTreeMap<(TopicName, u32), u64>,
    records: mpsc::Receiver<Result<Carried, LogError>>,
}

impl ReadBack {
    /// The next record; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Carried>, LogError> {
        self.records.recv().await.transpose()
    }
}

fn read(
    clients: &Clients,
    stretches: &BTreeMap<Partition, (u64, u64)>,
    sender: &mpsc::Sender<Result<Carried, LogError>>,
) -> Result<(), KafkaError> {
    let reading = Reading::new(clients)?;
    for (partition, &(start, end)) in stretches.iter().filter(|(_, (start, end))| start < end) {
        for part in reading.begin(&BTreeMap::from([(partition.clone(), start)]))? {
            read_part(&reading, &part, end, sender)?;
        }
    }
    reading.end();
    Ok(())
}

fn read_part(
    reading: &Reading,
    part: &Part,
    end: u64,
    sender: &mpsc::Sender<Result<Carried, LogError>>,
) -> Result<(), KafkaError> {
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        reading.serve();
        let carried = part.next_as(SLICE, |topic, message| Carried {
            origin: wire::origin(message),
            record: wire::decode(topic, message),
        });
        match carried? {
            Next::Nothing if Instant::now() >= deadline => return Err(KafkaError::NoMessageReceived),
            Next::Nothing => {}
            // Retention was faster; what it has left is read.
            Next::Gone => reading.jump_to_oldest(&part.partition)?,
            Next::End => return Ok(()),
            Next::Record(carried) => {
                let at = carried.record.position.offset;
                if at >= end || sender.blocking_send(Ok(carried)).is_err() || at + 1 == end {
                    return Ok(());
                }
                deadline = Instant::now() + PATIENCE;
            }
        }
    }
}
