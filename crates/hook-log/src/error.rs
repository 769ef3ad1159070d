//! Why a log could not be opened.

use std::{io, path::PathBuf};

use hook_core::ports::log::LogError;
use thiserror::Error;

/// A log could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process, or another log in this one, owns the directory.
    #[error("{} is in use{}", dir.display(), process.map(|id| format!(" by process {id}")).unwrap_or_default())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The owner's process id, where it could be read.
        process: Option<u32>,
    },
    /// Bytes that were durable once are wrong.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The file was written by a version of this program that this one does not know.
    #[error("{} has format version {found}, and this program reads version {known}", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u16,
        /// The version that this program reads.
        known: u16,
    },
    /// The system said no.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Bytes that were durable once are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is damaged at byte {position}: {what}", file.display())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The position in it.
    pub position: u64,
    /// What was found there.
    pub what: &'static str,
}

impl From<Damage> for LogError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage.to_string())
    }
}
