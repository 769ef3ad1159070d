//! Thousands of crashes on a simulated disk: nothing that was acknowledged is lost, and nothing that is there is wrong.
//!
//! ```text
//! cargo test -p hook-log --test simulation                                    some thousand crashes
//! HOOK_SIMULATION_SEED=7 cargo test -p hook-log --test simulation -- replay   one run, with all that was done in it
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
const RUNS: u64 = 1000;

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

fn show(outcome: Result<Report, Failure>) {
    match outcome {
        Ok(report) => println!("{report}"),
        Err(Failure { seed, what, .. }) => {
            panic!("{what}\nHOOK_SIMULATION_SEED={seed} cargo test -p hook-log --test simulation -- replay --nocapture")
        }
    }
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let base = number("HOOK_SIMULATION_BASE").unwrap_or(0);
    let runs = number("HOOK_SIMULATION_RUNS").unwrap_or(RUNS);
    show(make_many(base, |report| report.runs >= runs));
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
    match (Run { is_traced: true, ..Run::of(seed) }).make_traced(&runtime()) {
        Ok((report, trace)) => println!("{}\n{report}", trace.join("\n")),
        Err(Failure { what, trace, .. }) => panic!("{}\n{what}", trace.join("\n")),
    }
}
