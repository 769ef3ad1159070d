//! Questions to the cluster: which topics there are, how far they go, what a group has committed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hook_core::{names::TopicName, ports::log::From};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use crate::{
    client::{Reader, TRANSACTION_TIMEOUT},
    names::Names,
    view::{Bounds, Broker, Partition},
};

/// So long a question to the cluster may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A topic as the cluster describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) partitions: u32,
    /// On how many brokers its weakest partition rests.
    pub(crate) replicas: u16,
}

/// The brokers, and the topics of the namespace.
pub(crate) fn describe(reader: &Reader, names: &Names) -> KafkaResult<(Vec<Broker>, BTreeMap<TopicName, Shape>)> {
    let metadata = reader.fetch_metadata(None, PATIENCE)?;
    let brokers = metadata.brokers().iter();
    let brokers =
        brokers.map(|broker| Broker { id: broker.id(), address: format!("{}:{}", broker.host(), broker.port()) });
    let mut topics = BTreeMap::new();
    for topic in metadata.topics().iter().filter(|topic| topic.error().is_none()) {
        let Some(name) = names.topic_of(topic.name()) else { continue };
        let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
        topics.insert(name, Shape { partitions, replicas: u16::try_from(replicas).unwrap_or(u16::MAX) });
    }
    Ok((brokers.collect(), topics))
}

/// The shape of one topic by its name on the cluster; `None` where there is none.
pub(crate) fn describe_one(reader: &Reader, name: &str) -> KafkaResult<Option<Shape>> {
    let metadata = reader.fetch_metadata(Some(name), PATIENCE)?;
    let Some(topic) = metadata.topics().first() else { return Ok(None) };
    match topic.error() {
        None => {
            let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
            let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
            Ok(Some(Shape { partitions, replicas: u16::try_from(replicas).unwrap_or(u16::MAX) }))
        }
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(None),
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
    }
}

/// The partitions of topics.
pub(crate) fn partitions_of(topics: &BTreeMap<TopicName, Shape>) -> Vec<Partition> {
    let of =
        |(topic, shape): (&TopicName, &Shape)| (0..shape.partitions).map(|number| (topic.clone(), number)).collect();
    topics.iter().flat_map(of as fn(_) -> Vec<Partition>).collect()
}

/// A list of partitions with an offset each.
pub(crate) fn list<'a>(
    names: &Names,
    offsets: impl IntoIterator<Item = (&'a Partition, Offset)>,
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        let mut element = list.add_partition(&names.topic(topic), number(*partition));
        // The one offset that cannot be set is a negative one, and ours are not.
        let _ = element.set_offset(offset);
    }
    list
}

/// The partitions of a list that are of the namespace, with what stands beside them.
pub(crate) fn unlist<T>(
    names: &Names,
    list: &TopicPartitionList,
    value: impl Fn(&rdkafka::topic_partition_list::TopicPartitionListElem<'_>) -> T,
) -> Vec<(Partition, T)> {
    let of = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let topic = names.any_topic_of(element.topic())?;
        Some(((topic, element.partition().unsigned_abs()), value(element)))
    };
    list.elements().iter().filter_map(of).collect()
}

/// Partition numbers are small.
pub(crate) fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// Both ends of partitions. The upper one is behind what is committed.
pub(crate) fn bounds(reader: &Reader, names: &Names, all: &[Partition]) -> KafkaResult<BTreeMap<Partition, Bounds>> {
    let starts = look_up(reader, names, all, Offset::Beginning)?;
    let mut ends = look_up(reader, names, all, Offset::End)?;
    let bounds = |(partition, start)| ends.remove(&partition).map(|end| (partition, Bounds { start, end }));
    Ok(starts.into_iter().filter_map(bounds).collect())
}

/// Where `from` is in each partition.
pub(crate) fn starts(
    reader: &Reader,
    names: &Names,
    all: &[Partition],
    from: From,
) -> KafkaResult<BTreeMap<Partition, u64>> {
    match from {
        From::Earliest => look_up(reader, names, all, Offset::Beginning),
        From::Now => look_up(reader, names, all, Offset::End),
        From::Time(time) => {
            let mut found = look_up(reader, names, all, Offset::Offset(time.as_millisecond().max(0)))?;
            let behind: Vec<_> = all.iter().filter(|partition| !found.contains_key(partition)).cloned().collect();
            found.extend(look_up(reader, names, &behind, Offset::End)?);
            Ok(found)
        }
    }
}

/// Asks the leaders of partitions for offsets: by time, or by the two special ones, the beginning and the end.
fn look_up(reader: &Reader, names: &Names, all: &[Partition], what: Offset) -> KafkaResult<BTreeMap<Partition, u64>> {
    if all.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = reader.offsets_for_times(list(names, all.iter().map(|partition| (partition, what))), PATIENCE)?;
    for element in found.elements() {
        element.error()?;
    }
    let offset = |(partition, offset)| match offset {
        Offset::Offset(offset) => Some((partition, offset.unsigned_abs())),
        _ => None,
    };
    Ok(unlist(names, &found, |element| element.offset()).into_iter().filter_map(offset).collect())
}

/// A transaction that nobody ends is ended by a broker when its time is over, and brokers look for such ones every ten seconds.
pub(crate) const TRANSACTIONS_END_WITHIN: Duration = Duration::from_secs(3 * TRANSACTION_TIMEOUT.as_secs());
/// Between two questions for offsets that a transaction holds.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks for offsets, and again while a transaction that has not ended holds some of them.
pub(crate) fn stable<T>(ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let deadline = Instant::now() + TRANSACTIONS_END_WITHIN;
    loop {
        match ask() {
            Err(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnstableOffsetCommit)
                    && Instant::now() < deadline =>
            {
                #[expect(clippy::disallowed_methods, reason = "it waits for the cluster in a thread that may block")]
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// What a group has committed: offset and text of each partition that it has committed for.
pub(crate) fn committed(
    consumer: &Reader,
    names: &Names,
    all: &[Partition],
) -> KafkaResult<BTreeMap<Partition, (u64, String)>> {
    if all.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted = list(names, all.iter().map(|partition| (partition, Offset::Invalid)));
    stable(|| committed_of(names, &consumer.committed_offsets(wanted.clone(), PATIENCE)?))
}

/// The same, from a list that was answered.
pub(crate) fn committed_of(
    names: &Names,
    found: &TopicPartitionList,
) -> KafkaResult<BTreeMap<Partition, (u64, String)>> {
    let mut offsets = BTreeMap::new();
    for (partition, answer) in
        unlist(names, found, |element| element.error().map(|()| (element.offset(), element.metadata().to_owned())))
    {
        if let (Offset::Offset(offset), text) = answer? {
            offsets.insert(partition, (offset.unsigned_abs(), text));
        }
    }
    Ok(offsets)
}

/// Whether a group has committed a position in the topic of cursors: that is how a cursor exists.
pub(crate) fn is_cursor(consumer: &Reader, names: &Names) -> KafkaResult<bool> {
    stable(|| ask_for_cursor(consumer, names))
}

fn ask_for_cursor(consumer: &Reader, names: &Names) -> KafkaResult<bool> {
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(&names.cursors(), 0);
    let found = consumer.committed_offsets(wanted, PATIENCE)?;
    let elements = found.elements();
    let Some(element) = elements.first() else { return Ok(false) };
    match element.error() {
        Ok(()) => Ok(matches!(element.offset(), Offset::Offset(_))),
        Err(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownTopicOrPartition)) => Ok(false),
        Err(error) => Err(error),
    }
}
