//! The segment that grows.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::Chain;
use crate::{
    disk::{DiskFile, write_whole},
    format::{EMPTY_BATCH_BYTES, Encoder, HEADER_BYTES, Header, Place, checksum_seed, segment_name},
    recover::Last,
    state::{Chunk, Segment, State},
};

/// Space is taken in steps of this, ahead of use.
const STEP: u64 = 4 << 20;

/// The segment that grows. Only the writer has it.
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) seed: u32,
    /// When it was made.
    pub(super) made_at_us: i64,
    /// The position behind the last batch that was written.
    pub(super) end: u64,
    /// The position up to which everything is known to be durable.
    pub(super) durable: u64,
    pub(super) allocated: u64,
    /// Whether the bytes behind `durable` are what was written. After an error nobody knows.
    pub(super) is_trusted: bool,
    /// The end of the segment as it was when nothing in it needed a batch that proves it; 0 where something does.
    pub(super) proven: u64,
    can_allocate: bool,
    file: Arc<dyn DiskFile>,
}

impl Active {
    /// Goes on where the log was closed, or cut.
    pub(super) fn resume(last: &Last, file: Arc<dyn DiskFile>) -> Self {
        let &Last { number, seed, made_at_us, end, unproven_from } = last;
        // A batch that says nothing but that all before it is durable needs no other to say it again.
        let proven = if end - unproven_from == EMPTY_BATCH_BYTES { end } else { 0 };
        Self { proven, ..Self::new(number, seed, made_at_us, end, file) }
    }

    fn new(number: u64, seed: u32, made_at_us: i64, end: u64, file: Arc<dyn DiskFile>) -> Self {
        Self {
            number,
            seed,
            made_at_us,
            end,
            durable: end,
            allocated: end,
            is_trusted: true,
            proven: end,
            can_allocate: true,
            file,
        }
    }

    /// Takes space for so many bytes. Nothing was written where this fails.
    pub(super) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let needed = self.end + bytes;
        if !self.can_allocate || needed <= self.allocated {
            return Ok(());
        }
        let least = needed - self.allocated;
        let ahead = self.allocate(least.next_multiple_of(STEP));
        // A disk that is nearly full has room for one more batch, though not for many.
        if ahead.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            return self.allocate(least);
        }
        ahead
    }

    fn allocate(&mut self, length: u64) -> io::Result<()> {
        match self.file.allocate(self.allocated, length) {
            Ok(()) => self.allocated += length,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.can_allocate = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes behind the last batch.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_at(bytes, self.end);
        self.is_trusted &= written.is_ok();
        if written.is_ok() {
            self.end += bytes.len() as u64;
        }
        written
    }

    /// Makes everything that was written durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.durable == self.end {
            return Ok(());
        }
        let synced = self.file.sync_data();
        self.is_trusted &= synced.is_ok();
        if synced.is_ok() {
            self.durable = self.end;
        }
        synced
    }

    /// The position up to which the file can be trusted.
    pub(super) fn trusted_end(&self) -> u64 {
        if self.is_trusted { self.end } else { self.durable }
    }

    /// Gives back the space that was not used. Where that fails, the next owner does it.
    pub(super) fn trim(&self) {
        if self.allocated > self.trusted_end() {
            let _ = self.file.set_len(self.trusted_end());
        }
    }
}

impl Chain {
    /// Makes the first segment of a new chain.
    pub(super) fn begin_first(&self) -> io::Result<Active> {
        self.begin_segment(1, 0)
    }

    /// Makes the next segment, durable with its snapshot, and publishes it.
    pub(super) fn begin_segment(&self, number: u64, previous_end: u64) -> io::Result<Active> {
        let made_at_us = self.now_us();
        let salt = self.shared.salts.next();
        let header = Header { chain: self.kind, number, previous_end, made_at_us, salt };
        let seed = checksum_seed(salt);
        let snapshot = snapshot(&self.state(), seed);
        let file = write_whole(&*self.shared.disk, self.dir(), &segment_name(number), &[&header.encode(), &snapshot])?;
        let end = HEADER_BYTES + snapshot.len() as u64;

        let mut state = self.state();
        if let Some(sealed) = state.segments.back_mut() {
            sealed.end = previous_end;
            sealed.allocated = previous_end;
            sealed.has_run = sealed.keys == 0;
        }
        state.segments.push_back(Segment::new(&header, end));
        state.tail.push(Chunk { start: Place { segment: number, position: HEADER_BYTES }, bytes: snapshot });
        drop(state);
        self.publish();
        Ok(Active::new(number, seed, made_at_us, end, file))
    }
}

/// The batch that a segment begins with: all that the segments before it say, but for records and keys.
fn snapshot(state: &State, seed: u32) -> Bytes {
    let mut buffer = BytesMut::new();
    let mut batch = Encoder::new(&mut buffer, HEADER_BYTES, seed);
    batch.snapshot();
    for partition in &state.partitions {
        batch.partition_end(&partition.topic, partition.number, partition.end);
    }
    for (name, cursor) in &state.cursors {
        batch.cursor_made(name);
        for (&index, progress) in &cursor.progress {
            let partition = &state.partitions[index];
            batch.progress(name, &partition.topic, partition.number, progress);
        }
    }
    batch.end(0);
    buffer.freeze()
}
