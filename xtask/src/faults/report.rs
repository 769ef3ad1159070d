//! What a scenario has found, and the table of all of them.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use super::ledger::Counts;

/// The result of one scenario.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) scenario: &'static str,
    /// Repeats the run's random choices: `--seed`.
    pub(super) seed: u64,
    pub(super) seconds: f64,
    /// Why it did not run. Not the same as passing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) skipped: Option<String>,
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// What was measured beside, by name.
    pub(super) measured: Vec<Measured>,
    /// What must not be. Empty where everything held.
    pub(super) faults: Vec<String>,
}

/// A figure of a scenario.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    name: String,
    value: String,
}

impl Outcome {
    /// Adds a figure.
    pub(super) fn measure(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.measured.push(Measured { name: name.into(), value: value.into() });
    }

    /// Adds a fault where something does not hold.
    pub(super) fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(otherwise());
        }
    }

    /// Takes over the counts of the destination that the scenario is about, with what they complain of.
    pub(super) fn count(&mut self, counts: Counts) {
        self.counts = counts;
        self.faults.extend(counts.complaints());
    }

    fn verdict(&self) -> &'static str {
        match (&self.skipped, self.faults.is_empty()) {
            (Some(_), true) => "SKIPPED",
            (_, true) => "held",
            (_, false) => "FAILED",
        }
    }
}

/// Milliseconds with as many digits as mean something.
pub(super) fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// Seconds, to a tenth.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// The median and the largest.
pub(super) fn spread(durations: &mut [Duration]) -> String {
    durations.sort_unstable();
    let median = durations.get(durations.len() / 2).copied().unwrap_or_default();
    format!("median {}, most {}", millis(median), millis(durations.last().copied().unwrap_or_default()))
}

/// All outcomes as a table, and below it what was measured and what failed.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| scenario | result | acked | delivered | again | 503 | no answer | lost | out of order | seconds | seed |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for outcome in outcomes {
        let Counts { acknowledged, delivered, delivered_again, refused, unanswered, lost, out_of_order, .. } =
            outcome.counts;
        let _ = writeln!(
            text,
            "| {} | {} | {acknowledged} | {delivered} | {delivered_again} | {refused} | {unanswered} | {lost} | \
             {out_of_order} | {:.0} | {} |",
            outcome.scenario,
            outcome.verdict(),
            outcome.seconds,
            outcome.seed
        );
    }
    for outcome in outcomes {
        let _ = writeln!(text, "\n{}", outcome.scenario);
        for Measured { name, value } in &outcome.measured {
            let _ = writeln!(text, "  {name}: {value}");
        }
        if let Some(reason) = &outcome.skipped {
            let _ = writeln!(text, "  SKIPPED: {reason}");
        }
        for fault in &outcome.faults {
            let _ = writeln!(text, "  FAULT: {fault}");
        }
    }
    text
}
