//! Finds single records.

use std::sync::Arc;

use bytes::Bytes;
use hook_core::{
    names::TopicName,
    ports::log::{LogError, Position, Record, TopicFilter},
};

use super::{Reader, Topics};
use crate::{chain::Chain, format::Place};

/// Reads records of one chain; `None` for one that is not kept.
pub(crate) async fn read(chain: &Arc<Chain>, positions: &[Position]) -> Result<Vec<Option<Record>>, LogError> {
    let mut found = Vec::with_capacity(positions.len());
    let mut reader = Reader::new(Arc::clone(chain), Place::default());
    for position in positions {
        let (place, tip) = {
            let state = chain.state();
            let partition = state.partition(position.topic.as_str(), position.partition);
            let entry = partition.and_then(|partition| state.partitions[partition].at_offset(position.offset));
            (entry.map(|entry| entry.place), state.tip())
        };
        let Some(place) = place else {
            found.push(None);
            continue;
        };
        reader.seek(place);
        let mut topics = Topics::new(TopicFilter::only(&position.topic));
        let is_it =
            |data: &crate::format::Data<'_>| data.partition == position.partition && data.offset >= position.offset;
        let records = reader.gather(tip, 1, &mut topics, |_, data| is_it(data)).await?;
        // Retention may have removed it in the meantime: then this is the oldest one behind it.
        found.push(records.into_iter().next().filter(|record| record.position == *position).map(compact));
    }
    Ok(found)
}

/// The offset of the first record of a partition that has that time or a later one; its end where there is none.
pub(crate) async fn first_at_time(
    chain: &Arc<Chain>,
    topic: &TopicName,
    number: u32,
    time_us: i64,
) -> Result<u64, LogError> {
    let (entry, end, tip) = {
        let state = chain.state();
        let Some(index) = state.partition(topic.as_str(), number) else { return Ok(0) };
        let partition = &state.partitions[index];
        (partition.at_time(time_us), partition.end, state.tip())
    };
    let Some(entry) = entry else { return Ok(end) };
    let mut reader = Reader::new(Arc::clone(chain), entry.place);
    let mut topics = Topics::new(TopicFilter::only(topic));
    let is_it = |data: &crate::format::Data<'_>| data.partition == number && data.time_us >= time_us;
    let records = reader.gather(tip, 1, &mut topics, |_, data| is_it(data)).await?;
    Ok(records.first().map_or(end, |record| record.position.offset))
}

/// The record in memory of its own: it must not keep a whole chunk alive.
fn compact(record: Record) -> Record {
    let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    Record { key: record.key.as_ref().map(copy), header: copy(&record.header), body: copy(&record.body), ..record }
}
