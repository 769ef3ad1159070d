//! Faults against the real binary: load, then kill it, fill its disk, break its destinations, step its clock, starve it;
//! count what was acknowledged, delivered, delivered again, lost.
//!
//! ```text
//!   load ──signed webhooks──▶ hook up (a process) ──deliveries──▶ sink
//!     └────── acknowledged, in order of each key ──── compared ────┘
//! ```
//!
//! The load and the destinations are not those of the measurements, with which they share requests, marks and connections:
//! these senders follow a pipeline from one life to the next and keep every acknowledged id, and these destinations break
//! in ways that no HTTP server can be told to.
//!
//! By default this program itself becomes `hook`, with the same entry as the binary: nothing is built twice, and what is
//! tested is what was compiled. `--hook PATH` takes a binary as it is shipped. A feature of `xtask` holds all of this, so
//! that `tidy` alone still builds without the product.

mod clock;
mod contract;
mod descriptors;
mod destinations;
mod disk;
mod home;
mod kafka;
mod kill;
mod ledger;
mod load;
mod namespace;
mod report;
mod settle;
mod sink;
mod terminate;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};

use self::{contract::Topology, report::Outcome};

/// Faults against the real binary
#[derive(Debug, Parser)]
#[command(name = "cargo run -p xtask -- faults")]
struct Arguments {
    /// The log that the scenarios are for. Brokers are started for those on Kafka
    #[arg(value_enum, default_value_t = Log::Embedded)]
    log: Log,
    /// Only these scenarios, whatever log they are for
    #[arg(long, value_name = "NAME")]
    only: Vec<Scenario>,
    /// The short form, which CI runs: about a minute
    #[arg(long)]
    quick: bool,
    /// How many rounds of scenarios that have rounds
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Makes the same random choices again
    #[arg(long)]
    seed: Option<u64>,
    /// The binary; without it this program becomes `hook`
    #[arg(long, value_name = "PATH")]
    hook: Option<PathBuf>,
    /// Keep the directories of the runs, with the logs of the processes, and say where they are
    #[arg(long)]
    keep: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn wants(&self, scenario: Scenario) -> bool {
        match self.only.is_empty() {
            true => scenario.log() == self.log && (!self.quick || scenario.is_quick()),
            false => self.only.contains(&scenario),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Log {
    Embedded,
    Kafka,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// SIGKILL under load and during the start
    Kill,
    /// The same, with a relay between ingress and delivery
    KillRelay,
    /// SIGTERM under load
    Terminate,
    /// A file system that is full, and has space again
    DiskFull,
    /// The same, filled by nothing but events; only in the long form
    FilledByEvents,
    /// Destinations that refuse, stall, reset, garble, fail, trickle, and come back
    Destinations,
    /// Steps of the system's clock, there and back
    Clock,
    /// More connections than file descriptors
    Descriptors,
    /// SIGKILL of a broker, a serve, a relay, a smash, in turn; only in the long form
    KafkaKill,
    /// A network to the brokers that delays, resets, hangs up, swallows, forgets
    KafkaNetwork,
    /// Several processes of each role share the work, come and go; only in the long form
    KafkaShare,
}

impl Scenario {
    /// Whether its short form takes seconds.
    fn is_quick(self) -> bool {
        // Retention may take its minute, and a session that ends on Kafka ten seconds.
        !matches!(self, Self::FilledByEvents | Self::KafkaKill | Self::KafkaShare)
    }

    fn log(self) -> Log {
        match self {
            Self::KafkaKill | Self::KafkaNetwork | Self::KafkaShare => Log::Kafka,
            _ => Log::Embedded,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillRelay => "kill-relay",
            Self::Terminate => "terminate",
            Self::DiskFull => "disk-full",
            Self::FilledByEvents => "filled-by-events",
            Self::Destinations => "destinations",
            Self::Clock => "clock",
            Self::Descriptors => "descriptors",
            Self::KafkaKill => "kafka-kill",
            Self::KafkaNetwork => "kafka-network",
            Self::KafkaShare => "kafka-share",
        }
    }
}

/// What a scenario is given.
struct Setup {
    /// The program, and its first arguments.
    hook: Vec<OsString>,
    keeps_directories: bool,
    is_quick: bool,
    rounds: Option<u32>,
    random: fastrand::Rng,
}

impl Setup {
    /// How long nothing may happen before a run is given up. Not a bound on speed: machines are busy.
    fn patience(&self) -> Duration {
        Duration::from_secs(if self.is_quick { 30 } else { 90 })
    }
}

/// Runs what `xtask faults` was asked for.
pub(super) fn run(arguments: &[&str]) -> ExitCode {
    let arguments = match Arguments::try_parse_from(std::iter::once(&"faults").chain(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if arguments.wants(Scenario::DiskFull) || arguments.wants(Scenario::FilledByEvents) {
        namespace::enter();
    }
    let ran = tokio::runtime::Runtime::new().map_err(|error| format!("could not start the async runtime: {error}"));
    match ran.and_then(|runtime| runtime.block_on(until_told_to_end(run_all(&arguments)))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            super::say(&format!("faults: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// `hook` itself, with what follows as its arguments.
pub(super) fn hook() -> ExitCode {
    let arguments = std::env::args_os().skip(2);
    hook_cli::run(hook_cli::catalog::default_catalog(), std::iter::once("hook".into()).chain(arguments))
}

/// Gives a run up when the process is told to end, so that what it has started ends with it: brokers outlive whoever is killed.
async fn until_told_to_end(run: impl Future<Output = Result<bool, String>>) -> Result<bool, String> {
    let told = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let mut told = told.map_err(|error| format!("no signal can be waited for: {error}"))?;
    tokio::select! {
        ran = run => ran,
        _ = tokio::signal::ctrl_c() => Err("interrupted".to_owned()),
        _ = told.recv() => Err("told to end".to_owned()),
    }
}

async fn run_all(arguments: &Arguments) -> Result<bool, String> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut setup = Setup {
        hook: program(arguments)?,
        keeps_directories: arguments.keep,
        is_quick: arguments.quick,
        rounds: arguments.rounds,
        random: fastrand::Rng::with_seed(seed),
    };
    let mut outcomes = Vec::new();
    for scenario in Scenario::value_variants() {
        if arguments.wants(*scenario) {
            super::say(&format!("faults: {} (--seed {seed} --only {})\n", scenario.name(), scenario.name()));
            // Each begins with the seed, so that one that fails can be run alone.
            setup.random = fastrand::Rng::with_seed(seed);
            outcomes.push(run_one(*scenario, &mut setup, seed).await);
        }
    }
    let text = match arguments.json {
        true => serde_json::to_string(&outcomes).map_err(|error| error.to_string())? + "\n",
        false => report::table(&outcomes),
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("the result could not be printed: {error}"))?;
    Ok(outcomes.iter().all(|outcome| outcome.faults.is_empty()))
}

/// The program that becomes `hook`.
fn program(arguments: &Arguments) -> Result<Vec<OsString>, String> {
    match &arguments.hook {
        Some(path) => {
            let path = path.canonicalize().map_err(|error| format!("no binary {}: {error}", path.display()))?;
            Ok(vec![path.into()])
        }
        None => {
            let this = std::env::current_exe().map_err(|error| format!("this program has no path: {error}"))?;
            Ok(vec![this.into(), "hook".into()])
        }
    }
}

async fn run_one(scenario: Scenario, setup: &mut Setup, seed: u64) -> Outcome {
    let mut outcome = Outcome { scenario: scenario.name(), seed, ..Outcome::default() };
    let began = Instant::now();
    let ran = match scenario {
        Scenario::Kill => kill::run(setup, Topology::Direct, &mut outcome).await,
        Scenario::KillRelay => kill::run(setup, Topology::Relayed, &mut outcome).await,
        Scenario::Terminate => terminate::run(setup, &mut outcome).await,
        Scenario::DiskFull => disk::run(setup, &mut outcome).await,
        Scenario::FilledByEvents => disk::run_filled_by_events(setup, &mut outcome).await,
        Scenario::Destinations => destinations::run(setup, &mut outcome).await,
        Scenario::Clock => clock::run(setup, &mut outcome).await,
        Scenario::Descriptors => descriptors::run(setup, &mut outcome).await,
        Scenario::KafkaKill => kafka::run_kill(setup, &mut outcome).await,
        Scenario::KafkaNetwork => kafka::run_network(setup, &mut outcome).await,
        Scenario::KafkaShare => kafka::run_share(setup, &mut outcome).await,
    };
    if let Err(error) = ran {
        outcome.faults.push(error);
    }
    outcome.seconds = began.elapsed().as_secs_f64();
    outcome
}
