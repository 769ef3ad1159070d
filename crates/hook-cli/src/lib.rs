//! The command `hook`, as a library: whoever wants drivers of their own calls [`run`] with a catalog of their own.
//!
//! | module | says |
//! |---|---|
//! | [`commands`] | the commands, one file each |
//! | [`globals`], [`context`] | the flags that every command takes, and what every command is given |
//! | [`load`] | what a running command starts from: contract, environment, plan |
//! | [`discovery`], [`options`] | which contract is meant; what its check is given beside the text |
//! | [`environment`], [`secretless`] | values in layers, each with its origin; what the environment silently lacks |
//! | `reload`, `notify`, `tls` | what SIGHUP does; what systemd is told; the files of TLS before a start |
//! | [`data_directory`], [`readers`] | where the log is kept; what the cursors of a plan read |
//! | [`pipeline`], [`owner`] | a pipeline in this process; whoever can answer a question about events |
//! | [`kafka`], [`migration`] | the log on Kafka, as far as this build has it; the mark of a move to it |
//! | [`travel`] | stored events again: what `hook replay` and `hook dlq redrive` have in common |
//! | [`lab`] | a pipeline with everything around it, for `hook demo` and the smoke tests |
//! | [`output`], [`report`], [`exit`], [`logging`] | what is printed, how a command ends, what is logged |
//! | [`event_id`], [`since`] | values on the command line |
//! | [`catalog`] | the drivers of the default build |

pub mod catalog;
pub mod commands;
pub mod context;
pub mod data_directory;
pub mod discovery;
pub mod environment;
pub mod event_id;
pub mod exit;
pub mod globals;
pub mod kafka;
pub mod lab;
pub mod load;
pub mod logging;
pub mod migration;
mod notify;
pub mod options;
pub mod output;
pub mod owner;
pub mod pipeline;
pub mod readers;
mod redaction;
mod reload;
pub mod report;
pub mod secretless;
pub mod since;
mod tls;
pub mod travel;

use std::{ffi::OsString, process::ExitCode, sync::Arc};

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser};
use hook_core::catalog::Catalog;

use crate::{commands::Command, context::Context, globals::Globals, output::Output};

/// One pipeline for the events that reach AI agents and services.
///
/// `hook` takes events in over HTTP, verifies who sent them, keeps them in a durable log, and delivers them to agents
/// and services, with retries and dead letters. One file, contract.toml, says all of it.
#[derive(Debug, Parser)]
#[command(name = "hook", version, after_help = AFTER_HELP, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Values come from flags, then from the profile's env, then from env files, then from the process environment.
Exit codes: 0 all is well, 1 something is wrong (what, is on stderr, or with --json on stdout), 2 wrong usage,
3 the log is damaged.";

/// Runs the command line with the drivers of a catalog, and says how the process is to end.
pub fn run(catalog: Catalog, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = command().color(color_choice(&arguments)).try_get_matches_from(&arguments);
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => {
            let output = Output::new(cli.globals.color, cli.globals.json);
            let context = Context { catalog: Arc::new(catalog), globals: cli.globals, output };
            match commands::run(&context, &cli.command) {
                Ok(()) => exit::OK.into(),
                Err(exit) => exit.into(),
            }
        }
        Err(answer) => {
            // Help and version are answers too. Nothing is left to tell where stdout and stderr are gone.
            let _ = answer.print();
            if answer.use_stderr() { exit::USAGE.into() } else { exit::OK.into() }
        }
    }
}

/// The command line as clap knows it: for completions and for the reference.
pub fn command() -> clap::Command {
    Cli::command()
}

/// What `--color` says, read before the command line is: help and usage errors have colours too.
fn color_choice(arguments: &[OsString]) -> ColorChoice {
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str());
    let mut choice = ColorChoice::Auto;
    while let Some(argument) = arguments.next() {
        let value = if argument == "--color" { arguments.next() } else { argument.strip_prefix("--color=") };
        choice = match value {
            Some("always") => ColorChoice::Always,
            Some("never") => ColorChoice::Never,
            Some(_) => ColorChoice::Auto,
            None => choice,
        };
    }
    choice
}
