//! A part of a file in memory, so that a segment of any size is checked in a few MiB.

use std::io;

use crate::disk::DiskFile;

/// So many bytes are read at once, where a frame does not need more.
const STEP: usize = 1 << 20;

/// A part of a file that moves forward, and back where it must.
pub(super) struct Window<'a> {
    file: &'a dyn DiskFile,
    /// The bytes that the file has.
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        Ok(Self { file, length: file.len()?, start: 0, bytes: Vec::new() })
    }

    /// The bytes that the file had when the window was made.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// So many bytes from `position` on; fewer only at the end of the file.
    pub(super) fn bytes(&mut self, position: u64, count: usize) -> io::Result<&[u8]> {
        let has = |this: &Self| {
            let end = position.saturating_add(count as u64).min(this.length);
            position >= this.start && end <= this.start + this.bytes.len() as u64
        };
        if !has(self) {
            self.load(position, count)?;
        }
        let from = usize::try_from(position.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.bytes.len());
        let to = from.saturating_add(count).min(self.bytes.len());
        Ok(&self.bytes[from..to])
    }

    /// As many bytes from `position` on as are in memory; none only at the end of the file.
    pub(super) fn at_hand(&mut self, position: u64) -> io::Result<&[u8]> {
        self.bytes(position, 1)?;
        let from = usize::try_from(position.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(&self.bytes[from..])
    }

    /// Forgets what was read, so that it is read again.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.bytes.clear();
        self.length = self.file.len()?;
        Ok(())
    }

    fn load(&mut self, position: u64, count: usize) -> io::Result<()> {
        let left = self.length.saturating_sub(position);
        let wanted = usize::try_from((count.max(STEP) as u64).min(left)).map_err(io::Error::other)?;
        if self.bytes.capacity() > 4 * wanted.max(STEP) {
            self.bytes = Vec::new();
        }
        self.bytes.resize(wanted, 0);
        self.start = position;
        let read = self.file.read_at(&mut self.bytes, position)?;
        self.bytes.truncate(read);
        if read < wanted {
            // It was cut meanwhile, by the owner that sealed it.
            self.length = position + read as u64;
        }
        Ok(())
    }
}
