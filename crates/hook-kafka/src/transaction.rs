//! Records and the progress of a cursor, both or neither: the transactions of one cursor, in a thread of its own.
//!
//! The producer has a `transactional.id` made of the instance id and the cursor, so that a process that comes back fences
//! the one that it was. The offsets are sent under the membership of the subscription, so that the broker refuses them
//! from a process that has lost its partitions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hook_core::{
    names::CursorName,
    ports::log::{LogError, NewRecord, Position},
};
use rdkafka::{
    error::{KafkaError, KafkaResult},
    producer::Producer as _,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use crate::{
    client::{Clients, TRANSACTION_TIMEOUT},
    cluster,
    consume::committing,
    copies,
    error::unavailable,
    names::Names,
    produce::{Producer, encode},
    subscription::{Claim, Shared, Taken},
    view::View,
    wire::{self, Encoded},
};

/// So many appends wait for their turn.
const WAITING: usize = 8;
/// One call of librdkafka may take so long.
const CALL: Duration = Duration::from_secs(5);

/// What the thread is asked for.
enum Task {
    /// To shut out whoever had this process's name before, and to end what that one has left open.
    Fence,
    Append(Job),
}

/// An append with progress.
pub(crate) struct Job {
    pub(crate) records: Vec<NewRecord>,
    pub(crate) done: Vec<Position>,
    pub(crate) subscription: Arc<Shared>,
    pub(crate) answer: oneshot::Sender<Result<Vec<Position>, LogError>>,
}

/// The transactions of one cursor.
#[derive(Clone)]
pub(crate) struct Transactions {
    tasks: mpsc::Sender<Task>,
}

impl Transactions {
    /// Starts the thread. It ends when nobody can send it anything any more.
    pub(crate) fn start(clients: Clients, view: Arc<View>, cursor: CursorName) -> Result<Self, LogError> {
        let (tasks, mut waiting) = mpsc::channel::<Task>(WAITING);
        let run = move || {
            let mut worker = Worker { clients, view, cursor, producer: None };
            while let Some(task) = waiting.blocking_recv() {
                match task {
                    Task::Fence => worker.fence(),
                    Task::Append(job) => {
                        let result = worker.append(&job);
                        // Whoever has asked may have gone.
                        let _ = job.answer.send(result);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("kafka/transactions".into()).spawn(run);
        thread.map_err(|error| LogError::Unavailable(format!("no thread for transactions: {error}")))?;
        Ok(Self { tasks })
    }

    /// Shuts out whoever had this process's name before, soon. Until what that one has left open has ended, nobody knows where to
    /// go on, and the brokers end it only after its timeout.
    pub(crate) fn fence(&self) {
        // Where others wait, the first of them does it.
        let _ = self.tasks.try_send(Task::Fence);
    }

    pub(crate) async fn append(
        &self,
        records: Vec<NewRecord>,
        done: Vec<Position>,
        subscription: Arc<Shared>,
    ) -> Result<Vec<Position>, LogError> {
        let (answer, answered) = oneshot::channel();
        let job = Job { records, done, subscription, answer };
        self.tasks.send(Task::Append(job)).await.map_err(|_| LogError::Closed)?;
        answered.await.map_err(|_| LogError::Closed)?
    }
}

struct Worker {
    clients: Clients,
    view: Arc<View>,
    cursor: CursorName,
    /// `None` until it is needed, and after it was fenced.
    producer: Option<Producer>,
}

/// How a transaction ended that did not succeed.
pub(crate) enum Failed {
    /// Nothing of it will ever be seen.
    Aborted(LogError),
    /// The brokers have not said whether it was committed.
    Unknown(LogError),
}

impl Worker {
    fn fence(&mut self) {
        if self.producer.is_some() {
            return;
        }
        match self.connect() {
            Ok(producer) => self.producer = Some(producer),
            // The first append tries it again.
            Err(error) => debug!(cursor = %self.cursor, %error, "transactional producer not ready"),
        }
    }

    fn append(&mut self, job: &Job) -> Result<Vec<Position>, LogError> {
        let subscription = Arc::clone(&job.subscription);
        // Nothing else is committed for this cursor meanwhile, and its partitions stay.
        let turn = subscription.turn();
        let taken = match subscription.claim(&job.done) {
            Claim::Revoked(partitions) => return Err(LogError::Revoked(partitions)),
            Claim::Taken(taken) => Some(taken),
            Claim::Nothing => None,
        };
        if job.records.is_empty() && taken.is_none() {
            return Ok(Vec::new());
        }
        let (records, encoded) = self.lay_out(&job.records, taken.as_ref())?;
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect().map_err(unavailable)?,
        };
        let result = transact(&producer, &self.clients, &records, encoded, taken.as_ref());
        match result {
            Ok(mut positions) => {
                positions.truncate(job.records.len());
                taken.iter().for_each(|taken| subscription.confirm(taken));
                for position in &positions {
                    self.view.raise_end(&(position.topic.clone(), position.partition), position.offset + 1);
                }
                self.producer = Some(producer);
                Ok(positions)
            }
            Err(Failed::Aborted(error)) => {
                warn!(cursor = %self.cursor, %error, "transaction aborted");
                // One that was fenced is of no use any more; another is as good where it was not.
                drop(turn);
                drop(producer);
                Err(error)
            }
            Err(Failed::Unknown(error)) => {
                // What is committed decides: whoever subscribes again begins from there. The next producer ends whatever is open.
                warn!(cursor = %self.cursor, %error, "transaction with an unknown end: the cursor begins again from what is committed");
                subscription.end(error);
                drop(turn);
                drop(producer);
                let marks = taken.into_iter().flat_map(|taken| taken.marks);
                Err(LogError::Revoked(marks.map(|(partition, _)| partition).collect()))
            }
        }
    }

    /// The records of an append, and behind them what tells copies of what it commits.
    fn lay_out(
        &self,
        records: &[NewRecord],
        taken: Option<&Taken>,
    ) -> Result<(Vec<NewRecord>, Vec<Encoded>), LogError> {
        let mut encoded = encode(records, &[])?;
        let mut records = records.to_vec();
        let memory = taken.filter(|taken| !taken.keys.is_empty()).zip(Names::dedup(&self.cursor));
        if let Some((taken, topic)) = memory {
            let now = self.clients.now();
            for (source, entry, partition) in &taken.keys {
                let record = copies::record(&topic, source, entry, now);
                encoded.push(Encoded { partition: Some(cluster::number(*partition)), ..wire::encode(&record, &[]) });
                records.push(record);
            }
        }
        Ok((records, encoded))
    }

    fn connect(&self) -> KafkaResult<Producer> {
        let config = self.clients.transactions(&self.cursor);
        let producer =
            Producer::new(&config, self.clients.context(), Arc::clone(&self.view), self.clients.names.clone())?;
        let started = Instant::now();
        producer.native().init_transactions(TRANSACTION_TIMEOUT)?;
        let took_ms = started.elapsed().as_millis();
        info!(cursor = %self.cursor, took_ms, "transactional producer ready");
        Ok(producer)
    }
}

/// Sends records, and commits them together with what was taken. Blocks.
pub(crate) fn transact(
    producer: &Producer,
    clients: &Clients,
    records: &[NewRecord],
    encoded: Vec<Encoded>,
    taken: Option<&Taken>,
) -> Result<Vec<Position>, Failed> {
    let native = producer.native();
    let gone = |error: KafkaError| Failed::Aborted(unavailable(error));
    native.begin_transaction().map_err(gone)?;
    let sent = producer.send(records, encoded);
    let abort = |error: LogError| {
        // Where it cannot be aborted now, the next producer of this cursor does it, or the broker after its timeout.
        let _ = native.abort_transaction(CALL);
        Failed::Aborted(error)
    };
    let positions = match sent.blocking_recv() {
        Ok(Ok(positions)) => positions,
        Ok(Err(error)) => return Err(abort(error)),
        Err(_) => return Err(abort(LogError::Closed)),
    };
    if let Some(Taken { marks, member, .. }) = taken {
        let offsets = committing(&clients.names, marks);
        retried(|| native.send_offsets_to_transaction(&offsets, member, CALL))
            .map_err(|error| abort(unavailable(error)))?;
    }
    match retried(|| native.commit_transaction(CALL)) {
        Ok(()) => Ok(positions),
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
            Err(abort(LogError::Unavailable(error.to_string())))
        }
        Err(error) => Err(Failed::Unknown(unavailable(error))),
    }
}

/// Repeats what librdkafka says can be repeated, until the transaction would be over.
fn retried(call: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = Instant::now() + TRANSACTION_TIMEOUT;
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            result => return result,
        }
    }
}
