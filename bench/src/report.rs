//! What a run has measured: as JSON, and as tables for people.

use std::fmt::Write;

use hook_bench::latency::Summary;
use serde::Serialize;

use crate::{
    bounds,
    cases::{
        echo::Closed,
        end_to_end::{EndToEnd, Idle},
        ingest::{Ingest, Steady},
    },
    machine::Machine,
};

/// Everything that one run has measured. What was not asked for is missing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) connections: u32,
    pub(crate) keys: u32,
    pub(crate) rounds: u32,
    pub(crate) measured_seconds: f64,
    /// (g), before and after everything else.
    pub(crate) fsync: Option<Summary>,
    pub(crate) bodies: Vec<BodyReport>,
    pub(crate) bounds: Vec<bounds::Verdict>,
}

/// What was measured with bodies of one size. Of several rounds, the one in the middle.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct BodyReport {
    pub(crate) body_bytes: usize,
    pub(crate) echo: Option<Closed>,
    pub(crate) echo_short: Option<Closed>,
    pub(crate) ingest: Option<Ingest>,
    pub(crate) steady: Option<Steady>,
    pub(crate) end_to_end: Option<EndToEnd>,
    pub(crate) idle: Option<Idle>,
    /// Of the rates of each round, the ratio in the middle.
    pub(crate) ingest_to_echo: Option<f64>,
    pub(crate) ingest_to_echo_short: Option<f64>,
    pub(crate) end_to_end_to_echo: Option<f64>,
}

impl Report {
    /// As JSON, for programs.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As Markdown, which a terminal shows as well as it is.
    pub(crate) fn to_markdown(&self) -> String {
        let Machine { cores, processor, kernel, memory_mib } = &self.machine;
        let mut out = format!(
            "{cores} cores ({processor}), {memory_mib} MiB, Linux {kernel}; load, server and sink share them. \
             {} connections, {} keys, {} rounds of {} s.\n\n",
            self.connections, self.keys, self.rounds, self.measured_seconds
        );
        self.write_figures(&mut out);
        if let Some(fsync) = &self.fsync {
            let Summary { p50_ms, p99_ms, max_ms, .. } = fsync;
            let _ =
                writeln!(out, "\n(g) 4 KiB and fdatasync: p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, max {max_ms:.2} ms");
        }
        bounds::write_table(&self.bounds, &mut out);
        out
    }

    fn write_figures(&self, out: &mut String) {
        let heads: Vec<_> = self.bodies.iter().map(|body| format!(" {} |", size(body.body_bytes))).collect();
        let lines = "---|".repeat(heads.len());
        let _ = writeln!(out, "| measured |{}\n|---|{lines}", heads.concat());
        for (name, show) in rows() {
            let cells: Vec<Option<String>> = self.bodies.iter().map(&show).collect();
            if cells.iter().any(Option::is_some) {
                let cells: String = cells.into_iter().map(|cell| format!(" {} |", cell.unwrap_or_default())).collect();
                let _ = writeln!(out, "| {name} |{cells}");
            }
        }
    }
}

/// A length of bodies, as people say it.
pub(crate) fn size(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

/// A row of the table: its name, and how its cell is read from what was measured.
type Row = (&'static str, Box<dyn Fn(&BodyReport) -> Option<String>>);

fn rows() -> Vec<Row> {
    fn row<T: 'static>(
        name: &'static str,
        part: impl Fn(&BodyReport) -> Option<T> + 'static,
        show: impl Fn(T) -> String + 'static,
    ) -> Row {
        (name, Box::new(move |body| part(body).map(&show)))
    }
    let echo = |body: &BodyReport| body.echo.clone();
    let short = |body: &BodyReport| body.echo_short.clone();
    let ingest = |body: &BodyReport| body.ingest.clone();
    let steady = |body: &BodyReport| body.steady.clone();
    let through = |body: &BodyReport| body.end_to_end.clone();
    let idle = |body: &BodyReport| body.idle.clone();
    vec![
        row("(a) echo: requests a second", echo, |echo| per_second(echo.per_second)),
        row("echo: p50, p99", echo, |echo| latency(&echo.latency)),
        row("echo: CPU of server, of load", echo, |echo| cpu(&[echo.server_cpu_us, echo.load_cpu_us])),
        row("the same with a short answer: requests a second", short, |short| per_second(short.per_second)),
        row("(b) signed durable ingest: events a second", ingest, |ingest| per_second(ingest.closed.per_second)),
        row("**ingest / echo**", |body| body.ingest_to_echo, ratio),
        row("ingest / echo with a short answer", |body| body.ingest_to_echo_short, ratio),
        row("ingest: p50, p99 of the acknowledgement", ingest, |ingest| latency(&ingest.closed.latency)),
        row("ingest: CPU of hook, of load", ingest, |ingest| {
            cpu(&[ingest.closed.server_cpu_us, ingest.closed.load_cpu_us])
        }),
        row("ingest: memory, peak", ingest, |ingest| megabytes(&[ingest.memory.resident_kib, ingest.memory.peak_kib])),
        row("ingest: disk for each event", ingest, |ingest| format!("{:.0} bytes", ingest.disk_bytes_each)),
        row("(b) at a steady rate: asked, reached", steady, |steady| {
            format!("{}, {}", per_second(steady.asked_per_second), per_second(steady.per_second))
        }),
        row("steady: p50, p99 of the acknowledgement", steady, |steady| latency(&steady.latency)),
        row("steady: CPU of hook", steady, |steady| cpu(&[steady.server_cpu_us])),
        row("steady: memory, peak", steady, |steady| megabytes(&[steady.memory.resident_kib, steady.memory.peak_kib])),
        row("(c) end to end: events a second", through, |through| per_second(through.per_second)),
        row("**end to end / echo**", |body| body.end_to_end_to_echo, ratio),
        row("end to end: p50, p99 with 2,000 under way", through, |through| latency(&through.latency)),
        row("end to end: CPU of hook, of load and sink", through, |through| {
            cpu(&[through.hook_cpu_us, through.tools_cpu_us])
        }),
        row("end to end: memory, peak", through, |through| {
            megabytes(&[through.memory.resident_kib, through.memory.peak_kib])
        }),
        row("(d) idle: p50, p99 from sending to arrival", idle, |idle| latency(&idle.latency)),
        row("idle: p50, p99 of the acknowledgement", idle, |idle| latency(&idle.acknowledgement)),
        row("idle: memory", idle, |idle| megabytes(&[idle.memory.resident_kib])),
    ]
}

pub(crate) fn per_second(rate: f64) -> String {
    let whole = rate.round() as u64;
    match whole {
        0..1000 => whole.to_string(),
        _ => format!("{},{:03}", whole / 1000, whole % 1000),
    }
}

pub(crate) fn latency(summary: &Summary) -> String {
    format!("{:.2} ms, {:.2} ms", summary.p50_ms, summary.p99_ms)
}

fn cpu(each: &[f64]) -> String {
    each.iter().map(|us| format!("{us:.1} µs")).collect::<Vec<_>>().join(", ")
}

/// Resident memory. 1 MB is 10⁶ bytes.
pub(crate) fn megabytes(kib: &[u64]) -> String {
    kib.iter().map(|kib| format!("{:.1} MB", *kib as f64 * 1024.0 / 1e6)).collect::<Vec<_>>().join(", ")
}

fn ratio(ratio: f64) -> String {
    format!("**{ratio:.2}**")
}
