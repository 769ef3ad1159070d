//! The log on Kafka: what it makes of a producer's speed, and what many destinations take of memory.
//!
//! ```text
//!   bare     one thread ──────────────────────▶ librdkafka ──▶ broker      until the reports of delivery
//!   append   tasks ──▶ the log's port ────────▶ librdkafka ──▶ broker      until the append resolves
//!   ingest   load ──signed HTTP──▶ hook serve ▶ librdkafka ──▶ broker      until the answer
//! ```
//!
//! All three have the same settings of librdkafka and write the same records: value, key and headers. So many are under way
//! at once, and the next is sent when one is acknowledged. They take turns, so that a slow moment meets all of them.

mod append;
mod bare;
mod ingest;
mod memory;
mod records;

use std::{fmt::Write, time::Duration};

use hook_bench::{
    brokers::{Brokers, DIRECT},
    error::Error,
    load::Window,
    process::{Memory, Process},
};
use hook_core::Timestamp;
use serde::Serialize;

use super::{Scale, each_us, echo, middle, options::Common};
use crate::{
    machine::Machine,
    report::{megabytes, per_second},
    table::note,
};

const ROUNDS: u32 = 5;
const SECONDS: f64 = 5.0;
const QUICK_SECONDS: f64 = 1.0;
const DESTINATIONS: usize = 20;
/// What is under way at once: as many as the table's load has connections, eight times as many, and more than any load has.
const WIDTHS: [Width; 3] = [
    Width { under_way: 64, has_ingest: true },
    Width { under_way: 512, has_ingest: true },
    Width { under_way: 4096, has_ingest: false },
];
/// The log's part of a bare producer's rate.
const BOUND: f64 = 0.7;
/// The most that `hook up` may take with twenty destinations.
const MEMORY_BOUND_KIB: u64 = 250_000_000 / 1024;

/// Options of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How often each way is measured; they take turns
    #[arg(long, default_value_t = ROUNDS)]
    rounds: u32,
    /// Seconds of a measurement, after a warm-up of a fifth of that
    #[arg(long, default_value_t = SECONDS)]
    seconds: f64,
    /// Destinations, for the memory
    #[arg(long, default_value_t = DESTINATIONS)]
    destinations: usize,
    /// Only one of the two
    #[arg(long, value_enum)]
    only: Option<Half>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Half of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Half {
    /// What it makes of a producer's speed
    Rates,
    /// What many destinations take
    Memory,
}

/// So many are under way at once.
#[derive(Debug, Clone, Copy)]
struct Width {
    under_way: u32,
    /// Whether it is measured over HTTP too: a connection each.
    has_ingest: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Kafka {
    machine: Machine,
    measured_at: String,
    /// The system's load when it began and when it ended, over a minute.
    loads: [String; 2],
    rounds: u32,
    measured_seconds: f64,
    echo: Option<echo::Closed>,
    widths: Vec<AtWidth>,
    memory: Option<memory::Destinations>,
    memory_bound_kib: u64,
    memory_holds: Option<bool>,
}

/// With so many under way.
#[derive(Debug, Serialize)]
struct AtWidth {
    under_way: u32,
    /// Of the rounds, the one in the middle.
    bare: Way,
    append: Way,
    ingest: Option<Way>,
    /// Each round against the bare producer of the same round; the ratio in the middle.
    append_to_bare: f64,
    ingest_to_bare: Option<f64>,
}

/// One way to the broker.
#[derive(Debug, Clone, Serialize)]
struct Way {
    per_second: f64,
    /// Processor time of the process that produces, for each record.
    cpu_us: f64,
    /// The same of the brokers; 0 where they are not ours.
    broker_cpu_us: f64,
    /// How many cores were busy with other things.
    other_cores: f64,
}

impl Way {
    /// Of a window in which the producing process was watched first, then `between` others, and then the brokers.
    fn of(window: &Window, between: usize) -> Self {
        let us = |cpu: Duration| each_us(cpu, window.acknowledged);
        Self {
            per_second: window.rate(),
            cpu_us: us(window.cpu.first().copied().unwrap_or_default()),
            broker_cpu_us: us(window.cpu.iter().skip(1 + between).sum()),
            other_cores: window.other_cores(),
        }
    }
}

/// A broker, and how long is measured on it.
struct Stage {
    scale: Scale,
    environment: Vec<(String, String)>,
    bootstrap: String,
    processes: Vec<Process>,
    /// Ends with the measurement, where it was started for it.
    _brokers: Option<Brokers>,
}

impl Stage {
    async fn new(scale: Scale) -> Result<Self, Error> {
        if let Ok(bootstrap) = std::env::var("KAFKA_BROKERS") {
            // `hook` has the environment of this process.
            let (environment, processes) = (Vec::new(), Vec::new());
            return Ok(Self { scale, environment, bootstrap, processes, _brokers: None });
        }
        note("a broker is started");
        let brokers = Brokers::up(&[]).await?;
        Ok(Self {
            scale,
            environment: brokers.environment(DIRECT)?,
            bootstrap: brokers.bootstrap(DIRECT)?.to_owned(),
            processes: brokers.processes(),
            _brokers: Some(brokers),
        })
    }

