//! Reads one chain from a cursor.

use std::sync::Arc;

use hook_core::{
    names::CursorName,
    ports::log::{LogError, Record, TopicFilter},
    progress::Ranges,
};
use tokio::sync::watch;

use super::{Reader, Topics};
use crate::{
    chain::Chain,
    format::{ChainKind, Place},
    state::State,
};

/// The part of a subscription that concerns one chain.
pub(crate) struct ChainSubscription {
    reader: Reader,
    topics: Topics,
    cursor: CursorName,
}

impl ChainSubscription {
    pub(crate) fn new(chain: Arc<Chain>, cursor: CursorName, topics: &TopicFilter) -> Self {
        let start = start(&chain.state(), &cursor, topics);
        Self { reader: Reader::new(chain, start), topics: Topics::new(topics.clone()), cursor }
    }

    pub(crate) fn chain(&self) -> &Arc<Chain> {
        self.reader.chain()
    }

    /// The next records that are not done; none where the chain has no more now.
    pub(crate) async fn next(&mut self, max: usize) -> Result<Vec<Record>, LogError> {
        loop {
            let tip = self.reader.chain().state().tip();
            let mut records = self.reader.gather(tip, max, &mut self.topics, |_, _| true).await?;
            self.pass_lost()?;
            if records.is_empty() {
                return Ok(records);
            }
            let chain = self.reader.chain();
            let state = chain.state();
            match state.cursors.get(&self.cursor) {
                Some(cursor) => records.retain(|Record { position, .. }| {
                    let partition = state.partition(position.topic.as_str(), position.partition);
                    partition.is_some_and(|partition| !state.is_done(cursor, partition, position.offset))
                }),
                None if chain.kind == ChainKind::Events => return Err(LogError::NoCursor(self.cursor.clone())),
                None => {}
            }
            drop(state);
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }
}

impl ChainSubscription {
    /// What was lost is done: a watermark that waited for it would never move again, and keep every later segment.
    fn pass_lost(&mut self) -> Result<(), LogError> {
        for (topic, partition, offsets) in self.reader.take_lost() {
            let mut done = Ranges::default();
            done.insert(offsets);
            self.reader.chain().finish(&self.cursor, topic.as_str(), partition, &done)?;
        }
        Ok(())
    }
}

/// The place of the oldest record that the cursor has not done.
fn start(state: &State, name: &CursorName, topics: &TopicFilter) -> Place {
    let cursor = state.cursors.get(name).cloned().unwrap_or_default();
    let open = state.matching(topics).filter_map(|(index, partition)| {
        let entry = partition.at_offset(state.first_open(&cursor, index, partition.start))?;
        Some(entry.place)
    });
    open.min().unwrap_or_else(|| state.tip())
}

/// Waits until something became readable since `changed` was looked at.
pub(crate) async fn wait_for(changed: &mut watch::Receiver<u64>) -> Result<(), LogError> {
    changed.changed().await.map_err(|_| LogError::Closed)
}
