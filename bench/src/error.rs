//! What can go wrong with a tool, as opposed to what it measures.

use std::io;

use thiserror::Error;

/// Why a run has no result.
#[derive(Debug, Error)]
pub enum Error {
    /// The system refused something.
    #[error("could not {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// `hook` ended, or said something else, before it was ready.
    #[error("hook did not become ready: {0}")]
    NotReady(String),
    /// Something that a measurement rests on did not happen.
    #[error("{0}")]
    Unexpected(String),
}

impl Error {
    /// For `map_err`: names what was being done.
    pub fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
