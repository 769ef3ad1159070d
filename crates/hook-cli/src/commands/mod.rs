//! The commands. Each has one file or folder with an `Arguments` and a `run`; adding one is a file and two lines here.

pub mod completions;
pub mod config;
pub mod debug;

use crate::{context::Context, exit::Exit};

/// What to do.
#[derive(Debug, clap::Subcommand)]
#[expect(missing_docs, reason = "what a command does stands on its Arguments, where clap reads it")]
pub enum Command {
    Config(config::Arguments),
    Debug(debug::Arguments),
    Completions(completions::Arguments),
}

/// Runs a command. What there is to say has been said when it returns.
pub fn run(context: &Context, command: &Command) -> Result<(), Exit> {
    match command {
        Command::Config(arguments) => config::run(context, arguments),
        Command::Debug(arguments) => debug::run(context, arguments),
        Command::Completions(arguments) => completions::run(context, arguments),
    }
}
