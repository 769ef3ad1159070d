//! Reads one chain once, without a cursor.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use hook_core::{
    names::TopicName,
    ports::log::{From, LogError, Record, TopicFilter},
};

use super::{Reader, Topics};
use crate::{
    chain::Chain,
    format::{Data, Place},
    state::State,
};

/// So many records are read ahead.
const AHEAD: usize = 256;

/// Where a scan begins in each partition.
#[derive(Debug, Clone)]
pub(crate) enum Begin {
    /// At the same point of time in all.
    At(From),
    /// At an offset; at its beginning where none is named.
    Offsets(HashMap<(TopicName, u32), u64>),
}

/// The part of a scan that concerns one chain.
pub(crate) struct ChainScan {
    reader: Reader,
    topics: Topics,
    limit: Place,
    gate: Gate,
    ahead: VecDeque<Record>,
    is_at_end: bool,
}

/// Leaves out what stands before the first record of each partition.
enum Gate {
    /// Nothing does.
    Open,
    /// Those before the first of this time or later; and the partitions that have come to it.
    Time(i64, HashSet<(TopicName, u32)>),
    Offsets(HashMap<(TopicName, u32), u64>),
}

impl Gate {
    fn admits(&mut self, topic: &TopicName, data: &Data<'_>) -> bool {
        match self {
            // Most scans need not remember where they have begun.
            Self::Open => true,
            Self::Time(from_us, begun) => {
                let partition = (topic.clone(), data.partition);
                begun.contains(&partition) || (data.time_us >= *from_us && begun.insert(partition))
            }
            Self::Offsets(starts) => {
                starts.get(&(topic.clone(), data.partition)).is_none_or(|start| data.offset >= *start)
            }
        }
    }
}

impl ChainScan {
    pub(crate) fn new(chain: Arc<Chain>, topics: TopicFilter, begin: Begin) -> Self {
        let (start, limit) = {
            let state = chain.state();
            (start(&state, &topics, &begin), state.tip())
        };
        let gate = match begin {
            Begin::At(From::Time(time)) => Gate::Time(time.as_microsecond(), HashSet::new()),
            Begin::At(From::Earliest | From::Now) => Gate::Open,
            Begin::Offsets(starts) => Gate::Offsets(starts),
        };
        Self {
            reader: Reader::new(chain, start),
            topics: Topics::new(topics),
            limit,
            gate,
            ahead: VecDeque::new(),
            is_at_end: false,
        }
    }

    /// Makes sure that [`Self::head`] is there, but at the end.
    pub(crate) async fn peek(&mut self) -> Result<(), LogError> {
        if self.ahead.is_empty() && !self.is_at_end {
            let Self { reader, topics, limit, gate, .. } = self;
            let records = reader.gather(*limit, AHEAD, topics, |topic, data| gate.admits(topic, data)).await?;
            self.is_at_end = records.is_empty();
            self.ahead = records.into();
        }
        Ok(())
    }

    /// The oldest record that was not taken, where it is known.
    pub(crate) fn head(&self) -> Option<&Record> {
        self.ahead.front()
    }

    /// Takes the head.
    pub(crate) fn take(&mut self) -> Option<Record> {
        self.ahead.pop_front()
    }
}

fn start(state: &State, topics: &TopicFilter, begin: &Begin) -> Place {
    let places = state.matching(topics).filter_map(|(_, partition)| match begin {
        Begin::At(From::Earliest) => partition.at_offset(partition.start),
        Begin::At(From::Time(time)) => partition.at_time(time.as_microsecond()),
        Begin::At(From::Now) => None,
        Begin::Offsets(starts) => {
            let start = starts.get(&(partition.topic.clone(), partition.number)).copied().unwrap_or_default();
            partition.at_offset(start.max(partition.start))
        }
    });
    places.map(|entry| entry.place).min().unwrap_or_else(|| state.tip())
}
