//! The steps of a migration. Each can be interrupted at any moment and is done again, or found done, by the next run.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal},
    path::Path,
    sync::Arc,
    time::Instant,
};

use hook_contract::plan::{Kafka, Plan, Role};
use hook_core::{
    SignedDuration, Timestamp,
    clock::{SharedClock, SystemClock},
    envelope::EventHeader,
    names::{CursorName, Glob, TopicName},
    ports::log::{From, Log, LogError, NewRecord, Position, Record, TopicFilter},
    problem::{Problem, codes},
};
use hook_kafka::{Carrier, KafkaLog, Known, settings::MOST_WINDOW};

use super::{
    Arguments,
    report::{Migrated, Place},
    source::{self, Source, Survey},
    tally::size,
    target::Target,
    topics,
};
use crate::{
    context::Context,
    exit::Exit,
    kafka::{self, Purpose},
    migration::{Destination, Mark, Step},
    output,
    owner::{Located, fail},
};

/// So many records, or so many bytes, are one transaction.
const PART_RECORDS: usize = 1000;
const PART_BYTES: u64 = 4 << 20;

/// Everything at hand.
struct Migration<'a> {
    context: &'a Context,
    plan: &'a Plan,
    directory: &'a Path,
    source: Arc<Source>,
    survey: Survey,
    log: KafkaLog,
    mark: Mark,
    /// Carried by this run.
    carried: u64,
}

/// Why it could not be finished.
enum Failed {
    /// It may work the next time.
    Log(LogError),
    /// What is on the cluster is not what was carried.
    Wrong(String),
    /// It was said already.
    Exit(Exit),
}

impl std::convert::From<LogError> for Failed {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

pub(super) async fn run(context: &Context, located: Located, arguments: &Arguments) -> Result<(), Exit> {
    let Located { plan, directory, secrets, .. } = located;
    let Some(settings) = kafka::of(&plan) else { return Err(fail(context, "the log of the contract is not Kafka")) };
    let clock: SharedClock = Arc::new(SystemClock);
    let refuse = |problem: Box<Problem>| context.refuse(&[*problem], None);
    let mark = Mark::read(&directory).map_err(refuse)?;
    let source = Source::open(&plan, &directory, &clock, !arguments.dry_run).await.map_err(refuse)?;
    let survey = survey(context, &source).await?;
    let is_over = mark.as_ref().is_some_and(|mark| mark.covers(&source.log.state()));
    let only_looks = arguments.dry_run || is_over;
    if !only_looks {
        may_go_on(context, arguments, &survey, settings)?;
    }
    let began = Instant::now();
    // As a relay it makes the topic of what tells copies, too.
    let purpose = if only_looks { Purpose::Question } else { Purpose::Run { roles: &[Role::Relay], instance: None } };
    let log = kafka::connect((settings, &plan), purpose, &secrets, &clock).await.map_err(refuse)?;
    let to = destination(context, settings, &log).await?;
    let counted = Migrated::counted(&source, &survey);
    if let Some(mark) = &mark {
        is_the_same(context, mark, &to)?;
        if is_over {
            return Migrated { log: Some(mark.log.clone()), ..counted }.say(context);
        }
        if mark.step == Step::Done {
            let message = "this log was migrated, and has got records since: what is on Kafka cannot be told from what is not; \
                           deliver what is here with the embedded log (`hook up --force`), or give another --data-dir";
            return Err(fail(context, message));
        }
    }
    if mark.as_ref().is_none_or(|mark| mark.step == Step::Carrying) {
        no_cursors(context, &source, &log, &to).await?;
    }
    if arguments.dry_run {
        Migrated { dry_run: true, ..counted }.say(context)?;
        return topics::may_take(context, (settings, &plan), &secrets).await;
    }
    let mark = mark.unwrap_or_else(|| Mark::begin(to, Timestamp::now()));
    mark.write(&directory).map_err(refuse)?;
    let mut migration = Migration {
        context,
        plan: &plan,
        directory: &directory,
        source: Arc::new(source),
        survey,
        log,
        mark,
        carried: 0,
    };
    let done = migration.migrate().await;
    context.output.progress("");
    let done = done.map_err(|error| match error {
        Failed::Log(error) => fail(context, &interrupted(&error)),
        Failed::Wrong(what) => fail(context, &what),
        Failed::Exit(exit) => exit,
    })?;
    let seconds = began.elapsed().as_secs_f64();
    migration.log.close().await.map_err(|error| fail(context, &error.to_string()))?;
    migration.source.log.close().await.map_err(|error| fail(context, &error.to_string()))?;
    Migrated { seconds, ..done }.say(context)
}

impl Migration<'_> {
    async fn migrate(&mut self) -> Result<Migrated, Failed> {
        let topics = source::topics(self.plan, &self.source, &self.survey);
        let carrier = self.log.carrier(&self.mark.log);
        carrier.ensure(&topics).await?;
        carrier.fence().await?;
        let there = self.read_back(&carrier, &topics, "looking for what is there").await?;
        self.carry(&carrier, &there).await?;
        let keys = self.remember(&carrier).await?;
        carrier.fence().await?;
        let there = self.read_back(&carrier, &topics, "reading back").await?;
        if let Some(difference) = there.difference(&self.survey.topics) {
            return Err(Failed::Wrong(format!("{difference}; no cursor was made, and the embedded log is as it was")));
        }
        self.reach(Step::Cursors)?;
        let cursors = self.make_cursors(&there).await?;
        self.reach(Step::Done)?;
        let (log, counted) = (Some(self.mark.log.clone()), Migrated::counted(&self.source, &self.survey));
        let (carried, others) = (self.carried, there.others);
        Ok(Migrated { log, cursors, carried, others, keys, verified: true, ..counted })
    }

