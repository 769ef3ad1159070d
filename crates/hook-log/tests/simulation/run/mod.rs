//! One run: a log is used, crashes, is opened again and looked at, as the seed says.

mod act;
mod answer;
mod last;
mod look;
mod send;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use hook_core::{
    clock::Clock,
    ports::log::{Log, LogError},
};
use hook_log::{EmbeddedLog, OpenError, Options};
use hook_testkit::{
    ManualClock,
    log_conformance::{DEAD_LETTERS, JOURNAL, topic},
};
use tokio::runtime::Runtime;

use answer::{Open, answers};
use look::{open_records, patient, scan};

use crate::{
    disk::SimulatedDisk,
    machine::Machine,
    model::{Checked, Model, When, cursor, cursors},
    report::Report,
    scenario::Scenario,
};

/// What a read may take before the run is said to hang.
const PATIENCE: Duration = Duration::from_secs(20);

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
    /// What the salts of segments are made of. Not of `rng`: other salts must not make another run.
    salts: Rng,
    scenario: Scenario,
    clock: Arc<ManualClock>,
    model: Model,
    disk: SimulatedDisk,
    report: Report,
    /// How many events were made up.
    events: u32,
    is_storm: bool,
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
            salts: Rng::with_seed(!run.seed),
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
        let mut opened = EmbeddedLog::open_stepped(self.options(), self.disk.clone(), self.salts.u64(..));
        if matches!(opened, Err(OpenError::Io { .. })) && !self.disk.machine().is_down {
            self.report.refused_in_storms += 1;
            self.calm();
            opened = EmbeddedLog::open_stepped(self.options(), self.disk.clone(), self.salts.u64(..));
        }
        match opened {
            Ok((log, steps)) => {
                let pinning = cursors().filter(|_| self.scenario.pins);
                log.set_pinning(pinning.map(|index| cursor(index).name).collect());
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
}
