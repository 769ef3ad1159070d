//! Applies batches. The writer applies what it has just made durable, opening a log applies what it finds: one function.

use hook_core::{
    names::{CursorName, TopicName},
    progress::Progress,
};

use super::{Cursor, Segment, State};
use crate::{
    digests::Keys,
    format::{ChainKind, Data, Frame, Header, Index, Pairs, Place, frames},
};

/// A batch with right checksums that contradicts what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where the frame begins, from the start of the batch.
    pub(crate) at: u64,
    /// What is wrong with it.
    pub(crate) what: &'static str,
}

impl State {
    /// Applies a batch that stands at `start`, in the active segment.
    pub(crate) fn apply(&mut self, seen: &mut Keys, start: Place, batch: &[u8]) -> Result<(), Wrong> {
        for (at, frame) in frames(batch) {
            let place = Place { position: start.position + at, ..start };
            self.apply_frame(seen, place, &frame).map_err(|what| Wrong { at, what })?;
        }
        if let Some(active) = self.segments.back_mut() {
            active.end = start.position + batch.len() as u64;
            active.allocated = active.allocated.max(active.end);
        }
        Ok(())
    }

    /// Whether an index can be that of the next segment. One that cannot is none, and the segment is read.
    pub(crate) fn agrees_with(&self, index: &Index) -> bool {
        index.partitions.iter().all(|known| {
            let at = self.partition(&known.topic, known.number);
            let end = at.map_or(0, |at| self.partitions[at].end);
            end <= known.first && known.first <= known.last && TopicName::new(&*known.topic).is_ok()
        })
    }

    /// Applies what the index of a sealed segment says: its records, without reading them. Cursors are not in it; the
    /// snapshot of a later segment says them.
    pub(crate) fn apply_index(&mut self, header: &Header, index: &Index) -> Result<(), &'static str> {
        let mut segment = Segment::new(header, index.end);
        segment.is_indexed = true;
        segment.keys = index.keys;
        segment.has_run = true;
        segment.has_records = !index.partitions.is_empty();
        segment.latest_us = index.latest_us;
        for known in &index.partitions {
            let at = self.known_or_new(&known.topic, known.number, known.first)?;
            let partition = &mut self.partitions[at];
            partition.push_indexed(header.number, known);
            segment.spans.push((at, known.first, known.last));
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// What is in a sealed segment, as its index says it.
    pub(crate) fn index_of(&self, chain: ChainKind, segment: &Segment) -> Index {
        let indexed = |&(at, first, last): &(usize, u64, u64)| self.partitions[at].indexed(segment.number, first, last);
        let partitions = segment.spans.iter().map(indexed).collect();
        let &Segment { number, salt, end, latest_us, keys, .. } = segment;
        Index { chain, number, salt, end, latest_us, keys, partitions }
    }

    fn apply_frame(&mut self, seen: &mut Keys, place: Place, frame: &Frame<'_>) -> Result<(), &'static str> {
        match *frame {
            Frame::Data(ref data) => self.apply_data(place, data)?,
            Frame::Seen { id, keys } => {
                seen.insert(id, keys);
                if let Some(active) = self.segments.back_mut() {
                    active.keys += keys.iter().count() as u64;
                }
            }
            Frame::Done { cursor, topic, partition, ranges } => {
                self.change_progress(cursor, topic, partition, |progress| {
                    ranges.iter().for_each(|range| progress.finish(range));
                })?;
            }
            Frame::CursorMade { cursor } => {
                self.cursors.insert(cursor_name(cursor)?, Cursor::default());
            }
            Frame::CursorGone { cursor } => {
                self.cursors.remove(cursor);
            }
            Frame::Progress { cursor, topic, partition, watermark, above } => {
                self.change_progress(cursor, topic, partition, |progress| *progress = absolute(watermark, above))?;
            }
            Frame::PartitionEnd { topic, partition, end } => {
                let index = self.known_or_new(topic, partition, end)?;
                if self.partitions[index].end != end {
                    return Err("a snapshot that contradicts the records before it");
                }
            }
            Frame::Snapshot => self.cursors.clear(),
            Frame::Lost { topic, partition, first, end } => {
                let index = self.known_or_new(topic, partition, first)?;
                if self.partitions[index].end != first || end < first {
                    return Err("lost records whose offsets are not the next ones");
                }
                self.partitions[index].skip(place, end);
                if let Some(active) = self.segments.back_mut().filter(|_| end > first) {
                    active.skip(index, first, end - 1);
                }
            }
            Frame::BatchEnd { .. } | Frame::Filler => {}
        }
        Ok(())
    }

    fn apply_data(&mut self, place: Place, data: &Data<'_>) -> Result<(), &'static str> {
        let index = self.known_or_new(data.topic, data.partition, 0)?;
        let partition = &mut self.partitions[index];
        if data.offset != partition.end {
            return Err("a record whose offset is not the next one");
        }
        partition.push(place, data.time_us);
        if let Some(active) = self.segments.back_mut() {
            active.push(index, data.offset, data.time_us);
        }
        Ok(())
    }

    fn known_or_new(&mut self, topic: &str, partition: u32, start: u64) -> Result<usize, &'static str> {
        if let Some(index) = self.partition(topic, partition) {
            return Ok(index);
        }
        let topic = TopicName::new(topic).map_err(|_| "a name that is no topic's")?;
        Ok(self.add_partition(topic, partition, start))
    }

    /// Changes the progress of a cursor. One that the chain does not know is made: it was made in the chain of events, and
    /// has read nothing of this one before.
    fn change_progress(
        &mut self,
        cursor: &str,
        topic: &str,
        partition: u32,
        change: impl FnOnce(&mut Progress),
    ) -> Result<(), &'static str> {
        let index = self.partition(topic, partition).ok_or("progress in a partition that does not exist")?;
        if !self.cursors.contains_key(cursor) {
            self.cursors.insert(cursor_name(cursor)?, Cursor::default());
        }
        if let Some(cursor) = self.cursors.get_mut(cursor) {
            let start = self.partitions[index].start;
            change(cursor.progress.entry(index).or_insert_with(|| Progress::at(start)));
        }
        Ok(())
    }

    /// Forgets the oldest segment, and the records in it.
    pub(crate) fn remove_oldest(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        for &(partition, _, last) in &segment.spans {
            self.partitions[partition].remove(segment.number, last);
        }
        self.raise_cursors();
        Some(segment)
    }
}

fn cursor_name(name: &str) -> Result<CursorName, &'static str> {
    CursorName::new(name).map_err(|_| "a name that is no cursor's")
}

fn absolute(watermark: u64, above: Pairs<'_>) -> Progress {
    let mut progress = Progress::at(watermark);
    above.iter().for_each(|range| progress.finish(range));
    progress
}
