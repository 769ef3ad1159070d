//! `hook events`: stored events, listed, shown and followed.

use std::num::NonZeroUsize;

use hook_admin::{
    query::{self, EventQuery, StoredEvent},
    story::{self, Story},
};
use hook_core::{
    Timestamp,
    event::EventId,
    names::{SourceName, TopicName},
};
use serde::{Deserialize, Serialize};
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
    let plan = owner::locate(context, &arguments.data_directory)?.plan;
    let inputs = plan.relay.map(|relay| relay.inputs).unwrap_or_default();
    let records: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let Some(Shown { line, source }) = shown(&records, &inputs) else {
        return Err(fail(context, &format!("no event {id} is in the log")));
    };
    let destinations = match story {
        Some(Story::Event(story)) => story.destinations,
        _ => Vec::new(),
    };
    let names: Vec<&str> = destinations.iter().map(|destination| destination.destination.as_str()).collect();
    if context.output.is_json() {
        return context.output.line(&with_destinations(line, &names, source.as_ref()));
    }
    let event: Value = serde_json::from_slice(line).map_err(|error| fail(context, &error.to_string()))?;
    context.output.line(&serde_json::to_string_pretty(&event).unwrap_or_default())?;
    if let Some(Place { topic, partition, offset }) = source {
        context.output.note(&format!("was relayed from: {topic}/{partition}@{offset}"));
    }
    match names.is_empty() {
        true => context.output.note("no smash route takes this event"),
        false => context.output.note(&format!("goes to: {}", names.join(", "))),
    }
    Ok(())
}

/// The record of an event that is shown, and where it was relayed from.
struct Shown<'l> {
    line: &'l [u8],
    source: Option<Place>,
}

/// Where a record stands.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    topic: TopicName,
    partition: u32,
    offset: u64,
}

/// The newest record that is not one before the relay: that which is delivered from, of a replayed event the last replay. Which
/// of two was stored first, their order does not say where the log is Kafka.
fn shown<'l>(records: &[&'l [u8]], inputs: &[TopicName]) -> Option<Shown<'l>> {
    let place = |line: &[u8]| serde_json::from_slice::<Place>(line).ok();
    let is_input = |line: &[u8]| place(line).is_some_and(|place| inputs.contains(&place.topic));
    let relayed = records.iter().rfind(|line| !is_input(line));
    let source = relayed.and_then(|_| records.iter().find(|line| is_input(line)).and_then(|line| place(line)));
    relayed.or(records.last()).map(|line| Shown { line, source })
}

/// Adds `destinations` and `relayed_from` to a JSON object without touching what is there: the payload stays verbatim.
fn with_destinations(line: &[u8], names: &[&str], source: Option<&Place>) -> String {
    let text = String::from_utf8_lossy(line);
    let names = serde_json::to_string(names).unwrap_or_default();
    let source = source.and_then(|source| serde_json::to_string(source).ok());
    let source = source.map(|source| format!(",\"relayed_from\":{source}")).unwrap_or_default();
    let open = text.trim_end();
    format!("{}{source},\"destinations\":{names}}}", open.strip_suffix('}').unwrap_or(open))
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
            with_destinations(line, &["r/a"], None),
            r#"{"id":"x","payload":{"a":{"b": 1.0}},"destinations":["r/a"]}"#
        );
        let place = Place { topic: TopicName::new("in").unwrap(), partition: 1, offset: 7 };
        let expected = r#"{"id":"x","payload":{"a":{"b": 1.0}},"relayed_from":{"topic":"in","partition":1,"offset":7},"destinations":[]}"#;
        assert_eq!(with_destinations(line, &[], Some(&place)), expected);
    }

    #[test]
    fn what_is_shown_is_what_is_delivered_from_whatever_the_order() {
        let line = |topic: &str, offset: u64| format!("{{\"topic\":\"{topic}\",\"partition\":0,\"offset\":{offset}}}");
        let (input, core, replay) = (line("in", 3), line("core", 5), line("core", 9));
        let inputs = [TopicName::new("in").unwrap()];
        let of = |records: &[&String]| {
            let records: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
            let Shown { line, source } = shown(&records, &inputs)?;
            Some((String::from_utf8_lossy(line).into_owned(), source.map(|source| source.offset)))
        };
        assert_eq!(of(&[&input, &core]), Some((core.clone(), Some(3))));
        assert_eq!(of(&[&core, &input]), Some((core.clone(), Some(3))));
        assert_eq!(of(&[&core, &input, &replay]), Some((replay, Some(3))));
        assert_eq!(of(&[&input]), Some((input.clone(), None)), "it was not relayed yet");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_query_names_only_what_is_set() {
        let query = EventQuery { event_type: Some("issues.*".into()), limit: Some(5), ..EventQuery::default() };
        assert_eq!(with_query("/events", &query), "/events?event_type=issues.*&limit=5");
    }
}