    async fn read_back(&self, carrier: &Carrier, topics: &BTreeSet<TopicName>, what: &str) -> Result<Target, LogError> {
        let show = |count| self.context.output.progress(&format!("{what}: {count} records"));
        Target::read(carrier, (&self.source, &self.mark.log), topics, show).await
    }

    /// Carries what is not there, in its order.
    async fn carry(&mut self, carrier: &Carrier, there: &Target) -> Result<(), LogError> {
        let (began, now) = (Instant::now(), Timestamp::now());
        let source = Arc::clone(&self.source);
        let mut reading = source.read()?;
        let (mut part, mut bytes) = (Vec::new(), 0);
        while let Some(records) = reading.next().await? {
            for record in records.into_iter().filter(|record| !there.has(&record.position)) {
                bytes += size(&record);
                part.push((self.fresh(&record, now), record.position));
                if part.len() == PART_RECORDS || bytes >= PART_BYTES {
                    self.store(carrier, std::mem::take(&mut part), began).await?;
                    bytes = 0;
                }
            }
        }
        if part.is_empty() { Ok(()) } else { self.store(carrier, part, began).await }
    }

    async fn store(
        &mut self,
        carrier: &Carrier,
        part: Vec<(NewRecord, Position)>,
        began: Instant,
    ) -> Result<(), LogError> {
        let count = part.len() as u64;
        carrier.append(part).await?;
        self.carried += count;
        let rate = self.carried as f64 / began.elapsed().as_secs_f64().max(1e-3);
        let (carried, total) = (self.carried, self.survey.total.records);
        self.context.output.progress(&format!("carried {carried} of {total} records, {rate:.0}/s"));
        Ok(())
    }

    /// The record as it is stored. Kafka removes by time what no destination has got yet: where half of that time is over,
    /// it begins anew.
    fn fresh(&self, record: &Record, now: Timestamp) -> NewRecord {
        let plan = self.plan;
        let topic = self.source.target(&record.position.topic).clone();
        let kept = if topic == plan.dead_letters { plan.log.dead_letters } else { plan.log.events };
        let half = SignedDuration::try_from(kept.max_age / 2).unwrap_or(SignedDuration::MAX);
        let time = if now.duration_since(record.time) > half { now } else { record.time };
        let Record { key, header, body, .. } = record.clone();
        NewRecord { topic, key, time, header, body }
    }

    /// Lets the relay take copies of what came in the last day for copies, carried or not. What is carried is told by no key,
    /// so that none of it is taken for a copy. Returns by how many keys.
    async fn remember(&self, carrier: &Carrier) -> Result<usize, LogError> {
        let Some(relay) = &self.plan.relay else { return Ok(0) };
        let cursor = CursorName::of_relay(&self.plan.app.id);
        let include = relay.inputs.iter().map(|topic| Glob::new(topic.as_str())).collect();
        let since = Timestamp::now().saturating_sub(MOST_WINDOW).unwrap_or(Timestamp::MIN);
        let topics = TopicFilter { include, ..TopicFilter::default() };
        let mut scan = self.source.log.scan(topics, From::Time(since))?;
        let mut keys = 0;
        loop {
            let records = scan.next(PART_RECORDS).await?;
            if records.is_empty() {
                return Ok(keys);
            }
            keys += carrier.remember(&cursor, records.iter().filter_map(|record| self.known(record)).collect()).await?;
            self.context.output.progress(&format!("{keys} keys that tell copies"));
        }
    }

    fn known(&self, record: &Record) -> Option<Known> {
        let header: EventHeader = serde_json::from_slice(&record.header).ok()?;
        Some(Known {
            topic: record.position.topic.clone(),
            key: record.key.clone()?,
            received_at: header.received_at,
            dedup: hook_runtime::copy_keys(self.plan.sources.get(&header.source)?, &header),
        })
    }

    /// Makes the cursors, each at its beginning, and reads back where they stand. One that is there already was made before the
    /// last run was interrupted.
    async fn make_cursors(&self, there: &Target) -> Result<Vec<Place>, Failed> {
        let mut places = Vec::new();
        for (index, reads) in self.source.cursors.iter().enumerate() {
            let (name, beginning) = (&reads.cursor.name, there.beginning(&self.source, index));
            self.context.output.progress(&format!("cursor {name}"));
            self.log.create_cursor_at(reads.cursor.clone(), beginning.clone()).await?;
            let found = self.log.progress(name).await?.unwrap_or_default();
            let Some(delivered_again) = there.left_out(&beginning, &found) else {
                let message = format!(
                    "cursor {name} on Kafka does not stand where it was put: a pipeline has run there before the migration \
                     was over; stop it, delete its group ({}), and run this again: what it has delivered since is delivered \
                     again",
                    deletion(&self.mark.to, name)
                );
                return Err(Failed::Wrong(message));
            };
            places.push(Place { cursor: name.clone(), undelivered: self.survey.open[index], delivered_again });
        }
        Ok(places)
    }

