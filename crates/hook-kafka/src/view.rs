//! What this process knows about the cluster: bounds of partitions, cursors, brokers. Kept fresh by what passes through
//! this process, and by a thread that asks from time to time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use hook_core::{
    names::{CursorName, TopicName},
    ports::log::{CursorProgress, CursorState, PartitionState, Position, TopicFilter},
    progress::Progress,
};
use tokio::sync::watch;

/// So much damage is listed at most.
const MOST_DAMAGE: usize = 100;

/// A partition of a topic.
pub(crate) type Partition = (TopicName, u32);

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// Where it is reached.
    pub address: String,
}

/// What is known.
pub(crate) struct View {
    state: Mutex<State>,
    /// The topics of the state's partitions: looked at for every append, which waits for nobody.
    topics: RwLock<BTreeSet<TopicName>>,
    topics_changed: watch::Sender<()>,
    ends_raised: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    partitions: BTreeMap<Partition, Bounds>,
    cursors: BTreeMap<CursorName, BTreeMap<Partition, (u64, u64)>>,
    brokers: Vec<Broker>,
    /// Where behind the last record of a partition only marks of transactions stand: from where, and up to which end.
    marks: BTreeMap<Partition, (u64, u64)>,
    dropped_records: u64,
    dropped_notes: u64,
    damage: Vec<String>,
    removed_copies: u64,
}