    /// Stands before the names of a run's topics: none has anything of another's.
    fn namespace(&self) -> String {
        format!("bench-{:08x}.", hook_bench::mark::new_run())
    }

    /// Watches what is acknowledged, as long as is measured.
    async fn watch(&self, acknowledged: impl Fn() -> u64) -> Result<Window, Error> {
        let watched = [&[Process::this()], &*self.processes].concat();
        let look = || -> Result<_, Error> {
            let cpu: Result<Vec<_>, _> = watched.iter().map(|process| process.cpu()).collect();
            Ok((std::time::Instant::now(), acknowledged(), cpu?, hook_bench::process::machine_cpu()?))
        };
        tokio::time::sleep(self.scale.warm_up).await;
        let before = look()?;
        tokio::time::sleep(self.scale.measured).await;
        let after = look()?;
        Ok(Window {
            elapsed: after.0 - before.0,
            acknowledged: after.1 - before.1,
            cpu: after.2.iter().zip(&before.2).map(|(after, before)| after.saturating_sub(*before)).collect(),
            machine_cpu: after.3.saturating_sub(before.3),
            ..Window::default()
        })
    }
}

pub(crate) async fn measure(options: &Options) -> Result<Kafka, Error> {
    let quick = options.common.quick;
    let seconds = options.seconds.clamp(0.2, if quick { QUICK_SECONDS } else { 3600.0 });
    let rounds = if quick { 1 } else { options.rounds.max(1) };
    let mut scale = options.common.scale();
    (scale.warm_up, scale.measured) = (Duration::from_secs_f64(seconds / 5.0), Duration::from_secs_f64(seconds));
    let load_before = load_average();
    let stage = Stage::new(scale).await?;
    let mut echoes = Vec::new();
    let mut all: Vec<_> = WIDTHS.iter().map(|width| (*width, Rounds::default())).collect();
    for round in 1..=if options.only == Some(Half::Memory) { 0 } else { rounds } {
        note(&format!("round {round}: echo"));
        echoes.push(echo::measure(&stage.scale, echo::ECHO).await?);
        for (width, rounds) in &mut all {
            note(&format!("round {round}: {} under way", width.under_way));
            rounds.bare.push(bare::measure(&stage, width.under_way).await?);
            rounds.append.push(append::measure(&stage, width.under_way).await?);
            if width.has_ingest {
                rounds.ingest.push(ingest::measure(&stage, width.under_way).await?);
            }
        }
    }
    let memory = match options.only {
        Some(Half::Rates) => None,
        Some(Half::Memory) | None => {
            note(&format!("memory with {} destinations", options.destinations));
            Some(memory::measure(&stage, options.destinations).await?)
        }
    };
    Ok(Kafka {
        machine: Machine::this(),
        measured_at: Timestamp::now().strftime("%F").to_string(),
        loads: [load_before, load_average()],
        rounds,
        measured_seconds: seconds,
        echo: middle(&echoes, |echo| echo.per_second),
        widths: all.into_iter().filter_map(|(width, rounds)| rounds.into_width(width.under_way)).collect(),
        memory_holds: memory.as_ref().map(|memory| memory.peak_kib() <= MEMORY_BOUND_KIB),
        memory,
        memory_bound_kib: MEMORY_BOUND_KIB,
    })
}

/// How many processes wanted to run, over the last minute.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// What the rounds have measured with so many under way.
#[derive(Default)]
struct Rounds {
    bare: Vec<Way>,
    append: Vec<Way>,
    ingest: Vec<Way>,
}

impl Rounds {
    fn into_width(self, under_way: u32) -> Option<AtWidth> {
        let rate = |way: &Way| way.per_second;
        let to_bare = |ways: &[Way]| {
            let ratios: Vec<_> = ways.iter().zip(&self.bare).map(|(way, bare)| rate(way) / rate(bare)).collect();
            middle(&ratios, |ratio| *ratio)
        };
        Some(AtWidth {
            under_way,
            append_to_bare: to_bare(&self.append)?,
            ingest_to_bare: to_bare(&self.ingest),
            bare: middle(&self.bare, rate)?,
            append: middle(&self.append, rate)?,
            ingest: middle(&self.ingest, rate),
        })
    }
}

impl AtWidth {
    fn ways(&self) -> [(&'static str, Option<&Way>, Option<f64>); 3] {
        [
            ("bare producer", Some(&self.bare), None),
            ("the log's `append`", Some(&self.append), Some(self.append_to_bare)),
            ("signed HTTP through `hook serve`", self.ingest.as_ref(), self.ingest_to_bare),
        ]
    }
}

impl Kafka {
    pub(crate) fn to_markdown(&self) -> String {
        let Self { machine, measured_at, loads: [before, after], .. } = self;
        let mut out = format!(
            "# Kafka\n\nWritten by `cargo run --release -p hook-bench -- kafka --write docs/benchmarks/kafka.md` on \
             {measured_at}:\n{machine}, and a broker does too. Its load was {before} when this began, and {after} when it \
             ended.\n"
        );
        if !self.widths.is_empty() {
            self.write_rates(&mut out);
        }
        if let Some(memory) = &self.memory {
            memory.write(&mut out);
            let verdict = if self.memory_holds == Some(true) { "holds" } else { "**missed**" };
            let (peak, bound) = (megabytes(&[memory.peak_kib()]), megabytes(&[self.memory_bound_kib]));
            // Writing into a string cannot fail.
            let _ = writeln!(out, "\nPeak: **{peak}** (at most {bound}: {verdict}).");
        }
        out
    }

