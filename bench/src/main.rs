//! Measurements of `hook`, end to end. Each case measures its own baseline in the same run and prints a ratio.

mod bounds;
mod cases;
mod machine;
mod report;
mod table;

use std::process::ExitCode;

use clap::Parser;
use hook_bench::error::Error;

use crate::{cases::isolation, report::Report};

/// That of the command `hook`, since this program runs as `hook` too; the echo gets the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

#[expect(clippy::print_stdout, reason = "a measurement prints its result")]
async fn show(options: &table::Options, measured: impl Future<Output = Result<Report, Error>>) -> Result<(), Error> {
    let report = measured.await?;
    let tables = report.to_markdown();
    match options.json {
        true => println!("{}", report.to_json()),
        false => println!("{tables}"),
    }
    match &options.write {
        Some(path) => std::fs::write(path, tables).map_err(Error::io("write the tables")),
        None => Ok(()),
    }
}