/// The offsets of a partition: the oldest that is kept, and the one that the next record gets at the earliest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl View {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            topics: RwLock::default(),
            topics_changed: watch::Sender::new(()),
            ends_raised: watch::Sender::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whenever the set of topics has changed.
    pub(crate) fn topics_changed(&self) -> watch::Receiver<()> {
        self.topics_changed.subscribe()
    }

    /// Wakes whenever an end has changed. Ask for it before you look at the ends.
    pub(crate) fn ends_raised(&self) -> watch::Receiver<()> {
        self.ends_raised.subscribe()
    }

    /// Tells of an end. Whoever asks later has seen it: ends are read under the lock under which this one was written.
    fn tell_ends(&self) {
        if self.ends_raised.receiver_count() > 0 {
            self.ends_raised.send_replace(());
        }
    }

    /// Takes over which topics there are, and tells of it.
    fn tell_topics(&self, state: MutexGuard<'_, State>) {
        let topics = state.partitions.keys().map(|(topic, _)| topic.clone()).collect();
        *self.topics.write().unwrap_or_else(PoisonError::into_inner) = topics;
        drop(state);
        self.topics_changed.send_replace(());
        self.tell_ends();
    }

    /// Records below `end` are known to be durable.
    pub(crate) fn raise_end(&self, partition: &Partition, end: u64) {
        let mut state = self.state();
        match state.partitions.get_mut(partition) {
            Some(bounds) if bounds.end >= end => {}
            Some(bounds) => {
                bounds.end = end;
                drop(state);
                self.tell_ends();
            }
            None => {
                state.partitions.insert(partition.clone(), Bounds { start: 0, end });
                self.tell_topics(state);
            }
        }
    }

    /// Takes what the cluster has answered. What was appended in the meantime is kept.
    pub(crate) fn set_partitions(&self, found: BTreeMap<Partition, Bounds>) {
        let mut state = self.state();
        let merged: BTreeMap<_, _> = found
            .into_iter()
            .map(|(partition, bounds)| {
                let known = state.partitions.get(&partition).copied().unwrap_or_default();
                (partition, Bounds { start: bounds.start, end: bounds.end.max(known.end) })
            })
            .collect();
        if state.partitions == merged {
            return;
        }
        let has_others = !state.partitions.keys().eq(merged.keys());
        state.partitions = merged;
        match has_others {
            true => self.tell_topics(state),
            false => {
                drop(state);
                self.tell_ends();
            }
        }
    }

    /// Notes a topic that was just made.
    pub(crate) fn add_topic(&self, topic: &TopicName, partitions: u32) {
        let mut state = self.state();
        for partition in 0..partitions {
            state.partitions.entry((topic.clone(), partition)).or_default();
        }
        self.tell_topics(state);
    }

    pub(crate) fn knows(&self, topic: &TopicName) -> bool {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    pub(crate) fn bounds(&self, partition: &Partition) -> Option<Bounds> {
        self.state().partitions.get(partition).copied()
    }

    /// The end of every partition.
    pub(crate) fn all_ends(&self) -> BTreeMap<Partition, u64> {
        self.state().partitions.iter().map(|(partition, bounds)| (partition.clone(), bounds.end)).collect()
    }

    /// The topics that a filter takes.
    pub(crate) fn topics(&self, filter: &TopicFilter) -> BTreeSet<TopicName> {
        self.state().partitions.keys().map(|(topic, _)| topic).filter(|topic| filter.matches(topic)).cloned().collect()
    }

    /// The partitions that a filter takes.
    pub(crate) fn partitions(&self, filter: &TopicFilter) -> Vec<Partition> {
        self.state().partitions.keys().filter(|(topic, _)| filter.matches(topic)).cloned().collect()
    }

    /// How far the topics of a filter go, over all partitions.
    pub(crate) fn ends(&self, filter: &TopicFilter) -> u64 {
        let state = self.state();
        let matching = state.partitions.iter().filter(|((topic, _), _)| filter.matches(topic));
        matching.map(|(_, bounds)| bounds.end).sum()
    }

    pub(crate) fn set_brokers(&self, brokers: Vec<Broker>) {
        self.state().brokers = brokers;
    }

    pub(crate) fn brokers(&self) -> Vec<Broker> {
        self.state().brokers.clone()
    }

    pub(crate) fn has_cursor(&self, cursor: &CursorName) -> bool {
        self.state().cursors.contains_key(cursor)
    }

    pub(crate) fn add_cursor(&self, cursor: &CursorName) {
        self.state().cursors.entry(cursor.clone()).or_default();
    }

    pub(crate) fn remove_cursor(&self, cursor: &CursorName) {
        self.state().cursors.remove(cursor);
    }

    /// Notes progress of a cursor that exists.
    pub(crate) fn set_progress(&self, cursor: &CursorName, partition: &Partition, progress: &Progress) {
        if let Some(partitions) = self.state().cursors.get_mut(cursor) {
            partitions.insert(partition.clone(), (progress.watermark(), progress.above().count()));
        }
    }

    /// Takes what the cluster has answered about cursors that nobody here reads; `is_ours` are those that are read here.
    pub(crate) fn set_cursors(
        &self,
        found: BTreeMap<CursorName, BTreeMap<Partition, (u64, u64)>>,
        is_ours: impl Fn(&CursorName) -> bool,
    ) {
        let mut state = self.state();
        state.cursors.retain(|name, _| found.contains_key(name) || is_ours(name));
        state.cursors.extend(found.into_iter().filter(|(name, _)| !is_ours(name)));
    }

    /// Partitions of which a cursor has done all but the last few offsets, with the first of those: what is left may be
    /// nothing but marks of transactions.
    pub(crate) fn nearly_done(&self, most: u64) -> BTreeMap<Partition, u64> {
        let state = self.state();
        let mut nearly = BTreeMap::new();
        for (partition, (watermark, _)) in state.cursors.values().flatten() {
            let Some(bounds) = state.partitions.get(partition) else { continue };
            let is_known = state.marks.get(partition).is_some_and(|(_, end)| *end == bounds.end);
            if is_known || *watermark >= bounds.end || bounds.end - watermark > most {
                continue;
            }
            let first = nearly.entry(partition.clone()).or_insert(*watermark);
            *first = (*first).min(*watermark).max(bounds.start);
        }
        nearly
    }

    /// Notes that behind `from` there are only marks, up to `end`.
    pub(crate) fn set_marks(&self, partition: &Partition, from: u64, end: u64) {
        if from <= end {
            self.state().marks.insert(partition.clone(), (from, end));
        }
    }

    pub(crate) fn drop_records(&self, count: u64) {
        self.state().dropped_records += count;
    }

    pub(crate) fn drop_note(&self) {
        self.state().dropped_notes += 1;
    }

    pub(crate) fn remove_copy(&self) {
        self.state().removed_copies += 1;
    }

    pub(crate) fn removed_copies(&self) -> u64 {
        self.state().removed_copies
    }

    /// Notes records that the brokers have and nobody can read.
    pub(crate) fn add_damage(&self, what: String) {
        let mut state = self.state();
        if state.damage.len() < MOST_DAMAGE && !state.damage.contains(&what) {
            state.damage.push(what);
        }
    }

    pub(crate) fn damage(&self) -> Vec<String> {
        self.state().damage.clone()
    }

    pub(crate) fn dropped(&self) -> (u64, u64) {
        let state = self.state();
        (state.dropped_records, state.dropped_notes)
    }

    pub(crate) fn partition_states(&self) -> Vec<PartitionState> {
        let state = self.state();
        let partition = |((topic, partition), bounds): (&Partition, &Bounds)| PartitionState {
            topic: topic.clone(),
            partition: *partition,
            start: bounds.start,
            end: bounds.end,
        };
        state.partitions.iter().map(partition).collect()
    }

    pub(crate) fn cursor_states(&self) -> Vec<CursorState> {
        let state = self.state();
        // Marks behind the last record are nothing that is still to be done.
        let behind_marks = |partition: &Partition, watermark: u64| {
            let end = state.partitions.get(partition).map(|bounds| bounds.end);
            let marks = state.marks.get(partition).filter(|(from, to)| watermark >= *from && Some(*to) == end);
            marks.map_or(watermark, |(_, end)| watermark.max(*end))
        };
        let progress = |(partition, (watermark, done_above)): (&Partition, &(u64, u64))| CursorProgress {
            topic: partition.0.clone(),
            partition: partition.1,
            watermark: behind_marks(partition, *watermark),
            done_above: *done_above,
        };
        let cursor = |(name, partitions): (&CursorName, &BTreeMap<Partition, (u64, u64)>)| CursorState {
            name: name.clone(),
            partitions: partitions.iter().map(progress).collect(),
        };
        state.cursors.iter().map(cursor).collect()
    }
}

/// The partition that a position stands in.
pub(crate) fn partition_of(position: &Position) -> Partition {
    (position.topic.clone(), position.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_behind_the_last_record_are_nothing_that_is_to_be_done() {
        let view = View::new();
        let cursor = CursorName::new("app.route.out").unwrap();
        let partition: Partition = (TopicName::new("core").unwrap(), 0);
        view.set_partitions(BTreeMap::from([(partition.clone(), Bounds { start: 0, end: 10 })]));
        view.add_cursor(&cursor);
        let at = |watermark: u64| {
            view.set_progress(&cursor, &partition, &Progress::at(watermark));
            view.cursor_states()[0].partitions[0].watermark
        };
        assert_eq!(at(9), 9);
        assert_eq!(view.nearly_done(4), BTreeMap::from([(partition.clone(), 9)]));
        view.set_marks(&partition, 9, 10);
        assert_eq!((at(9), at(8)), (10, 8), "a record that is not done counts");
        assert_eq!(view.nearly_done(4), BTreeMap::new(), "it is known");
        view.raise_end(&partition, 12);
        assert_eq!(at(9), 9, "what came later is not known");
        assert_eq!(view.nearly_done(4).len(), 1);
        at(2);
        assert_eq!(view.nearly_done(4), BTreeMap::new(), "too much is left to look at it");
    }
}
