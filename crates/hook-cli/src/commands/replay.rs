//! `hook replay`: a stored event to its destinations again.

use std::path::PathBuf;

use hook_admin::socket::ClientError;
use hook_core::event::EventId;
use serde_json::Value;

use crate::{
    context::Context,
    data_directory::Flag,
    event_id,
    exit::Exit,
    owner::{Owner, block_on, fail, failed},
};

#[cfg(feature = "kafka")]
pub mod kafka;

/// Deliver a stored event to its destinations again
///
/// The event keeps its id and gains `meta.replay`. It passes neither ingress nor deduplication.
#[derive(Debug, clap::Args)]
#[cfg_attr(feature = "kafka", command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true))]
pub struct Arguments {
    /// Where the log is kept
    ///
    /// Without it: HOOK_DATA_DIR, systemd's STATE_DIRECTORY, or hook/APP_ID below XDG_STATE_HOME (~/.local/state).
    // Not that of every command, which would be one of `hook replay kafka` too.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The event's id
    #[arg(value_parser = event_id::parse, required = true)]
    id: Option<EventId>,
    #[cfg(feature = "kafka")]
    #[command(subcommand)]
    into: Option<Into>,
}

/// Where events of a file go.
#[cfg(feature = "kafka")]
#[derive(Debug, clap::Subcommand)]
enum Into {
    Kafka(kafka::Arguments),
}

/// Asks the running pipeline, or sends a file.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    #[cfg(feature = "kafka")]
    if let Some(Into::Kafka(arguments)) = &arguments.into {
        return kafka::run(context, arguments);
    }
    // Without an id there is a subcommand.
    let Some(id) = arguments.id else { return Err(Exit::Failure) };
    let flag = Flag { data_dir: arguments.data_dir.clone() };
    let replayed: Value = block_on(context, async {
        let client = Owner::running(context, &flag).await?;
        let answer = client.post(&format!("/replay/{id}")).await.map_err(|error| match error {
            ClientError::NotFound => fail(context, &format!("no event {id} is in the log")),
            error => failed(context, &error),
        })?;
        serde_json::from_slice(&answer).map_err(|error| fail(context, &error.to_string()))
    })?;
    if context.output.is_json() {
        return context.output.json(&replayed);
    }
    let names = |key: &str| {
        let names = replayed[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(", ")
    };
    context.output.line(&format!("event {id} goes again to {} (through {})", names("destinations"), names("topics")))
}
