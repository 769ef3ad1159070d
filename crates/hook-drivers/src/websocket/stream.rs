//! Where a client's events come from: first what it has missed, from the log, then what is handed out.
//!
//! ```text
//! after=ID ──▶ finding ──▶ reading ──▶ the queue has all that came meanwhile? ──▶ live
//!                             ▲                │ no: it was overrun
//!                             └────── read on ─┘
//! ```
//!
//! The client is in the hub before its reading begins. So whatever is handed out after that waits in its queue, and whatever was
//! handed out before is durable and is read; what is both is known by its place in the log.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    envelope::{Envelope, Layout},
    outcome::{FailureClass, Outcome},
    ports::history::{Begin, History, HistoryError, Past},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    hub::{Frame, Hub, Membership},
    wanted::Wanted,
};

/// So many frames share a flush at most.
const BATCH: usize = 64;
/// So many events may wait for a client while it still reads what it has missed: reading takes longer than sending.
const DEPTH_WHILE_READING: usize = 1024;

/// A client that reads what it has missed gives way to others that wait for that after so long.
const TURN: Duration = Duration::from_secs(60);

/// An event as the text that every client gets.
pub(super) fn text_of(event: &Envelope) -> Result<Utf8Bytes, Outcome> {
    let text = Bytes::from(event.to_json(Layout::Verbatim));
    Utf8Bytes::try_from(text).map_err(|_| Outcome::failed(FailureClass::Rejected, "the event is not valid UTF-8"))
}

/// What the streams of a destination share.
pub(super) struct Springs {
    pub(super) hub: Arc<Hub>,
    pub(super) history: Arc<dyn History>,
    /// So many clients read the log at once; others wait their turn.
    pub(super) readers: Arc<Semaphore>,
    /// So many events may wait for a client.
    pub(super) depth: usize,
}

/// The events of one client.
pub(super) struct Stream {
    springs: Arc<Springs>,
    wanted: Arc<Wanted>,
    membership: Membership,
    phase: Phase,
    /// Read from the log, and not sent.
    kept: VecDeque<Utf8Bytes>,
    frames: Vec<Arc<Frame>>,
}

/// A client's turn to read the log.
struct Turn {
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

type Reader = (Turn, Box<dyn Past>);

enum Phase {
    Finding(BoxFuture<'static, Result<Reader, HistoryError>>),
    Reading(Reader),
    /// With what was read, where something was.
    Live(Option<Box<dyn Past>>),
}

/// Why a client gets no more events.
#[derive(Debug, Clone)]
pub(super) enum Dry {
    /// It takes them too slowly.
    Slow,
    /// The log cannot say what it has missed.
    Unread(HistoryError),
}

impl Stream {
    /// From now on the client misses nothing.
    pub(super) fn begin(springs: Arc<Springs>, wanted: Wanted, begin: Option<Begin>) -> Self {
        let wanted = Arc::new(wanted);
        let (phase, depth) = match begin {
            Some(begin) => {
                let (history, readers) = (Arc::clone(&springs.history), Arc::clone(&springs.readers));
                let finding = async move {
                    let permit = readers.acquire_owned().await.expect("the semaphore is never closed");
                    let turn = Turn { since: Instant::now(), _permit: permit };
                    Ok((turn, history.read(begin).await?))
                };
                (Phase::Finding(Box::pin(finding)), springs.depth.max(DEPTH_WHILE_READING))
            }
            None => (Phase::Live(None), springs.depth),
        };
        let membership = springs.hub.join(&wanted, depth);
        Self { springs, wanted, membership, phase, kept: VecDeque::new(), frames: Vec::new() }
    }

    /// Whether it has read the log for long while others wait to.
    pub(super) fn is_over_its_turn(&self) -> bool {
        let Phase::Reading((turn, _)) = &self.phase else { return false };
        turn.since.elapsed() > TURN && self.springs.readers.available_permits() == 0
    }