    fn write_rates(&self, out: &mut String) {
        // Writing into a string cannot fail.
        let _ = writeln!(
            out,
            "\n## A producer's speed\n\n\
             A bare producer is one thread that hands records to librdkafka and counts the reports of delivery. The log's `append` is \
             what `serve`\ncalls: it lays the envelope out, makes the headers and wakes whoever waits for the report. Both write the \
             same records: webhooks of\n1 KiB, in 3 partitions, with `acks=all`, idempotence, `linger.ms=2`, lz4 and a queue of 32 MiB. So \
             many are under way at once,\nand the next is sent when one is acknowledged. {} rounds of {} s, in which all take turns; of \
             the rounds the one in the middle, and\nof their ratios the one in the middle.\n\n\
             | under way | | records a second | of the bare producer | at least {BOUND} | CPU of the producing process | CPU of \
             the broker | other work, in cores |\n|---|---|---|---|---|---|---|---|",
            self.rounds, self.measured_seconds
        );
        for width in &self.widths {
            for (name, way, ratio) in width.ways() {
                let Some(way) = way else { continue };
                let verdict = |ratio: f64| if ratio >= BOUND { "holds" } else { "**missed**" };
                let _ = writeln!(
                    out,
                    "| {} | {name} | {} | {} | {} | {:.1} µs | {:.1} µs | {:.2} |",
                    width.under_way,
                    per_second(way.per_second),
                    ratio.map_or_else(|| "1".to_owned(), |ratio| format!("**{ratio:.2}**")),
                    ratio.map_or("", verdict),
                    way.cpu_us,
                    way.broker_cpu_us,
                    way.other_cores
                );
            }
        }
        if let Some(echo) = &self.echo {
            let _ = writeln!(
                out,
                "\nFor context, in the same rounds: an echo over 64 connections answers {} requests a second, at {:.1} µs of its \
                 processor time each. No server that speaks HTTP takes in more than that here, whatever it writes to.",
                per_second(echo.per_second),
                echo.server_cpu_us
            );
        }
    }
}

/// Fails where a producer was told of records that were not taken: it has measured something else.
fn all_taken(failed: u64) -> Result<(), Error> {
    match failed {
        0 => Ok(()),
        failed => Err(Error::Unexpected(format!("the broker did not take {failed} records"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(rates: &[f64]) -> Vec<Way> {
        let way = |rate: &f64| Way { per_second: *rate, cpu_us: 1.0, broker_cpu_us: 1.0, other_cores: 0.0 };
        rates.iter().map(way).collect()
    }

    #[test]
    fn a_way_is_compared_with_the_bare_producer_of_its_round() {
        let rounds = Rounds { bare: ways(&[10.0, 20.0, 40.0]), append: ways(&[9.0, 10.0, 36.0]), ingest: Vec::new() };
        let width = rounds.into_width(64).unwrap();
        assert_eq!((width.append_to_bare, width.ingest_to_bare), (0.9, None));
        assert_eq!((width.bare.per_second, width.append.per_second), (20.0, 10.0));
    }
}
