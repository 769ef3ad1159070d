//! What a chain is: the fold over its batches. One lock guards it, and nobody holds that lock across a read, a write or a sync.

mod cursors;
mod fold;
mod partition;
mod pinned;
mod segments;
mod tail;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use hook_core::{
    names::{CursorName, TopicName},
    ports::log::TopicFilter,
};

pub(crate) use cursors::{Cursor, Dirty};
pub(crate) use partition::Partition;
pub(crate) use pinned::{first_needed, pinned_bytes};
pub(crate) use segments::Segment;
pub(crate) use tail::{Chunk, Tail};

use crate::{error::Damage, format::Place};

/// So many damaged places are remembered. A file that is zeroed has one on each page.
const MOST_DAMAGE: usize = 100;

/// Everything that readers and the writer share about a chain.
#[derive(Default)]
pub(crate) struct State {
    /// Every topic partition that the chain ever had.
    pub(crate) partitions: Vec<Partition>,
    by_topic: HashMap<TopicName, Vec<(u32, usize)>>,
    /// The segments that are kept, oldest first; the last one is active.
    pub(crate) segments: VecDeque<Segment>,
    /// Every cursor, with its progress in this chain.
    pub(crate) cursors: BTreeMap<CursorName, Cursor>,
    /// What cursors read, as far as it was said since the start. Retention asks for it.
    pub(crate) filters: HashMap<CursorName, TopicFilter>,
    /// Cursors whose undelivered records must be kept; `None` until the owner has said which: then nothing may go.
    pub(crate) pinning: Option<Arc<[CursorName]>>,
    /// What was written last.
    pub(crate) tail: Tail,
    /// Since when some cursor has progress that is not written.
    pub(crate) dirty_since: Option<std::time::Instant>,
    /// Damage that was found since the log was opened.
    pub(crate) damage: Vec<Damage>,
    /// Why appends are refused now.
    pub(crate) unavailable: Option<String>,
}

impl State {
    /// The end of what may be read.
    pub(crate) fn tip(&self) -> Place {
        self.segments.back().map_or(Place::default(), |active| Place { segment: active.number, position: active.end })
    }

    /// The index of a partition in [`State::partitions`].
    pub(crate) fn partition(&self, topic: &str, partition: u32) -> Option<usize> {
        let numbers = self.by_topic.get(topic)?;
        numbers.iter().find(|(number, _)| *number == partition).map(|(_, index)| *index)
    }

    /// The partitions of the topics that a filter takes.
    pub(crate) fn matching<'a>(&'a self, topics: &'a TopicFilter) -> impl Iterator<Item = (usize, &'a Partition)> {
        self.partitions.iter().enumerate().filter(|(_, partition)| topics.matches(&partition.topic))
    }

    /// The segment of that number.
    pub(crate) fn segment(&self, number: u64) -> Option<&Segment> {
        let oldest = self.segments.front()?.number;
        self.segments.get(usize::try_from(number.checked_sub(oldest)?).ok()?)
    }

    /// Remembers damage, once. `false` where it is known, or where so much is known that more of it says nothing new.
    pub(crate) fn add_damage(&mut self, damage: &Damage) -> bool {
        let is_news = self.damage.len() < MOST_DAMAGE && !self.damage.contains(damage);
        if is_news {
            self.damage.push(damage.clone());
        }
        is_news
    }

    /// Bytes on disk, with what is allocated ahead.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end.max(segment.allocated)).sum()
    }

    /// Bytes that were written.
    pub(crate) fn written(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end).sum()
    }

    fn add_partition(&mut self, topic: TopicName, partition: u32, start: u64) -> usize {
        let index = self.partitions.len();
        self.by_topic.entry(topic.clone()).or_default().push((partition, index));
        self.partitions.push(Partition::new(topic, partition, start));
        index
    }
}
