//! One chain: a folder of segments, a queue, and a writer thread that owns both.

mod active;
mod batch;
mod queue;
mod request;
mod retain;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use hook_core::{clock::SharedClock, ports::log::LogError, progress::Ranges};
use tokio::sync::watch;

pub(crate) use batch::{by_partition, size};
pub(crate) use queue::Queue;
pub(crate) use request::{AppendRequest, CursorStart, MakeCursor, Request};
pub(crate) use writer::Writer;

use crate::{
    disk::Disk,
    error::OpenError,
    format::{ChainKind, segment_name},
    options::{Options, Retention, WhenPinned},
    recover::{Recovered, recover, remove_unfinished},
    state::State,
    timer::Timer,
};

/// What readers, callers and the writer of a chain share.
pub(crate) struct Chain {
    pub(crate) kind: ChainKind,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) queue: Queue,
    dir: PathBuf,
    clock: SharedClock,
    pub(crate) timer: Timer,
    state: Mutex<State>,
    /// Counts what became readable, in all chains of the log together.
    changed: Arc<watch::Sender<u64>>,
    ended: watch::Sender<Option<Result<(), LogError>>>,
    /// Undelivered records that went because too many were pinned.
    pub(crate) dropped_records: AtomicU64,
}

/// The bounds of a chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    segment_bytes: u64,
    retention: Retention,
    max_pinned: u64,
    when_pinned: WhenPinned,
}

impl Limits {
    pub(crate) fn of(options: &Options, kind: ChainKind, capacity: u64) -> Self {
        let retention = match kind {
            ChainKind::Events => options.events,
            ChainKind::DeadLetters => options.dead_letters_retention,
            ChainKind::Journal => options.journal_retention,
        };
        let max_pinned = options.max_pinned.unwrap_or(capacity / 2);
        Self { segment_bytes: options.segment_bytes, retention, max_pinned, when_pinned: options.when_pinned }
    }
}

impl Chain {
    /// Opens a chain for writing. Somebody must give the writer its turns.
    pub(crate) fn open(
        kind: ChainKind,
        options: &Options,
        limits: Limits,
        disk: &Arc<dyn Disk>,
        changed: &Arc<watch::Sender<u64>>,
        timer: Timer,
    ) -> Result<(Arc<Self>, Writer), OpenError> {
        let dir = options.dir.join(kind.folder());
        disk.create_dir(&dir).map_err(OpenError::io("create", &dir))?;
        remove_unfinished(&**disk, &dir)?;
        let Recovered { state, seen, last } = recover(&**disk, &dir, kind)?;
        let file = last.as_ref().map(|last| last.settle(&**disk, &dir)).transpose()?;
        let chain = Arc::new(Self::new(kind, dir, options, disk, changed, timer, state));
        let active = match (last, file) {
            (Some(last), Some(file)) => active::Active::resume(&last, file),
            _ => chain.begin_first().map_err(OpenError::io("begin a segment in", &chain.dir))?,
        };
        let writer = Writer::new(Arc::clone(&chain), limits, seen, active);
        Ok((chain, writer))
    }

    /// Opens a chain for reading. It never changes.
    pub(crate) fn open_read_only(
        kind: ChainKind,
        options: &Options,
        disk: &Arc<dyn Disk>,
        changed: &Arc<watch::Sender<u64>>,
    ) -> Result<Arc<Self>, OpenError> {
        let dir = options.dir.join(kind.folder());
        let state = match recover(&**disk, &dir, kind) {
            Ok(recovered) => recovered.state,
            // A chain that was never written is empty.
            Err(OpenError::Io { action: "list", source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                State::default()
            }
            Err(error) => return Err(error),
        };
        let chain = Self::new(kind, dir, options, disk, changed, Timer::System, state);
        chain.queue.close();
        Ok(Arc::new(chain))
    }

    fn new(
        kind: ChainKind,
        dir: PathBuf,
        options: &Options,
        disk: &Arc<dyn Disk>,
        changed: &Arc<watch::Sender<u64>>,
        timer: Timer,
        mut state: State,
    ) -> Self {
        state.raise_cursors();
        Self {
            kind,
            disk: Arc::clone(disk),
            queue: Queue::new(timer.clone()),
            dir,
            clock: Arc::clone(&options.clock),
            timer,
            state: Mutex::new(state),
            changed: Arc::clone(changed),
            ended: watch::Sender::new(None),
            dropped_records: AtomicU64::new(0),
        }
    }

    /// The state. Held for moments only, never across a read, a write or a sync.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of a segment.
    pub(crate) fn path(&self, segment: u64) -> PathBuf {
        self.dir.join(segment_name(segment))
    }

    /// The folder of the chain.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Marks offsets of a partition as done. The writer writes it soon, or with the next batch.
    pub(crate) fn finish(
        &self,
        cursor: &hook_core::names::CursorName,
        topic: &str,
        partition: u32,
        done: &Ranges,
    ) -> Result<(), LogError> {
        if self.queue.is_closing() {
            return Err(LogError::Closed);
        }
        let mut state = self.state();
        let Some(index) = state.partition(topic, partition) else { return Ok(()) };
        let is_first = state.dirty_since.is_none();
        // Existence is what the chain of events says; here the cursor may have had no progress yet.
        if self.kind != ChainKind::Events {
            state.cursors.entry(cursor.clone()).or_default();
        }
        if !state.finish(cursor, index, done, self.timer.now()) {
            return Err(LogError::NoCursor(cursor.clone()));
        }
        drop(state);
        if is_first {
            self.queue.poke();
        }
        Ok(())
    }

    /// Waits until the writer has ended.
    pub(crate) async fn ended(&self) -> Result<(), LogError> {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Ok(())),
            Err(_) => Ok(()),
        }
    }

    fn publish(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn now_us(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}
