//! Thousands of crashes on a simulated disk: nothing that was acknowledged is lost, and nothing that is there is wrong.
//!
//! ```text
//! cargo test -p hook-log --test simulation                                    some thousand crashes
//! HOOK_SIMULATION_SEED=7 cargo test -p hook-log --test simulation -- replay --nocapture
//!                                                                             one run, with all that was done in it
//! HOOK_SIMULATION_BASE=7000 cargo test ...                                    other runs than the usual ones
//! ```
//!
//! | module | says |
//! |---|---|
//! | `file` | a file, as the process sees it and as the disk has it |
//! | `machine` | files and directories, what fails, and what a loss of power leaves |
//! | `disk` | the same as the log's disk port |
//! | `scenario` | what a seed stands for |
//! | `run` | a log is used, crashes and is opened again |
//! | `model` | what must and must not be there then |
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]
#![expect(clippy::print_stdout, reason = "a seed that fails is for a person")]

mod disk;
mod file;
mod machine;
mod model;
mod report;
mod run;
mod scenario;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use report::Report;
use run::{Failure, Run};
use tokio::runtime::{Builder, Runtime};

/// So many runs are made in the short form.
const RUNS: u64 = 1500;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Makes runs of seeds from `base` on, on all processors, until `is_enough`.
fn make_many(base: u64, is_enough: impl Fn(&Report) -> bool + Sync) -> Result<Report, Failure> {
    let (next, outcome) = (AtomicU64::new(0), Mutex::new((Report::default(), None)));
    let work = || {
        let runtime = runtime();
        loop {
            let made = Run::of(base.wrapping_add(next.fetch_add(1, Ordering::Relaxed))).make(&runtime);
            let mut outcome = outcome.lock().unwrap();
            match made {
                Ok(report) => outcome.0.add(&report),
                Err(failure) => outcome.1 = Some(failure),
            }
            if outcome.1.is_some() || is_enough(&outcome.0) {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    let (report, failure) = outcome.into_inner().unwrap();
    failure.map_or(Ok(report), Err)
}

/// Prints what happened. Of a run that failed, how to see it again, and what was done since the start before the last.
fn show(outcome: Result<Report, Failure>) {
    let Failure { run, what, .. } = match outcome {
        Ok(report) => return println!("{report}"),
        Err(failure) => failure,
    };
    let again = Run { is_traced: true, ..run }.make_traced(&runtime());
    let trace = again.map_or_else(|failure| failure.trace, |(_, trace)| trace);
    let starts: Vec<_> = trace.iter().enumerate().filter(|(_, line)| *line == "open").map(|(at, _)| at).collect();
    let from = starts.len().checked_sub(2).map_or(0, |start| starts[start]);
    println!("{}\n...\n{}", trace[0], trace[from..].join("\n"));
    let crash = run.first_crash.map_or(String::new(), |change| format!("HOOK_SIMULATION_CRASH={change} "));
    let command = "cargo test -p hook-log --test simulation -- replay --nocapture";
    panic!("{what}\n{crash}HOOK_SIMULATION_SEED={} {command}", run.seed);
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let base = number("HOOK_SIMULATION_BASE").unwrap_or(0);
    let runs = number("HOOK_SIMULATION_RUNS").unwrap_or(RUNS);
    show(make_many(base, |report| report.runs >= runs));
}

/// `cargo test --release -p hook-log --test simulation -- --ignored --nocapture`
#[test]
#[ignore = "it takes a minute, and wants a release build"]
fn what_was_acknowledged_survives_a_hundred_thousand_crashes() {
    let base = number("HOOK_SIMULATION_BASE").unwrap_or(0);
    show(make_many(base, |report| report.crashes() >= 100_000));
}

#[test]
fn every_change_to_the_disk_can_be_the_last() {
    let runtime = runtime();
    let mut all = Report::default();
    for seed in 0..4 {
        for change in 0..100 {
            match (Run { first_crash: Some(change), ..Run::of(seed) }).make(&runtime) {
                Ok(report) => all.add(&report),
                failure => return show(failure),
            }
        }
    }
    println!("{all}");
}

#[test]
fn a_seed_always_does_the_same() {
    for seed in 0..20 {
        let trace = || {
            let traced = Run { is_traced: true, ..Run::of(seed) }.make_traced(&runtime());
            traced.map_or_else(|failure| (failure.what, failure.trace), |(report, trace)| (report.to_string(), trace))
        };
        let ((first, lines), (second, other_lines)) = (trace(), trace());
        let differs = lines.iter().zip(&other_lines).find(|(line, other)| line != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((first, lines.len()), (second, other_lines.len()), "seed {seed}");
    }
}

#[test]
fn replay() {
    let Some(seed) = number("HOOK_SIMULATION_SEED") else { return };
    let run = Run { seed, first_crash: number("HOOK_SIMULATION_CRASH"), is_traced: true };
    match run.make_traced(&runtime()) {
        Ok((report, trace)) => println!("{}\n{report}", trace.join("\n")),
        Err(Failure { what, trace, .. }) => panic!("{}\n{what}", trace.join("\n")),
    }
}
