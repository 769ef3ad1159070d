//! Hands each event to every client that wants it, and waits for none of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use hook_core::{
    envelope::Envelope,
    names::TopicName,
    ports::{egress::Place, log::Position},
};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::wanted::Wanted;

/// An event as it is sent. All clients share its text.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) text: Utf8Bytes,
    /// Where it stands in the log.
    pub(super) position: Option<Position>,
}

/// The clients of one destination.
#[derive(Default)]
pub(super) struct Hub(Mutex<State>);

#[derive(Default)]
struct State {
    members: HashMap<u64, Member>,
    next: u64,
    /// What was handed out of each partition: the next offset.
    handed_out: HashMap<String, BTreeMap<(TopicName, u32), u64>>,
}

/// A client, as the hub sees it.
struct Member {
    queue: mpsc::Sender<Arc<Frame>>,
    wanted: Arc<Wanted>,
    limits: Arc<Limits>,
}

/// What a client and the hub share.
#[derive(Debug)]
struct Limits {
    /// So many events may wait for the client.
    depth: AtomicUsize,
    /// More were to wait.
    is_overrun: AtomicBool,
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a client in: from now on what it wants waits for it, up to a bound.
    pub(super) fn join(self: &Arc<Self>, wanted: &Arc<Wanted>, depth: usize) -> Membership {
        let (queue, frames) = mpsc::channel(depth);
        let limits = Arc::new(Limits { depth: AtomicUsize::new(depth), is_overrun: AtomicBool::new(false) });
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.members.insert(id, Member { queue, wanted: Arc::clone(wanted), limits: Arc::clone(&limits) });
        Membership { hub: Arc::clone(self), id, frames, limits }
    }

    /// Hands an event out; says to how many. One that was handed out before is not again: who was there has it.
    pub(super) fn hand_out(
        &self,
        place: Option<Place<'_>>,
        event: &Envelope,
        text: impl FnOnce() -> Option<Utf8Bytes>,
    ) -> usize {
        if !self.state().is_awaited(place) {
            return 0;
        }
        let Some(text) = text() else { return 0 };
        let frame = Arc::new(Frame { text, position: place.map(|place| place.position.clone()) });
        let mut count = 0;
        // Who does not keep up leaves the hub here, and learns of it when it looks.
        self.state().members.retain(|_, member| {
            if !member.wanted.takes(event) {
                return true;
            }
            let is_in = member.take(&frame);
            count += usize::from(is_in);
            is_in
        });
        count
    }
}

impl State {
    /// Notes that an event is handed out now. `false` where there is nobody to have it, or it is not for the first time.
    fn is_awaited(&mut self, place: Option<Place<'_>>) -> bool {
        if let Some(Place { destination, position }) = place {
            if !self.handed_out.contains_key(destination) {
                self.handed_out.insert(destination.to_owned(), BTreeMap::new());
            }
            let next = self.handed_out.get_mut(destination);
            let next =
                next.map(|partitions| partitions.entry((position.topic.clone(), position.partition)).or_default());
            if let Some(next) = next {
                if position.offset < *next {
                    return false;
                }
                *next = position.offset + 1;
            }
        }
        !self.members.is_empty()
    }
}

impl Member {
    fn take(&self, frame: &Arc<Frame>) -> bool {
        let waiting = self.queue.max_capacity() - self.queue.capacity();
        let has_room = waiting < self.limits.depth.load(Ordering::Relaxed);
        let is_in = has_room && self.queue.try_send(Arc::clone(frame)).is_ok();
        if !is_in {
            self.limits.is_overrun.store(true, Ordering::Release);
        }
        is_in
    }
}

/// A client's place in the hub, until it is dropped.
pub(super) struct Membership {
    hub: Arc<Hub>,
    id: u64,
    frames: mpsc::Receiver<Arc<Frame>>,
    limits: Arc<Limits>,
}

impl Membership {
    /// Whether more events came than may wait. Then some are missing.
    pub(super) fn is_overrun(&self) -> bool {
        self.limits.is_overrun.load(Ordering::Acquire)
    }

    /// Lowers how many events may wait, once no more than that do.
    pub(super) fn settle(&self, depth: usize) {
        if self.frames.len() <= depth {
            self.limits.depth.fetch_min(depth, Ordering::Relaxed);
        }
    }

    /// Waits for events, and takes up to so many; none where the client was overrun and has had what waited. Dropping the
    /// future loses nothing.
    pub(super) async fn take(&mut self, frames: &mut Vec<Arc<Frame>>, most: usize) {
        self.frames.recv_many(frames, most).await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.hub.state().members.remove(&self.id);
    }
}
