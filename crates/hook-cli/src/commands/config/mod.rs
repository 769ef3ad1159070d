//! `hook config`: what the contract says, and whether it can be used.

mod explain;
mod schema;
mod show;
pub mod test;
mod validate;

use crate::{context::Context, exit::Exit};

/// Check a contract, run its tests, show what it comes to, print its schema
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Validate(validate::Arguments),
    Test(test::Arguments),
    Show(show::Arguments),
    Schema(schema::Arguments),
    Explain(explain::Arguments),
}

/// Runs one of them.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    match &arguments.command {
        Command::Validate(arguments) => validate::run(context, arguments),
        Command::Test(arguments) => test::run(context, arguments),
        Command::Show(arguments) => show::run(context, arguments),
        Command::Schema(arguments) => schema::run(context, arguments),
        Command::Explain(arguments) => explain::run(context, arguments),
    }
}
