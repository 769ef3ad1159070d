//! The thread of one subscription: it is a member of the cursor's group, fetches, and commits.
//!
//! librdkafka calls back within `poll` when partitions come and go, so that everything here happens one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use hook_core::{
    names::TopicName,
    ports::log::{Cursor, LogError},
    progress::Progress,
};
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    client::OAuthToken,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::{
    client::{Clients, Context},
    cluster::{self, PATIENCE},
    error::unavailable,
    marks,
    names::Names,
    restore::Memory,
    subscription::{Marks, Shared},
    view::{Partition, View},
    wire,
};

/// At most so long nothing is looked at but records.
const POLL: Duration = Duration::from_millis(100);
/// What is done is committed this often.
const COMMIT_EVERY: Duration = Duration::from_millis(200);
/// After that long without room, fetching pauses, so that the group is served.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// So many records are taken in before anything else is looked at.
const BURST: usize = 256;
/// The position that says that the cursor exists is committed again this often: brokers forget old ones, and one answer may be lost.
const RENEW_EVERY: Duration = Duration::from_secs(600);

/// What a member of a group is called back with.
struct Member {
    context: Context,
    shared: Arc<Shared>,
    view: Arc<View>,
    names: Names,
    release_timeout: Duration,
    memory: Option<Memory>,
}

type MemberConsumer = BaseConsumer<Member>;

/// Fetches and commits until the subscription is stopped, or until its membership is refused.
pub(crate) fn run(clients: &Clients, cursor: &Cursor, shared: &Arc<Shared>, view: &Arc<View>) {
    let member = Member {
        context: clients.context(),
        shared: Arc::clone(shared),
        view: Arc::clone(view),
        names: clients.names.clone(),
        release_timeout: clients.settings().release_timeout,
        memory: Memory::of(clients, &cursor.name),
    };
    match MemberConsumer::from_config_and_context(&clients.member(&cursor.name), member) {
        Ok(consumer) => Consuming::new(&consumer, cursor, shared, view).run(),
        Err(error) => shared.end(unavailable(error)),
    }
}

struct Consuming<'a> {
    consumer: &'a MemberConsumer,
    cursor: &'a Cursor,
    shared: &'a Arc<Shared>,
    view: &'a Arc<View>,
    topics: BTreeSet<TopicName>,
    changed: watch::Receiver<()>,
    is_paused: bool,
    commit_at: Instant,
    renew_at: Instant,
}

impl<'a> Consuming<'a> {
    fn new(consumer: &'a MemberConsumer, cursor: &'a Cursor, shared: &'a Arc<Shared>, view: &'a Arc<View>) -> Self {
        let (mut changed, now) = (view.topics_changed(), Instant::now());
        changed.mark_changed();
        let (topics, is_paused) = (BTreeSet::new(), false);
        Self { consumer, cursor, shared, view, topics, changed, is_paused, commit_at: now, renew_at: now }
    }

    fn run(&mut self) {
        while !self.shared.must_stop() {
            if self.shared.takes_rejoin() {
                self.leave();
            }
            if let Err(error) = self.follow_topics() {
                warn!(cursor = %self.cursor.name, %error, "topics of a cursor cannot be subscribed to");
            }
            self.fetch();
            if self.commit_at <= Instant::now() {
                self.commit_at = Instant::now() + COMMIT_EVERY;
                // Others may have come or gone without a change for us: the membership has another generation then.
                self.shared.set_member(self.consumer.group_metadata());
                commit(self.consumer, self.shared, &self.consumer.context().names);
                self.renew();
            }
        }
        commit(self.consumer, self.shared, &self.consumer.context().names);
    }

    /// Leaves the group; the topics are subscribed to again at once. Static members leave it in no other way, and of what a
    /// member that comes back is given, nothing is divided anew.
    fn leave(&mut self) {
        info!(cursor = %self.cursor.name, "partitions are divided anew: some are read by nobody");
        self.consumer.unsubscribe();
        self.topics.clear();
        self.changed.mark_changed();
    }

    /// Subscribes to whatever topics the filter takes now.
    fn follow_topics(&mut self) -> KafkaResult<()> {
        if !self.changed.has_changed().unwrap_or(false) {
            return Ok(());
        }
        self.changed.mark_unchanged();
        let topics = self.view.topics(&self.cursor.topics);
        if topics == self.topics {
            return Ok(());
        }
        let names: Vec<_> = topics.iter().map(|topic| self.consumer.context().names.topic(topic)).collect();
        match names.is_empty() {
            true => self.consumer.unsubscribe(),
            false => self.consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?,
        }
        self.topics = topics;
        Ok(())
    }

