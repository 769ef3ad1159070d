//! Reads one chain once, without a cursor.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use hook_core::{
    names::TopicName,
    ports::log::{From, LogError, Record, TopicFilter},
};

use super::{Reader, Topics};
use crate::{chain::Chain, format::Place, state::State};

/// So many records are read ahead.
const AHEAD: usize = 256;

/// The part of a scan that concerns one chain.
pub(crate) struct ChainScan {
    reader: Reader,
    topics: Topics,
    limit: Place,
    /// Records before the first of this time or later are left out, in each partition.
    from_us: i64,
    begun: HashSet<(TopicName, u32)>,
    ahead: VecDeque<Record>,
    is_at_end: bool,
}

impl ChainScan {
    pub(crate) fn new(chain: Arc<Chain>, topics: TopicFilter, from: From) -> Self {
        let (start, limit) = {
            let state = chain.state();
            (start(&state, &topics, from), state.tip())
        };
        let from_us = match from {
            From::Time(time) => time.as_microsecond(),
            From::Earliest | From::Now => i64::MIN,
        };
        Self {
            reader: Reader::new(chain, start),
            topics: Topics::new(topics),
            limit,
            from_us,
            begun: HashSet::new(),
            ahead: VecDeque::new(),
            is_at_end: false,
        }
    }

    /// Makes sure that [`Self::head`] is there, but at the end.
    pub(crate) async fn peek(&mut self) -> Result<(), LogError> {
        if self.ahead.is_empty() && !self.is_at_end {
            let Self { reader, topics, limit, from_us, begun, .. } = self;
            let records = reader
                .gather(*limit, AHEAD, topics, |topic, data| {
                    // Most scans have no time, and need not remember where they have begun.
                    *from_us == i64::MIN
                        || begun.contains(&(topic.clone(), data.partition))
                        || (data.time_us >= *from_us && begun.insert((topic.clone(), data.partition)))
                })
                .await?;
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

fn start(state: &State, topics: &TopicFilter, from: From) -> Place {
    let places = state.matching(topics).filter_map(|(_, partition)| match from {
        From::Earliest => partition.at_offset(partition.start),
        From::Time(time) => partition.at_time(time.as_microsecond()),
        From::Now => None,
    });
    places.map(|entry| entry.place).min().unwrap_or_else(|| state.tip())
}
