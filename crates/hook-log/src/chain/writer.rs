//! The writer thread: takes whoever waits, writes once, syncs once, then answers them.

use std::{
    collections::HashMap,
    io, mem,
    ops::ControlFlow,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use hook_core::{names::TopicName, ports::log::LogError};
use tracing::{error, info, warn};

use super::{
    Chain,
    active::Active,
    batch::{Batch, Known},
    queue::Work,
    request::Request,
    seen::Seen,
};
use crate::{
    digests::Keys,
    format::{Encoder, Place},
    state::{Chunk, Dirty},
};

/// Progress of cursors is written by itself when no batch took it along for so long.
const COMMIT_WAIT: Duration = Duration::from_millis(50);
/// A disk that failed is tried again this often, also when nobody appends.
const PROBE: Duration = Duration::from_secs(1);
/// Without anything to do, the writer wakes this often.
const IDLE: Duration = Duration::from_secs(60);
/// Older frames are kept in the buffer of one allocation at most this large.
const BUFFER_BYTES: usize = 256 << 10;

/// Everything that only the writer touches.
pub(crate) struct Writer {
    pub(super) chain: Arc<Chain>,
    /// The deduplication keys of the active segment.
    keys: Keys,
    pub(super) active: Active,
    /// The next offset of each topic.
    ends: HashMap<TopicName, u64>,
    buffer: BytesMut,
    /// Requests that go before all that wait.
    again: Vec<Request>,
    /// Why appends are refused: too much is pinned.
    pub(super) blocked: Option<String>,
    /// The end of the active segment when pinned bytes were counted last; `None` since it is another segment.
    pub(super) counted_at_end: Option<u64>,
    probe_at: Option<Instant>,
    /// The end of the active segment when the log was opened, where it needs no proof: a log in which nothing happened is
    /// left as it was.
    opened_at: u64,
}

/// Ends the queue when the thread ends, however it ends: nobody waits for a writer that is gone.
struct EndOfThread(Arc<Chain>);

impl Drop for EndOfThread {
    fn drop(&mut self) {
        self.0.queue.close();
        drop(self.0.queue.take(self.0.shared.timer.now()));
        self.0.ended.send_if_modified(|ended| {
            let is_panic = ended.is_none();
            if is_panic {
                *ended = Some(Err(LogError::Unavailable("the writer of the log has failed".to_owned())));
            }
            is_panic
        });
    }
}

impl Writer {
    pub(super) fn new(chain: Arc<Chain>, keys: Keys, active: Active) -> Self {
        let ends = chain.state().partitions.iter().map(|partition| (partition.topic.clone(), partition.end)).collect();
        Self {
            chain,
            keys,
            opened_at: active.proven,
            active,
            ends,
            buffer: BytesMut::new(),
            again: Vec::new(),
            blocked: None,
            counted_at_end: None,
            probe_at: None,
        }
    }

    /// Works in a thread of its own until the queue is closed and empty.
    pub(crate) fn spawn(self) -> io::Result<JoinHandle<()>> {
        let name = format!("hook-log/{}", self.chain.kind.folder());
        thread::Builder::new().name(name).spawn(move || self.run())
    }

    fn run(mut self) {
        let _end = EndOfThread(Arc::clone(&self.chain));
        loop {
            let work = self.chain.queue.take(self.deadline());
            if self.work(work).is_break() {
                break;
            }
        }
        self.end();
    }

    /// Takes no more requests.
    pub(crate) fn close(&self) {
        self.chain.queue.close();
    }

    /// Does what there is to do now, and does not wait for more.
    pub(crate) fn step(&mut self) {
        let work = self.chain.queue.take(self.chain.shared.timer.now());
        let _ = self.work(work);
    }

    /// Breaks when that was the last of it.
    fn work(&mut self, work: Work) -> ControlFlow<()> {
        let is_closing = work.is_closing;
        self.turn(work);
        while !self.again.is_empty() {
            self.turn(Work::default());
        }
        if is_closing {
            return ControlFlow::Break(());
        }
        self.probe();
        ControlFlow::Continue(())
    }

    /// Ends the chain in order.
    pub(crate) fn end(mut self) {
        let result = self.finish().map_err(|error| unavailable(&error));
        self.active.trim();
        self.chain.ended.send_replace(Some(result));
        self.chain.publish();
    }

    fn deadline(&self) -> Instant {
        if !self.again.is_empty() {
            return self.chain.shared.timer.now();
        }
        let commits = self.chain.state().dirty_since.map(|since| since + COMMIT_WAIT);
        [commits, self.probe_at].into_iter().flatten().min().unwrap_or_else(|| self.chain.shared.timer.now() + IDLE)
    }

    /// One batch: decide, write, sync, publish, answer.
    fn turn(&mut self, work: Work) {
        let mut batch = Batch::default();
        let mut requests = mem::take(&mut self.again);
        requests.extend(work.requests);
        if !requests.is_empty() || self.blocked.is_some() {
            self.count_pinned();
            let (chain, sealed) = (&*self.chain, self.chain.digests.live());
            let known = Seen { chain, active: &self.keys, sealed: &sealed, now_us: chain.now_us() };
            // Runs are read from disk, so before the state is locked.
            let requests: Vec<_> = requests.into_iter().filter_map(|request| known.answer(request)).collect();
            let state = self.chain.state();
            let known = Known { state: &state, blocked: self.blocked.as_deref() };
            requests.into_iter().for_each(|request| batch.add(request, &known));
        }
        batch.add_notes(work.notes);
        if batch.is_empty() {
            self.again.append(&mut batch.later);
            self.write_commits(work.is_closing);
            return;
        }
        match self.store(&mut batch) {
            Ok(()) => {
                self.healthy();
                self.again.append(&mut batch.later);
                self.ends.extend(batch.confirm());
            }
            Err(error) => {
                let error = self.failed(&error);
                let lost = batch.reject(&error, &mut self.again);
                self.chain.queue.dropped(lost);
            }
        }
    }

    /// Makes a batch durable, together with the progress that is not written yet.
    fn store(&mut self, batch: &mut Batch) -> io::Result<()> {
        self.make_room(batch.bytes)?;
        let dirty = self.chain.state().take_dirty();
        let mut encoder = Encoder::new(&mut self.buffer, self.active.end, self.active.seed);
        // Before a cursor is forgotten: behind that, its progress would make it anew.
        encode_dirty(&dirty, &mut encoder);
        batch.encode(&self.ends, &mut encoder);
        encoder.end(self.active.durable);
        let stored = self.write_buffer(Durability::Synced);
        self.settle(stored, dirty)
    }

    /// Writes progress by itself, when it is due or the end has come. It needs no sync.
    fn write_commits(&mut self, is_closing: bool) {
        let now = self.chain.shared.timer.now();
        let is_due = |since: Instant| is_closing || since + COMMIT_WAIT <= now;
        if !self.chain.state().dirty_since.is_some_and(is_due) {
            return;
        }
        let written = self.store_commits();
        if let Err(error) = written {
            self.failed(&error);
        }
    }

    fn store_commits(&mut self) -> io::Result<()> {
        self.make_room(0)?;
        let dirty = self.chain.state().take_dirty();
        if dirty.is_empty() {
            return Ok(());
        }
        let mut encoder = Encoder::new(&mut self.buffer, self.active.end, self.active.seed);
        encode_dirty(&dirty, &mut encoder);
        encoder.end(self.active.durable);
        let stored = self.write_buffer(Durability::Written);
        self.settle(stored, dirty)
    }

    fn settle(&mut self, stored: io::Result<()>, dirty: Vec<Dirty>) -> io::Result<()> {
        if stored.is_err() {
            self.buffer.clear();
            let now = self.chain.shared.timer.now();
            self.chain.state().put_back(dirty, now);
        }
        stored
    }

    /// Writes what stands in the buffer, and applies it to the state. Where this fails, the state is as it was.
    fn write_buffer(&mut self, durability: Durability) -> io::Result<()> {
        let start = Place { segment: self.active.number, position: self.active.end };
        self.active.reserve(self.buffer.len() as u64)?;
        self.active.write(&self.buffer)?;
        if durability == Durability::Synced {
            self.active.sync()?;
        }
        let bytes = self.buffer.split().freeze();
        self.buffer.reserve(BUFFER_BYTES.min(bytes.len().next_power_of_two()));

        let mut state = self.chain.state();
        let applied = state.apply(&mut self.keys, start, &bytes);
        debug_assert_eq!(applied, Ok(()), "the writer has encoded this batch after this state");
        if let Some(active) = state.segments.back_mut() {
            active.allocated = self.active.allocated.max(self.active.end);
        }
        state.tail.push(Chunk { start, bytes });
        drop(state);
        self.chain.publish();
        Ok(())
    }

    /// Begins another segment where this one is full, or cannot be trusted any more.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let is_full = self.active.end + bytes > self.chain.limits.segment_bytes && self.has_records();
        if self.active.is_trusted && !is_full {
            return Ok(());
        }
        if self.active.is_trusted {
            self.active.sync()?;
            // From here on, the next segment may exist and overrule what would be written to this one.
            self.active.is_trusted = false;
        }
        let next = self.chain.begin_segment(self.active.number + 1, self.active.durable)?;
        let sealed = mem::take(&mut self.keys);
        if sealed.len() > 0 {
            self.chain.digests.seal(self.active.number, self.active.made_at_us, sealed);
        }
        self.chain.ask_keeper();
        self.active.trim();
        self.active = next;
        self.counted_at_end = None;
        self.opened_at = 0;
        Ok(())
    }

    fn has_records(&self) -> bool {
        self.chain.state().segments.back().is_some_and(|active| active.has_records)
    }

    /// The last batch says that everything before it is durable: from now on a bad spot in it is damage.
    fn finish(&mut self) -> io::Result<()> {
        let dirty = self.chain.state().take_dirty();
        let is_durable = dirty.is_empty() && self.active.end == self.active.durable;
        if !self.active.is_trusted {
            // Where progress was written that no sync has reached, the snapshot that the next segment begins with has it.
            return if is_durable { Ok(()) } else { self.make_room(0) };
        }
        if self.active.end == self.opened_at && dirty.is_empty() {
            return Ok(());
        }
        self.active.sync()?;
        let mut encoder = Encoder::new(&mut self.buffer, self.active.end, self.active.seed);
        encode_dirty(&dirty, &mut encoder);
        encoder.end(self.active.durable);
        self.write_buffer(Durability::Synced)
    }

    /// Tries a disk that failed.
    fn probe(&mut self) {
        if self.probe_at.is_none_or(|at| at > self.chain.shared.timer.now()) {
            return;
        }
        match self.make_room(0).and_then(|()| self.active.reserve(1)) {
            Ok(()) => self.healthy(),
            Err(error) => drop(self.failed(&error)),
        }
    }

    fn failed(&mut self, error: &io::Error) -> LogError {
        self.probe_at = Some(self.chain.shared.timer.now() + PROBE);
        // Old segments may go, and the disk may only be full.
        self.chain.ask_keeper();
        let text = format!("could not write to {}: {error}", self.chain.dir().display());
        if self.chain.state().unavailable.replace(text.clone()).is_none() {
            error!(chain = self.chain.kind.folder(), %error, "log cannot write: appends are refused");
        }
        LogError::Unavailable(text)
    }

    fn healthy(&mut self) {
        if self.probe_at.take().is_some() {
            self.chain.state().unavailable.clone_from(&self.blocked);
            info!(chain = self.chain.kind.folder(), "log can write again");
        }
    }

    /// Refuses appends while too much is pinned, or takes them again.
    pub(super) fn block(&mut self, why: Option<String>) {
        if self.blocked.is_some() != why.is_some() {
            match &why {
                Some(why) => warn!(chain = self.chain.kind.folder(), why, "appends are refused"),
                None => info!(chain = self.chain.kind.folder(), "appends are taken again"),
            }
        }
        if self.probe_at.is_none() {
            self.chain.state().unavailable.clone_from(&why);
        }
        self.blocked = why;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    Written,
    Synced,
}

fn unavailable(error: &io::Error) -> LogError {
    LogError::Unavailable(error.to_string())
}

fn encode_dirty(dirty: &[Dirty], batch: &mut Encoder<'_>) {
    for Dirty { cursor, topic, number, done, .. } in dirty {
        batch.done(cursor, topic, *number, done.iter());
    }
}
