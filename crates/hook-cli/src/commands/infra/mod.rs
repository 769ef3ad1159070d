//! `hook infra`: what a pipeline stands on.

mod certs;

use crate::{context::Context, exit::Exit};

/// What a pipeline stands on: certificates
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    Certs(certs::Arguments),
}

/// Does it.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    match &arguments.part {
        Part::Certs(arguments) => certs::run(context, arguments),
    }
}
