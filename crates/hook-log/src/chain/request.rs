//! What the writer is asked to do, and where the answer goes.

use hook_core::{
    names::{CursorName, TopicName},
    ports::log::{Append, Appended, LogError, TopicFilter},
};
use tokio::sync::oneshot;

/// Something to be made durable.
pub(crate) enum Request {
    /// Records.
    Append(AppendRequest),
    /// A cursor. The answer is whether it was made.
    MakeCursor(MakeCursor),
    /// The end of a cursor.
    DropCursor {
        /// Its name.
        name: CursorName,
        /// Told when it is durable.
        answer: oneshot::Sender<Result<(), LogError>>,
    },
}

/// Records, with the commit that belongs to them.
pub(crate) struct AppendRequest {
    pub(crate) append: Append,
    pub(crate) answer: oneshot::Sender<Result<Appended, LogError>>,
}

/// A new cursor.
pub(crate) struct MakeCursor {
    pub(crate) name: CursorName,
    pub(crate) start: CursorStart,
    pub(crate) answer: oneshot::Sender<Result<bool, LogError>>,
}

/// Where a new cursor begins.
pub(crate) enum CursorStart {
    /// At these offsets; elsewhere at the oldest record.
    Offsets(Vec<(TopicName, u32, u64)>),
    /// Behind the newest record of each of these topics.
    Ends(TopicFilter),
}