    fn fetch(&mut self) {
        if !self.shared.has_room() && !self.shared.wait_for_room(PAUSE_AFTER) && !self.is_paused {
            self.pause(true);
        }
        if self.is_paused && self.shared.has_room() {
            self.pause(false);
        }
        if !self.is_paused && !self.shared.has_room() {
            return;
        }
        let mut wait = POLL;
        for _ in 0..BURST {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => self.take_in(&message),
                Some(Err(error)) => self.on_error(&error),
                None => break,
            }
            if !self.shared.has_room() {
                break;
            }
            wait = Duration::ZERO;
        }
        self.shared.announce();
        // Partitions that came meanwhile are fetched from.
        if self.is_paused && !self.shared.has_room() {
            self.pause(true);
        }
    }

    fn take_in(&self, message: &rdkafka::message::BorrowedMessage<'_>) {
        if let Some(topic) = self.consumer.context().names.topic_of(message.topic()) {
            self.shared.take_in(wire::decode(topic, message), &wire::dedup(message));
        }
    }

    fn pause(&mut self, is_paused: bool) {
        let all = self.consumer.assignment();
        let result = all.and_then(|all| if is_paused { self.consumer.pause(&all) } else { self.consumer.resume(&all) });
        match result {
            Ok(()) => self.is_paused = is_paused,
            Err(error) => warn!(cursor = %self.cursor.name, %error, "fetching cannot be paused or resumed"),
        }
    }

    fn on_error(&self, error: &KafkaError) {
        let cursor = &self.cursor.name;
        match error {
            KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) => {
                error!(%cursor, "another process has the same instance id");
                let message = format!("another process reads {cursor} with the same instance id; give each its own");
                self.shared.end(LogError::Unavailable(message));
            }
            KafkaError::MessageConsumptionFatal(_) => {
                error!(%cursor, %error, "subscription ended");
                self.shared.end(LogError::Unavailable(error.to_string()));
            }
            KafkaError::MessageConsumption(
                code @ (RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::BadCompression
                | RDKafkaErrorCode::NotImplemented),
            ) => {
                // librdkafka goes on behind it.
                error!(%cursor, %error, "records cannot be read, and are passed over");
                self.view.add_damage(format!("records of a topic of cursor {cursor} cannot be read: {code}"));
            }
            // The clients connect again by themselves, and topics that are gone are noticed elsewhere.
            _ => debug!(%cursor, %error, "subscription"),
        }
    }

    fn renew(&mut self) {
        if self.renew_at > Instant::now() || self.consumer.assignment().is_ok_and(|all| all.count() == 0) {
            return;
        }
        self.renew_at = Instant::now() + RENEW_EVERY;
        let mut list = TopicPartitionList::new();
        // Zero is an offset that every list takes.
        let _ = list.add_partition(&self.consumer.context().names.cursors(), 0).set_offset(Offset::Offset(0));
        // The position never changes, so that nobody needs to wait for the answer.
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            debug!(cursor = %self.cursor.name, %error, "cursor not renewed");
            self.renew_at = Instant::now() + PATIENCE;
        }
    }
}

/// A list of what is to be committed: the low watermark, and beside it what is done above.
pub(crate) fn committing(names: &Names, done: &Marks) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), progress) in done {
        let mut element = list.add_partition(&names.topic(topic), cluster::number(*partition));
        let offset = Offset::Offset(i64::try_from(progress.watermark()).unwrap_or(i64::MAX));
        // An offset of ours is never negative.
        let _ = element.set_offset(offset);
        let (text, left_out) = marks::encode(progress);
        if !text.is_empty() {
            element.set_metadata(&text);
        }
        if left_out > 0 {
            debug!(kafka_topic = %topic, partition, left_out, "done records beyond what fits beside an offset");
        }
    }
    list
}

/// Commits what was done since the last time.
fn commit(consumer: &MemberConsumer, shared: &Shared, names: &Names) {
    let _turn = shared.turn();
    let done = shared.take_dirty();
    if done.is_empty() {
        return;
    }
    if let Err(error) = consumer.commit(&committing(names, &done), CommitMode::Sync) {
        // It is tried again for what is still ours; what is not is delivered again to whoever has it.
        shared.give_back(&done);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::RebalanceInProgress | RDKafkaErrorCode::IllegalGeneration) => {
                debug!(cursor = %shared.cursor, %error, "progress not committed yet");
            }
            _ => warn!(cursor = %shared.cursor, %error, "progress not committed yet"),
        }
    }
}

