//! How far a worker has read past what is done.

use std::collections::{BTreeSet, HashMap};

use hook_core::{names::TopicName, ports::log::Position};

/// What was read and is not done, by partition.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    partitions: HashMap<(TopicName, u32), Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    open: BTreeSet<u64>,
    read_to: u64,
}

impl Progress {
    /// Notes a record that was read.
    pub(crate) fn read(&mut self, position: &Position) {
        let partition = self.partitions.entry((position.topic.clone(), position.partition)).or_default();
        partition.open.insert(position.offset);
        partition.read_to = partition.read_to.max(position.offset);
    }

    /// Notes a record that is done.
    pub(crate) fn done(&mut self, position: &Position) {
        if let Some(partition) = self.partitions.get_mut(&(position.topic.clone(), position.partition)) {
            partition.open.remove(&position.offset);
        }
    }

    /// The longest way from a record that is not done to the last that was read, over all partitions.
    pub(crate) fn ahead(&self) -> u64 {
        let ahead = |partition: &Partition| partition.open.first().map(|lowest| partition.read_to - lowest + 1);
        self.partitions.values().filter_map(ahead).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_that_is_not_done_counts_all_that_were_read_after_it() {
        let at = |offset| Position { topic: TopicName::new("t").unwrap(), partition: 0, offset };
        let mut progress = Progress::default();
        (5..15).for_each(|offset| progress.read(&at(offset)));
        (6..15).for_each(|offset| progress.done(&at(offset)));
        assert_eq!(progress.ahead(), 10);
        progress.done(&at(5));
        assert_eq!(progress.ahead(), 0);
    }
}
