//! One key of a hundred is poisoned: its events are refused again and again. What does that cost the others?

use std::{fmt::Write, time::Duration};

use hook_bench::{
    contract::{Destination, PATH},
    error::Error,
    latency::Summary,
    load::{Pace, Until},
    pipeline::Role,
    process::{Memory, Process},
    sink::{Reply, Sink},
};
use serde::Serialize;

use super::{Scale, each_us, end_to_end::check, middle, options::Common, rate};
use crate::{
    report::{latency, megabytes, per_second},
    table::note,
};

/// Every key whose number is a multiple of this is poisoned.
const ONE_OF: u32 = 100;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(20);
const QUICK: Duration = Duration::from_secs(5);
const ROUNDS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// The others' p99 may grow so much.
const BOUND: f64 = 1.5;

/// Options of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Events a second [default: two fifths of what is delivered as fast as possible]
    #[arg(long)]
    rate: Option<f64>,
    /// How often each of the two set-ups is measured; they take turns
    #[arg(long, default_value_t = ROUNDS)]
    rounds: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Options {
    /// The defaults.
    pub(crate) fn new(common: &Common) -> Self {
        Self { rate: None, rounds: ROUNDS, common: common.clone() }
    }
}

/// Both set-ups, round by round.
#[derive(Debug, Serialize)]
pub(crate) struct Poison {
    rate: f64,
    keys: u32,
    poisoned_keys: u32,
    without: Vec<Run>,
    with: Vec<Run>,
    /// The p99 in the middle with poison, over the one without.
    p99_ratio: f64,
    p99_bound: f64,
    holds: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Run {
    /// From sending to arrival, of the keys that are not poisoned.
    latency: Summary,
    hook_cpu_us: f64,
    other_cores: f64,
    memory: Memory,
    /// Requests that the destination refused.
    refused: u64,
}

pub(crate) async fn measure(options: &Options) -> Result<Poison, Error> {
    let mut scale = options.common.scale();
    let rate = rate::choose(&scale, options.rate, 1).await?;
    (scale.warm_up, scale.measured) = (WARM_UP, if options.common.quick { QUICK } else { MEASURED });
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=if options.common.quick { 1 } else { options.rounds.max(1) } {
        note(&format!("{rate} events a second, round {round}: without poison"));
        without.push(run(&scale, rate, |_| false).await?);
        note(&format!("{rate} events a second, round {round}: with poison"));
        with.push(run(&scale, rate, |key| key % ONE_OF == 0).await?);
    }
    let p99 = |runs: &[Run]| middle(runs, |run| run.latency.p99_ms).map_or(f64::NAN, |run| run.latency.p99_ms);
    let p99_ratio = p99(&with) / p99(&without);
    let (keys, poisoned_keys) = (scale.keys, scale.keys.div_ceil(ONE_OF));
    Ok(Poison { rate, keys, poisoned_keys, without, with, p99_ratio, p99_bound: BOUND, holds: p99_ratio <= BOUND })
}

async fn run(scale: &Scale, rate: f64, is_poisoned: fn(u32) -> bool) -> Result<Run, Error> {
    let sink = Sink::open(0)?;
    sink.reply_with(move |mark| if is_poisoned(mark.key) { Reply::Status(500) } else { Reply::Taken });
    let home = scale.home(&[Destination::new("out", sink.address())])?;
    let pipeline = home.start(Role::Up).await?;
    let mut load = scale.load(pipeline.address()?, PATH, &[pipeline.process, Process::this()]);
    load.pace = Pace::Steady(rate);
    load.until = Until::Elapsed { warm_up: scale.warm_up, measured: scale.measured };
    load.keeps_numbers = true;
    sink.count_anew(load.run);
    let sent = load.run().await?.all_acknowledged()?;
    let good = sent.numbers.iter().filter(|number| !is_poisoned(load.key_of(**number))).count() as u64;
    sink.wait_for(good, PATIENCE).await?;
    check(&sink, good)?;
    let tally = sink.tally();
    let memory = pipeline.process.memory()?;
    let refused = sink.attempts() - tally.distinct - tally.duplicates;
    pipeline.kill().await?;
    Ok(Run {
        latency: tally.latencies.summary(),
        hook_cpu_us: each_us(sent.window.cpu.first().copied().unwrap_or_default(), sent.window.acknowledged),
        other_cores: sent.window.other_cores(),
        memory,
        refused,
    })
}

impl Poison {
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = format!(
            "{} events a second, {} keys, {} of them poisoned.\n\n\
             | round | | p50, p99 of the others | CPU of hook for each event | peak memory | refused | other work, in cores |\n\
             |---|---|---|---|---|---|---|\n",
            per_second(self.rate),
            self.keys,
            self.poisoned_keys
        );
        for (at, (without, with)) in self.without.iter().zip(&self.with).enumerate() {
            for (name, run) in [("without poison", without), ("with poison", with)] {
                // Writing into a string cannot fail.
                let _ = writeln!(
                    out,
                    "| {} | {name} | {} | {:.1} µs | {} | {} | {:.2} |",
                    at + 1,
                    latency(&run.latency),
                    run.hook_cpu_us,
                    megabytes(&[run.memory.peak_kib]),
                    run.refused,
                    run.other_cores,
                );
            }
        }
        let verdict = if self.holds { "holds" } else { "**missed**" };
        let _ = writeln!(
            out,
            "\nThe p99 in the middle with poison, over the one without: **{:.2}** (at most {}: {verdict}).",
            self.p99_ratio, self.p99_bound
        );
        out
    }
}
