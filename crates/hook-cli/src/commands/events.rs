//! `hook events`: stored events, listed, shown and followed.

use std::num::NonZeroUsize;

use hook_admin::{
    query::{self, EventQuery, StoredEvent},
    story::{self, Story},
};
use hook_core::{Timestamp, event::EventId, names::SourceName};
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::{
    context::Context,
    data_directory::Flag,
    event_id,
    exit::Exit,
    owner::{self, Owner, block_on, fail, failed},
    since::Since,
};

/// Stored events: list, show, follow
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
    /// List the newest events
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "20")]
        limit: NonZeroUsize,
    },
    /// Show one event with its payload
    Show {
        /// The event's id
        #[arg(value_parser = event_id::parse)]
        id: EventId,
    },
    /// Print events as they are stored, until Ctrl-C
    Tail {
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, clap::Args)]
struct Filter {
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    /// Only of types that match this pattern, such as `issues.*`
    #[arg(long = "type", value_name = "PATTERN")]
    event_type: Option<String>,
    /// Only in topics that match this pattern
    #[arg(long, value_name = "PATTERN")]
    topic: Option<String>,
    /// Only since then: a time (RFC 3339), or a duration back from now, such as `1h`
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
}

impl Filter {
    fn query(&self, limit: Option<usize>) -> EventQuery {
        EventQuery {
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            topic: self.topic.clone(),
            since: self.since.map(|since| since.0),
            limit,
        }
    }
}

/// Answers.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    block_on(context, async {
        match &arguments.question {
            Question::List { filter, limit } => list(context, arguments, &filter.query(Some(limit.get()))).await,
            Question::Show { id } => show(context, arguments, *id).await,
            Question::Tail { filter } => tail(context, arguments, &filter.query(None)).await,
        }
    })
}

async fn list(context: &Context, arguments: &Arguments, query: &EventQuery) -> Result<(), Exit> {
    let lines = match Owner::find(context, &arguments.data_directory).await? {
        Owner::Running(client) => {
            client.get(&with_query("/events", query)).await.map_err(|error| failed(context, &error))?.to_vec()
        }
        Owner::Resting { log, plan } => {
            let events = query::events(&log, &owner::own_topics(&plan), query).await;
            to_lines(&events.map_err(|error| fail(context, &error.to_string()))?)
        }
    };
    if context.output.is_json() {
        return context.output.text(&String::from_utf8_lossy(&lines));
    }
    let rows: Vec<_> = owner::parse_lines::<Listed>(&lines).iter().map(Listed::row).collect();
    match rows.is_empty() {
        true => context.output.line("no events"),
        false => context.output.titled_table(["received", "event", "source", "type", "topic@offset"], &rows),
    }
}

async fn tail(context: &Context, arguments: &Arguments, query: &EventQuery) -> Result<(), Exit> {
    let client = Owner::running(context, &arguments.data_directory).await?;
    let mut partial = Vec::new();
    let mut ended = Ok(());
    let path = with_query("/events/tail", query);
    let followed = client.follow(&path, |chunk| {
        partial.extend_from_slice(&chunk);
        let whole = partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = partial.drain(..whole).collect();
        ended = match context.output.is_json() {
            true => context.output.text(&String::from_utf8_lossy(&lines)),
            false => {
                context.output.table(&owner::parse_lines::<Listed>(&lines).iter().map(Listed::row).collect::<Vec<_>>())
            }
        };
        ended.is_ok()
    });
    followed.await.map_err(|error| failed(context, &error))?;
    ended
}

async fn show(context: &Context, arguments: &Arguments, id: EventId) -> Result<(), Exit> {
    let (lines, story) = match Owner::find(context, &arguments.data_directory).await? {
        Owner::Running(client) => {
            let lines = client.get(&format!("/events/{id}")).await.map_err(|error| failed(context, &error))?;
            (lines.to_vec(), client.explain(id).await.ok())
        }
        Owner::Resting { log, plan } => {
            let events = query::event(&log, &owner::own_topics(&plan), id).await;
            let story = story::tell(&plan, &log, id).await.ok().flatten();
            (to_lines(&events.map_err(|error| fail(context, &error.to_string()))?), story)
        }
    };
    // The newest record: of a relayed event the one that is delivered from, of a replayed one the last replay.
    let Some(line) = lines.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()) else {
        return Err(fail(context, &format!("no event {id} is in the log")));
    };
    let destinations = match story {
        Some(Story::Event(story)) => story.destinations,
        _ => Vec::new(),
    };
    let names: Vec<&str> = destinations.iter().map(|destination| destination.destination.as_str()).collect();
    if context.output.is_json() {
        return context.output.line(&with_destinations(line, &names));
    }
    let event: Value = serde_json::from_slice(line).map_err(|error| fail(context, &error.to_string()))?;
    context.output.line(&serde_json::to_string_pretty(&event).unwrap_or_default())?;
    match names.is_empty() {
        true => context.output.note("no smash route takes this event"),
        false => context.output.note(&format!("goes to: {}", names.join(", "))),
    }
    Ok(())
}

/// Adds `destinations` to a JSON object without touching what is there: the payload stays verbatim.
fn with_destinations(line: &[u8], names: &[&str]) -> String {
    let text = String::from_utf8_lossy(line);
    let names = serde_json::to_string(names).unwrap_or_default();
    let open = text.trim_end();
    format!("{},\"destinations\":{names}}}", open.strip_suffix('}').unwrap_or(open))
}

fn to_lines(events: &[StoredEvent]) -> Vec<u8> {
    events.iter().flat_map(StoredEvent::to_line).collect()
}

/// The columns of a list.
#[derive(Deserialize)]
struct Listed {
    id: String,
    source: String,
    event_type: String,
    received_at: Timestamp,
    topic: String,
    offset: u64,
}

impl Listed {
    fn row(&self) -> [String; 5] {
        let place = format!("{}@{}", self.topic, self.offset);
        [format!("{:.3}", self.received_at), self.id.clone(), self.source.clone(), self.event_type.clone(), place]
    }
}

/// A path with the fields of a query that are set.
pub fn with_query(path: &str, query: &impl serde::Serialize) -> String {
    let fields = serde_json::to_value(query).unwrap_or_default();
    let mut pairs = Serializer::new(String::new());
    for (name, value) in fields.as_object().into_iter().flatten() {
        pairs.append_pair(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str());
    }
    format!("{path}?{}", pairs.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_added_without_touching_the_payload() {
        let line = br#"{"id":"x","payload":{"a":{"b": 1.0}}}"#;
        assert_eq!(
            with_destinations(line, &["r/a"]),
            r#"{"id":"x","payload":{"a":{"b": 1.0}},"destinations":["r/a"]}"#
        );
    }

    #[test]
    fn a_query_names_only_what_is_set() {
        let query = EventQuery { event_type: Some("issues.*".into()), limit: Some(5), ..EventQuery::default() };
        assert_eq!(with_query("/events", &query), "/events?event_type=issues.*&limit=5");
    }
}
