//! Reads once through what is durable when it begins, oldest first over all partitions.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use hook_core::{
    BoxFuture,
    ports::log::{LogError, Record, Scan},
};
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::sync::mpsc;

use crate::{
    client::Clients,
    cluster::PATIENCE,
    error::unavailable,
    read::{Next, Part, Reading},
    view::Partition,
};

/// So many records are handed over at once, or fewer where they are large.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 256 << 10;
/// So many batches wait for whoever scans.
const AHEAD: usize = 2;
/// One partition is asked for so long before the next one is.
const SLICE: Duration = Duration::from_millis(20);

/// What of a partition is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// What is below has been committed by this process, although its partition may not show it yet: the mark of a
    /// transaction reaches the partitions after the answer.
    pub(crate) committed_to: u64,
}

type Batch = Result<Vec<Record>, LogError>;

/// A scan under way in a thread of its own.
pub(crate) struct KafkaScan {
    batches: mpsc::Receiver<Batch>,
    left: VecDeque<Record>,
}

impl KafkaScan {
    /// Begins to read.
    pub(crate) fn begin(clients: Clients, stretches: BTreeMap<Partition, Stretch>) -> Result<Self, LogError> {
        let (sender, batches) = mpsc::channel(AHEAD);
        let name = "kafka/scan".to_owned();
        let run = move || {
            if let Err(error) = run(&clients, stretches, &sender) {
                // Whoever scans may have gone.
                let _ = sender.blocking_send(Err(unavailable(error)));
            }
        };
        let thread = std::thread::Builder::new().name(name).spawn(run);
        // The thread ends with its last record, or when nobody takes any more.
        thread.map_err(|error| LogError::Unavailable(format!("no thread for a scan: {error}")))?;
        Ok(Self { batches, left: VecDeque::new() })
    }
}

impl Scan for KafkaScan {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        Box::pin(async move {
            if self.left.is_empty() {
                match self.batches.recv().await {
                    Some(batch) => self.left.extend(batch?),
                    None => return Ok(Vec::new()),
                }
            }
            let count = max.max(1).min(self.left.len());
            Ok(self.left.drain(..count).collect())
        })
    }
}

/// A partition under way: its next record, and where it ends.
struct Lane {
    part: Part,
    stretch: Stretch,
    read_to: u64,
    head: Option<Record>,
    is_at_end: bool,
}

fn run(
    clients: &Clients,
    mut stretches: BTreeMap<Partition, Stretch>,
    sender: &mpsc::Sender<Batch>,
) -> KafkaResult<()> {
    stretches.retain(|_, stretch| stretch.start < stretch.end);
    if stretches.is_empty() {
        return Ok(());
    }
    let reading = Reading::new(clients)?;
    let starts = stretches.iter().map(|(partition, stretch)| (partition.clone(), stretch.start)).collect();
    let lane =
        |part: Part| Lane { stretch: stretches[&part.partition], read_to: 0, part, head: None, is_at_end: false };
    let mut lanes: Vec<Lane> = reading.begin(&starts)?.into_iter().map(lane).collect();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    loop {
        fill(&reading, &mut lanes, sender)?;
        let oldest = lanes.iter_mut().filter(|lane| lane.head.is_some()).min_by_key(|lane| lane.time());
        let record = oldest.and_then(|lane| lane.head.take());
        let is_last = record.is_none();
        if let Some(record) = record {
            bytes += record.body.len() + record.header.len();
            batch.push(record);
        }
        if is_last || batch.len() == BATCH || bytes >= BATCH_BYTES {
            bytes = 0;
            let full = std::mem::take(&mut batch);
            if !full.is_empty() && sender.blocking_send(Ok(full)).is_err() {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Sees to it that every partition that has not ended has a head.
fn fill(reading: &Reading, lanes: &mut [Lane], sender: &mpsc::Sender<Batch>) -> KafkaResult<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut is_waiting = false;
        for lane in lanes.iter_mut().filter(|lane| lane.head.is_none() && !lane.is_at_end) {
            lane.pull(reading)?;
            is_waiting |= lane.head.is_none() && !lane.is_at_end;
        }
        if !is_waiting || sender.is_closed() {
            return Ok(());
        }
        reading.serve();
        if Instant::now() >= deadline {
            return Err(KafkaError::NoMessageReceived);
        }
    }
}

impl Lane {
    fn time(&self) -> Option<hook_core::Timestamp> {
        self.head.as_ref().map(|record| record.time)
    }

    fn pull(&mut self, reading: &Reading) -> KafkaResult<()> {
        match self.part.next(SLICE)? {
            Next::Nothing => {}
            // Retention was faster; what it has left is read.
            Next::Gone => reading.jump_to_oldest(&self.part.partition)?,
            Next::End => self.is_at_end = self.read_to >= self.stretch.committed_to,
            Next::Record(record) => {
                self.read_to = record.position.offset + 1;
                self.is_at_end = record.position.offset >= self.stretch.end;
                self.head = (!self.is_at_end).then_some(record);
            }
        }
        Ok(())
    }
}
