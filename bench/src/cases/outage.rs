//! One of two destinations is away under load: what it costs `hook`, and what it costs the other one.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hook_bench::{
    contract::{Destination, PATH},
    error::Error,
    latency::Summary,
    load::{Load, Pace, Until},
    pipeline::Role,
    process::Process,
    sink::Sink,
};
use serde::Serialize;

use super::{Scale, each_us, end_to_end::check, options::Common, rate};
use crate::{
    report::{grouped, latency, megabytes, per_second},
    table::note,
};

const WARM_UP: Duration = Duration::from_secs(3);
/// The runs without the fault are no longer than this: nothing grows in them.
const LONGEST_BASELINE: Duration = Duration::from_secs(60);
const QUICK: Duration = Duration::from_secs(30);
/// How long nothing is sent while the destination is still away, to see what waiting costs.
const QUIET: Duration = Duration::from_secs(5);
const SAMPLE: Duration = Duration::from_millis(500);
/// How long nothing may come before a run is given up. Longer than a breaker waits between two probes.
const PATIENCE: Duration = Duration::from_secs(120);
/// The other destination's p99 may grow so much.
const BOUND: f64 = 1.5;

/// Options of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How long the destination is away
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Events a second [default: two fifths of what is delivered to two destinations as fast as possible]
    #[arg(long)]
    rate: Option<f64>,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Options {
    /// So many minutes, at a rate for this machine.
    pub(crate) fn new(common: &Common, minutes: f64) -> Self {
        Self { minutes, rate: None, common: common.clone() }
    }

    fn length(&self) -> Duration {
        if self.common.quick { QUICK } else { Duration::from_secs_f64((self.minutes * 60.0).clamp(5.0, 86_400.0)) }
    }
}

/// What the destinations are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetUp {
    /// There is only the good one.
    Alone,
    /// There are two.
    Both,
    /// There are two, and one is away.
    Outage,
}

/// The three runs.
#[derive(Debug, Serialize)]
pub(crate) struct Outage {
    rate: f64,
    away_seconds: f64,
    alone: Run,
    both: Run,
    outage: Run,
    back: Back,
    /// The good destination's p99 during the outage, over the one with both there.
    p99_ratio: f64,
    p99_bound: f64,
    holds: bool,
}

/// What was seen of `hook` and of the good destination.
#[derive(Debug, Clone, Serialize)]
struct Run {
    /// From sending to arrival at the good destination.
    latency: Summary,
    hook_cpu_us: f64,
    /// Cores that were busy with other things.
    other_cores: f64,
    /// Resident memory of `hook`, in KiB, at equal distances.
    resident_kib: Vec<u64>,
    peak_kib: u64,
}

/// What was seen when the destination was still away with nothing to send, and when it was back.
#[derive(Debug, Clone, Serialize)]
struct Back {
    /// Parts of a core that `hook` uses while it waits.
    waiting_cores: f64,
    missed_events: u64,
    /// From its return to the last missed event, and how many a second from the first to the last.
    seconds: f64,
    per_second: f64,
    duplicates: u64,
    out_of_order: u64,
    peak_kib: u64,
}

pub(crate) async fn measure(options: &Options) -> Result<Outage, Error> {
    let scale = options.common.scale();
    let rate = rate::choose(&scale, options.rate, 2).await?;
    let length = options.length();
    let baseline = length.min(LONGEST_BASELINE);
    note(&format!("{rate} events a second to one destination, {baseline:?}"));
    let (alone, _) = run(&scale, rate, baseline, SetUp::Alone).await?;
    note(&format!("the same to two destinations, {baseline:?}"));
    let (both, _) = run(&scale, rate, baseline, SetUp::Both).await?;
    note(&format!("the same, and one of the two is away, {length:?}"));
    let (outage, back) = run(&scale, rate, length, SetUp::Outage).await?;
    let back = back.ok_or_else(|| Error::Unexpected("the destination did not return".to_owned()))?;
    let p99_ratio = outage.latency.p99_ms / both.latency.p99_ms;
    let away_seconds = length.as_secs_f64();
    let holds = p99_ratio <= BOUND;
    Ok(Outage { rate, away_seconds, alone, both, outage, back, p99_ratio, p99_bound: BOUND, holds })
}

