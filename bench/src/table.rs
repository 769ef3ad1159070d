//! The table of cases (a) to (g): which of them are run, in which order, with which baselines.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;
use hook_bench::{error::Error, latency::Latencies};

use crate::{
    bounds,
    cases::{
        Scale,
        backlog::{self, Plan},
        echo, end_to_end, fsync, ingest, middle,
        options::Common,
    },
    machine::Machine,
    report::{BodyReport, Report, size},
};

const KIB: usize = 1024;
/// The rate at which the acknowledgement's latency is measured.
const STEADY: f64 = 16_000.0;
/// With long bodies that rate is more than a disk takes: the steady load is then this part of what was reached.
const STEADY_PART: f64 = 0.5;
/// What a backlog of long bodies may take: more would measure the disk.
const BACKLOG_BYTES: u64 = 4 << 30;
const QUICK_SECONDS: f64 = 2.0;
const QUICK_BACKLOG: u64 = 20_000;
/// A backlog's costs are measured in so many parts of it.
const PARTS: u64 = 4;
const IDLE_PAUSE: Duration = Duration::from_millis(20);

const ROUNDS: u32 = 3;
const SECONDS: f64 = 5.0;
const CONNECTIONS: u32 = 64;
const KEYS: u32 = 10_000;
const BACKLOG: u64 = 1_000_000;

/// A case of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// The baseline: an axum echo
    Echo,
    /// Signed durable ingest
    Ingest,
    /// From the load to a destination
    EndToEnd,
    /// From the load to a destination, one event at a time
    Idle,
    /// A backlog that is taken in and drained, and starts with it and without it
    Backlog,
    /// Writes of 4 KiB, each synced
    Fsync,
}

impl Case {
    const ALL: [Self; 6] = [Self::Echo, Self::Ingest, Self::EndToEnd, Self::Idle, Self::Backlog, Self::Fsync];

    /// What a case's figures are compared with.
    fn baselines(self) -> &'static [Self] {
        match self {
            Self::Ingest | Self::EndToEnd => &[Self::Echo, Self::Fsync],
            Self::Idle | Self::Backlog => &[Self::Fsync],
            Self::Echo | Self::Fsync => &[],
        }
    }
}

/// Which bodies are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Body {
    #[value(name = "1KiB")]
    Small,
    #[value(name = "20KiB")]
    Large,
    Both,
}

impl Body {
    fn sizes(self) -> &'static [usize] {
        match self {
            Self::Small => &[KIB],
            Self::Large => &[20 * KIB],
            Self::Both => &[KIB, 20 * KIB],
        }
    }
}

/// How the table is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Length of the bodies
    #[arg(long, value_enum, default_value_t = Body::Both)]
    body: Body,
    /// One short round of everything: to see that it works, not to compare
    #[arg(long)]
    quick: bool,
    /// Without the baselines that a case is compared with
    #[arg(long)]
    alone: bool,
    /// How often each case is measured; baseline and case take turns
    #[arg(long, default_value_t = ROUNDS)]
    rounds: u32,
    /// Seconds of a measurement, after a warm-up of a fifth of that
    #[arg(long, default_value_t = SECONDS)]
    seconds: f64,
    /// Connections of the load
    #[arg(long, default_value_t = CONNECTIONS)]
    connections: u32,
    /// Ordering keys
    #[arg(long, default_value_t = KEYS)]
    keys: u32,
    /// Events of a backlog. With long bodies, as many of them as take 4 GiB
    #[arg(long, value_name = "EVENTS", default_value_t = BACKLOG)]
    backlog: u64,
    /// Where data directories are made [default: the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the tables into this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

impl Options {
    /// The defaults.
    pub(crate) fn new(common: &Common) -> Self {
        Self {
            body: Body::Both,
            quick: common.quick,
            alone: false,
            rounds: ROUNDS,
            seconds: SECONDS,
            connections: CONNECTIONS,
            keys: KEYS,
            backlog: BACKLOG,
            dir: common.dir.clone(),
            json: false,
            write: None,
        }
    }

