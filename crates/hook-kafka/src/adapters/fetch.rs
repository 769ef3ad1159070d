//! The thread of one membership: it fetches, and commits what is done.
//!
//! librdkafka calls back within `poll` when partitions come and go, so that taking records and committing offsets are one after the
//! other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Headers},
};
use tracing::{debug, info, warn};

use super::{
    classify,
    connection::Known,
    consumer::{AGAIN_AFTER, Consumer, POLL, Running},
    incoming::{Arrived, Value},
    intake::{Intake, Partition},
    lag,
    member::{MemberConsumer, RELEASE, Said},
    settle::Job,
};

/// What is done is committed this often.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// After that long without room, fetching pauses, so that the group is served.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// So many records are taken before anything else is looked at.
const BURST: usize = 256;
/// Leaving the group may take so long in all: whoever stops the process waits for ten seconds.
const LEAVE: Duration = Duration::from_secs(8);
/// A question to a broker may take so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// One membership, on its thread.
pub(super) struct Fetching<'a> {
    pub(super) running: &'a Arc<Running>,
    pub(super) consumer: &'a MemberConsumer,
    pub(super) is_paused: bool,
}

impl Fetching<'_> {
    pub(super) fn run(&mut self, known: &Known) -> Result<(), String> {
        let (mut commit_at, mut look_at) = (Instant::now(), Instant::now() + AGAIN_AFTER);
        while !self.running.is_stopping() {
            self.fetch()?;
            if let Some(reason) = self.running.intake.failure() {
                return Err(reason);
            }
            let now = Instant::now();
            if commit_at <= now {
                commit_at = now + COMMIT_EVERY;
                commit(self.consumer, &self.running.intake, CommitMode::Async);
            }
            if look_at <= now {
                look_at = now + AGAIN_AFTER;
                self.look();
                let consumer = &self.running.consumer;
                if consumer.connection.look_up(&consumer.secrets).is_ok_and(|now| now != *known) {
                    info!(ingress_adapter = %consumer.adapter, "secrets have changed: connecting with the new ones");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn fetch(&mut self) -> Result<(), String> {
        let intake = &self.running.intake;
        if !intake.has_room() && !intake.wait_for_room(PAUSE_AFTER) && !self.is_paused {
            self.pause(true);
        }
        if self.is_paused && intake.has_room() {
            self.pause(false);
        }
        if !self.is_paused && !intake.has_room() {
            return Ok(());
        }
        let mut wait = POLL;
        for _ in 0..BURST {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => self.running.take(self.arrived(&message)),
                Some(Err(error)) => self.on_error(&error)?,
                None => break,
            }
            if !intake.has_room() {
                break;
            }
            wait = Duration::ZERO;
        }
        // Partitions that came meanwhile are fetched from.
        if self.is_paused && !intake.has_room() {
            self.pause(true);
        }
        Ok(())
    }

    fn arrived(&self, message: &BorrowedMessage<'_>) -> Arrived {
        let headers = message
            .headers()
            .into_iter()
            .flat_map(Headers::iter)
            .map(|header| (header.key.to_owned(), header.value.map(Bytes::copy_from_slice).unwrap_or_default()));
        let value = match message.payload() {
            None => Value::Absent,
            Some(value) if value.len() > self.running.consumer.mapping.max_body_bytes => Value::TooLarge(value.len()),
            Some(value) => Value::Whole(Bytes::copy_from_slice(value)),
        };
        Arrived {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(Bytes::copy_from_slice),
            headers: headers.collect(),
            value,
        }
    }

    fn pause(&mut self, is_paused: bool) {
        let all = self.consumer.assignment();
        let result = all.and_then(|all| if is_paused { self.consumer.pause(&all) } else { self.consumer.resume(&all) });
        match result {
            Ok(()) => self.is_paused = is_paused,
            Err(error) => {
                warn!(ingress_adapter = %self.running.consumer.adapter, %error, "fetching cannot be paused or resumed");
            }
        }
    }

    fn on_error(&self, error: &KafkaError) -> Result<(), String> {
        let adapter = &self.running.consumer.adapter;
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(error.to_string());
        }
        match error.rdkafka_error_code() {
            Some(Code::BadMessage | Code::BadCompression | Code::NotImplemented) => {
                // librdkafka goes on behind it.
                warn!(ingress_adapter = %adapter, %error, "records cannot be read, and are passed over");
            }
            _ => match classify::not_fetched(error) {
                Some(trouble) => self.consumer.context().say(&Said::Cause(trouble)),
                // What is wrong with whole connections is said beside, and the clients connect again by themselves.
                None => debug!(ingress_adapter = %adapter, %error, "fetching"),
            },
        }
        Ok(())
    }

    /// Asks the brokers how far the group is behind; where something went wrong, whether it is over.
    fn look(&self) {
        let Running { consumer: Consumer { adapter, group, trouble, behind, .. }, .. } = &**self.running;
        if trouble.get().is_none() {
            match lag::behind(self.consumer, &group.topics, PATIENCE) {
                Ok(records) => behind.set(records),
                Err(error) => debug!(ingress_adapter = %adapter, %error, "how far the group is behind is not known"),
            }
            return;
        }
        let is_well = group.topics.iter().all(|topic| {
            let metadata = self.consumer.fetch_metadata(Some(topic), PATIENCE);
            metadata.is_ok_and(|metadata| metadata.topics().iter().all(|topic| topic.error().is_none()))
        });
        if is_well && trouble.set(None).is_some() {
            info!(ingress_adapter = %adapter, "brokers and topics are there again");
        }
    }

    /// Ends the membership: what is on its way is waited for, and what is done is committed. While the group shares its partitions
    /// anew, nothing can be: the new share is waited for.
    pub(super) fn release(&mut self) {
        let intake = &self.running.intake;
        let deadline = Instant::now() + LEAVE;
        intake.give_up(&intake.partitions(), RELEASE);
        while self.running.consumer.trouble.get().is_none()
            && !commit(self.consumer, intake, CommitMode::Sync)
            && Instant::now() < deadline
        {
            // Records that come now are for whoever has their partition next.
            drop(self.consumer.poll(POLL));
        }
        intake.forget(&intake.partitions());
    }
}

/// Commits how far everything is done; `false` where the group does not have it.
pub(super) fn commit(consumer: &MemberConsumer, intake: &Intake<Job>, mode: CommitMode) -> bool {
    let offsets = intake.to_commit();
    if offsets.is_empty() {
        return true;
    }
    match consumer.commit(&list(&offsets), mode) {
        // Without waiting, the answer comes to the callback.
        Ok(()) if matches!(mode, CommitMode::Sync) => {
            intake.committed(offsets);
            true
        }
        Ok(()) => true,
        // It is tried again for what is still ours; what is not is fetched again by whoever has it.
        Err(error) => {
            debug!(ingress_adapter = %consumer.context().adapter, %error, "offsets not committed yet");
            false
        }
    }
}

fn list(offsets: &[(Partition, i64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        // An offset of a record is one that every list takes.
        let _ = list.add_partition(topic, *partition).set_offset(Offset::Offset(*offset));
    }
    list
}