impl Member {
    fn on_assigned(&self, consumer: &MemberConsumer, list: &mut TopicPartitionList) -> KafkaResult<()> {
        if list.count() == 0 {
            self.shared.set_member(consumer.group_metadata());
            return consumer.incremental_assign(list);
        }
        // Offsets of a transaction that has not ended are waited for.
        let committed = cluster::stable(|| {
            cluster::committed_of(&self.names, &consumer.committed_offsets(list.clone(), PATIENCE)?)
        })?;
        let oldest = oldest(consumer, &self.names, list)?;
        let mut parts = Vec::new();
        for (partition, start) in oldest {
            let progress = match committed.get(&partition) {
                Some((offset, text)) => self.resumed(*offset, text, start),
                // A partition that has appeared since the cursor was made.
                None => Progress::at(start),
            };
            parts.push((partition, progress));
        }
        let offset = |progress: &Progress| Offset::Offset(i64::try_from(progress.watermark()).unwrap_or(i64::MAX));
        let assigned =
            cluster::list(&self.names, parts.iter().map(|(partition, progress)| (partition, offset(progress))));
        for ((topic, partition), progress) in &parts {
            let (from, done_above) = (progress.watermark(), progress.above().count());
            debug!(cursor = %self.shared.cursor, kafka_topic = %topic, partition, from, done_above, "partition assigned");
        }
        for (partition, progress) in &parts {
            if committed.contains_key(partition) {
                self.view.set_progress(&self.shared.cursor, partition, progress);
            }
        }
        let restored = match &self.memory {
            Some(memory) => {
                let partitions: Vec<_> = parts.iter().map(|(partition, _)| partition.clone()).collect();
                Some((memory.restore(&partitions)?, memory.window))
            }
            None => None,
        };
        self.shared.assign(parts);
        if let Some((restored, window)) = restored {
            self.shared.remember(restored, window);
        }
        self.shared.set_member(consumer.group_metadata());
        consumer.incremental_assign(&assigned)
    }

    /// The progress at a committed offset, as far as retention has left it.
    fn resumed(&self, offset: u64, text: &str, start: u64) -> Progress {
        let mut progress = marks::decode(offset, text);
        if start > offset {
            let done = progress.above().iter().map(|range| range.end.min(start).saturating_sub(range.start.min(start)));
            let dropped = start - offset - done.sum::<u64>();
            warn!(cursor = %self.shared.cursor, dropped, "retention has removed records that were not delivered");
            self.view.drop_records(dropped);
            progress.raise(start);
        }
        progress
    }

    fn on_revoked(&self, consumer: &MemberConsumer, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions: Vec<Partition> =
            cluster::unlist(&self.names, list, |_| ()).into_iter().map(|(of, ())| of).collect();
        let started = Instant::now();
        if consumer.assignment_lost() {
            warn!(cursor = %self.shared.cursor, partitions = partitions.len(), "partitions lost");
            self.shared.lose(&partitions);
        } else {
            self.shared.revoke(&partitions, self.release_timeout);
            commit(consumer, &self.shared, &self.names);
            self.shared.forget(&partitions);
            let waited_ms = started.elapsed().as_millis();
            debug!(cursor = %self.shared.cursor, partitions = partitions.len(), waited_ms, "partitions released");
        }
        // A transaction that has begun ends under the membership that it has.
        let _turn = self.shared.turn();
        consumer.incremental_unassign(list)
    }
}

/// The oldest offset of each partition of a list.
fn oldest(
    consumer: &MemberConsumer,
    names: &Names,
    list: &TopicPartitionList,
) -> KafkaResult<BTreeMap<Partition, u64>> {
    let partitions: Vec<Partition> = cluster::unlist(names, list, |_| ()).into_iter().map(|(of, ())| of).collect();
    let wanted = cluster::list(names, partitions.iter().map(|partition| (partition, Offset::Beginning)));
    let found = consumer.offsets_for_times(wanted, PATIENCE)?;
    let mut oldest = BTreeMap::new();
    for (partition, answer) in cluster::unlist(names, &found, |element| element.error().map(|()| element.offset())) {
        if let Offset::Offset(offset) = answer? {
            oldest.insert(partition, offset.unsigned_abs());
        }
    }
    match oldest.len() == partitions.len() {
        true => Ok(oldest),
        false => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition)),
    }
}

impl ConsumerContext for Member {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            debug!(cursor = %self.shared.cursor, %error, "progress or cursor not committed");
        }
    }

    fn rebalance(&self, consumer: &MemberConsumer, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.on_assigned(consumer, list),
            _ => self.on_revoked(consumer, list),
        };
        if let Err(error) = result {
            // Without the offsets it is not known what was delivered. Whoever subscribes again begins from what is committed.
            info!(cursor = %self.shared.cursor, %error, "membership given up");
            self.shared.end(LogError::Unavailable(format!("partitions could not be taken over: {error}")));
            // The group expects an answer; the consumer is closed next.
            let _ = match event {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => consumer.incremental_assign(list),
                _ => consumer.incremental_unassign(list),
            };
        }
    }
}

impl ClientContext for Member {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(config)
    }
}
