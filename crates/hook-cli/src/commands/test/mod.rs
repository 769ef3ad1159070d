//! `hook test`: is this machine ready, and does a role work on it.

mod env;
mod smoke;

use crate::{context::Context, exit::Exit};

/// Is this machine ready? Does a role work on it?
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    Env(env::Arguments),
    Smoke(smoke::Arguments),
}

/// Answers.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    match &arguments.question {
        Question::Env(arguments) => env::run(context, arguments),
        Question::Smoke(arguments) => smoke::run(context, arguments),
    }
}
