//! Makes and deletes cursors, which are groups.
//!
//! A cursor exists when its group has committed a position in the topic `hook.cursors`. The starting offsets of all
//! partitions are committed together with it in one transaction, whose id is the cursor's: of processes that make one at
//! once, each fences those before it, and looks again before it commits. So a cursor has one beginning.

use std::{collections::BTreeMap, sync::Arc};

use hook_core::{
    names::CursorName,
    ports::log::{Cursor, LogError},
    progress::Progress,
};
use rdkafka::{
    Offset,
    consumer::Consumer,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::Producer as _,
};
use tracing::debug;

use crate::{
    client::{Clients, Reader, connect},
    cluster::{self, PATIENCE},
    consume::committing,
    error::unavailable,
    marks::decode,
    produce::Producer,
    topics::Topics,
    view::View,
};

/// How often a cursor is tried to be made while others make it too.
const ATTEMPTS: u32 = 10;

/// Where a cursor begins that goes on from what was done in another log. In a partition that is not named, it begins as
/// the cursor says.
pub(crate) type Beginning = BTreeMap<crate::view::Partition, Progress>;

/// Makes a cursor where there is none; whether it was made. Blocks.
pub(crate) fn create(
    clients: &Clients,
    view: &Arc<View>,
    asker: &Reader,
    cursor: &Cursor,
    beginning: &Beginning,
) -> Result<bool, LogError> {
    let consumer = connect(&clients.outside(&cursor.name), clients.context()).map_err(unavailable)?;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        if cluster::is_cursor(&consumer, &clients.names).map_err(unavailable)? {
            view.add_cursor(&cursor.name);
            return Ok(false);
        }
        match try_create(clients, view, asker, &consumer, (cursor, beginning)) {
            Ok(made) => return Ok(made),
            Err(error) => {
                debug!(cursor = %cursor.name, %error, "cursor not made: another process makes it too, or the coordinator moves");
                last = Some(error);
            }
        }
    }
    Err(last.map_or(LogError::Closed, unavailable))
}

fn try_create(
    clients: &Clients,
    view: &Arc<View>,
    asker: &Reader,
    consumer: &Reader,
    (cursor, beginning): (&Cursor, &Beginning),
) -> KafkaResult<bool> {
    let config = clients.making(&cursor.name);
    let producer = Producer::new(&config, clients.context(), Arc::clone(view), clients.names.clone())?;
    let native = producer.native();
    // From here on whoever began before us can commit no more.
    native.init_transactions(PATIENCE)?;
    if cluster::is_cursor(consumer, &clients.names)? {
        view.add_cursor(&cursor.name);
        return Ok(false);
    }
    let (_, topics) = cluster::describe(asker, &clients.names)?;
    let partitions: Vec<_> =
        cluster::partitions_of(&topics).into_iter().filter(|(topic, _)| cursor.topics.matches(topic)).collect();
    let starts = cluster::starts(asker, &clients.names, &partitions, cursor.from)?;
    let mut marks: Beginning = starts.into_iter().map(|(partition, start)| (partition, Progress::at(start))).collect();
    marks.extend(beginning.iter().map(|(partition, progress)| (partition.clone(), progress.clone())));
    let mut offsets = committing(&clients.names, &marks.clone().into_iter().collect());
    offsets.add_partition_offset(&clients.names.cursors(), 0, Offset::Offset(0))?;
    let group = consumer.group_metadata().ok_or(KafkaError::Canceled)?;
    native.begin_transaction()?;
    native.send_offsets_to_transaction(&offsets, &group, PATIENCE)?;
    native.commit_transaction(PATIENCE)?;
    debug!(cursor = %cursor.name, partitions = marks.len(), "cursor made");
    view.add_cursor(&cursor.name);
    for (partition, progress) in &marks {
        view.set_progress(&cursor.name, partition, progress);
    }
    Ok(true)
}

/// Whether a cursor exists. Blocks.
pub(crate) fn exists(clients: &Clients, cursor: &CursorName) -> Result<bool, LogError> {
    let consumer = connect(&clients.outside(cursor), clients.context()).map_err(unavailable)?;
    cluster::is_cursor(&consumer, &clients.names).map_err(unavailable)
}

/// How much a group that is not read here has done. Blocks.
pub(crate) fn progress(
    clients: &Clients,
    view: &View,
    cursor: &CursorName,
) -> KafkaResult<Option<BTreeMap<crate::view::Partition, (u64, u64)>>> {
    let marks = marks(clients, view, cursor)?;
    let counted = |(partition, progress): (_, Progress)| (partition, (progress.watermark(), progress.above().count()));
    Ok(marks.map(|marks| marks.into_iter().map(counted).collect()))
}

/// What a group has committed; `None` where there is no such cursor. Blocks.
pub(crate) fn marks(clients: &Clients, view: &View, cursor: &CursorName) -> KafkaResult<Option<Beginning>> {
    let consumer = connect(&clients.outside(cursor), clients.context())?;
    if !cluster::is_cursor(&consumer, &clients.names)? {
        return Ok(None);
    }
    let everything = hook_core::ports::log::TopicFilter {
        include: vec![hook_core::names::Glob::new("*")],
        unless_literal: Vec::new(),
    };
    let committed = cluster::committed(&consumer, &clients.names, &view.partitions(&everything))?;
    let decoded = committed.into_iter().map(|(partition, (offset, text))| (partition, decode(offset, &text)));
    Ok(Some(decoded.collect()))
}

/// Deletes the group of a cursor. A member that has just left is still counted until its session ends.
pub(crate) async fn delete(topics: &Topics, clients: &Clients, cursor: &CursorName) -> Result<(), LogError> {
    let deadline = tokio::time::Instant::now() + crate::client::SESSION_TIMEOUT + PATIENCE;
    let group = clients.names.group(cursor);
    loop {
        match topics.delete_group(&group).await {
            Ok(()) | Err(RDKafkaErrorCode::GroupIdNotFound) => return Ok(()),
            Err(
                RDKafkaErrorCode::NonEmptyGroup
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorLoadInProgress,
            ) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            }
            Err(RDKafkaErrorCode::NonEmptyGroup) => {
                return Err(LogError::Unavailable(format!(
                    "cursor {cursor} is being read by a process: stop it first"
                )));
            }
            Err(code) => return Err(LogError::Unavailable(format!("cursor {cursor} could not be deleted: {code}"))),
        }
    }
}
