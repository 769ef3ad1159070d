//! Why events could not be sent again.

use hook_core::ports::log::LogError;
use thiserror::Error;
use uuid::Uuid;

/// Why events could not be sent again.
#[derive(Debug, Error)]
pub enum TravelError {
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// The journal has no such job.
    #[error("no job {0} is in the journal: `hook replay list` shows those that are")]
    NoJob(Uuid),
    /// It has nothing left to do.
    #[error("job {0} has finished")]
    Finished(Uuid),
    /// Somebody else is at it.
    #[error("job {id} is being worked at: {by} was heard of {heard} s ago, in another process")]
    Busy {
        /// Which.
        id: Uuid,
        /// Who.
        by: String,
        /// When its last sign of life was, in seconds before now.
        heard: i64,
    },
    /// A URL took nothing any more.
    #[error("{0}")]
    Undelivered(String),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}
