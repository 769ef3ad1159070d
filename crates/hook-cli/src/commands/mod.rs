//! The commands. Each has one file or folder with an `Arguments` and a `run`; adding one is a file and two lines here.

pub mod completions;
pub mod config;
pub mod cursors;
pub mod debug;
pub mod demo;
pub mod dlq;
pub mod events;
pub mod explain;
pub mod infra;
pub mod log;
#[cfg(feature = "mcp")]
pub mod mcp;
pub mod posting;
pub mod replay;
pub mod run;
pub mod send;
pub mod sources;
pub mod status;
pub mod test;

use hook_contract::plan::Role;

use crate::{context::Context, exit::Exit};

/// What to do.
#[derive(Debug, clap::Subcommand)]
#[expect(missing_docs, reason = "what a command does stands on its Arguments, where clap reads it")]
pub enum Command {
    Demo(demo::Arguments),
    /// Run the whole contract in this process: take events in, bridge them, deliver them
    Up(run::Arguments),
    /// Run the role that takes events in
    Serve(run::Arguments),
    /// Run the role that bridges source topics into the core topic
    ///
    /// Which topics, the contract says, or the flags; with --topics there need be no contract: then the log is on Kafka, the
    /// brokers come from --brokers, KAFKA_BROKERS or config/kafka-core.toml, and what is written goes to --output-topic or
    /// to webhooks.core.
    Relay(run::RelayArguments),
    /// Run the role that delivers
    Smash(run::Arguments),
    Send(send::Arguments),
    Sources(sources::Arguments),
    Status(status::Arguments),
    Events(events::Arguments),
    Explain(explain::Arguments),
    Dlq(dlq::Arguments),
    Replay(Box<replay::Arguments>),
    Cursors(cursors::Arguments),
    Log(log::Arguments),
    Infra(infra::Arguments),
    #[cfg(feature = "mcp")]
    Mcp(mcp::Arguments),
    Config(config::Arguments),
    Test(test::Arguments),
    Debug(debug::Arguments),
    Completions(completions::Arguments),
}

/// Runs a command. What there is to say has been said when it returns.
pub fn run(context: &Context, command: &Command) -> Result<(), Exit> {
    match command {
        Command::Demo(arguments) => demo::run(context, arguments),
        Command::Up(arguments) => run::run(context, arguments, &[Role::Serve, Role::Relay, Role::Smash]),
        Command::Serve(arguments) => run::run(context, arguments, &[Role::Serve]),
        Command::Relay(arguments) => run::run_relay(context, arguments),
        Command::Smash(arguments) => run::run(context, arguments, &[Role::Smash]),
        Command::Send(arguments) => send::run(context, arguments),
        Command::Sources(arguments) => sources::run(context, arguments),
        Command::Status(arguments) => status::run(context, arguments),
        Command::Events(arguments) => events::run(context, arguments),
        Command::Explain(arguments) => explain::run(context, arguments),
        Command::Dlq(arguments) => dlq::run(context, arguments),
        Command::Replay(arguments) => replay::run(context, arguments),
        Command::Cursors(arguments) => cursors::run(context, arguments),
        Command::Log(arguments) => log::run(context, arguments),
        Command::Infra(arguments) => infra::run(context, arguments),
        #[cfg(feature = "mcp")]
        Command::Mcp(arguments) => mcp::run(context, arguments),
        Command::Test(arguments) => test::run(context, arguments),
        Command::Config(arguments) => config::run(context, arguments),
        Command::Debug(arguments) => debug::run(context, arguments),
        Command::Completions(arguments) => completions::run(context, arguments),
    }
}
