//! Options of the measurements beside the table.

use std::path::PathBuf;

use super::Scale;

/// Where a measurement works, and how it shows what it has found.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// A short form: to see that it works, not to compare
    #[arg(long)]
    pub(crate) quick: bool,
    /// Where data directories are made [default: the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the table into this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

impl Common {
    /// For a measurement among others, whose results are shown together.
    pub(crate) fn new(quick: bool, dir: Option<PathBuf>) -> Self {
        Self { quick, dir, json: false, write: None }
    }

    /// 1 KiB bodies, 64 connections, 10,000 keys.
    pub(crate) fn scale(&self) -> Scale {
        Scale::new(self.dir.clone().unwrap_or_else(std::env::temp_dir))
    }
}
