//! Reads a segment batch by batch, without having all of it in memory.

use std::{io, sync::Arc};

use super::batch::{BadSpot, Extent, next_batch};
use crate::disk::DiskFile;

/// So much is read at once, where batches are smaller.
const WINDOW_BYTES: u64 = 1 << 20;

/// The batches of a file from a position up to a limit.
pub(crate) struct BatchStream {
    file: Arc<dyn DiskFile>,
    seed: u32,
    /// The position of the next batch.
    at: u64,
    limit: u64,
    /// What was read last, and where it begins.
    window: Vec<u8>,
    window_start: u64,
}

impl BatchStream {
    /// Reads from `start`, where a batch begins, and never behind `limit`.
    pub(crate) fn new(file: Arc<dyn DiskFile>, seed: u32, start: u64, limit: u64) -> Self {
        Self { file, seed, at: start, limit, window: Vec::new(), window_start: start }
    }

    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Whether the limit is reached.
    pub(crate) fn is_at_limit(&self) -> bool {
        self.at >= self.limit
    }

    /// The next batch, or the place where none stands. A bad spot stays where it is.
    pub(crate) fn next(&mut self) -> io::Result<Result<(Extent, &[u8]), BadSpot>> {
        let mut found = next_batch(self.loaded(), self.at, self.seed);
        let mut wanted = WINDOW_BYTES;
        // A batch may be longer than what was read of it; only at the limit, bad is bad.
        while found.is_err() && self.window_end() < self.limit {
            self.load(wanted)?;
            found = next_batch(self.loaded(), self.at, self.seed);
            wanted = wanted.saturating_mul(4);
        }
        Ok(found.map(|batch| {
            let from = (self.at - self.window_start) as usize;
            let to = (batch.end - self.window_start) as usize;
            self.at = batch.end;
            (batch, &self.window[from..to])
        }))
    }

    /// Everything from the next batch up to the limit. After a bad spot it is in memory already.
    pub(crate) fn rest(&mut self) -> io::Result<&[u8]> {
        if self.window_end() < self.limit {
            self.load(u64::MAX)?;
        }
        Ok(self.loaded())
    }

    fn loaded(&self) -> &[u8] {
        self.window.get((self.at - self.window_start) as usize..).unwrap_or_default()
    }

    fn window_end(&self) -> u64 {
        self.window_start + self.window.len() as u64
    }

    fn load(&mut self, bytes: u64) -> io::Result<()> {
        let length = bytes.min(self.limit - self.at);
        self.window.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        let read = self.file.read_at(&mut self.window, self.at)?;
        if (read as u64) < length {
            // Cut while it was read. What is missing is a bad spot at its end.
            self.window.truncate(read);
            self.limit = self.at + read as u64;
        }
        self.window_start = self.at;
        Ok(())
    }
}
