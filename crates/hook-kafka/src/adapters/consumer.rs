//! The consumer of one adapter: a thread that is a member of the group, and a task for each lane of records on its way.
//!
//! librdkafka calls back within `poll` when partitions come and go, so that taking records and committing offsets are one after the
//! other.

use std::{
    error::Error as StdError,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    clock::{Clock, SystemClock},
    event::{RawEvent, RequestId},
    names::{AdapterId, SourceName},
    ports::ingress::{Inlet, Listener, Poison, Refused, Rejection, RejectionKind, Trouble, Upstream},
    secret::Secrets,
    stop::Stop,
};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    client::OAuthToken,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Headers},
    types::RDKafkaRespErr,
};
use tokio::{runtime::Handle, sync::oneshot, time::sleep};
use tracing::{debug, info, warn};

use super::{
    classify::{self, Trouble as Met},
    connection::{Connection, Known},
    incoming::{Arrived, Mapping, Readable, Unfit, Value},
    intake::{Intake, Lane, Partition, Work},
};
use crate::client::{Clients, Context, Health};

/// At most so long nothing is looked at but records.
const POLL: Duration = Duration::from_millis(100);
/// What is done is committed this often.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// After that long without room, fetching pauses, so that the group is served.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// So many records are taken before anything else is looked at.
const BURST: usize = 256;
/// Work in flight may take so long when its partition goes, or the process ends.
const RELEASE: Duration = Duration::from_secs(5);
/// Leaving the group may take so long in all: whoever stops the process waits for ten seconds.
const LEAVE: Duration = Duration::from_secs(8);
/// So long after trouble the brokers are asked whether it is over, and after a membership that ended another is begun.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A question to a broker may take so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// What was fetched and waits in librdkafka may take half of this; what is on its way into the log is bounded beside it.
const FETCH_MEMORY: u64 = 16 << 20;
/// The first pause while the log takes nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// And the longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is read, as which group, how much of it at once.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) topics: Vec<String>,
    pub(super) id: String,
    pub(super) max_in_flight: usize,
}

/// A consumer that has not begun.
pub(super) struct Consumer {
    pub(super) adapter: AdapterId,
    pub(super) group: Group,
    pub(super) connection: Connection,
    pub(super) mapping: Mapping,
    pub(super) secrets: Secrets,
    pub(super) trouble: Trouble,
}

impl Consumer {
    /// Whether librdkafka takes the settings: it reads files of TLS when a client is made.
    pub(super) fn try_out(&self, known: &Known) -> KafkaResult<()> {
        let clients = self.clients(known);
        BaseConsumer::from_config_and_context(&self.config(&clients), clients.context()).map(drop)
    }

    fn clients(&self, known: &Known) -> Clients {
        let mut settings = self.connection.settings(known);
        (settings.consumers, settings.fetch_memory) = (1, FETCH_MEMORY);
        Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock))
    }

    fn config(&self, clients: &Clients) -> ClientConfig {
        clients.foreign_member(&self.group.id)
    }
}

impl Listener for Consumer {
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    fn upstream(&self) -> Option<Upstream> {
        let Group { topics, id, .. } = self.group.clone();
        Some(Upstream { brokers: self.connection.brokers(), topics, group: id })
    }

    fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    fn run(self: Box<Self>, inlet: Arc<dyn Inlet>, stop: Stop) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let stopping = Stopping::default();
            let (name, adapter) = (format!("kafka-{}", self.adapter), self.adapter.clone());
            let running = Arc::new(Running {
                intake: Arc::new(Intake::new(self.group.max_in_flight)),
                consumer: *self,
                inlet,
                handle: Handle::current(),
                turn: tokio::sync::Mutex::new(()),
                stopping: Arc::clone(&stopping.0),
            });
            let (ended, mut end) = oneshot::channel::<()>();
            let work = move || {
                running.fetch_until_stopped();
                drop(ended);
            };
            if let Err(error) = thread::Builder::new().name(name).spawn(work) {
                warn!(ingress_adapter = %adapter, %error, "no thread to fetch with");
                return;
            }
            tokio::select! {
                () = stop => {}
                // Without its thread it takes nothing: the process is told.
                _ = &mut end => return,
            }
            stopping.0.store(true, Ordering::Relaxed);
            // The thread drops its end when it is done.
            let _ = end.await;
        })
    }
}

