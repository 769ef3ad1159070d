//! One run: a log is used, crashes, is opened again and looked at, as the seed says.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use fastrand::Rng;
use hook_core::{
    clock::Clock,
    names::Glob,
    ports::log::{
        Append, Appended, Commit, Cursor, DedupKey, From, Log, LogError, LogState, NewRecord, Record, TopicFilter,
    },
};
use hook_log::{EmbeddedLog, OpenError, Options, Steps};
use hook_testkit::{
    ManualClock,
    log_conformance::{DEAD_LETTERS, JOURNAL, positions, topic},
};
use tokio::runtime::Runtime;

use crate::{
    disk::SimulatedDisk,
    machine::{Machine, Weather},
    model::{Change, Checked, Fate, Model, TOPICS, When, chain_of, cursor, cursors, must, name_of, topic_index},
    report::Report,
    scenario::Scenario,
};

/// What a read may take before the run is said to hang.
const PATIENCE: Duration = Duration::from_secs(20);
const KEY_LIFE: Duration = Duration::from_secs(600);

/// A run that showed something wrong.
pub(crate) struct Failure {
    pub(crate) run: Run,
    pub(crate) what: String,
    /// What was done, one line each. Empty where nobody asked for it.
    pub(crate) trace: Vec<String>,
}

/// How a run is made.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    /// The number of the change to the disk with which the first machine loses its power, instead of what the seed says.
    pub(crate) first_crash: Option<u64>,
    pub(crate) is_traced: bool,
}

struct World {
    rng: Rng,
    scenario: Scenario,
    clock: Arc<ManualClock>,
    model: Model,
    disk: SimulatedDisk,
    report: Report,
    /// How many events were made up.
    events: u32,
    is_storm: bool,
}

/// A log that is open.
struct Open {
    log: Arc<EmbeddedLog>,
    steps: Steps,
    flight: Vec<InFlight>,
}

struct InFlight {
    asked: Asked,
    future: Pin<Box<dyn Future<Output = Answer>>>,
}

#[derive(Clone, Copy)]
enum Asked {
    Append(u32),
    Make { cursor: usize, from: From, alone: Option<u32> },
    Forget { cursor: usize, alone: Option<u32> },
    Flush { notes: u32 },
}

enum Answer {
    Append(Result<Appended, LogError>),
    Made(Result<bool, LogError>),
    Done(Result<(), LogError>),
}

impl Answer {
    fn is_ok(&self) -> bool {
        match self {
            Self::Append(answer) => answer.is_ok(),
            Self::Made(answer) => answer.is_ok(),
            Self::Done(answer) => answer.is_ok(),
        }
    }
}

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Killed,
    PowerLoss,
}

impl Run {
    pub(crate) fn of(seed: u64) -> Self {
        Self { seed, first_crash: None, is_traced: false }
    }

    /// Makes the run. A panic of the log is a failure. The report counts what happened in it.
    pub(crate) fn make(self, runtime: &Runtime) -> Result<Report, Failure> {
        self.make_traced(runtime).map(|(report, _)| report)
    }

    pub(crate) fn make_traced(self, runtime: &Runtime) -> Result<(Report, Vec<String>), Failure> {
        let mut world = World::new(self);
        let made = catch_unwind(AssertUnwindSafe(|| runtime.block_on(world.live(self.first_crash))));
        let made = made.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("panic: {}", text.unwrap_or_default()))
        });
        let trace = world.disk.machine().trace.take().unwrap_or_default();
        match made {
            Ok(()) => Ok((world.finished(), trace)),
            Err(what) => Err(Failure { run: self, what, trace }),
        }
    }
}

