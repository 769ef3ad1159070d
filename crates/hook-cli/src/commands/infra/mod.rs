//! `hook infra`: what a pipeline stands on.

#[cfg(feature = "kafka")]
mod broker;
mod certs;
pub mod systemd;

use crate::{context::Context, exit::Exit};

/// What a pipeline stands on: brokers, certificates, a service manager
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
    Systemd(systemd::Arguments),
}

/// Does it.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    match &arguments.part {
        #[cfg(feature = "kafka")]
        Part::Broker(arguments) => broker::run(context, arguments),
        Part::Certs(arguments) => certs::run(context, arguments),
        Part::Systemd(arguments) => systemd::run(context, arguments),
    }
}