/// Tells the thread to end, also where nobody waits for it any more.
#[derive(Default)]
struct Stopping(Arc<AtomicBool>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a record on its way needs.
struct Job {
    arrived: Arrived,
    read: Result<Readable, Unfit>,
}

/// A consumer that runs.
struct Running {
    consumer: Consumer,
    inlet: Arc<dyn Inlet>,
    intake: Arc<Intake<Job>>,
    handle: Handle,
    /// Held by the one lane that tries whether the log takes events again.
    turn: tokio::sync::Mutex<()>,
    stopping: Arc<AtomicBool>,
}

type MemberConsumer = BaseConsumer<Member>;

impl Running {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// One membership after the other: a secret that has changed, and a membership that has ended, need another client.
    fn fetch_until_stopped(self: &Arc<Self>) {
        let adapter = &self.consumer.adapter;
        while !self.is_stopping() {
            let ended = match self.consumer.connection.look_up(&self.consumer.secrets) {
                Ok(known) => self.fetch(&known),
                Err(name) => Err(format!("{name} is not set")),
            };
            let Err(reason) = ended else { continue };
            warn!(ingress_adapter = %adapter, reason, "fetching has ended, and begins again");
            self.consumer.trouble.set(Some(reason));
            let until = Instant::now() + AGAIN_AFTER;
            while !self.is_stopping() && Instant::now() < until {
                thread::park_timeout(POLL);
            }
        }
    }

    /// Fetches as a member of the group until the end, or until the secrets are others.
    fn fetch(self: &Arc<Self>, known: &Known) -> Result<(), String> {
        let clients = self.consumer.clients(known);
        let config = self.consumer.config(&clients);
        let member = Member {
            context: clients.context(),
            adapter: self.consumer.adapter.clone(),
            intake: Arc::clone(&self.intake),
            trouble: self.consumer.trouble.clone(),
            is_cause_said: AtomicBool::new(false),
        };
        let consumer = MemberConsumer::from_config_and_context(&config, member).map_err(|error| error.to_string())?;
        let topics: Vec<&str> = self.consumer.group.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| error.to_string())?;
        let mut fetching = Fetching { running: self, consumer: &consumer, is_paused: false };
        let ended = fetching.run(known);
        fetching.release();
        ended
    }

    /// Begins the way of a record into the log.
    fn take(self: &Arc<Self>, arrived: Arrived) {
        let read = self.consumer.mapping.read(&arrived);
        // What will not be an event has no order to keep but that of its partition.
        let key = read.as_ref().ok().and_then(|readable| readable.stated.ordering_key.clone());
        let partition = (arrived.topic.clone(), arrived.partition);
        let work = Work { offset: arrived.offset, bytes: arrived.size(), job: Job { arrived, read } };
        if let Some((lane, work)) = self.intake.take(partition, key, work) {
            let running = Arc::clone(self);
            self.handle.spawn(async move { running.work(lane, work).await });
        }
    }

    /// The records of a lane, one after the other.
    async fn work(&self, mut lane: Lane, first: Work<Job>) {
        let _alarm = Alarm(&self.intake);
        let mut next = Some(first);
        while let Some(Work { offset, bytes, job }) = next {
            next = match self.settle(&mut lane, &job).await {
                true => self.intake.done(&lane, offset, bytes),
                false => return self.intake.given_up(&lane, bytes),
            };
        }
    }

    /// Brings a record into the log or the dead letters, however long that takes; `false` where its partition is given up before.
    async fn settle(&self, lane: &mut Lane, job: &Job) -> bool {
        if self.attempt(job).await.is_ok() {
            return true;
        }
        // One asks whether it is over; the others wait for their turn.
        let _turn = tokio::select! {
            turn = self.turn.lock() => turn,
            () = lane.over() => return false,
        };
        let mut pause = FIRST_PAUSE;
        let mut is_said = false;
        loop {
            let Err(refused) = self.attempt(job).await else { break };
            if !is_said {
                let (adapter, code) = (&self.consumer.adapter, refused.code);
                warn!(ingress_adapter = %adapter, code, "records wait");
                is_said = true;
            }
            // The log says when to ask at the earliest, for those who cannot ask often.
            let wait = match refused.kind {
                RejectionKind::TooManyRequests => refused.retry_after.unwrap_or(pause),
                _ => pause,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = lane.over() => return false,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if is_said {
            info!(ingress_adapter = %self.consumer.adapter, "records go on");
        }
        true
    }

    /// One attempt; an error says that it has to be made again.
    async fn attempt(&self, job: &Job) -> Result<(), Refused> {
        let (source, rejection) = match &job.read {
            Ok(readable) => match self.inlet.source(&self.consumer.adapter, &readable.source) {
                Some(source) => match self.inlet.accept(self.event(readable, source.clone())).await {
                    Ok(_) => return Ok(()),
                    Err(rejection) => (Some(source), rejection),
                },
                None => {
                    let message = "no source of its name is taken from here".to_owned();
                    let unknown = Unfit { kind: RejectionKind::NotFound, code: "unknown_source", message };
                    (None, self.refuse(None, &unknown))
                }
            },
            Err(unfit) => {
                let source = self.consumer.mapping.source_of(&job.arrived.topic);
                let rejection = self.refuse(source.as_ref(), unfit);
                (source, rejection)
            }
        };
        match Verdict::of(&rejection.refused) {
            Verdict::PassOver => Ok(()),
            Verdict::Wait => Err(rejection.refused),
            Verdict::SetAside => self.set_aside(&job.arrived, source, rejection).await,
        }
    }

    fn event(&self, readable: &Readable, source: SourceName) -> RawEvent {
        RawEvent {
            request_id: RequestId::generate(),
            adapter: self.consumer.adapter.clone(),
            source,
            url: String::new(),
            headers: readable.headers.clone(),
            body: readable.body.clone(),
            received_at: SystemClock.now(),
            peer: None,
            stated: Some(readable.stated.clone()),
        }
    }

    fn refuse(&self, source: Option<&SourceName>, unfit: &Unfit) -> Rejection {
        let Unfit { kind, code, message } = unfit.clone();
        self.inlet.refuse(&self.consumer.adapter, source, Refused { kind, code, message, retry_after: None })
    }

    async fn set_aside(
        &self,
        arrived: &Arrived,
        source: Option<SourceName>,
        rejection: Rejection,
    ) -> Result<(), Refused> {
        let (value, value_bytes) = match &arrived.value {
            Value::Whole(value) => (Some(value.clone()), value.len()),
            Value::Absent => (None, 0),
            Value::TooLarge(bytes) => (None, *bytes),
        };
        let poison = Poison {
            adapter: self.consumer.adapter.clone(),
            source,
            origin: arrived.origin(),
            key: arrived.key.clone(),
            headers: arrived.headers.clone(),
            value,
            value_bytes,
            rejection,
        };
        self.inlet.set_aside(poison).await.map(drop)
    }
}

/// What a refusal means for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The contract wants it dropped.
    PassOver,
    /// The same record is tried again.
    Wait,
    /// It would be refused for ever.
    SetAside,
}

impl Verdict {
    fn of(refused: &Refused) -> Self {
        match refused.kind {
            RejectionKind::CoolingDown => Self::PassOver,
            RejectionKind::Unavailable | RejectionKind::TooManyRequests => Self::Wait,
            // A secret is the operator's to set, and its absence must not empty a topic into the dead letters.
            RejectionKind::Unauthorized if matches!(refused.code, "no_secret" | "unusable_secret") => Self::Wait,
            RejectionKind::Unauthorized
            | RejectionKind::Forbidden
            | RejectionKind::Malformed
            | RejectionKind::NotFound
            | RejectionKind::MethodNotAllowed
            | RejectionKind::Timeout
            | RejectionKind::TooLarge
            | RejectionKind::UpgradeRequired
            | RejectionKind::Unprocessable => Self::SetAside,
        }
    }
}

/// A lane that panics would leave its record open for ever: the membership ends instead, and the record is fetched again.
struct Alarm<'a>(&'a Intake<Job>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail("a task panicked over a record");
        }
    }
}

