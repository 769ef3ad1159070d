//! One chain: a folder of segments, a queue, and a writer thread that owns both.

mod active;
mod batch;
mod pinned;
mod queue;
mod request;
mod seen;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hook_core::{clock::SharedClock, ports::log::LogError, progress::Ranges};
use tokio::sync::watch;
use tracing::error;

pub(crate) use batch::{by_partition, size};
pub(crate) use queue::Queue;
pub(crate) use request::{AppendRequest, CursorStart, MakeCursor, Request};
pub(crate) use writer::Writer;

use crate::{
    digests::{Digests, Opened},
    disk::Disk,
    error::{Damage, OpenError},
    format::{ChainKind, segment_name},
    keeper::Bell,
    options::{Options, Retention, WhenPinned},
    recover::{Purpose, Recovered, recover},
    salt::Salts,
    state::State,
    timer::Timer,
};

/// What the chains of a log share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) timer: Timer,
    pub(crate) salts: Salts,
    /// Counts what became readable, in all chains of the log together.
    pub(crate) changed: Arc<watch::Sender<u64>>,
    /// Wakes the keeper.
    pub(crate) keeper: Arc<Bell>,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, timer: Timer, salts: Salts) -> Self {
        Self { disk, timer, salts, changed: Arc::new(watch::Sender::new(0)), keeper: Arc::default() }
    }
}

/// What readers, callers, the writer and the keeper of a chain share.
pub(crate) struct Chain {
    pub(crate) kind: ChainKind,
    pub(crate) limits: Limits,
    pub(crate) shared: Shared,
    pub(crate) queue: Queue,
    /// The deduplication keys of sealed segments.
    pub(crate) digests: Digests,
    dir: PathBuf,
    clock: SharedClock,
    state: Mutex<State>,
    /// Whether there is something for the keeper to do.
    keeper_is_asked: AtomicBool,
    ended: watch::Sender<Option<Result<(), LogError>>>,
    /// Undelivered records that went because too many were pinned.
    pub(crate) dropped_records: AtomicU64,
}

/// The bounds of a chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) segment_bytes: u64,
    pub(crate) retention: Retention,
    pub(crate) max_pinned: u64,
    pub(crate) when_pinned: WhenPinned,
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
        shared: &Shared,
    ) -> Result<(Arc<Self>, Writer), OpenError> {
        let disk = &*shared.disk;
        let dir = options.dir.join(kind.folder());
        disk.create_dir(&dir).map_err(OpenError::io("create", &dir))?;
        let Recovered { state, digests, sealed, active: keys, last, .. } = recover(disk, &dir, kind, Purpose::Owner)?;
        let file = last.as_ref().map(|last| last.settle(disk, &dir)).transpose()?;
        let chain = Arc::new(Self::new(kind, options, limits, shared, state, digests));
        sealed.into_iter().for_each(|(segment, since_us, keys)| chain.digests.seal(segment, since_us, keys));
        let active = match (last, file) {
            (Some(last), Some(file)) => active::Active::resume(&last, file),
            _ => chain.begin_first().map_err(OpenError::io("begin a segment in", &chain.dir))?,
        };
        let writer = Writer::new(Arc::clone(&chain), keys, active);
        Ok((chain, writer))
    }

    /// Opens a chain for reading. It never changes.
    pub(crate) fn open_read_only(kind: ChainKind, options: &Options, shared: &Shared) -> Result<Arc<Self>, OpenError> {
        let dir = options.dir.join(kind.folder());
        let state = match recover(&*shared.disk, &dir, kind, Purpose::Reader) {
            Ok(recovered) => recovered.state,
            // A chain that was never written is empty.
            Err(OpenError::Io { action: "list", source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                State::default()
            }
            Err(error) => return Err(error),
        };
        let chain = Self::new(kind, options, Limits::of(options, kind, u64::MAX), shared, state, Opened::default());
        chain.queue.close();
        Ok(Arc::new(chain))
    }

    fn new(
        kind: ChainKind,
        options: &Options,
        limits: Limits,
        shared: &Shared,
        mut state: State,
        digests: Opened,
    ) -> Self {
        state.raise_cursors();
        let dir = options.dir.join(kind.folder());
        let digests =
            Digests::new(Arc::clone(&shared.disk), dir.clone(), kind, options.max_deduplication_keys, digests);
        Self {
            kind,
            limits,
            shared: shared.clone(),
            queue: Queue::new(shared.timer.clone()),
            dir,
            digests,
            clock: Arc::clone(&options.clock),
            state: Mutex::new(state),
            keeper_is_asked: AtomicBool::new(true),
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
        if !state.finish(cursor, index, done, self.shared.timer.now()) {
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

    /// Makes the keeper look at what there is to do: a segment was sealed, or room is wanted.
    pub(crate) fn ask_keeper(&self) {
        self.keeper_is_asked.store(true, Ordering::Release);
        self.shared.keeper.ring();
    }

    /// Whether the keeper was asked since this was called last.
    pub(crate) fn keeper_was_asked(&self) -> bool {
        self.keeper_is_asked.swap(false, Ordering::Acquire)
    }

    /// Tells operators of damage that somebody has met.
    pub(crate) fn found(&self, damage: &Damage) {
        if self.state().add_damage(damage) {
            error!(file = %damage.file.display(), position = damage.position, what = damage.what, "damage found");
        }
    }

    fn publish(&self) {
        self.shared.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}
