//! (e) A backlog: taken in while nothing is delivered, then drained. (f) The start of a process that has it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use hook_bench::{
    contract::{Destination, PATH},
    error::Error,
    latency::Summary,
    load::Until,
    mark,
    pipeline::{Home, Pipeline, Role},
    process::{Memory, Process},
    sink::{Reserved, Sink},
};
use serde::Serialize;

use super::{Scale, each_us, end_to_end::check};

/// How long nothing may come before a run is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a start is measured.
const STARTS: usize = 5;
/// How long a pipeline with a backlog and without its destination is left alone before its memory is looked at.
const QUIET: Duration = Duration::from_secs(2);

/// How much is taken in, and how it is divided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) events: u64,
    /// Costs are measured for each of so many parts.
    pub(crate) parts: u64,
    /// The size of a segment, where it is not the default.
    pub(crate) segment_bytes: Option<u64>,
}

/// What a backlog costs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Backlog {
    pub(crate) events: u64,
    /// Segments of the log when all was taken in.
    pub(crate) segments: usize,
    pub(crate) taken_in: Vec<Part>,
    pub(crate) drained: Vec<Part>,
    /// Events drained a second, from the first to the last.
    pub(crate) drained_per_second: f64,
    /// Of the process that took the events in, at the end.
    pub(crate) ingest_memory: Memory,
    /// Of a process that has the backlog and cannot deliver.
    pub(crate) waiting_memory: Memory,
    /// Of the process that drained it, at the end.
    pub(crate) drain_memory: Memory,
    /// Starts of `hook up` after SIGKILL, with all of the backlog.
    pub(crate) start_after_kill: Starts,
    /// The same after an orderly end.
    pub(crate) start_after_stop: Starts,
    pub(crate) duplicates: u64,
}

/// A part of the events, in the order of time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    /// How many events there were in the backlog before it.
    pub(crate) backlog: u64,
    pub(crate) per_second: f64,
    /// Processor time of `hook` for each event.
    pub(crate) cpu_us: f64,
    /// Of the acknowledgement, where events are taken in.
    pub(crate) latency: Option<Summary>,
}

/// From the start of a process to its ready line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Starts {
    pub(crate) each_ms: Vec<f64>,
    /// The one in the middle.
    pub(crate) middle_ms: f64,
    pub(crate) longest_ms: f64,
}

impl Starts {
    fn of(each: &[Duration]) -> Self {
        let each_ms: Vec<f64> = each.iter().map(|start| start.as_secs_f64() * 1000.0).collect();
        let middle_ms = super::middle(&each_ms, |ms| *ms).unwrap_or_default();
        Self { longest_ms: each_ms.iter().copied().fold(0.0, f64::max), middle_ms, each_ms }
    }
}

/// Starts of `hook up` with nothing in its log: the first of a data directory each.
pub(crate) async fn empty_starts(scale: &Scale) -> Result<Starts, Error> {
    let reserved = Reserved::any()?;
    let mut each = Vec::new();
    for _ in 0..STARTS {
        let home = scale.home(&[Destination::new("out", reserved.address())])?;
        let pipeline = home.start(Role::Up).await?;
        each.push(pipeline.ready_after);
        pipeline.kill().await?;
    }
    Ok(Starts::of(&each))
}

pub(crate) async fn measure(scale: &Scale, plan: Plan) -> Result<Backlog, Error> {
    let reserved = Reserved::any()?;
    let sections = plan.segment_bytes.map(|bytes| format!("[log]\nsegment_bytes = {bytes}\n")).unwrap_or_default();
    let home = scale.home_with(&[Destination::new("out", reserved.address())], &sections)?;
    let run = mark::new_run();
    let (taken_in, ingest_memory) = take_in(scale, plan, &home, run).await?;
    let start_after_kill = starts(&home, Pipeline::kill).await?;
    let waiting_memory = wait(&home).await?;
    let start_after_stop = starts(&home, async |pipeline| pipeline.stop().await.map(drop)).await?;
    let segments = segments(&home.data());

    let sink = reserved.open(run)?;
    let pipeline = home.start(Role::Up).await?;
    let drained = drain(plan, &sink, pipeline.process).await?;
    check(&sink, plan.events)?;
    let drain_memory = pipeline.process.memory()?;
    pipeline.kill().await?;
    let tally = sink.tally();
    let seconds = tally.first_and_last.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    Ok(Backlog {
        events: plan.events,
        segments,
        taken_in,
        drained,
        drained_per_second: plan.events as f64 / seconds,
        ingest_memory,
        waiting_memory,
        drain_memory,
        start_after_kill,
        start_after_stop,
        duplicates: tally.duplicates,
    })
}

/// Takes everything in, part by part, and ends with SIGKILL.
async fn take_in(scale: &Scale, plan: Plan, home: &Home, run: u32) -> Result<(Vec<Part>, Memory), Error> {
    let pipeline = home.start(Role::Serve).await?;
    let mut load = scale.load(pipeline.address()?, PATH, &[pipeline.process, Process::this()]);
    load.run = run;
    let mut parts = Vec::new();
    let mut backlog = 0;
    for part in 1..=plan.parts {
        load.until = Until::Events(plan.events * part / plan.parts - backlog);
        let sent = load.run().await?.all_acknowledged()?;
        load.first_round = sent.next_round;
        let window = sent.window;
        parts.push(Part {
            backlog,
            per_second: window.rate(),
            cpu_us: each_us(window.cpu.first().copied().unwrap_or_default(), window.acknowledged),
            latency: Some(window.latencies.summary()),
        });
        backlog += sent.acknowledged;
    }
    let memory = pipeline.process.memory()?;
    pipeline.kill().await?;
    Ok((parts, memory))
}

/// Starts with all of the backlog and no destination. The first start is the first of `hook up` on this log.
async fn starts(home: &Home, end: impl AsyncFn(Pipeline) -> Result<(), Error>) -> Result<Starts, Error> {
    let mut each = Vec::new();
    // The first start follows another end than the ones that are measured.
    end(home.start(Role::Up).await?).await?;
    for _ in 0..STARTS {
        let pipeline = home.start(Role::Up).await?;
        each.push(pipeline.ready_after);
        end(pipeline).await?;
    }
    Ok(Starts::of(&each))
}

async fn wait(home: &Home) -> Result<Memory, Error> {
    let pipeline = home.start(Role::Up).await?;
    tokio::time::sleep(QUIET).await;
    let memory = pipeline.process.memory()?;
    pipeline.kill().await?;
    Ok(memory)
}

/// Waits until everything has arrived, part by part.
async fn drain(plan: Plan, sink: &Sink, process: Process) -> Result<Vec<Part>, Error> {
    let delivered = sink.delivered();
    sink.wait_for(1, PATIENCE).await?;
    let mut parts = Vec::new();
    let (mut done, mut at, mut cpu) = (delivered.get(), Instant::now(), process.cpu()?);
    for part in 1..=plan.parts {
        let before = (done, at, cpu);
        sink.wait_for(plan.events * part / plan.parts, PATIENCE).await?;
        (done, at, cpu) = (delivered.get(), Instant::now(), process.cpu()?);
        let events = done - before.0;
        parts.push(Part {
            backlog: plan.events - before.0,
            per_second: events as f64 / (at - before.1).as_secs_f64(),
            cpu_us: each_us(cpu.saturating_sub(before.2), events),
            latency: None,
        });
    }
    Ok(parts)
}

/// The segments of all events.
fn segments(data: &Path) -> usize {
    let entries = std::fs::read_dir(data.join("events")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log")).count()
}