    /// The directory below which data directories are made.
    fn below(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    fn seconds(&self) -> f64 {
        let most = if self.quick { QUICK_SECONDS } else { 3600.0 };
        self.seconds.clamp(0.1, most)
    }

    fn scale(&self, body_bytes: usize) -> Scale {
        Scale {
            body_bytes,
            connections: self.connections.clamp(1, 10_000),
            keys: self.keys.max(1),
            warm_up: Duration::from_secs_f64(self.seconds() / 5.0),
            measured: Duration::from_secs_f64(self.seconds()),
            steady: STEADY,
            ..Scale::new(self.below())
        }
    }

    fn backlog(&self, body_bytes: usize) -> Plan {
        let events = if self.quick { QUICK_BACKLOG.min(self.backlog) } else { self.backlog };
        let room = BACKLOG_BYTES / body_bytes as u64;
        Plan { events: events.min(room).max(PARTS), parts: PARTS, segment_bytes: None }
    }

    fn syncs(&self) -> u32 {
        if self.quick { 500 } else { 2_000 }
    }
}

/// Measures everything.
pub(crate) async fn all(options: &Options) -> Result<Report, Error> {
    measure(options, &Case::ALL).await
}

/// Measures one case, and what it is compared with.
pub(crate) async fn one(options: &Options, case: Case) -> Result<Report, Error> {
    let baselines = if options.alone { &[] } else { case.baselines() };
    measure(options, &[baselines, &[case]].concat()).await
}

async fn measure(options: &Options, cases: &[Case]) -> Result<Report, Error> {
    let mut syncs = Latencies::default();
    let fsync = async |syncs: &mut Latencies| -> Result<(), Error> {
        if cases.contains(&Case::Fsync) {
            note("writes of 4 KiB, each synced");
            syncs.add(&fsync::measure(&options.below(), options.syncs())?);
        }
        Ok(())
    };
    fsync(&mut syncs).await?;
    let mut bodies = Vec::new();
    for &body_bytes in options.body.sizes() {
        bodies.push(measure_body(options, cases, body_bytes).await?);
    }
    fsync(&mut syncs).await?;
    let fsync = (syncs.count() > 0).then(|| syncs.summary());
    let bounds = bounds::judge(&bodies, fsync.as_ref());
    let scale = options.scale(KIB);
    Ok(Report {
        machine: Machine::this(),
        connections: scale.connections,
        keys: scale.keys,
        rounds: options.rounds(),
        measured_seconds: options.seconds(),
        fsync,
        bodies,
        bounds,
    })
}

/// What the rounds have measured with bodies of one length.
#[derive(Default)]
struct Rounds {
    echo: Vec<echo::Closed>,
    echo_short: Vec<echo::Closed>,
    ingest: Vec<ingest::Ingest>,
    steady: Vec<ingest::Steady>,
    end_to_end: Vec<end_to_end::EndToEnd>,
}

async fn measure_body(options: &Options, cases: &[Case], body_bytes: usize) -> Result<BodyReport, Error> {
    let mut scale = options.scale(body_bytes);
    let mut rounds = Rounds::default();
    for round in 1..=options.rounds() {
        let what = |case: &str| note(&format!("{}, round {round}: {case}", size(body_bytes)));
        if cases.contains(&Case::Echo) {
            what("echo");
            rounds.echo.push(echo::measure(&scale, echo::ECHO).await?);
            rounds.echo_short.push(echo::measure(&scale, echo::SHORT).await?);
        }
        if cases.contains(&Case::Ingest) {
            what("ingest");
            let closed = ingest::closed(&scale).await?;
            if body_bytes > KIB {
                scale.steady = STEADY.min((closed.closed.per_second * STEADY_PART).floor());
            }
            rounds.ingest.push(closed);
            what("ingest at a steady rate");
            rounds.steady.push(ingest::steady(&scale).await?);
        }
        if cases.contains(&Case::EndToEnd) {
            what("end to end");
            rounds.end_to_end.push(end_to_end::loaded(&scale).await?);
        }
    }
    let mut report = rounds.into_report(body_bytes);
    if cases.contains(&Case::Idle) {
        note(&format!("{}: idle", size(body_bytes)));
        let events = if options.quick { 100 } else { 500 };
        report.idle = Some(end_to_end::idle(&scale, events, IDLE_PAUSE).await?);
    }
    if cases.contains(&Case::Backlog) {
        note(&format!("{}: starts with an empty log", size(body_bytes)));
        report.start_empty = Some(backlog::empty_starts(&scale).await?);
        let plan = options.backlog(body_bytes);
        note(&format!("{}: a backlog of {} events", size(body_bytes), plan.events));
        report.backlog = Some(backlog::measure(&scale, plan).await?);
    }
    Ok(report)
}

impl Rounds {
    fn into_report(self, body_bytes: usize) -> BodyReport {
        let rates = |rounds: &[echo::Closed]| -> Vec<f64> { rounds.iter().map(|round| round.per_second).collect() };
        let (echo, short) = (rates(&self.echo), rates(&self.echo_short));
        let ingest: Vec<f64> = self.ingest.iter().map(|round| round.closed.per_second).collect();
        let end_to_end: Vec<f64> = self.end_to_end.iter().map(|round| round.per_second).collect();
        BodyReport {
            body_bytes,
            ingest_to_echo: ratio(&ingest, &echo),
            ingest_to_echo_short: ratio(&ingest, &short),
            end_to_end_to_echo: ratio(&end_to_end, &echo),
            echo: middle(&self.echo, |round| round.per_second),
            echo_short: middle(&self.echo_short, |round| round.per_second),
            ingest: middle(&self.ingest, |round| round.closed.per_second),
            steady: middle(&self.steady, |round| round.latency.p99_ms),
            end_to_end: middle(&self.end_to_end, |round| round.per_second),
            ..BodyReport::default()
        }
    }
}

/// The ratio in the middle: each round against the baseline of the same round, so that a slow moment meets both.
fn ratio(rounds: &[f64], baselines: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = rounds.iter().zip(baselines).map(|(round, baseline)| round / baseline).collect();
    middle(&ratios, |ratio| *ratio)
}

/// Says what is being measured, beside the result.
#[expect(clippy::print_stderr, reason = "a measurement takes minutes: a person wants to see that it goes on")]
pub(crate) fn note(what: &str) {
    eprintln!("… {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_the_same_round() {
        assert_eq!(ratio(&[1.0, 3.0, 5.0], &[2.0, 4.0, 20.0]), Some(0.5));
        assert_eq!(ratio(&[1.0], &[]), None);
    }
}
