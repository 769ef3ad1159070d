//! Deduplication keys: those of the active segment in a map, all others in sorted files that are merged in the background.
//!
//! ```text
//! active ──seal──▶ sealed ──written by the keeper──▶ runs ──merged, adjacent ones only──▶ fewer runs ──▶ expired, or too many: gone
//!  map              maps                              files, each with a small filter in memory
//! ```
//!
//! Digests are hashes, and are taken as evenly spread.

#[cfg(test)]
mod faults;
mod filter;
mod keys;
mod live;
mod merge;
mod name;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use keys::{First, Keys};
pub(crate) use live::{Digests, Live, Opened, damaged_runs};
pub(crate) use run::RunError;

/// A key that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) digest: [u8; 16],
    pub(crate) first: First,
}
