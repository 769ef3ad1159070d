//! Measurements of `hook`, end to end. Each case measures its own baseline in the same run and prints a ratio.

mod bounds;
mod cases;
mod machine;
mod report;
mod results;
mod table;

use std::{path::Path, process::ExitCode};

use clap::Parser;
use hook_bench::error::Error;
use serde::Serialize;

use crate::{
    cases::{broadcast, isolation, kafka, options::Common, outage, poison, scaling, travel},
    machine::Machine,
    report::Report,
};

/// Measurements of hook, end to end.
#[derive(Debug, Parser)]
#[command(name = "hook-bench")]
enum Case {
    /// Everything of the table: echo, ingest, end-to-end, idle, backlog, fsync
    All(table::Options),
    /// The baseline: an axum server that answers the body
    Echo(table::Options),
    /// Signed durable ingest: `hook serve` alone
    Ingest(table::Options),
    /// From the load to a destination: `hook up`
    EndToEnd(table::Options),
    /// From the load to a destination, one event at a time
    Idle(table::Options),
    /// A backlog of a million events: taken in, started with, drained
    Backlog(table::Options),
    /// What the disk takes: writes of 4 KiB, each synced
    Fsync(table::Options),
    /// Does the cost of an event grow with the backlog, the keys, the segments?
    Scaling(scaling::Options),
    /// What does a destination cost that is away for ten minutes?
    Outage(outage::Options),
    /// What do poisoned keys cost the others?
    Poison(poison::Options),
    /// How late are events at hundreds of WebSocket clients, some of which do not read?
    Broadcast(broadcast::Options),
    /// Does the memory of a replay and a redrive grow with what they send?
    Travel(travel::Options),
    /// The log on Kafka: its part of a bare producer's speed, and memory with twenty destinations; starts a broker
    Kafka(kafka::Options),
    /// Every measurement but the isolation and Kafka: the table, scaling, outage, poison; half an hour
    Results(results::Options),
    /// Is a good destination held up by a dead and a slow one beside it?
    Isolation(isolation::Arguments),
    /// Run `hook` itself, so that the pipeline is a process of its own.
    #[command(hide = true, disable_help_flag = true)]
    Hook {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Run the echo, as a process of its own.
    #[command(hide = true)]
    EchoServer,
}

fn main() -> ExitCode {
    let of_table = |options: &table::Options, case| run(show(options, table::one(options, case)));
    match Case::parse() {
        Case::All(options) => run(show(&options, table::all(&options))),
        Case::Echo(options) => of_table(&options, table::Case::Echo),
        Case::Ingest(options) => of_table(&options, table::Case::Ingest),
        Case::EndToEnd(options) => of_table(&options, table::Case::EndToEnd),
        Case::Idle(options) => of_table(&options, table::Case::Idle),
        Case::Backlog(options) => of_table(&options, table::Case::Backlog),
        Case::Fsync(options) => of_table(&options, table::Case::Fsync),
        Case::Scaling(options) => run(async {
            let found = scaling::measure(&options).await?;
            show_one(&options.common, &found, &found.to_markdown())
        }),
        Case::Outage(options) => run(async {
            let found = outage::measure(&options).await?;
            show_one(&options.common, &found, &found.to_markdown())
        }),
        Case::Poison(options) => run(async {
            let found = poison::measure(&options).await?;
            show_one(&options.common, &found, &found.to_markdown())
        }),
        Case::Broadcast(options) => run(async {
            let found = broadcast::measure(&options).await?;
            show_one(&options.common, &found, &found.to_markdown())
        }),
        Case::Travel(options) => run(async {
            let found = travel::measure(&options).await?;
            show_one(&options.common, &found, &found.to_markdown())
        }),
        Case::Kafka(options) => run(async {
            let found = kafka::measure(&options).await?;
            print(&found, &found.to_markdown(), options.common.json, options.common.write.as_deref())
        }),
        Case::Results(options) => run(async {
            let results = results::measure(&options).await;
            print(&results, &results.to_markdown(), options.json, options.write.as_deref())?;
            match results.are_incomplete() {
                true => Err(Error::Unexpected("not everything could be measured".to_owned())),
                false => Ok(()),
            }
        }),
        Case::Isolation(arguments) => isolation::run(&arguments),
        Case::EchoServer => run(cases::echo::serve()),
        Case::Hook { arguments } => {
            let name = std::iter::once("hook".into());
            hook_cli::run(hook_cli::catalog::default_catalog(), name.chain(arguments))
        }
    }
}

#[expect(clippy::print_stderr, reason = "says why there is no result")]
fn run(case: impl Future<Output = Result<(), Error>>) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start the async runtime"));
    match runtime.and_then(|runtime| runtime.block_on(case)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn show(options: &table::Options, measured: impl Future<Output = Result<Report, Error>>) -> Result<(), Error> {
    let report = measured.await?;
    print(&report, &report.to_markdown(), options.json, options.write.as_deref())
}

/// Shows a measurement beside the table. Its tables begin with the machine.
fn show_one(options: &Common, found: &impl Serialize, tables: &str) -> Result<(), Error> {
    #[derive(Serialize)]
    struct OnMachine<'a, T> {
        machine: &'a Machine,
        #[serde(flatten)]
        found: &'a T,
    }
    let machine = Machine::this();
    let tables = format!("{machine}.\n\n{tables}");
    print(&OnMachine { machine: &machine, found }, &tables, options.json, options.write.as_deref())
}

#[expect(clippy::print_stdout, reason = "a measurement prints its result")]
fn print(found: &impl Serialize, tables: &str, as_json: bool, file: Option<&Path>) -> Result<(), Error> {
    match as_json {
        true => println!("{}", serde_json::to_string_pretty(found).unwrap_or_default()),
        false => println!("{tables}"),
    }
    match file {
        Some(file) => std::fs::write(file, tables).map_err(Error::io("write the tables")),
        None => Ok(()),
    }
}
