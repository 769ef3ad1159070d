//! `hook cursors`: how far each destination has come, and what an older contract has left behind.

use hook_admin::socket::ClientError;
use hook_contract::plan::Plan;
use hook_core::{
    names::CursorName,
    ports::log::{CursorState, LogState},
};
use hook_runtime::cursors;
use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    data_directory::Flag,
    exit::Exit,
    load,
    owner::{Owner, block_on, fail, failed},
};

/// Cursors: how far each destination has come
///
/// A cursor of a route or destination that the contract no longer has is an orphan: it keeps its place, and can be deleted.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: Flag,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    /// List every cursor with its place in each topic
    List,
    /// Forget an orphan. Its undelivered events stay in the log until retention takes them
    Delete {
        /// The cursor, such as `my-app.old-route.service`
        name: CursorName,
    },
}

/// Answers.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    block_on(context, async {
        match &arguments.question {
            Question::List => list(context, &arguments.data_directory).await,
            Question::Delete { name } => delete(context, &arguments.data_directory, name).await,
        }
    })
}

/// A cursor as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    cursor: &'a CursorState,
    /// Whether nothing reads with it.
    orphan: bool,
}

#[derive(Deserialize)]
struct Running {
    log: LogState,
}

async fn list(context: &Context, flag: &Flag) -> Result<(), Exit> {
    let (state, plan) = match Owner::find(context, flag).await? {
        Owner::Running(client) => {
            let running: Running = client.get_json("/status").await.map_err(|error| failed(context, &error))?;
            (running.log, load::load(context, &[])?.plan)
        }
        Owner::Resting { log, plan } => (log.state(), *plan),
    };
    let active = cursors::active(&plan);
    let listed = state.cursors.iter().map(|cursor| Listed { cursor, orphan: !active.contains(&cursor.name) });
    if context.output.is_json() {
        return listed.into_iter().try_for_each(|listed| context.output.json(&listed));
    }
    let rows: Vec<_> = listed.flat_map(|listed| rows(&listed, &state, &plan)).collect();
    match rows.is_empty() {
        true => context.output.line("no cursors"),
        false => context.output.table(&rows),
    }
}

/// One row a topic.
fn rows(listed: &Listed<'_>, state: &LogState, plan: &Plan) -> Vec<[String; 4]> {
    let name = listed.cursor.name.to_string();
    let orphan = if listed.orphan { format!("orphan of {}", plan.app.id) } else { String::new() };
    if listed.cursor.partitions.is_empty() {
        return vec![[name, String::new(), "at the beginning".to_owned(), orphan]];
    }
    let row = |progress: &hook_core::ports::log::CursorProgress| {
        let end = state.partitions.iter().find(|partition| partition.topic == progress.topic);
        let left = end.map_or(0, |partition| {
            partition.end.saturating_sub(progress.watermark.max(partition.start)).saturating_sub(progress.done_above)
        });
        [name.clone(), format!("{}@{}", progress.topic, progress.watermark), format!("{left} to go"), orphan.clone()]
    };
    listed.cursor.partitions.iter().map(row).collect()
}

async fn delete(context: &Context, flag: &Flag, name: &CursorName) -> Result<(), Exit> {
    let client = Owner::running(context, flag).await?;
    client.delete(&format!("/cursors/{name}")).await.map_err(|error| match error {
        ClientError::NotFound => fail(context, &format!("there is no cursor {name}; `hook cursors list` names them")),
        error => failed(context, &error),
    })?;
    #[derive(Serialize)]
    struct Deleted<'a> {
        deleted: &'a CursorName,
    }
    match context.output.is_json() {
        true => context.output.json(&Deleted { deleted: name }),
        false => context.output.line(&format!("deleted {name}")),
    }
}
