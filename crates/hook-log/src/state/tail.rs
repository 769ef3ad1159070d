//! The bytes that were written last, kept in memory for readers at the tail.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::format::Place;

/// So many bytes are kept.
const TAIL_BYTES: usize = 4 << 20;

/// Whole frames, in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunk {
    pub(crate) start: Place,
    pub(crate) bytes: Bytes,
}

impl Chunk {
    /// What stands at `place` and behind it, where the chunk has it.
    pub(crate) fn from(&self, place: Place) -> Option<&[u8]> {
        if self.start.segment != place.segment {
            return None;
        }
        let at = usize::try_from(place.position.checked_sub(self.start.position)?).ok()?;
        self.bytes.get(at..).filter(|rest| !rest.is_empty())
    }
}

/// The last chunks, oldest first.
#[derive(Default)]
pub(crate) struct Tail {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl Tail {
    pub(crate) fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes.len();
        self.chunks.push_back(chunk);
        while self.bytes > TAIL_BYTES && self.chunks.len() > 1 {
            self.bytes -= self.chunks.pop_front().map_or(0, |oldest| oldest.bytes.len());
        }
    }

    /// The chunk that has `place`.
    pub(crate) fn find(&self, place: Place) -> Option<&Chunk> {
        let behind = self.chunks.partition_point(|chunk| chunk.start <= place);
        self.chunks.get(behind.checked_sub(1)?).filter(|chunk| chunk.from(place).is_some())
    }
}
