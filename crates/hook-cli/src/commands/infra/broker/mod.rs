//! `hook infra broker`: the Kafka that the contract's log is on.

pub(in crate::commands) mod check;
mod topics;

use hook_contract::plan::Plan;
use hook_core::secret::Secrets;
use hook_kafka::operate::Cluster;

use crate::{
    context::Context,
    exit::Exit,
    kafka, load,
    owner::{block_on, fail},
};

/// The Kafka that the contract's log is on: is it fit, and are its topics there
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    Check(check::Arguments),
    Topics(topics::Arguments),
}

/// Does it.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let loaded = load::load(context, &[])?;
    let secrets: Secrets = loaded.environment;
    let plan = loaded.plan;
    let cluster = of(context, &plan, &secrets)?;
    match &arguments.question {
        Question::Check(_) => block_on(context, check::run(context, &plan, &cluster)),
        Question::Topics(arguments) => block_on(context, topics::run(context, &cluster, arguments)),
    }
}

fn of(context: &Context, plan: &Plan, secrets: &Secrets) -> Result<Cluster, Exit> {
    let Some(settings) = kafka::of(plan) else {
        return Err(fail(
            context,
            "the log of this contract is the embedded one: there is no broker to look at; write `driver = \"kafka\"` under \
             [backbone], or set KAFKA_BROKERS",
        ));
    };
    kafka::cluster((settings, plan), secrets).map_err(|problem| context.refuse(&[*problem], None))
}
