//! Writes a batch into one buffer.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use hook_core::{
    names::{CursorName, TopicName},
    ports::log::{DedupKey, NewRecord},
};

use super::frame::{COMMON, PREFIX, checksum, kind};

/// A batch that is being written. It is one only after [`Encoder::end`].
pub(crate) struct Encoder<'a> {
    buffer: &'a mut BytesMut,
    batch_start: u64,
    seed: u32,
    frames: u32,
}

impl<'a> Encoder<'a> {
    /// A batch that will stand at `batch_start` of the segment whose checksums begin with `seed`.
    pub(crate) fn new(buffer: &'a mut BytesMut, batch_start: u64, seed: u32) -> Self {
        Self { buffer, batch_start, seed, frames: 0 }
    }

    pub(crate) fn data(&mut self, record: &NewRecord, partition: u32, offset: u64) {
        self.frame(kind::DATA, |buffer| {
            buffer.put_u32_le(partition);
            buffer.put_u64_le(offset);
            buffer.put_i64_le(record.time.as_microsecond());
            buffer.put_u8(length(record.topic.as_str().len()));
            buffer.put_u32_le(record.key.as_ref().map_or(u32::MAX, |key| length(key.len())));
            buffer.put_u32_le(length(record.header.len()));
            buffer.put_slice(record.topic.as_str().as_bytes());
            buffer.put_slice(record.key.as_deref().unwrap_or_default());
            buffer.put_slice(&record.header);
            buffer.put_slice(&record.body);
        });
    }

    pub(crate) fn seen(&mut self, id: [u8; 16], keys: &[DedupKey]) {
        let keys = keys.iter().map(|key| (key.digest, key.expires_at.as_microsecond()));
        self.seen_until(id, keys);
    }

    pub(crate) fn seen_until(&mut self, id: [u8; 16], keys: impl Iterator<Item = ([u8; 16], i64)>) {
        self.frame(kind::SEEN, |buffer| {
            buffer.put_slice(&id);
            for (digest, expires_at_us) in keys {
                buffer.put_slice(&digest);
                buffer.put_i64_le(expires_at_us);
            }
        });
    }

    pub(crate) fn done(
        &mut self,
        cursor: &CursorName,
        topic: &TopicName,
        partition: u32,
        ranges: impl Iterator<Item = Range<u64>>,
    ) {
        self.frame(kind::DONE, |buffer| {
            put_cursor(buffer, cursor);
            put_partition(buffer, topic, partition);
            put_ranges(buffer, ranges);
        });
    }

    pub(crate) fn cursor_made(&mut self, cursor: &CursorName) {
        self.frame(kind::CURSOR_MADE, |buffer| put_cursor(buffer, cursor));
    }

    pub(crate) fn cursor_gone(&mut self, cursor: &CursorName) {
        self.frame(kind::CURSOR_GONE, |buffer| put_cursor(buffer, cursor));
    }

    pub(crate) fn progress(
        &mut self,
        cursor: &CursorName,
        topic: &TopicName,
        partition: u32,
        progress: &hook_core::progress::Progress,
    ) {
        self.frame(kind::PROGRESS, |buffer| {
            put_cursor(buffer, cursor);
            put_partition(buffer, topic, partition);
            buffer.put_u64_le(progress.watermark());
            put_ranges(buffer, progress.above().iter());
        });
    }

    pub(crate) fn partition_end(&mut self, topic: &TopicName, partition: u32, end: u64) {
        self.frame(kind::PARTITION_END, |buffer| {
            put_partition(buffer, topic, partition);
            buffer.put_u64_le(end);
        });
    }

    pub(crate) fn snapshot(&mut self) {
        self.frame(kind::SNAPSHOT, |_| {});
    }

    /// The same, with so many bytes that nobody reads behind it: a repair keeps every batch at its position.
    pub(crate) fn padded_snapshot(&mut self, padding: usize) {
        self.frame(kind::SNAPSHOT, |buffer| buffer.put_bytes(0, padding));
    }

    /// Says that these offsets were lost, with so many bytes that nobody reads behind it.
    pub(crate) fn lost(&mut self, topic: &TopicName, partition: u32, offsets: Range<u64>, padding: usize) {
        self.frame(kind::LOST, |buffer| {
            put_partition(buffer, topic, partition);
            buffer.put_u64_le(offsets.start);
            buffer.put_u64_le(offsets.end);
            buffer.put_bytes(0, padding);
        });
    }

    /// Says nothing, in a frame with so many bytes behind its kind and batch start.
    pub(crate) fn filler(&mut self, bytes: usize) {
        self.frame(kind::FILLER, |buffer| buffer.put_bytes(0, bytes));
    }

    /// A frame of another batch, given by its payload.
    pub(crate) fn copied(&mut self, payload: &[u8]) {
        self.frame(payload[0], |buffer| buffer.put_slice(&payload[COMMON..]));
    }

    /// Ends the batch. `synced` is the position up to which the segment is known to be durable.
    pub(crate) fn end(mut self, synced: u64) {
        let frames = self.frames;
        self.frame(kind::BATCH_END, |buffer| {
            buffer.put_u32_le(frames);
            buffer.put_u64_le(synced);
        });
    }

    fn frame(&mut self, kind: u8, fields: impl FnOnce(&mut BytesMut)) {
        let at = self.buffer.len();
        self.buffer.put_bytes(0, PREFIX);
        self.buffer.put_u8(kind);
        self.buffer.put_u64_le(self.batch_start);
        fields(self.buffer);
        let length: u32 = length(self.buffer.len() - at - PREFIX);
        let crc = checksum(self.seed, &length.to_le_bytes(), &self.buffer[at + PREFIX..]);
        self.buffer[at..at + 4].copy_from_slice(&length.to_le_bytes());
        self.buffer[at + 4..at + PREFIX].copy_from_slice(&crc.to_le_bytes());
        self.frames += 1;
    }
}

fn put_cursor(buffer: &mut BytesMut, cursor: &CursorName) {
    buffer.put_u16_le(length(cursor.as_str().len()));
    buffer.put_slice(cursor.as_str().as_bytes());
}

fn put_partition(buffer: &mut BytesMut, topic: &TopicName, partition: u32) {
    buffer.put_u8(length(topic.as_str().len()));
    buffer.put_slice(topic.as_str().as_bytes());
    buffer.put_u32_le(partition);
}

fn put_ranges(buffer: &mut BytesMut, ranges: impl Iterator<Item = Range<u64>>) {
    for range in ranges {
        buffer.put_u64_le(range.start);
        buffer.put_u64_le(range.end);
    }
}

fn length<T: TryFrom<usize>>(length: usize) -> T {
    T::try_from(length).ok().expect("names and records are bounded before they come here")
}