impl World {
    fn new(run: Run) -> Self {
        let mut rng = Rng::with_seed(run.seed);
        let scenario = Scenario::of(&mut rng);
        let mut machine = Machine::new(rng.u64(..));
        machine.can_allocate = scenario.can_allocate;
        machine.order = scenario.order;
        machine.trace = run.is_traced.then(|| vec![format!("{scenario:?}")]);
        Self {
            rng,
            model: Model::new(&scenario),
            scenario,
            clock: Arc::default(),
            disk: SimulatedDisk::new(machine),
            report: Report::default(),
            events: 0,
            is_storm: false,
        }
    }

    fn finished(mut self) -> Report {
        self.report.acked = self.model.acked();
        self.report.duplicates = self.model.duplicates();
        self.report.count(&self.disk.machine().counts);
        self.report
    }

    fn note(&self, line: impl FnOnce() -> String) {
        self.disk.machine().note(line);
    }

    async fn live(&mut self, first_crash: Option<u64>) -> Checked {
        for generation in 0..self.scenario.crashes {
            let crash_in = match first_crash {
                Some(change) => (generation == 0).then_some(change),
                // Few changes are those of opening the log; many are those of its life.
                None => (self.rng.u8(..4) > 0).then(|| {
                    let most = 1 << self.rng.u32(1..8);
                    self.rng.u64(..most)
                }),
            };
            self.disk.machine().crash_in = crash_in;
            let ends_open = self.generation().await?;
            self.end(ends_open).await?;
        }
        self.last().await
    }

    /// A log from its opening until it ends; `None` where it did not open.
    async fn generation(&mut self) -> Result<Option<Open>, String> {
        if self.scenario.is_storm() && self.rng.u8(..4) == 0 {
            self.storm();
        }
        let Some(mut open) = self.open()? else { return Ok(None) };
        self.check(&mut open, When::Reopened).await?;
        for _ in 0..self.rng.u32(1..40) {
            self.act(&mut open).await?;
            if self.rng.u8(..4) > 0 {
                self.step(&mut open)?;
            }
            if self.disk.machine().is_down {
                break;
            }
        }
        Ok(Some(open))
    }

    fn options(&self) -> Options {
        let options = Options::new("/data", topic(DEAD_LETTERS), topic(JOURNAL), self.clock.clone());
        Options {
            segment_bytes: self.scenario.segment_bytes,
            events: self.scenario.retention,
            dead_letters_retention: self.scenario.retention,
            journal_retention: self.scenario.retention,
            max_pinned: Some(self.scenario.max_pinned.unwrap_or(u64::MAX)),
            when_pinned: self.scenario.when_pinned,
            ..options
        }
    }

    /// Opens the log; `None` where the power was lost meanwhile. A storm may keep it from opening, damage must not.
    fn open(&mut self) -> Result<Option<Open>, String> {
        self.note(|| "open".to_owned());
        let mut opened = EmbeddedLog::open_stepped(self.options(), self.disk.clone());
        if matches!(opened, Err(OpenError::Io { .. })) && !self.disk.machine().is_down {
            self.report.refused_in_storms += 1;
            self.calm();
            opened = EmbeddedLog::open_stepped(self.options(), self.disk.clone());
        }
        match opened {
            Ok((log, steps)) => {
                if self.scenario.pins {
                    log.set_pinning(cursors().map(|index| cursor(index).name).collect());
                }
                Ok(Some(Open { log: Arc::new(log), steps, flight: Vec::new() }))
            }
            Err(OpenError::Io { .. }) if self.disk.machine().is_down => Ok(None),
            Err(error) => Err(format!("it does not open: {error:?}")),
        }
    }

