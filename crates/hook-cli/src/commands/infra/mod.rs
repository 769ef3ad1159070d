//! `hook infra`: what a pipeline stands on.

#[cfg(feature = "kafka")]
mod broker;
mod certs;

use crate::{context::Context, exit::Exit};

/// What a pipeline stands on: brokers, certificates
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    #[cfg(feature = "kafka")]
    Broker(broker::Arguments),
    Certs(certs::Arguments),
}

/// Does it.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    match &arguments.part {
        #[cfg(feature = "kafka")]
        Part::Broker(arguments) => broker::run(context, arguments),
        Part::Certs(arguments) => certs::run(context, arguments),
    }
}
