//! Does the cost of an event grow with the backlog, the number of keys, the number of sealed segments?

use std::fmt::Write;

use hook_bench::error::Error;
use serde::Serialize;

use super::{
    Scale,
    backlog::{self, Backlog, Plan},
    options::Common,
};
use crate::{report::per_second, table::note};

/// Every set-up is measured in so many parts of its events.
const PARTS: u64 = 4;
const EVENTS: u64 = 400_000;
const QUICK: u64 = 20_000;
const FEW_KEYS: u32 = 100;
/// With so small a segment there are many.
const SMALL_SEGMENT: u64 = 1 << 20;

/// The same events under several circumstances.
#[derive(Debug, Serialize)]
pub(crate) struct Scaling {
    body_bytes: usize,
    set_ups: Vec<SetUp>,
}

#[derive(Debug, Serialize)]
struct SetUp {
    keys: u32,
    segment_bytes: u64,
    #[serde(flatten)]
    backlog: Backlog,
}

/// Options of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Events of each set-up
    #[arg(long, default_value_t = EVENTS)]
    events: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Options {
    /// The defaults.
    pub(crate) fn new(common: &Common) -> Self {
        Self { events: EVENTS, common: common.clone() }
    }
}

pub(crate) async fn measure(options: &Options) -> Result<Scaling, Error> {
    let scale = options.common.scale();
    let events = if options.common.quick { QUICK } else { options.events.max(PARTS) };
    let mut set_ups = Vec::new();
    for (keys, segment_bytes) in [(scale.keys, None), (FEW_KEYS, None), (scale.keys, Some(SMALL_SEGMENT))] {
        let size = segment_bytes.unwrap_or(64 << 20);
        note(&format!("{events} events, {keys} keys, segments of {} MiB", size >> 20));
        let scale = Scale { keys, ..scale.clone() };
        let backlog = backlog::measure(&scale, Plan { events, parts: PARTS, segment_bytes }).await?;
        set_ups.push(SetUp { keys, segment_bytes: size, backlog });
    }
    Ok(Scaling { body_bytes: scale.body_bytes, set_ups })
}

impl Scaling {
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = String::from(
            "| keys | segments | | events in the backlog | events a second | CPU of hook for each | p99 of the acknowledgement |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for SetUp { keys, backlog, .. } in &self.set_ups {
            let parts = backlog.taken_in.iter().map(|part| ("taken in", part));
            for (what, part) in parts.chain(backlog.drained.iter().map(|part| ("delivered", part))) {
                let p99 = part.latency.map(|latency| format!("{:.2} ms", latency.p99_ms)).unwrap_or_default();
                // Writing into a string cannot fail.
                let _ = writeln!(
                    out,
                    "| {keys} | {} | {what} | {} | {} | {:.1} µs | {p99} |",
                    backlog.segments,
                    part.backlog,
                    per_second(part.per_second),
                    part.cpu_us,
                );
            }
        }
        for SetUp { keys, backlog, .. } in &self.set_ups {
            let _ = writeln!(
                out,
                "\n{keys} keys, {} segments: start to ready {:.0} ms after SIGKILL, {:.0} ms after an orderly end; peak memory \
                 {:.1} MB taking in, {:.1} MB delivering.",
                backlog.segments,
                backlog.start_after_kill.middle_ms,
                backlog.start_after_stop.middle_ms,
                backlog.ingest_memory.peak_kib as f64 * 1024.0 / 1e6,
                backlog.drain_memory.peak_kib as f64 * 1024.0 / 1e6,
            );
        }
        out
    }
}
