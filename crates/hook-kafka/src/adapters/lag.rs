//! What a group finds in topics that are not ours, asked without fetching: whether it may, and how much waits.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hook_core::clock::SystemClock;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
};

use super::{classify, consumer::Group, intake::Partition};
use crate::{
    Settings,
    client::{Clients, Health, Witness, connect},
};

/// Each of a few questions may take so long.
const PATIENCE: Duration = Duration::from_secs(4);
/// So long errors of connections may take to be told.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks whether the topics could be read as a member of the group; says why not, and what to do. Blocks.
pub(super) fn knock(settings: Settings, group: &Group) -> Result<(), String> {
    let clients = Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock));
    let witness = Witness::default();
    let config = clients.foreign_member(&group.id);
    let consumer = connect(&config, clients.context().seen_by(witness.clone())).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        match behind(&consumer, &group.topics, PATIENCE) {
            Ok(_) => return Ok(()),
            // The first group of a cluster waits until there is a place for groups.
            Err(error) if is_passing(&error) && Instant::now() < deadline => drop(consumer.poll(PAUSE)),
            Err(error) => break error,
        }
    };
    // What has happened on the connections is told when it is asked for.
    let until = Instant::now() + LOOK;
    while Instant::now() < until {
        drop(consumer.poll(PAUSE));
    }
    let met = witness.worst().and_then(|(code, reason)| classify::trouble(&KafkaError::Global(code), &reason));
    let met = met.map(|trouble| trouble.to_string());
    Err(met.or_else(|| classify::not_fetched(&error)).unwrap_or_else(|| error.to_string()))
}

fn is_passing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::NotCoordinator | Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress))
}

/// How many records of the topics the group has not committed, whoever reads them. Blocks.
pub(super) fn behind<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &[String],
    patience: Duration,
) -> KafkaResult<u64> {
    let mut all = TopicPartitionList::new();
    for topic in topics {
        for topic in consumer.fetch_metadata(Some(topic), patience)?.topics() {
            if let Some(error) = topic.error() {
                return Err(KafkaError::MetadataFetch(error.into()));
            }
            for partition in topic.partitions() {
                all.add_partition(topic.name(), partition.id());
            }
        }
    }
    let ends = offsets(&ask(consumer, &all, Offset::End, patience)?);
    let mut begins = offsets(&consumer.committed_offsets(all.clone(), patience)?);
    let fresh = without(&all, &begins);
    if fresh.count() > 0 {
        // What nobody has committed for is read from its beginning.
        begins.extend(offsets(&ask(consumer, &fresh, Offset::Beginning, patience)?));
    }
    let left = ends.iter().map(|(partition, end)| end - begins.get(partition).unwrap_or(end));
    Ok(left.map(|left| u64::try_from(left).unwrap_or(0)).sum())
}

/// Asks for one end of every partition.
fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    all: &TopicPartitionList,
    end: Offset,
    patience: Duration,
) -> KafkaResult<TopicPartitionList> {
    if all.count() == 0 {
        return Ok(TopicPartitionList::new());
    }
    let mut wanted = all.clone();
    wanted.set_all_offsets(end)?;
    consumer.offsets_for_times(wanted, patience)
}

/// The offsets of a list, where there are any.
fn offsets(list: &TopicPartitionList) -> HashMap<Partition, i64> {
    let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
        _ => None,
    };
    list.elements().iter().filter_map(offset).collect()
}

/// The partitions of a list that have no offset yet.
fn without(all: &TopicPartitionList, known: &HashMap<Partition, i64>) -> TopicPartitionList {
    let mut rest = TopicPartitionList::new();
    for element in all.elements() {
        if !known.contains_key(&(element.topic().to_owned(), element.partition())) {
            rest.add_partition(element.topic(), element.partition());
        }
    }
    rest
}