async fn run(scale: &Scale, rate: f64, length: Duration, set_up: SetUp) -> Result<(Run, Option<Back>), Error> {
    let (good, other) = (Sink::open(0)?, Sink::open(0)?);
    let mut destinations = vec![Destination::new("good", good.address())];
    if set_up != SetUp::Alone {
        destinations.push(Destination::new("other", other.address()));
    }
    let home = scale.home(&destinations)?;
    let pipeline = home.start(Role::Up).await?;
    let mut load = scale.load(pipeline.address()?, PATH, &[pipeline.process, Process::this()]);
    load.pace = Pace::Steady(rate);
    good.count_anew(load.run);
    other.count_anew(load.run);

    // Both are there for the warm-up, so that the breaker has something to open after.
    let warm = warm_up(&mut load).await?;
    good.wait_for(warm, PATIENCE).await?;
    if set_up != SetUp::Alone {
        other.wait_for(warm, PATIENCE).await?;
    }
    let (_there, away) = match set_up {
        SetUp::Outage => (None, Some(other.leave().await)),
        SetUp::Alone | SetUp::Both => (Some(other), None),
    };
    good.count_latencies_anew();
    pipeline.process.forget_peak()?;
    let samples = Samples::take(pipeline.process);
    load.until = Until::Elapsed { warm_up: Duration::ZERO, measured: length };
    let sent = load.run().await?.all_acknowledged()?;
    let resident_kib = samples.end();
    let events = warm + sent.acknowledged;
    good.wait_for(events, PATIENCE).await?;
    check(&good, events)?;
    let measured = Run {
        latency: good.tally().latencies.summary(),
        hook_cpu_us: each_us(sent.window.cpu.first().copied().unwrap_or_default(), sent.window.acknowledged),
        other_cores: sent.window.other_cores(),
        resident_kib,
        peak_kib: pipeline.process.memory()?.peak_kib,
    };
    let Some(away) = away else { return Ok((measured, None)) };

    let waiting_cores = quiet(pipeline.process).await?;
    let (begin, sink) = (Instant::now(), away.back()?);
    sink.wait_for(events, PATIENCE).await?;
    check(&sink, events)?;
    let (seconds, tally) = (begin.elapsed().as_secs_f64(), sink.tally());
    let between = tally.first_and_last.map_or(seconds, |(first, last)| (last - first).as_secs_f64());
    let back = Back {
        waiting_cores,
        missed_events: sent.acknowledged,
        seconds,
        per_second: sent.acknowledged as f64 / between,
        duplicates: tally.duplicates,
        out_of_order: tally.out_of_order,
        peak_kib: pipeline.process.memory()?.peak_kib,
    };
    pipeline.kill().await?;
    Ok((measured, Some(back)))
}

async fn warm_up(load: &mut Load<'_>) -> Result<u64, Error> {
    load.until = Until::Elapsed { warm_up: Duration::ZERO, measured: WARM_UP };
    let warm = load.run().await?.all_acknowledged()?;
    load.first_round = warm.next_round;
    Ok(warm.acknowledged)
}

/// The part of a core that a process uses while nothing is sent.
async fn quiet(process: Process) -> Result<f64, Error> {
    let (begin, before) = (Instant::now(), process.cpu()?);
    tokio::time::sleep(QUIET).await;
    Ok(process.cpu()?.saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64())
}

/// A process's memory, looked at again and again.
struct Samples {
    kib: Arc<Mutex<Vec<u64>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Samples {
    fn take(process: Process) -> Self {
        let kib = Arc::new(Mutex::new(Vec::new()));
        let samples = Arc::clone(&kib);
        let task = tokio::spawn(async move {
            // It ends with the process.
            while let Ok(memory) = process.memory() {
                samples.lock().unwrap_or_else(PoisonError::into_inner).push(memory.resident_kib);
                tokio::time::sleep(SAMPLE).await;
            }
        });
        Self { kib, task }
    }

    /// Ten of the samples, at equal distances.
    fn end(self) -> Vec<u64> {
        self.task.abort();
        let all = self.kib.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.len().saturating_sub(1);
        (0..=9).filter_map(|tenth| all.get(last * tenth / 9).copied()).collect()
    }
}

impl Outage {
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = format!(
            "{} events a second; the destination is away for {:.0} s.\n\n\
             | | p50, p99 at the good destination | CPU of hook for each event | memory, at equal distances | peak | other work, in cores |\n\
             |---|---|---|---|---|---|\n",
            per_second(self.rate),
            self.away_seconds
        );
        for (name, run) in [("one destination", &self.alone), ("two", &self.both), ("two, one away", &self.outage)] {
            let memory: Vec<_> =
                run.resident_kib.iter().map(|kib| format!("{:.0}", *kib as f64 * 1024.0 / 1e6)).collect();
            // Writing into a string cannot fail.
            let _ = writeln!(
                out,
                "| {name} | {} | {:.1} µs | {} MB | {} | {:.2} |",
                latency(&run.latency),
                run.hook_cpu_us,
                memory.join(" "),
                megabytes(&[run.peak_kib]),
                run.other_cores,
            );
        }
        let Back { waiting_cores, missed_events, seconds, per_second: rate, duplicates, out_of_order, peak_kib } =
            &self.back;
        let verdict = if self.holds { "holds" } else { "**missed**" };
        let _ = write!(
            out,
            "\nThe good destination's p99 with one away, over the one with both there: **{:.2}** (at most {}: {verdict}). With nothing \
             to send and the breaker open, `hook` used {:.1} % of a core.\n\nWhen it was back, {} missed events arrived in {seconds:.1} s, \
             {} a second from the first to the last: {out_of_order} out of order, {duplicates} twice, none missing. Peak memory {}.\n",
            self.p99_ratio,
            self.p99_bound,
            waiting_cores * 100.0,
            grouped(*missed_events),
            per_second(*rate),
            megabytes(&[*peak_kib]),
        );
        out
    }
}
