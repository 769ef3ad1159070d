//! The cluster that is moved to: what of the log is there, and where its cursors have to begin.

use std::collections::{BTreeMap, BTreeSet};

use hook_core::{
    names::TopicName,
    ports::log::{LogError, Position, Record},
    progress::{Progress, Ranges},
};
use hook_kafka::{Carried, Carrier, Origin};

use super::{source::Source, tally::Tally};

type Partition = (TopicName, u32);

/// What was read back.
#[derive(Default)]
pub(super) struct Target {
    /// Of each partition of the embedded log, the offsets that are there.
    carried: BTreeMap<Partition, Ranges>,
    /// What of them was wanted, by their topics there.
    topics: BTreeMap<TopicName, Tally>,
    /// Records that did not come from this log.
    pub(super) others: u64,
    /// The first thing that is wrong.
    wrong: Option<String>,
    /// For each cursor: what stands there that it has not done.
    open: Vec<BTreeMap<Partition, Ranges>>,
    /// Where records stand; between them are marks of transactions.
    records: BTreeMap<Partition, Ranges>,
    ends: BTreeMap<Partition, u64>,
    /// What each partition has got last of each partition of the embedded log.
    last: BTreeMap<(Partition, Partition), u64>,
}

impl Target {
    /// Reads back; `show` is told how many records were read.
    pub(super) async fn read(
        carrier: &Carrier,
        (source, log): (&Source, &str),
        topics: &BTreeSet<TopicName>,
        mut show: impl FnMut(u64),
    ) -> Result<Self, LogError> {
        let mut reading = carrier.read_back(topics).await?;
        let open = source.cursors.iter().map(|_| BTreeMap::new()).collect();
        let mut target = Self { ends: reading.ends.clone(), open, ..Self::default() };
        let mut count = 0;
        while let Some(carried) = reading.next().await? {
            target.add(source, log, &carried);
            count += 1;
            if count % 1024 == 0 {
                show(count);
            }
        }
        Ok(target)
    }

    fn add(&mut self, source: &Source, log: &str, Carried { record, origin }: &Carried) {
        let Position { topic, partition, offset } = &record.position;
        self.records.entry((topic.clone(), *partition)).or_default().insert(*offset..*offset + 1);
        let mut stays_open = |cursor: usize| {
            self.open[cursor].entry((topic.clone(), *partition)).or_default().insert(*offset..*offset + 1);
        };
        let Some(Origin { position: from, .. }) = origin.as_ref().filter(|origin| origin.log == log) else {
            self.others += 1;
            // Nothing is known of it: whoever reads its topic gets it.
            let reads = |cursor: &usize| source.cursors[*cursor].cursor.topics.matches(topic);
            (0..source.cursors.len()).filter(reads).for_each(stays_open);
            return;
        };
        (0..source.cursors.len()).filter(|cursor| source.is_open(*cursor, from)).for_each(&mut stays_open);
        let Position { topic: from_topic, partition: from_partition, offset: at } = from;
        let there = self.carried.entry((from_topic.clone(), *from_partition)).or_default();
        if there.contains(*at) {
            self.wrong
                .get_or_insert_with(|| format!("record {at} of {from_topic}/{from_partition} stands on Kafka twice"));
        }
        there.insert(*at..*at + 1);
        let before = self.last.insert(((topic.clone(), *partition), (from_topic.clone(), *from_partition)), *at);
        if before.is_some_and(|before| before > *at) {
            let wrong = || format!("record {at} of {from_topic}/{from_partition} stands on Kafka behind a later one");
            self.wrong.get_or_insert_with(wrong);
        }
        if source.is_carried(from) {
            let record = Record { position: from.clone(), ..record.clone() };
            self.topics.entry(from_topic.clone()).or_default().add(&record);
        }
    }

    /// Whether a record of the embedded log is there.
    pub(super) fn has(&self, position: &Position) -> bool {
        let there = self.carried.get(&(position.topic.clone(), position.partition));
        there.is_some_and(|offsets| offsets.contains(position.offset))
    }

