//! `hook cursors`: how far each destination has come, and what an older contract has left behind.

use hook_admin::socket::ClientError;
use hook_contract::plan::Plan;
use hook_core::{
    names::{CursorName, TopicName},
    ports::log::{Cursor, CursorState, LogState, PartitionState},
};
use hook_runtime::cursors;
use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    data_directory::Flag,
    exit::Exit,
    load,
    owner::{Owner, block_on, fail, failed},
    readers::{self, Progress},
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
    /// How many records it has not done.
    behind: u64,
    /// Whether what it has not done is kept, however old it is.
    pins: bool,
    /// Whether nothing reads with it.
    orphan: bool,
    #[serde(skip)]
    places: Vec<Reading>,
}

/// A place of a cursor.
struct Reading {
    topic: TopicName,
    partition: u32,
    watermark: u64,
    done_above: u64,
    behind: u64,
}

#[derive(Deserialize)]
struct Running {
    log: LogState,
}

/// What the log says of itself now, and the contract that reads it.
pub(super) async fn look(context: &Context, flag: &Flag) -> Result<(LogState, Plan), Exit> {
    Ok(match Owner::find(context, flag).await? {
        Owner::Running(client) => {
            let running: Running = client.get_json("/status").await.map_err(|error| failed(context, &error))?;
            (running.log, load::load_for_question(context)?.plan)
        }
        Owner::Resting { log, plan } => (log.state(), *plan),
    })
}

/// Lists every cursor.
pub(super) async fn list(context: &Context, flag: &Flag) -> Result<(), Exit> {
    let (state, plan) = look(context, flag).await?;
    let (active, pinning) = (readers::active(&plan), cursors::pinning(&plan));
    let known = cursors::active(&plan);
    let listed = state.cursors.iter().map(|cursor| {
        let places = places(cursor, &state, active.iter().find(|active| active.name == cursor.name));
        Listed {
            behind: places.iter().map(|place| place.behind).sum(),
            pins: pinning.contains(&cursor.name),
            orphan: !known.contains(&cursor.name),
            cursor,
            places,
        }
    });
    if context.output.is_json() {
        return listed.into_iter().try_for_each(|listed| context.output.json(&listed));
    }
    let rows: Vec<_> = listed.flat_map(|listed| rows(&listed, &plan)).collect();
    match rows.is_empty() {
        true => context.output.line("no cursors"),
        false => {
            context.output.titled_table(["cursor", "topic", "done up to", "and above", "behind", "retention"], &rows)
        }
    }
}

/// Where a cursor stands in each topic: those in which it has done something, and those that it reads.
fn places(cursor: &CursorState, state: &LogState, reads: Option<&Cursor>) -> Vec<Reading> {
    let place = |partition: &PartitionState| {
        let Progress { watermark, done_above, behind } = readers::progress(cursor, partition, reads)?;
        Some(Reading { topic: partition.topic.clone(), partition: partition.partition, watermark, done_above, behind })
    };
    state.partitions.iter().filter_map(place).collect()
}

/// One row a partition.
fn rows(listed: &Listed<'_>, plan: &Plan) -> Vec<[String; 6]> {
    let name = listed.cursor.name.to_string();
    let role = match (listed.orphan, listed.pins) {
        (true, _) => format!("orphan of {}", plan.app.id),
        (false, true) => "pins".to_owned(),
        (false, false) => String::new(),
    };
    if listed.places.is_empty() {
        let [none, zero] = ["-", "0"].map(str::to_owned);
        return vec![[name, none.clone(), none.clone(), none, zero, role]];
    }
    let row = |place: &Reading| {
        let numbers = [place.watermark, place.done_above, place.behind].map(|number| number.to_string());
        let [watermark, above, behind] = numbers;
        let has_several = listed.places.iter().filter(|other| other.topic == place.topic).count() > 1;
        let topic = match has_several {
            true => format!("{}/{}", place.topic, place.partition),
            false => place.topic.to_string(),
        };
        [name.clone(), topic, watermark, above, behind, role.clone()]
    };
    listed.places.iter().map(row).collect()
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