    /// Waits for events: at least one and at most [`BATCH`]. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, batch: &mut Vec<Utf8Bytes>) -> Result<(), Dry> {
        while batch.is_empty() {
            match &mut self.phase {
                _ if !self.kept.is_empty() => batch.extend(self.kept.drain(..self.kept.len().min(BATCH))),
                Phase::Finding(finding) => self.phase = Phase::Reading(finding.await.map_err(Dry::Unread)?),
                Phase::Reading((_, past)) => match past.next().await.map_err(|error| Dry::Unread(error.into()))? {
                    Some(kept) => {
                        let wanted = kept.iter().filter(|kept| self.wanted.takes(&kept.envelope));
                        self.kept.extend(wanted.filter_map(|kept| text_of(&kept.envelope).ok()));
                    }
                    None => self.on_read(),
                },
                Phase::Live(past) => {
                    self.membership.take(&mut self.frames, BATCH).await;
                    if self.membership.is_overrun() || self.frames.is_empty() {
                        return Err(Dry::Slow);
                    }
                    let is_new = |frame: &Frame| match (&past, &frame.position) {
                        (Some(past), Some(position)) => !past.has_passed(position),
                        _ => true,
                    };
                    batch.extend(self.frames.drain(..).filter(|frame| is_new(frame)).map(|frame| frame.text.clone()));
                    self.membership.settle(self.springs.depth);
                }
            }
        }
        Ok(())
    }

    /// Everything that was durable when the reading began is read.
    fn on_read(&mut self) {
        let Phase::Reading((turn, mut past)) = std::mem::replace(&mut self.phase, Phase::Live(None)) else { return };
        if !self.membership.is_overrun() {
            self.phase = Phase::Live(Some(past));
            return;
        }
        self.membership = self.springs.hub.join(&self.wanted, self.springs.depth.max(DEPTH_WHILE_READING));
        let reading_on = async move {
            past.go_on().await?;
            Ok((turn, past))
        };
        self.phase = Phase::Finding(Box::pin(reading_on));
    }
}

#[cfg(test)]
mod tests {
    use hook_core::{
        event::EventId,
        names::{EventType, SourceName, TopicName},
        payload::Payload,
        ports::{
            history::Kept,
            log::{LogError, Position},
        },
    };

    use super::*;

    /// A history that never ends.
    struct Endless;

    impl History for Endless {
        fn read(&self, _: Begin) -> BoxFuture<'_, Result<Box<dyn Past>, HistoryError>> {
            Box::pin(async { Ok(Box::new(Self) as Box<dyn Past>) })
        }
    }

    impl Past for Endless {
        fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Kept>>, LogError>> {
            let header = hook_core::envelope::EventHeader {
                id: EventId::generate(),
                source: SourceName::new("shop").unwrap(),
                event_type: EventType::unknown(),
                received_at: hook_core::Timestamp::UNIX_EPOCH,
                meta: hook_core::envelope::Meta::default(),
            };
            let envelope = Envelope { header, payload: Payload::parse(Bytes::from_static(b"{}")).unwrap() };
            let position = Position { topic: TopicName::new("core").unwrap(), partition: 0, offset: 0 };
            Box::pin(async { Ok(Some(vec![Kept { destination: "route/out".into(), position, envelope }])) })
        }

        fn has_passed(&self, _: &Position) -> bool {
            true
        }

        fn go_on(&mut self) -> BoxFuture<'_, Result<(), LogError>> {
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_over_after_a_minute_where_all_turns_are_taken() {
        let readers = Arc::new(Semaphore::new(2));
        let springs =
            Springs { hub: Arc::default(), history: Arc::new(Endless), readers: Arc::clone(&readers), depth: 1 };
        let mut stream = Stream::begin(Arc::new(springs), Wanted::default(), Some(Begin::Earliest));
        let other = Arc::clone(&readers).acquire_owned().await.unwrap();
        stream.next(&mut Vec::new()).await.unwrap();
        assert!(!stream.is_over_its_turn());
        tokio::time::advance(TURN + Duration::from_secs(1)).await;
        assert!(stream.is_over_its_turn());
        drop(other);
        assert!(!stream.is_over_its_turn(), "nobody is kept waiting");
    }
}