/// One membership, on its thread.
struct Fetching<'a> {
    running: &'a Arc<Running>,
    consumer: &'a MemberConsumer,
    is_paused: bool,
}

impl Fetching<'_> {
    fn run(&mut self, known: &Known) -> Result<(), String> {
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

    /// Asks the brokers whether what went wrong is over.
    fn look(&self) {
        let Running { consumer: Consumer { adapter, group, trouble, .. }, .. } = &**self.running;
        if trouble.get().is_none() {
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
    fn release(&mut self) {
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
fn commit(consumer: &MemberConsumer, intake: &Intake<Job>, mode: CommitMode) -> bool {
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

fn unlist(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}

/// What a member of the group is called back with.
struct Member {
    context: Context,
    adapter: AdapterId,
    intake: Arc<Intake<Job>>,
    trouble: Trouble,
    /// Whether what is said of the trouble is its cause, as far as it is known.
    is_cause_said: AtomicBool,
}

/// What can be said of trouble.
enum Said {
    /// Something that somebody has to mend.
    Cause(String),
    /// That nobody answers, whatever the cause.
    Effect(String),
}

impl Member {
    /// Says what keeps records away, once until it is over: clients try again and again, and meet the same each time. A cause
    /// that becomes known is said in the place of its effect.
    fn say(&self, said: &Said) {
        let (trouble, is_cause) = match said {
            Said::Cause(trouble) => (trouble, true),
            Said::Effect(trouble) => (trouble, false),
        };
        let is_new = self.trouble.get().is_none() || (is_cause && !self.is_cause_said.load(Ordering::Relaxed));
        if is_new {
            self.is_cause_said.store(is_cause, Ordering::Relaxed);
            self.trouble.set(Some(trouble.clone()));
            warn!(ingress_adapter = %self.adapter, trouble, "nothing is fetched");
        }
    }
}

impl ConsumerContext for Member {
    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {
                let all = offsets.elements();
                let taken = all.iter().filter(|element| element.error().is_ok());
                self.intake.committed(taken.filter_map(|element| {
                    let offset = element.offset().to_raw()?;
                    (offset >= 0).then(|| ((element.topic().to_owned(), element.partition()), offset))
                }));
            }
            Err(error) => debug!(ingress_adapter = %self.adapter, %error, "offsets not committed yet"),
        }
    }

    fn rebalance(&self, consumer: &MemberConsumer, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let (partitions, adapter) = (unlist(list), &self.adapter);
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                debug!(ingress_adapter = %adapter, partitions = partitions.len(), "partitions assigned");
                self.intake.assign(partitions);
                consumer.incremental_assign(list)
            }
            _ => {
                if consumer.assignment_lost() {
                    warn!(ingress_adapter = %adapter, partitions = partitions.len(), "partitions lost");
                } else {
                    self.intake.give_up(&partitions, RELEASE);
                    commit(consumer, &self.intake, CommitMode::Sync);
                }
                self.intake.forget(&partitions);
                consumer.incremental_unassign(list)
            }
        };
        if let Err(error) = result {
            // The group expects an answer; without one, the membership is begun anew.
            self.intake.fail(&format!("partitions could not be taken over or given up: {error}"));
        }
    }
}

impl ClientContext for Member {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match classify::trouble(&error, reason) {
            Some(trouble @ Met::Down(_)) => self.say(&Said::Effect(trouble.to_string())),
            Some(trouble @ Met::Refused(_)) => self.say(&Said::Cause(trouble.to_string())),
            None => {}
        }
        self.context.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        self.context.generate_oauth_token(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_in_the_place_of_its_effect_and_not_the_other_way_round() {
        let settings = crate::Settings::new(["127.0.0.1:9092"]);
        let clients = Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock));
        let member = Member {
            context: clients.context(),
            adapter: AdapterId::new("orders-in").unwrap(),
            intake: Arc::new(Intake::new(1)),
            trouble: Trouble::default(),
            is_cause_said: AtomicBool::new(false),
        };
        let meets = |code, reason: &str| {
            member.error(KafkaError::Global(code), reason);
            member.trouble.get().unwrap()
        };
        assert!(meets(Code::AllBrokersDown, "1/1 brokers are down").contains("no broker answers"));
        assert!(meets(Code::Authentication, "wrong password").contains("wrong password"));
        assert!(meets(Code::AllBrokersDown, "1/1 brokers are down").contains("wrong password"));
        member.trouble.set(None);
        assert!(meets(Code::AllBrokersDown, "1/1 brokers are down").contains("no broker answers"));
    }

    #[test]
    fn a_refusal_is_waited_for_only_where_it_can_end() {
        let verdict = |kind, code| Verdict::of(&Refused { kind, code, message: String::new(), retry_after: None });
        for (kind, code) in [
            (RejectionKind::Unavailable, "log_unavailable"),
            (RejectionKind::TooManyRequests, "rate_limited"),
            (RejectionKind::Unauthorized, "no_secret"),
        ] {
            assert_eq!(verdict(kind, code), Verdict::Wait, "{code}");
        }
        for (kind, code) in [
            (RejectionKind::Unauthorized, "signature_mismatch"),
            (RejectionKind::Malformed, "malformed_body"),
            (RejectionKind::NotFound, "unknown_source"),
            (RejectionKind::TooLarge, "body_too_large"),
            (RejectionKind::Unprocessable, "refused_by_plugin"),
        ] {
            assert_eq!(verdict(kind, code), Verdict::SetAside, "{code}");
        }
        assert_eq!(verdict(RejectionKind::CoolingDown, "cooldown"), Verdict::PassOver);
    }
}
