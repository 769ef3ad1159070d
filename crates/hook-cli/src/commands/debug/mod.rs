//! `hook debug`: what this build can do, and what it sees.

mod capabilities;
mod env;

use crate::{context::Context, exit::Exit};

/// Show what this build can do, and the environment that it sees
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Capabilities(capabilities::Arguments),
    Env(env::Arguments),
}

/// Runs one of them.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    match &arguments.command {
        Command::Capabilities(arguments) => capabilities::run(context, arguments),
        Command::Env(arguments) => env::run(context, arguments),
    }
}