    /// Says what is not as it was in the embedded log.
    pub(super) fn difference(&self, wanted: &BTreeMap<TopicName, Tally>) -> Option<String> {
        if self.wrong.is_some() {
            return self.wrong.clone();
        }
        let differs = |(topic, wanted): (&TopicName, &Tally)| {
            let found = self.topics.get(topic).copied().unwrap_or_default();
            (found != *wanted).then(|| {
                let (from, to) = (wanted.checksum(), found.checksum());
                format!(
                    "topic {topic}: {} records with checksum {from} were to be carried, and {} with {to} are there",
                    wanted.records, found.records
                )
            })
        };
        wanted.iter().find_map(differs)
    }

    /// Where the cursor of that number begins in each partition that it reads: everything is done but what it has not done.
    pub(super) fn beginning(&self, source: &Source, cursor: usize) -> BTreeMap<Partition, Progress> {
        let reads = &source.cursors[cursor].cursor.topics;
        let partitions = self.ends.iter().filter(|((topic, _), _)| reads.matches(topic));
        let progress =
            |(partition, &end): (&Partition, &u64)| (partition.clone(), all_but(self.open[cursor].get(partition), end));
        partitions.map(progress).collect()
    }

    /// How many records a cursor has done that are delivered again, because their marks have found no room; `None` where it
    /// does not stand where it has to.
    pub(super) fn left_out(
        &self,
        wanted: &BTreeMap<Partition, Progress>,
        found: &BTreeMap<Partition, Progress>,
    ) -> Option<usize> {
        let mut left_out = 0;
        for (partition, wanted) in wanted {
            let found = found.get(partition)?;
            let is_within = found.above().iter().all(|range| wanted.first_open(range.start) >= range.end);
            if found.watermark() != wanted.watermark() || !is_within {
                return None;
            }
            let records = self.records.get(partition);
            let is_left_out =
                |offset: &u64| !found.is_done(*offset) && records.is_some_and(|records| records.contains(*offset));
            left_out += wanted.above().iter().flatten().filter(is_left_out).count();
        }
        Some(left_out)
    }
}

/// Everything below `end` is done but what is open.
fn all_but(open: Option<&Ranges>, end: u64) -> Progress {
    let (mut progress, mut at) = (Progress::default(), 0);
    for range in open.into_iter().flat_map(Ranges::iter) {
        progress.finish(at..range.start);
        at = range.end;
    }
    progress.finish(at..end.max(at));
    progress
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(all: &[std::ops::Range<u64>]) -> Ranges {
        let mut ranges = Ranges::default();
        all.iter().for_each(|range| ranges.insert(range.clone()));
        ranges
    }

    #[test]
    fn a_cursor_begins_at_what_it_has_not_done_with_what_it_has_done_above() {
        let progress = all_but(Some(&ranges(&[3..5, 8..9])), 12);
        assert_eq!(progress.watermark(), 3);
        assert_eq!(progress.above(), &ranges(&[5..8, 9..12]));
        assert_eq!(all_but(None, 12), Progress::at(12));
        assert_eq!(all_but(Some(&ranges(&[0..2, 2..4])), 4), Progress::at(0));
    }

    #[test]
    fn records_whose_marks_found_no_room_are_counted_and_other_places_are_no_match() {
        let partition = (TopicName::new("t").unwrap(), 0);
        let of = |progress: Progress| BTreeMap::from([(partition.clone(), progress)]);
        // At 7 and 11 transactions end.
        let records = BTreeMap::from([(partition.clone(), ranges(&[0..7, 8..11]))]);
        let target = Target { records, ..Target::default() };
        let wanted = of(all_but(Some(&ranges(&[3..5, 8..9])), 12));
        assert_eq!(target.left_out(&wanted, &wanted), Some(0));
        assert_eq!(target.left_out(&wanted, &of(Progress::at(3))), Some(4), "5, 6, 9 and 10");
        assert_eq!(target.left_out(&wanted, &of(Progress::at(4))), None);
        assert_eq!(target.left_out(&wanted, &BTreeMap::new()), None);
        let mut further = Progress::at(3);
        further.finish(4..6);
        assert_eq!(target.left_out(&wanted, &of(further)), None, "4 is not done");
    }
}
