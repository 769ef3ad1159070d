//! What has to hold, and whether it does. A bound that is a time is stretched on a slow disk: three times (g)'s p99.

use std::fmt::Write;

use hook_bench::latency::Summary;
use serde::Serialize;

use crate::{
    cases::backlog::Backlog,
    report::{BodyReport, size},
};

/// A disk's slowness is allowed for so many times.
const SYNCS: f64 = 3.0;

/// One bound, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) body_bytes: usize,
    pub(crate) unit: &'static str,
    /// The bound as it is meant.
    pub(crate) bound: f64,
    /// The bound as it is on this disk.
    pub(crate) allowed: f64,
    pub(crate) measured: f64,
    pub(crate) holds: bool,
}

/// A bound: what it is about, and how it is read from what was measured.
struct Bound {
    what: &'static str,
    kind: Kind,
    bound: f64,
    measured: fn(&BodyReport) -> Option<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    RatioAtLeast,
    MillisecondsAtMost,
    MegabytesAtMost,
}

const BOUNDS: [Bound; 9] = [
    Bound { what: "ingest / echo", kind: Kind::RatioAtLeast, bound: 0.6, measured: |body| body.ingest_to_echo },
    Bound {
        what: "p99 of the acknowledgement, closed loop",
        kind: Kind::MillisecondsAtMost,
        bound: 10.0,
        measured: |body| body.ingest.as_ref().map(|ingest| ingest.closed.latency.p99_ms),
    },
    Bound {
        what: "p99 of the acknowledgement, steady rate",
        kind: Kind::MillisecondsAtMost,
        bound: 20.0,
        measured: |body| body.steady.as_ref().map(|steady| steady.latency.p99_ms),
    },
    Bound {
        what: "end to end / echo",
        kind: Kind::RatioAtLeast,
        bound: 0.15,
        measured: |body| body.end_to_end_to_echo,
    },
    Bound {
        what: "idle: p50 from sending to arrival",
        kind: Kind::MillisecondsAtMost,
        bound: 1.5,
        measured: |body| body.idle.as_ref().map(|idle| idle.latency.p50_ms),
    },
    Bound {
        what: "peak memory under load",
        kind: Kind::MegabytesAtMost,
        bound: 60.0,
        measured: |body| {
            let ingest = body.ingest.as_ref().map(|ingest| ingest.memory.peak_kib);
            let steady = body.steady.as_ref().map(|steady| steady.memory.peak_kib);
            let through = body.end_to_end.as_ref().map(|through| through.memory.peak_kib);
            [ingest, steady, through].into_iter().flatten().max().map(megabytes)
        },
    },
    Bound {
        what: "peak memory with the backlog",
        kind: Kind::MegabytesAtMost,
        bound: 80.0,
        measured: |body| {
            let Backlog { ingest_memory, waiting_memory, drain_memory, .. } = body.backlog.as_ref()?;
            [ingest_memory, waiting_memory, drain_memory].map(|memory| memory.peak_kib).into_iter().max().map(megabytes)
        },
    },
    Bound {
        what: "start to ready, empty log",
        kind: Kind::MillisecondsAtMost,
        bound: 100.0,
        measured: |body| body.start_empty.as_ref().map(|starts| starts.middle_ms),
    },
    Bound {
        what: "start to ready with the backlog",
        kind: Kind::MillisecondsAtMost,
        bound: 1000.0,
        measured: |body| {
            let backlog = body.backlog.as_ref()?;
            Some(backlog.start_after_kill.middle_ms.max(backlog.start_after_stop.middle_ms))
        },
    },
];

fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

/// Holds what was measured against every bound that it says something about.
pub(crate) fn judge(bodies: &[BodyReport], fsync: Option<&Summary>) -> Vec<Verdict> {
    let slow = fsync.map_or(0.0, |fsync| SYNCS * fsync.p99_ms);
    let judged = bodies.iter().flat_map(|body| {
        BOUNDS.iter().filter_map(move |bound| Some(bound.judge(body.body_bytes, (bound.measured)(body)?, slow)))
    });
    judged.collect()
}

impl Bound {
    fn judge(&self, body_bytes: usize, measured: f64, slow: f64) -> Verdict {
        let (unit, allowed) = match self.kind {
            Kind::RatioAtLeast => ("", self.bound),
            Kind::MillisecondsAtMost => ("ms", self.bound.max(slow)),
            Kind::MegabytesAtMost => ("MB", self.bound),
        };
        let holds = if self.kind == Kind::RatioAtLeast { measured >= allowed } else { measured <= allowed };
        Verdict { what: self.what.to_owned(), body_bytes, unit, bound: self.bound, allowed, measured, holds }
    }
}

/// Writes the verdicts as a table of Markdown.
pub(crate) fn write_table(verdicts: &[Verdict], out: &mut String) {
    if verdicts.is_empty() {
        return;
    }
    out.push_str("\n| bound | body | asked | on this disk | measured | |\n|---|---|---|---|---|---|\n");
    for Verdict { what, body_bytes, unit, bound, allowed, measured, holds } in verdicts {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let verdict = if *holds { "holds" } else { "**missed**" };
        let body = size(*body_bytes);
        // Writing into a string cannot fail.
        let _ =
            writeln!(out, "| {what} | {body} | {bound}{unit} | {allowed:.2}{unit} | {measured:.2}{unit} | {verdict} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, bound: f64, measured: f64, slow: f64) -> (f64, bool) {
        let verdict = Bound { what: "", kind, bound, measured: |_| None }.judge(1024, measured, slow);
        (verdict.allowed, verdict.holds)
    }

    #[test]
    fn only_times_are_stretched_on_a_slow_disk() {
        assert_eq!(judged(Kind::MillisecondsAtMost, 10.0, 11.0, 0.0), (10.0, false));
        assert_eq!(judged(Kind::MillisecondsAtMost, 10.0, 11.0, 12.0), (12.0, true));
        assert_eq!(judged(Kind::RatioAtLeast, 0.6, 0.59, 12.0), (0.6, false));
        assert_eq!(judged(Kind::RatioAtLeast, 0.6, 0.61, 0.0), (0.6, true));
        assert_eq!(judged(Kind::MegabytesAtMost, 60.0, 61.0, 99.0), (60.0, false));
    }
}
