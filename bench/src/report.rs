//! What a run has measured: as JSON, and as tables for people.

use std::fmt::Write;

use hook_bench::latency::Summary;
use serde::Serialize;

use crate::{
    bounds,
    cases::{
        backlog::{Backlog, Part, Starts},
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
    pub(crate) backlog: Option<Backlog>,
    /// Of a process with nothing in its log.
    pub(crate) start_empty: Option<Starts>,
    /// Of the rates of each round, the ratio in the middle.
    pub(crate) ingest_to_echo: Option<f64>,
    pub(crate) ingest_to_echo_short: Option<f64>,
    pub(crate) end_to_end_to_echo: Option<f64>,
}

impl Report {
    /// As Markdown, which a terminal shows as well as it is.
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = format!(
            "{}. {} connections, {} keys, {} rounds of {} s.\n\n",
            self.machine, self.connections, self.keys, self.rounds, self.measured_seconds
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
    let backlog = |body: &BodyReport| body.backlog.clone();
    let empty = |body: &BodyReport| body.start_empty.clone();
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
        row("(e) backlog: events, segments", backlog, |backlog| {
            format!("{}, {}", grouped(backlog.events), backlog.segments)
        }),
        row("backlog taken in: CPU of hook, first and last part", backlog, |backlog| first_and_last(&backlog.taken_in)),
        row("backlog taken in: memory, peak", backlog, |backlog| {
            megabytes(&[backlog.ingest_memory.resident_kib, backlog.ingest_memory.peak_kib])
        }),
        row("backlog waiting: memory, peak", backlog, |backlog| {
            megabytes(&[backlog.waiting_memory.resident_kib, backlog.waiting_memory.peak_kib])
        }),
        row("backlog drained: events a second", backlog, |backlog| per_second(backlog.drained_per_second)),
        row("backlog drained: CPU of hook, first and last part", backlog, |backlog| first_and_last(&backlog.drained)),
        row("backlog drained: memory, peak", backlog, |backlog| {
            megabytes(&[backlog.drain_memory.resident_kib, backlog.drain_memory.peak_kib])
        }),
        row("(f) start to ready, empty log: middle, longest", empty, |starts| shown(&starts)),
        row("start with the backlog, after SIGKILL: middle, longest", backlog, |backlog| {
            shown(&backlog.start_after_kill)
        }),
        row("start with the backlog, after an orderly end: middle, longest", backlog, |backlog| {
            shown(&backlog.start_after_stop)
        }),
        row("other work on the machine, in cores: echo, ingest, steady, end to end", other_work, |shares| shares),
    ]
}

pub(crate) fn per_second(rate: f64) -> String {
    grouped(rate.round() as u64)
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

fn first_and_last(parts: &[Part]) -> String {
    cpu(&[parts.first(), parts.last()].map(|part| part.map_or(0.0, |part| part.cpu_us)))
}

fn shown(starts: &Starts) -> String {
    format!("{:.0} ms, {:.0} ms", starts.middle_ms, starts.longest_ms)
}

fn other_work(body: &BodyReport) -> Option<String> {
    let echo = body.echo.as_ref().map(|echo| echo.other_cores);
    let ingest = body.ingest.as_ref().map(|ingest| ingest.closed.other_cores);
    let steady = body.steady.as_ref().map(|steady| steady.other_cores);
    let through = body.end_to_end.as_ref().map(|through| through.other_cores);
    let cell = |cores: Option<f64>| cores.map_or_else(|| "–".to_owned(), |cores| format!("{cores:.2}"));
    let shares = [echo, ingest, steady, through];
    shares.iter().any(Option::is_some).then(|| shares.map(cell).join(", "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_000_005, "1,000,005")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
