//! `hook replay`: a stored event to its destinations again.

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

/// Deliver a stored event to its destinations again
///
/// The event keeps its id and gains `meta.replay`. It passes neither ingress nor deduplication.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: Flag,
    /// The event's id
    #[arg(value_parser = event_id::parse)]
    id: EventId,
}

/// Asks the running pipeline.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let id = arguments.id;
    let replayed: Value = block_on(context, async {
        let client = Owner::running(context, &arguments.data_directory).await?;
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
