//! `hook dlq`: dead letters, listed, shown and redriven.

mod redrive;

use std::num::NonZeroUsize;

use hook_admin::query::{self, DeadLetterQuery};
use hook_core::{Timestamp, event::EventId};
use serde::Deserialize;
use serde_json::Value;

use super::events::with_query;
use crate::{
    context::Context,
    data_directory::Flag,
    event_id,
    exit::Exit,
    owner::{self, Owner, block_on, fail, failed},
    since::Since,
};

/// Dead letters: events that a destination did not take
///
/// Asks the pipeline that runs on the data directory; where none runs, reads the log itself.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: Flag,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    /// List the newest dead letters
    List {
        /// Only of destinations (`route/adapter`) that match this pattern
        #[arg(long, value_name = "PATTERN")]
        destination: Option<String>,
        /// Only failed since then: a time (RFC 3339), or a duration back from now, such as `1h`
        #[arg(long, value_name = "TIME")]
        since: Option<Since>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "20")]
        limit: NonZeroUsize,
    },
    /// Show the dead letters of one event
    Show {
        /// The event's id
        #[arg(value_parser = event_id::parse)]
        id: EventId,
    },
    /// Deliver dead letters again, each to the destination that did not take it
    ///
    /// By event id, or by what they have in common. An event keeps its id, gains `meta.replay`, starts with attempt 1, and may come
    /// after newer events of its key. Those that were redriven before are left alone. What goes out is counted first; more than one
    /// is asked about, or needs --yes. A redrive that was interrupted goes on with `hook replay resume`.
    Redrive(Box<redrive::Arguments>),
}

/// Answers.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let query = match &arguments.question {
        Question::List { destination, since, limit } => DeadLetterQuery {
            destination: destination.clone(),
            since: since.map(|since| since.0),
            limit: Some(limit.get()),
            event_id: None,
        },
        Question::Show { id } => DeadLetterQuery { event_id: Some(*id), ..DeadLetterQuery::default() },
        Question::Redrive(redrive) => return redrive::run(context, &arguments.data_directory, redrive),
    };
    block_on(context, answer(context, &arguments.data_directory, &query))
}

async fn answer(context: &Context, flag: &Flag, query: &DeadLetterQuery) -> Result<(), Exit> {
    let lines = match Owner::find(context, flag).await? {
        Owner::Running(client) => {
            client.get(&with_query("/dead-letters", query)).await.map_err(|error| failed(context, &error))?.to_vec()
        }
        Owner::Resting { log, plan } => {
            let letters = query::dead_letters(&log, &owner::own_topics(&plan), query).await;
            let letters = letters.map_err(|error| fail(context, &error.to_string()))?;
            letters.iter().flat_map(query::dead_letter_line).collect()
        }
    };
    if let (Some(id), true) = (query.event_id, lines.is_empty()) {
        return Err(fail(context, &format!("event {id} has no dead letter")));
    }
    if context.output.is_json() {
        return context.output.text(&String::from_utf8_lossy(&lines));
    }
    match query.event_id {
        Some(_) => print_whole(context, &lines),
        None => print_rows(context, &lines),
    }
}

fn print_whole(context: &Context, lines: &[u8]) -> Result<(), Exit> {
    for letter in owner::parse_lines::<Value>(lines) {
        context.output.line(&serde_json::to_string_pretty(&letter).unwrap_or_default())?;
    }
    Ok(())
}

fn print_rows(context: &Context, lines: &[u8]) -> Result<(), Exit> {
    #[derive(Deserialize)]
    struct Letter {
        failed_at: Timestamp,
        error: String,
        destination: String,
        attempts: u32,
        redriven_by: Option<String>,
        envelope: Event,
    }
    #[derive(Deserialize)]
    struct Event {
        id: String,
        event_type: String,
    }
    let row = |letter: Letter| {
        let Event { id, event_type } = letter.envelope;
        let failed_at = format!("{:.3}", letter.failed_at);
        let redriven = letter.redriven_by.map_or("no", |_| "yes").to_owned();
        [failed_at, id, event_type, letter.destination, letter.attempts.to_string(), redriven, letter.error]
    };
    let rows: Vec<_> = owner::parse_lines::<Letter>(lines).into_iter().map(row).collect();
    if rows.is_empty() {
        return context.output.line("no dead letters");
    }
    context.output.titled_table(["failed", "event", "type", "destination", "attempts", "redriven", "error"], &rows)?;
    context.output.note("`hook explain EVENT` tells the story; `hook dlq redrive EVENT` tries that destination again, `hook replay EVENT` all");
    Ok(())
}