    /// Looks at everything that the log shows.
    async fn check(&mut self, open: &mut Open, when: When) -> Checked {
        let records = match patient(scan(&open.log)).await? {
            Ok(records) => records,
            Err(LogError::Damaged(_)) if matches!(when, When::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(format!("reading fails: {error}")),
        };
        let state = open.log.state();
        self.model.check_records(&records, &state, when, &self.scenario, self.clock.now())?;
        if when == When::Reopened {
            self.model.check_cursors(&state)?;
            for index in cursors() {
                if self.model.cursors[index].exists == Some(true) {
                    let delivered = open_records(&open.log, index, &state).await?;
                    self.model.check_delivered(index, &delivered, &state)?;
                }
            }
        }
        Ok(())
    }

    /// One thing that callers, time or the weather do.
    async fn act(&mut self, open: &mut Open) -> Checked {
        match self.rng.u8(..100) {
            0..35 if self.scenario.is_read => self.read(open).await,
            0..45 => (0..self.rng.u32(1..5)).try_for_each(|_| self.append(open)),
            45..57 => self.commit(open).await,
            57..63 => self.change_cursor(open),
            63..70 => self.write_note(open),
            70..73 => self.flush(open),
            73..85 => self.pass(open),
            85..88 => self.check_running(open).await,
            88..90 => self.abandon(open),
            90..95 if self.scenario.is_storm() => {
                if self.is_storm {
                    self.calm()
                } else {
                    self.storm()
                }
                Ok(())
            }
            95..99 if self.scenario.fills => {
                self.fill();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn storm(&mut self) {
        self.is_storm = true;
        self.note(|| "a storm begins".to_owned());
        self.disk.machine().weather = self.scenario.storm;
    }

    fn fill(&mut self) {
        let mut machine = self.disk.machine();
        let room = self.rng.u64(..4 * self.scenario.segment_bytes.min(2000));
        machine.capacity = if machine.capacity == u64::MAX { machine.used() + room } else { u64::MAX };
        let capacity = machine.capacity;
        machine.note(|| format!("room: {capacity}"));
    }

    /// Nothing goes wrong any more.
    fn calm(&mut self) {
        self.is_storm = false;
        let mut machine = self.disk.machine();
        machine.note(|| "all is calm".to_owned());
        machine.weather = Weather::default();
        machine.capacity = u64::MAX;
    }

    fn append(&mut self, open: &mut Open) -> Checked {
        let again = self.model.requests.iter().filter(|request| request.wants_retry()).map(|it| it.append.clone());
        let again: Vec<_> = if self.rng.u8(..4) == 0 { again.collect() } else { Vec::new() };
        let append = match self.rng.choice(&again).cloned() {
            Some(append) => self.again(append),
            None => self.new_append(open),
        };
        let event = event_of(&append);
        let number = self.model.send(append.clone(), event, false);
        self.note(|| format!("append {number}: {}", describe(&append)));
        let log = Arc::clone(&open.log);
        open.ask(Asked::Append(number), async move { Answer::Append(log.append(append).await) });
        self.poll(open)
    }

    /// The same event, sent once more as another request.
    fn again(&mut self, mut append: Append) -> Append {
        let number = self.model.requests.len() as u32;
        for (index, record) in append.records.iter_mut().enumerate() {
            record.header = format!("{number}.{index}").into();
        }
        // What is sent again counts as a copy for as long as it would have then.
        append.dedup.iter_mut().for_each(|key| key.expires_at = self.clock.now() + KEY_LIFE);
        append.id = id(number);
        append.commit = None;
        append
    }

    fn new_append(&mut self, open: &Open) -> Append {
        let number = self.model.requests.len() as u32;
        self.events += 1;
        let first = if self.rng.u8(..3) > 0 { self.rng.usize(..2) } else { self.rng.usize(..TOPICS.len()) };
        let spans = self.rng.u8(..8) == 0;
        let count = if self.rng.u8(..3) == 0 { self.rng.u32(1..5) } else { 1 };
        let records = (0..count).map(|index| {
            let to = if spans { self.rng.usize(..TOPICS.len()) } else { first };
            self.record(to, &format!("{number}.{index}"), index)
        });
        let records = records.collect();
        let mut append = Append { records, id: id(number), ..Append::default() };
        if !spans && first < 2 && self.rng.u8(..3) == 0 {
            append.dedup = (0..self.rng.u8(1..3)).map(|_| self.key()).collect();
            append.dedup.dedup_by_key(|key| key.digest);
        } else if self.rng.u8(..4) == 0 {
            append.commit = self.commit_of(open);
        }
        append
    }

    fn record(&mut self, to: usize, header: &str, index: u32) -> NewRecord {
        let filler = if self.rng.u8(..16) == 0 { self.rng.usize(..3000) } else { self.rng.usize(..40) };
        let event = self.events;
        NewRecord {
            topic: name_of(to),
            key: (self.rng.u8(..4) > 0).then(|| format!("key {}", self.rng.u8(..4)).into()),
            time: self.clock.now(),
            header: header.to_owned().into(),
            body: format!("{event}.{index} {}", "x".repeat(filler)).into(),
        }
    }

    fn key(&mut self) -> DedupKey {
        let life = *self.rng.choice(&[1, 60, 5 * 3600]).expect("there are some");
        DedupKey { digest: [self.rng.u8(1..9); 16], expires_at: self.clock.now() + Duration::from_secs(life) }
    }

    /// A commit of some records that a cursor reads, as a relay makes it.
    fn commit_of(&mut self, open: &Open) -> Option<Commit> {
        let index = self.rng.usize(cursors());
        let cursor = cursor(index);
        let state = open.log.state();
        let mut done = Vec::new();
        for partition in state.partitions.iter().filter(|known| cursor.topics.matches(&known.topic)) {
            for offset in partition.start..partition.end {
                if self.rng.u8(..3) == 0 {
                    let topic = partition.topic.clone();
                    done.push(hook_core::ports::log::Position { topic, partition: 0, offset });
                }
            }
        }
        done.truncate(8);
        Some(Commit { cursor: cursor.name, done })
    }

    async fn commit(&mut self, open: &mut Open) -> Checked {
        let index = self.rng.usize(cursors());
        let state = open.log.state();
        let cursor = cursor(index);
        let (true, Ok(mut subscription)) = (count_open(index, &state) > 0, open.log.subscribe(&cursor)) else {
            return Ok(());
        };
        let most = self.rng.usize(1..6);
        let records = patient(subscription.next(most)).await?;
        let records = records.map_err(|error| format!("cursor {index} cannot read: {error}"))?;
        let mut done = positions(&records);
        done.retain(|_| self.rng.u8(..4) > 0);
        self.note(|| format!("commit {index}: {done:?}"));
        self.model.committed(index, &done);
        match subscription.commit(done) {
            Ok(()) | Err(LogError::NoCursor(_)) => Ok(()),
            Err(error) => Err(format!("cursor {index} cannot commit: {error}")),
        }
    }

    /// A reader makes progress, which is written without a sync when nobody appends.
    async fn read(&mut self, open: &mut Open) -> Checked {
        if open.log.state().cursors.is_empty() {
            return self.change_cursor(open);
        }
        for _ in 0..self.rng.u32(1..6) {
            self.commit(open).await?;
            let wait = Duration::from_millis(60);
            open.steps.pass(wait);
            self.clock.advance(wait);
            self.step(open)?;
            if self.disk.machine().is_down {
                break;
            }
        }
        Ok(())
    }

    fn change_cursor(&mut self, open: &mut Open) -> Checked {
        let index = self.rng.usize(cursors());
        let alone = self.model.changes_cursor(index);
        let log = Arc::clone(&open.log);
        if self.rng.u8(..4) > 0 {
            let from = if self.rng.u8(..3) == 0 { From::Now } else { From::Earliest };
            self.note(|| format!("make cursor {index}, from {from:?}"));
            self.model.cursors[index].may_begin_now |= from == From::Now;
            let cursor = Cursor { from, ..cursor(index) };
            open.ask(Asked::Make { cursor: index, from, alone }, async move {
                Answer::Made(log.create_cursor(&cursor).await)
            });
        } else {
            self.note(|| format!("forget cursor {index}"));
            open.ask(Asked::Forget { cursor: index, alone }, async move {
                Answer::Done(log.delete_cursor(&cursor(index).name).await)
            });
        }
        self.poll(open)
    }

    fn write_note(&mut self, open: &Open) -> Checked {
        self.events += 1;
        let number = self.model.requests.len() as u32;
        let record = self.record(3, &format!("{number}.0"), 0);
        let append = Append { records: vec![record.clone()], id: id(number), ..Append::default() };
        self.model.send(append, self.events, true);
        self.note(|| format!("note {number}"));
        open.log.note(record);
        Ok(())
    }

    fn flush(&mut self, open: &mut Open) -> Checked {
        let notes = self.model.requests.len() as u32;
        let log = Arc::clone(&open.log);
        self.note(|| "flush".to_owned());
        open.ask(Asked::Flush { notes }, async move { Answer::Done(log.flush().await) });
        self.poll(open)
    }

    fn pass(&mut self, open: &Open) -> Checked {
        let time = match self.rng.u8(..8) {
            0..5 => Duration::from_millis(self.rng.u64(1..700)),
            5..7 => Duration::from_secs(self.rng.u64(1..120)),
            _ => Duration::from_secs(self.rng.u64(600..20_000)),
        };
        self.note(|| format!("{time:?} pass"));
        open.steps.pass(time);
        self.clock.advance(time);
        Ok(())
    }

    async fn check_running(&mut self, open: &mut Open) -> Checked {
        self.note(|| "look".to_owned());
        self.poll(open)?;
        self.check(open, When::Running).await
    }

    /// Somebody does not wait for the answer any more.
    fn abandon(&mut self, open: &mut Open) -> Checked {
        let appends = |flight: &InFlight| matches!(flight.asked, Asked::Append(_));
        let Some(at) = open.flight.iter().position(appends) else { return Ok(()) };
        if let Asked::Append(number) = open.flight.remove(at).asked {
            self.note(|| format!("nobody waits for {number}"));
            self.model.requests[number as usize].fate = Fate::Unanswered;
            // Whether its commit comes before or after what happens to the cursor is not known any more.
            if let Some(commit) = &self.model.requests[number as usize].append.commit {
                let index = cursors().find(|index| cursor(*index).name == commit.cursor).expect("one of them");
                self.model.changes_cursor(index);
            }
        }
        Ok(())
    }

    /// Gives the log a turn, and takes its answers.
    fn step(&mut self, open: &mut Open) -> Checked {
        self.note(|| "step".to_owned());
        self.model.step += 1;
        open.steps.step();
        self.poll(open)?;
        self.model.watch(&open.log.state());
        Ok(())
    }

    fn poll(&mut self, open: &mut Open) -> Checked {
        let answers = answers(&mut open.flight);
        let state = open.log.state();
        answers.into_iter().try_for_each(|(asked, answer)| self.answered(asked, answer, &state))
    }

    fn answered(&mut self, asked: Asked, answer: Answer, state: &LogState) -> Checked {
        let is_down = self.disk.machine().is_down;
        let now = self.clock.now();
        match (asked, answer) {
            (Asked::Append(number), Answer::Append(answer)) => {
                self.note(|| format!("  {number} is answered: {answer:?}"));
                self.model.answered(number);
                match answer {
                    Ok(Appended::Stored(positions)) => self.model.stored(number, positions, now)?,
                    Ok(Appended::DuplicateOf(id)) => self.model.copied(number, id, now)?,
                    // Of a machine that is down nobody hears.
                    Err(_) if is_down => self.model.requests[number as usize].fate = Fate::Unanswered,
                    Err(LogError::Unavailable(_)) => {
                        self.report.refused += 1;
                        let request = &mut self.model.requests[number as usize];
                        // What went to another chain first may have been stored there.
                        let spans = chains_of(&request.append) > 1;
                        request.fate = if spans { Fate::Unanswered } else { Fate::Refused(self.model.generation) };
                    }
                    Err(LogError::NoCursor(_)) => self.refused_for_cursor(number)?,
                    Err(error) => return Err(format!("request {number} is answered with {error}")),
                }
            }
            (Asked::Make { cursor, from, alone }, Answer::Made(answer)) => {
                self.note(|| format!("  cursor {cursor} is made: {answer:?}"));
                let change = answer.ok().map(|is_made| if is_made { Change::Made } else { Change::None });
                self.model.changed_cursor(cursor, change, alone, state);
                if from == From::Now && change == Some(Change::Made) {
                    self.model.begins_now(cursor, state);
                }
            }
            (Asked::Forget { cursor, alone }, Answer::Done(answer)) => {
                self.note(|| format!("  cursor {cursor} is forgotten: {answer:?}"));
                self.model.changed_cursor(cursor, answer.ok().map(|()| Change::Gone), alone, state);
            }
            (Asked::Flush { notes }, Answer::Done(answer)) => {
                self.note(|| format!("  flushed: {answer:?}"));
                if answer.is_ok() && state.dropped_notes == 0 {
                    self.model.flushed(notes);
                }
            }
            _ => unreachable!("each is answered with its own"),
        }
        Ok(())
    }

    /// Nothing of it was stored. In other chains than that of events, which do not know what cursors there are, it may be:
    /// the cursor was forgotten meanwhile.
    fn refused_for_cursor(&mut self, number: u32) -> Checked {
        let request = &mut self.model.requests[number as usize];
        let commit = request.append.commit.as_ref().ok_or("a request without a commit was refused for its cursor")?;
        let index = cursors().find(|index| cursor(*index).name == commit.cursor).expect("one of them");
        let is_elsewhere = |record: &NewRecord| chain_of(topic_index(record.topic.as_str())) > 0;
        let may_exist = request.append.records.iter().any(is_elsewhere);
        request.fate = if may_exist { Fate::Unanswered } else { Fate::Never };
        let model = &self.model.cursors[index];
        let exists = model.exists == Some(true) && model.changes == 0;
        must!(!exists, "request {number} was told that cursor {index} does not exist");
        Ok(())
    }

    /// Ends the log in one of the ways in which logs end.
    async fn end(&mut self, open: Option<Open>) -> Checked {
        let is_down = self.disk.machine().is_down;
        let end = match self.rng.u8(..8) {
            0..2 if !is_down => End::Closed,
            2..4 => End::Killed,
            _ => End::PowerLoss,
        };
        self.note(|| format!("the log ends: {end:?}"));
        if let Some(open) = open {
            self.end_as(end, open).await?;
        }
        if end == End::PowerLoss {
            self.disk = self.disk.lose_power();
        }
        let mut machine = self.disk.machine();
        (machine.is_down, machine.crash_in) = (false, None);
        drop(machine);
        self.report.ended(end == End::Closed, end == End::PowerLoss);
        self.model.crashed();
        if self.is_storm {
            self.calm();
        }
        Ok(())
    }

    async fn end_as(&mut self, end: End, mut open: Open) -> Checked {
        if end != End::Closed {
            // Whatever was answered was answered; nothing more is.
            self.poll(&mut open)?;
            return Ok(());
        }
        let Open { log, steps, mut flight } = open;
        steps.close();
        let closed = patient(log.close()).await?;
        self.note(|| format!("closed: {closed:?}"));
        self.model.step += 1;
        let state = log.state();
        // Where it was refused because the log was closing, nobody knows whether it had been stored before.
        let mut answers = answers(&mut flight);
        answers.retain(|(_, answer)| answer.is_ok());
        answers.into_iter().try_for_each(|(asked, answer)| self.answered(asked, answer, &state))?;
        if closed.is_ok() && !self.disk.machine().is_down {
            self.model.closed();
        }
        Ok(())
    }

    /// When all has become calm, the log opens, takes appends, and shows everything; and it finds what is damaged.
    async fn last(&mut self) -> Checked {
        self.calm();
        let mut open = self.open()?.ok_or("nothing goes wrong, and it does not open")?;
        self.check(&mut open, When::Reopened).await?;
        if self.rng.bool() {
            self.recovers(&mut open)?;
        }
        self.must_take(&mut open)?;
        self.check(&mut open, When::Running).await?;
        if self.scenario.is_damaged {
            return self.damage(open).await;
        }
        self.end_as(End::Closed, open).await?;
        self.model.crashed();
        let mut open = self.open()?.ok_or("nothing goes wrong, and it does not open")?;
        self.check(&mut open, When::Reopened).await
    }

    /// Lets the disk fail for a while.
    fn recovers(&mut self, open: &mut Open) -> Checked {
        self.note(|| "everything fails".to_owned());
        self.disk.machine().weather = Weather { write: 255, sync: 255, directory: 255 };
        for _ in 0..self.rng.u8(1..4) {
            self.append(open)?;
            self.step(open)?;
        }
        self.calm();
        Ok(())
    }

    /// After a while in which nothing goes wrong, the log takes appends without being asked to.
    fn must_take(&mut self, open: &mut Open) -> Checked {
        for _ in 0..3 {
            open.steps.pass(Duration::from_secs(2));
            self.clock.advance(Duration::from_secs(2));
            self.step(open)?;
        }
        let unavailable = open.log.state().unavailable;
        if unavailable.as_ref().is_some_and(|why| why.contains("max_pinned")) {
            return Ok(());
        }
        must!(unavailable.is_none(), "all is calm, and the log says: {unavailable:?}");
        let number = self.model.requests.len();
        self.append(open)?;
        for _ in 0..8 {
            self.step(open)?;
        }
        let fate = &self.model.requests[number].fate;
        let is_taken = !matches!(fate, Fate::Open | Fate::Refused(_))
            || open.log.state().unavailable.is_some_and(|why| why.contains("max_pinned"));
        must!(is_taken, "all is calm, and the log does not take request {number}: {fate:?}");
        Ok(())
    }

    /// A bit is flipped: the log says so, or shows what is right.
    async fn damage(&mut self, mut open: Open) -> Checked {
        self.report.flips += 1;
        if self.rng.u8(..4) == 0
            && let Some((_, file, flip)) = self.disk.flip()
        {
            self.check(&mut open, When::Damaged { is_closed: true }).await?;
            self.disk.flip_back(file, flip);
        }
        let is_closed = self.rng.bool();
        if is_closed {
            self.end_as(End::Closed, open).await?;
        } else {
            self.end_as(End::PowerLoss, open).await?;
            self.disk = self.disk.lose_power();
        }
        self.model.crashed();
        let Some((path, file, flip)) = self.disk.flip() else { return Ok(()) };
        match EmbeddedLog::open_stepped(self.options(), self.disk.clone()) {
            Ok((log, steps)) => {
                let mut open = Open { log: Arc::new(log), steps, flight: Vec::new() };
                return self.check(&mut open, When::Damaged { is_closed }).await;
            }
            Err(OpenError::Damaged(damage)) => {
                self.note(|| format!("damage is found: {damage}"));
                must!(path.starts_with("/data"), "{} is none of the log's files", path.display());
            }
            // A bit of a version is one of a version.
            Err(OpenError::Version { .. }) => {}
            Err(error) => return Err(format!("{} is damaged, and the log says: {error:?}", path.display())),
        }
        self.report.damage_found += 1;
        self.disk.flip_back(file, flip);
        let mut open = self.open()?.ok_or("the damage is repaired, and it does not open")?;
        self.check(&mut open, When::Reopened).await
    }
}

impl Open {
    fn ask(&mut self, asked: Asked, future: impl Future<Output = Answer> + 'static) {
        // It is polled by hand: what the runtime counts between two of its own turns must not matter.
        self.flight.push(InFlight { asked, future: Box::pin(tokio::task::unconstrained(future)) });
    }
}

/// Polls what is on its way, and takes the answers that have come.
fn answers(flight: &mut Vec<InFlight>) -> Vec<(Asked, Answer)> {
    let mut context = Context::from_waker(Waker::noop());
    let mut answers = Vec::new();
    flight.retain_mut(|flight| match flight.future.as_mut().poll(&mut context) {
        Poll::Ready(answer) => {
            answers.push((flight.asked, answer));
            false
        }
        Poll::Pending => true,
    });
    // What a copy is a copy of may have been answered in the same turn.
    answers.sort_by_key(|(_, answer)| !matches!(answer, Answer::Append(Ok(Appended::Stored(_))) | Answer::Made(_)));
    answers
}

async fn patient<T>(future: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, future).await.map_err(|_| format!("it hangs for {PATIENCE:?}"))
}

async fn scan(log: &EmbeddedLog) -> Result<Vec<Record>, LogError> {
    let everything = TopicFilter { include: vec![Glob::new("*")], unless_literal: Vec::new() };
    let mut scan = log.scan(everything, From::Earliest)?;
    let mut records = Vec::new();
    loop {
        let more = scan.next(1000).await?;
        if more.is_empty() {
            return Ok(records);
        }
        records.extend(more);
    }
}

/// How many records a cursor has not done.
fn count_open(index: usize, state: &LogState) -> u64 {
    let (cursor, found) = (cursor(index), state.cursors.iter().find(|known| known.name == cursor(index).name));
    let Some(found) = found else { return 0 };
    let of_partition = |known: &hook_core::ports::log::PartitionState| {
        let progress = found.partitions.iter().find(|progress| progress.topic == known.topic);
        let (watermark, above) = progress.map_or((0, 0), |progress| (progress.watermark, progress.done_above));
        known.end.saturating_sub(known.start.max(watermark)).saturating_sub(above)
    };
    state.partitions.iter().filter(|known| cursor.topics.matches(&known.topic)).map(of_partition).sum()
}

/// Everything that a cursor still delivers.
async fn open_records(log: &EmbeddedLog, index: usize, state: &LogState) -> Result<Vec<Record>, String> {
    let mut subscription = log.subscribe(&cursor(index)).map_err(|error| format!("cursor {index}: {error}"))?;
    let (mut records, count) = (Vec::new(), count_open(index, state));
    while (records.len() as u64) < count {
        let more = patient(subscription.next(1000)).await.map_err(|text| format!("cursor {index}: {text}"))?;
        records.extend(more.map_err(|error| format!("cursor {index}: {error}"))?);
    }
    Ok(records)
}

fn chains_of(append: &Append) -> usize {
    let chains: BTreeSet<_> =
        append.records.iter().map(|record| chain_of(topic_index(record.topic.as_str()))).collect();
    chains.len()
}

fn id(number: u32) -> [u8; 16] {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_le_bytes());
    id
}

/// The event that a request stands for, as its first body says.
fn event_of(append: &Append) -> u32 {
    let body = append.records.first().map(|record| String::from_utf8_lossy(&record.body).into_owned());
    body.and_then(|body| body.split('.').next()?.parse().ok()).unwrap_or_default()
}

fn describe(append: &Append) -> String {
    let records = append.records.iter().map(|record| format!("{} {} bytes", record.topic, record.body.len()));
    let keys: Vec<_> = append.dedup.iter().map(|key| format!("{} until {}", key.digest[0], key.expires_at)).collect();
    let records: Vec<_> = records.collect();
    format!("{records:?}, keys {keys:?}, {:?}", append.commit)
}