    fn reach(&mut self, step: Step) -> Result<(), Failed> {
        self.mark.reach(step, &self.source.log.state());
        let written = self.mark.write(self.directory);
        written.map_err(|problem| Failed::Exit(self.context.refuse(&[*problem], None)))
    }
}

/// Counts what goes along, and refuses what Kafka would not take before anything is stored.
async fn survey(context: &Context, source: &Source) -> Result<Survey, Exit> {
    let mut count = 0;
    let look = |record: &Record| {
        count += 1;
        if count % 1024 == 0 {
            context.output.progress(&format!("counting: {count} records"));
        }
        let Record { position, key, time, header, body } = record.clone();
        let topic = position.topic.clone();
        Carrier::size(&NewRecord { topic, key, time, header, body }).map(drop).map_err(|error| {
            let Position { topic, partition, offset } = position;
            Failed::Wrong(format!(
                "{error} on Kafka: record {offset} of {topic}/{partition}; nothing was changed: deliver it with the \
                 embedded log first"
            ))
        })
    };
    let surveyed = source.survey(look).await;
    context.output.progress("");
    surveyed.map_err(|error| match error {
        Failed::Log(LogError::Damaged(what)) => {
            let help = "nothing was changed: `hook log verify` finds all that is damaged, `hook log repair` says what is lost \
                        and makes the rest readable; then run this again";
            let message = format!("the embedded log is damaged: {what}");
            context.refuse(&[Problem::error(&codes::LOG_NOT_OPENED, message, help)], None)
        }
        Failed::Log(error) => fail(context, &error.to_string()),
        Failed::Wrong(what) => fail(context, &what),
        Failed::Exit(exit) => exit,
    })
}

/// What stopped it half-way, and what to do.
fn interrupted(error: &LogError) -> String {
    match error {
        LogError::TooLarge { .. } => format!(
            "a topic on Kafka refuses a record that hook's own would take: {error}; nothing is lost: set `max.message.bytes` of \
             the topics to {} at least, and run it again: it goes on from there",
            hook_kafka::MOST_RECORD
        ),
        error => format!("{error}; nothing is lost: run it again, and it goes on from there"),
    }
}

/// Refuses to go on to another place than the one where it began.
fn is_the_same(context: &Context, mark: &Mark, to: &Destination) -> Result<(), Exit> {
    if mark.to == *to {
        return Ok(());
    }
    let message = format!(
        "this data directory was migrated, or began to be, to {}, and the contract names {to}: name the first one again",
        mark.to
    );
    Err(fail(context, &message))
}

/// Refuses where a cursor exists already: what is carried would come to it in another order, or not at all.
async fn no_cursors(context: &Context, source: &Source, log: &KafkaLog, to: &Destination) -> Result<(), Exit> {
    for reads in &source.cursors {
        let name = &reads.cursor.name;
        let found = log.progress(name).await.map_err(|error| fail(context, &error.to_string()))?;
        if found.is_some() {
            let message = format!(
                "cursor {name} exists on Kafka: a pipeline of this app has run there; nothing was changed: set another \
                 `namespace` under [backbone], or KAFKA_NAMESPACE; or stop that pipeline and delete its groups ({}), and \
                 whatever stands in its topics is delivered as well",
                deletion(to, name)
            );
            return Err(fail(context, &message));
        }
    }
    Ok(())
}

/// How a cursor is deleted that the contract reads with: no pipeline can be asked to.
fn deletion(to: &Destination, cursor: &CursorName) -> String {
    format!("`kafka-consumer-groups.sh --bootstrap-server … --delete --group {}{cursor}`", to.namespace)
}

async fn destination(context: &Context, kafka: &Kafka, log: &KafkaLog) -> Result<Destination, Exit> {
    let cluster = log.cluster_id().await.map_err(|error| fail(context, &error.to_string()))?;
    let namespace = kafka.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok(Destination { cluster: cluster.unwrap_or_else(|| brokers(kafka)), namespace })
}

fn brokers(kafka: &Kafka) -> String {
    kafka.brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Goes on where the operator wants it: said with `--yes`, or on a terminal.
fn may_go_on(context: &Context, arguments: &Arguments, survey: &Survey, kafka: &Kafka) -> Result<(), Exit> {
    if arguments.yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(fail(context, "nothing was changed: say --yes to migrate, or --dry-run to only look"));
    }
    let (records, bytes) = (survey.total.records, output::size(survey.total.bytes));
    context.output.ask(&format!("Carry {records} records ({bytes}) to Kafka at {}? [y/N] ", brokers(kafka)));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    match read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        true => Ok(()),
        false => Err(fail(context, "nothing was changed")),
    }
}
