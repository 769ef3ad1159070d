//! What waits for the writer: bounded by count and by bytes, taken as a whole.

use std::{
    mem,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hook_core::ports::log::{LogError, NewRecord};
use tokio::sync::Semaphore;

use super::Request;
use crate::timer::Timer;

/// So many requests of at most [`PLACE_BYTES`] each, or so much in larger ones, may wait.
const PLACES: u32 = 1024;
/// A request takes a place for each of these, at least one.
const PLACE_BYTES: usize = 8 << 10;
/// So many notes may wait; the next one is dropped.
const NOTES: usize = 16 << 10;
/// So many bytes of notes may wait.
const NOTE_BYTES: usize = 8 << 20;
/// A note waits at most so long for company.
const NOTES_WAIT: Duration = Duration::from_millis(500);

/// The way to the writer.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
    room: Semaphore,
    timer: Timer,
    dropped_notes: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Request>,
    places: usize,
    notes: Vec<NewRecord>,
    note_bytes: usize,
    notes_since: Option<Instant>,
    is_poked: bool,
    is_closing: bool,
    /// Whether the writer sleeps. Waking it costs a system call, and a writer that is busy needs none.
    is_asleep: bool,
}

/// What the writer takes.
#[derive(Default)]
pub(super) struct Work {
    pub(super) requests: Vec<Request>,
    pub(super) notes: Vec<NewRecord>,
    pub(super) is_closing: bool,
}

impl Queue {
    pub(super) fn new(timer: Timer) -> Self {
        Self {
            waiting: Mutex::default(),
            ready: Condvar::new(),
            room: Semaphore::new(PLACES as usize),
            timer,
            dropped_notes: AtomicU64::new(0),
        }
    }

    /// Puts a request of so many bytes in, when there is room.
    pub(crate) async fn push(&self, request: Request, bytes: usize) -> Result<(), LogError> {
        let places = u32::try_from(bytes / PLACE_BYTES).unwrap_or(PLACES).clamp(1, PLACES);
        let permit = self.room.acquire_many(places).await.map_err(|_| LogError::Closed)?;
        let mut waiting = self.waiting();
        if waiting.is_closing {
            return Err(LogError::Closed);
        }
        // The writer gives the places back when it takes the request.
        permit.forget();
        waiting.places += places as usize;
        waiting.requests.push(request);
        self.wake(waiting);
        Ok(())
    }

    /// Puts a note in, or drops it.
    pub(crate) fn note(&self, record: NewRecord) {
        let mut waiting = self.waiting();
        let bytes = record.header.len() + record.body.len();
        if waiting.is_closing || waiting.notes.len() >= NOTES || waiting.note_bytes + bytes > NOTE_BYTES {
            drop(waiting);
            self.dropped(1);
            return;
        }
        waiting.notes.push(record);
        waiting.note_bytes += bytes;
        if waiting.notes_since.is_none() {
            waiting.notes_since = Some(self.timer.now());
            self.wake(waiting);
        }
    }

    /// Counts notes that were dropped.
    pub(super) fn dropped(&self, count: u64) {
        self.dropped_notes.fetch_add(count, Ordering::Relaxed);
    }

    /// How many notes were dropped.
    pub(crate) fn dropped_notes(&self) -> u64 {
        self.dropped_notes.load(Ordering::Relaxed)
    }

    /// Makes the writer look at what there is to do.
    pub(crate) fn poke(&self) {
        let mut waiting = self.waiting();
        waiting.is_poked = true;
        self.wake(waiting);
    }

    /// Takes no more; the writer does what waits, and ends.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.is_closing = true;
        self.room.close();
        self.wake(waiting);
    }

    /// Whether the queue takes no more.
    pub(crate) fn is_closing(&self) -> bool {
        self.waiting().is_closing
    }

    /// Waits for something to do, at most until `deadline`, and takes all of it.
    pub(super) fn take(&self, deadline: Instant) -> Work {
        let mut waiting = self.waiting();
        loop {
            let now = self.timer.now();
            let notes_due = waiting.notes_since.map(|since| since + NOTES_WAIT);
            let are_notes_due = waiting.notes.len() >= NOTES / 2 || notes_due.is_some_and(|due| due <= now);
            let is_due = !waiting.requests.is_empty() || are_notes_due || waiting.is_closing || waiting.is_poked;
            if is_due || deadline <= now {
                let takes_notes = are_notes_due || !waiting.requests.is_empty() || waiting.is_closing;
                return self.work(&mut waiting, takes_notes);
            }
            let until = notes_due.map_or(deadline, |due| due.min(deadline));
            waiting.is_asleep = true;
            let woken = self.ready.wait_timeout(waiting, until.duration_since(now));
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
            waiting.is_asleep = false;
        }
    }

    fn work(&self, waiting: &mut Waiting, takes_notes: bool) -> Work {
        waiting.is_poked = false;
        self.room.add_permits(mem::take(&mut waiting.places));
        let mut work =
            Work { requests: mem::take(&mut waiting.requests), notes: Vec::new(), is_closing: waiting.is_closing };
        if takes_notes {
            work.notes = mem::take(&mut waiting.notes);
            waiting.note_bytes = 0;
            waiting.notes_since = None;
        }
        work
    }

    fn wake(&self, waiting: MutexGuard<'_, Waiting>) {
        let is_asleep = waiting.is_asleep;
        drop(waiting);
        if is_asleep {
            self.ready.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
