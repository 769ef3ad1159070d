//! What a destination has been given before: for drivers whose receivers come and go.

use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

use crate::{
    BoxFuture,
    envelope::Envelope,
    event::EventId,
    ports::log::{LogError, Position},
};

/// The events of an adapter's destinations as the log has them, routed, and changed by the adapter's plugins.
pub trait History: Send + Sync + 'static {
    /// Reads from there to what is durable now.
    fn read(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Past>, HistoryError>>;
}

/// Where a reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the oldest event that is kept.
    Earliest,
    /// Behind an event. Where the log keeps an order over everything, what follows are exactly the events behind it. Of other
    /// partitions than its own some that were delivered shortly before it come again, and none is left out.
    After(Mark),
}

/// Names one appearance of an event: a replay has the id of what it repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The event.
    pub id: EventId,
    /// The replay, where it is one.
    pub replay: Option<Uuid>,
}

impl Mark {
    /// Whether that is the event.
    pub fn is(&self, event: &Envelope) -> bool {
        self.id == event.header.id && self.replay == event.header.meta.replay.as_ref().map(|replay| replay.id)
    }
}

impl FromStr for Mark {
    type Err = uuid::Error;

    /// As receivers tell events apart: the id, and for a replay `_` and the replay's id.
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        let (id, replay) = match text.split_once('_') {
            Some((id, replay)) => (id, Some(replay.parse()?)),
            None => (text, None),
        };
        Ok(Self { id: id.parse()?, replay })
    }
}

/// A reading of the history. What it holds in memory is bounded, however slowly it is read.
pub trait Past: Send {
    /// The next events, which may be none; `None` at the end.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Kept>>, LogError>>;

    /// Whether it has passed that place: the event there was read, or stands before where it began.
    fn has_passed(&self, position: &Position) -> bool;

    /// Reads on, after its end, to what is durable now.
    fn go_on(&mut self) -> BoxFuture<'_, Result<(), LogError>>;
}

/// An event of the history.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Whose it is: `route/adapter`.
    pub destination: std::sync::Arc<str>,
    /// Where it stands.
    pub position: Position,
    /// As the destination's plugins leave it.
    pub envelope: Envelope,
}

/// The history cannot be read.
#[derive(Debug, Clone, Error)]
pub enum HistoryError {
    /// The event is not in the log, or no longer.
    #[error("there is no such event in the log")]
    Unknown {
        /// The oldest event of the destination.
        oldest: Option<EventId>,
    },
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A history of nothing, for drivers that run without a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHistory;

impl History for NoHistory {
    fn read(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Past>, HistoryError>> {
        Box::pin(async move {
            match begin {
                Begin::Earliest => Ok(Box::new(Self) as Box<dyn Past>),
                Begin::After(_) => Err(HistoryError::Unknown { oldest: None }),
            }
        })
    }
}

impl Past for NoHistory {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Kept>>, LogError>> {
        Box::pin(async { Ok(None) })
    }

    fn has_passed(&self, _: &Position) -> bool {
        false
    }

    fn go_on(&mut self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_written_as_the_id_that_receivers_deduplicate_by() {
        let (id, replay) = (EventId::generate(), Uuid::now_v7());
        assert_eq!(id.to_string().parse(), Ok(Mark { id, replay: None }));
        assert_eq!(format!("{id}_{replay}").parse(), Ok(Mark { id, replay: Some(replay) }));
        for wrong in ["", "1", "_", &format!("{id}_"), &format!("{id} ")] {
            assert!(wrong.parse::<Mark>().is_err(), "{wrong}");
        }
    }
}
