//! The tools, and the command line that each of them is.

use std::ffi::OsString;

use hook_mcp::stdio::{Answer, Tool};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::shown::{Fences, without_payload};

/// An answer to an agent is not longer than this: it has to be read.
const MOST_EVENTS: u32 = 100;
const USUAL_EVENTS: u32 = 20;
const LONGEST_ANSWER: usize = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    /// The id of the event (for `explain` also of a refused request).
    id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only of types that match this pattern, such as `issues.*`.
    event_type: Option<String>,
    /// Only in topics that match this pattern.
    topic: Option<String>,
    /// Only since then: a time (RFC 3339), or a duration back from now, such as `1h`.
    since: Option<String>,
    /// At most so many, the newest: 20 unless said otherwise, and never more than 100.
    limit: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetterFilter {
    /// Only of destinations (`route/adapter`) that match this pattern.
    destination: Option<String>,
    /// Only failed since then: a time (RFC 3339), or a duration back from now, such as `1h`.
    since: Option<String>,
    /// At most so many, the newest: 20 unless said otherwise, and never more than 100.
    limit: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplaySelection {
    /// Only received since then: a time (RFC 3339), or a duration back from now, such as `1h`.
    since: Option<String>,
    /// Only received before then, written like `since`.
    until: Option<String>,
    /// Only of this source, or of those that match this pattern.
    source: Option<String>,
    /// Only of types that match this pattern, such as `issues.*`.
    event_type: Option<String>,
    /// Only where this CEL expression over `source`, `type`, `payload` and `meta` is true.
    condition: Option<String>,
    /// To this destination alone (`route/adapter`); otherwise to all that take them.
    to: Option<String>,
    /// At most so many a second, such as `50/s`.
    rate: Option<String>,
    /// `true` sends; otherwise it is only counted what would be sent. Count first, and send what the person has agreed to.
    send: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedriveSelection {
    /// Only of this class of error: unreachable, misconfigured, throttled, transient, rejected, plugin, unrouted.
    error_class: Option<String>,
    /// Only with an error that matches this pattern, such as `*503*`.
    error: Option<String>,
    /// Only of destinations (`route/adapter`) that match this pattern.
    destination: Option<String>,
    /// Only failed longer ago than this, such as `2h`.
    older_than: Option<String>,
    /// Only failed within this time, such as `1d`.
    newer_than: Option<String>,
    /// Only of this source, or of those that match this pattern.
    source: Option<String>,
    /// Only of types that match this pattern, such as `issues.*`.
    event_type: Option<String>,
    /// Only where this CEL expression over `source`, `type`, `payload` and `meta` is true.
    condition: Option<String>,
    /// At most so many a second, such as `50/s`.
    rate: Option<String>,
    /// `true` sends; otherwise it is only counted what would be sent. Count first, and send what the person has agreed to.
    send: Option<bool>,
}

/// What an agent may ask for.
pub(super) fn all() -> Vec<Tool> {
    let tool = |name, title, about, input| Tool { name, title, about, input, writes: false };
    vec![
        tool(
            "status",
            "State of the pipeline",
            "How the running pipeline is: whether it is ready and why not, what listens, and for each destination what was \
             delivered, what waits and its last error.",
            schema::<Nothing>(),
        ),
        tool(
            "list_events",
            "List events",
            "The newest stored events without their payloads, with their place in the log.",
            schema::<EventFilter>(),
        ),
        tool(
            "show_event",
            "Show an event",
            "One event and where it goes, and behind a fence its payload.",
            schema::<One>(),
        ),
        tool(
            "explain",
            "Tell the story of an event",
            "What happened to one event or refused request: each attempt at each destination, each error, and how it stands.",
            schema::<One>(),
        ),
        tool(
            "list_dead_letters",
            "List dead letters",
            "The newest events that a destination did not take, and why, without their payloads.",
            schema::<DeadLetterFilter>(),
        ),
        tool(
            "show_dead_letters",
            "Show dead letters",
            "The dead letters of one event, and behind a fence the payload of each.",
            schema::<One>(),
        ),
        tool(
            "list_replays",
            "List replays and redrives",
            "Who had which events delivered again, when, how far that came and how it ended.",
            schema::<Nothing>(),
        ),
        Tool {
            writes: true,
            ..tool(
                "replay_events",
                "Deliver events again",
                "Counts the stored events that match, by source, type and destination; with `send`, delivers them again. Those \
                 that had them get them twice.",
                schema::<ReplaySelection>(),
            )
        },
        Tool {
            writes: true,
            ..tool(
                "redrive_dead_letters",
                "Deliver dead letters again",
                "Counts the dead letters that match and were not redriven yet; with `send`, delivers each to the destination \
                 that did not take it.",
                schema::<RedriveSelection>(),
            )
        },
        Tool {
            writes: true,
            ..tool(
                "replay_event",
                "Deliver an event again",
                "Delivers a stored event to all of its destinations again. It keeps its id; those that had it get it twice.",
                schema::<One>(),
            )
        },
    ]
}

/// A call of a tool.
pub(super) enum Asked {
    Status,
    ListEvents(EventFilter),
    ShowEvent(One),
    Explain(One),
    ListDeadLetters(DeadLetterFilter),
    ShowDeadLetters(One),
    ListReplays,
    ReplayEvents(ReplaySelection),
    RedriveDeadLetters(RedriveSelection),
    ReplayEvent(One),
}

impl Asked {
    /// Reads a call. What cannot be read is told so that an agent can mend it.
    pub(super) fn read(name: &str, arguments: Map<String, Value>) -> Result<Self, String> {
        match name {
            "status" => read(arguments).map(|Nothing {}| Self::Status),
            "list_events" => read(arguments).map(Self::ListEvents),
            "show_event" => read(arguments).map(Self::ShowEvent),
            "explain" => read(arguments).map(Self::Explain),
            "list_dead_letters" => read(arguments).map(Self::ListDeadLetters),
            "show_dead_letters" => read(arguments).map(Self::ShowDeadLetters),
            "list_replays" => read(arguments).map(|Nothing {}| Self::ListReplays),
            "replay_events" => read(arguments).map(Self::ReplayEvents),
            "redrive_dead_letters" => read(arguments).map(Self::RedriveDeadLetters),
            "replay_event" => read(arguments).map(Self::ReplayEvent),
            other => Err(format!("there is no tool `{other}`")),
        }
    }

    /// The words of the command that it is. Values stand behind `=` or `--`, so that none is taken for a flag.
    pub(super) fn line(&self) -> Vec<OsString> {
        let words = match self {
            Self::Status => vec!["status".to_owned()],
            Self::ListEvents(filter) => events(filter),
            Self::ListDeadLetters(filter) => dead_letters(filter),
            Self::ShowEvent(one) => about_one(&["events", "show"], one),
            Self::Explain(one) => about_one(&["explain"], one),
            Self::ShowDeadLetters(one) => about_one(&["dlq", "show"], one),
            Self::ListReplays => vec!["replay".to_owned(), "list".to_owned()],
            Self::ReplayEvents(which) => replay(which),
            Self::RedriveDeadLetters(which) => redrive(which),
            Self::ReplayEvent(one) => about_one(&["replay"], one),
        };
        words.into_iter().map(OsString::from).collect()
    }

    /// What the command has written: an object, where the lines of a list are its `items`. Of what has payloads, texts with a fence
    /// around each.
    pub(super) fn answer(&self, written: &str, fences: &Fences) -> Result<Answer, String> {
        let is_list = matches!(self, Self::ListEvents(_) | Self::ListDeadLetters(_) | Self::ListReplays);
        if !is_list && written.len() > LONGEST_ANSWER {
            return Err(format!("the answer has {} bytes, which is too much for a conversation", written.len()));
        }
        let mut lines = written.lines().filter(|line| !line.is_empty());
        let nothing = || "there is no answer".to_owned();
        Ok(Answer::Data(match self {
            Self::ListEvents(_) | Self::ListDeadLetters(_) => items(lines.map(without_payload)),
            // The newest: what was long ago is for a terminal.
            Self::ListReplays => {
                let all: Vec<_> = lines.map(str::to_owned).collect();
                let newest = all.len().saturating_sub(MOST_EVENTS as usize);
                items(all.into_iter().skip(newest))
            }
            Self::ShowEvent(_) | Self::ShowDeadLetters(_) => {
                let texts: Vec<_> = lines.flat_map(|line| fences.show(line)).collect();
                return if texts.is_empty() { Err(nothing()) } else { Ok(Answer::Texts(texts)) };
            }
            Self::Status
            | Self::Explain(_)
            | Self::ReplayEvents(_)
            | Self::RedriveDeadLetters(_)
            | Self::ReplayEvent(_) => lines.next_back().map(str::to_owned).ok_or_else(nothing)?,
        }))
    }
}

fn items(lines: impl Iterator<Item = String>) -> String {
    format!("{{\"items\":[{}]}}", lines.collect::<Vec<_>>().join(","))
}

fn events(filter: &EventFilter) -> Vec<String> {
    let EventFilter { source, event_type, topic, since, limit } = filter;
    let flags = [("source", source), ("type", event_type), ("topic", topic), ("since", since)];
    listed(&["events", "list"], flags, limit)
}

fn dead_letters(filter: &DeadLetterFilter) -> Vec<String> {
    let DeadLetterFilter { destination, since, limit } = filter;
    listed(&["dlq", "list"], [("destination", destination), ("since", since)], limit)
}

fn listed<const N: usize>(words: &[&str], flags: [(&str, &Option<String>); N], limit: &Option<u32>) -> Vec<String> {
    let mut line: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    line.extend(flags.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))));
    line.push(format!("--limit={}", limit.unwrap_or(USUAL_EVENTS).clamp(1, MOST_EVENTS)));
    line
}

fn replay(which: &ReplaySelection) -> Vec<String> {
    let ReplaySelection { since, until, source, event_type, condition, to, rate, send } = which;
    let flags = [
        ("since", since),
        ("until", until),
        ("source", source),
        ("type", event_type),
        ("where", condition),
        ("to", to),
        ("rate", rate),
    ];
    counted_or_sent(&["replay"], flags, *send)
}

fn redrive(which: &RedriveSelection) -> Vec<String> {
    let RedriveSelection {
        error_class,
        error,
        destination,
        older_than,
        newer_than,
        source,
        event_type,
        condition,
        rate,
        send,
    } = which;
    let flags = [
        ("error-class", error_class),
        ("error", error),
        ("destination", destination),
        ("older-than", older_than),
        ("newer-than", newer_than),
        ("source", source),
        ("type", event_type),
        ("where", condition),
        ("rate", rate),
    ];
    counted_or_sent(&["dlq", "redrive"], flags, *send)
}

fn counted_or_sent<const N: usize>(
    words: &[&str],
    flags: [(&str, &Option<String>); N],
    send: Option<bool>,
) -> Vec<String> {
    let mut line: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    line.extend(flags.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))));
    line.push(if send == Some(true) { "--yes" } else { "--dry-run" }.to_owned());
    line
}

fn about_one(words: &[&str], one: &One) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).chain(["--".to_owned(), one.id.clone()]).collect()
}

fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| error.to_string())
}

fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(name: &str, arguments: Value) -> Result<Vec<String>, String> {
        let Value::Object(arguments) = arguments else { panic!() };
        let words = Asked::read(name, arguments)?.line();
        Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn every_tool_is_a_command_and_its_values_are_no_flags() {
        assert_eq!(line("status", json!({})).unwrap(), ["status"]);
        assert_eq!(line("explain", json!({ "id": "--help" })).unwrap(), ["explain", "--", "--help"]);
        let arguments = json!({ "source": "--force", "event_type": "issues.*", "since": null, "limit": 1000 });
        let expected = ["events", "list", "--source=--force", "--type=issues.*", "--limit=100"];
        assert_eq!(line("list_events", arguments).unwrap(), expected);
        assert_eq!(line("list_dead_letters", json!({})).unwrap(), ["dlq", "list", "--limit=20"]);
        let selection = json!({ "event_type": "issues.*", "since": "1h" });
        assert_eq!(line("replay_events", selection).unwrap(), ["replay", "--since=1h", "--type=issues.*", "--dry-run"]);
        let redriven = json!({ "error_class": "transient", "send": true });
        let expected = ["dlq", "redrive", "--error-class=transient", "--yes"];
        assert_eq!(line("redrive_dead_letters", redriven).unwrap(), expected);
        for tool in all() {
            let arguments = if tool.input["required"].is_array() { json!({ "id": "x" }) } else { json!({}) };
            assert!(line(tool.name, arguments).is_ok(), "{}", tool.name);
        }
    }

    #[test]
    fn the_lines_of_a_list_are_items_without_payloads() {
        let fences = Fences::new();
        let answer = |asked: &Asked, written: &str| match asked.answer(written, &fences).unwrap() {
            Answer::Data(json) => json,
            Answer::Texts(texts) => panic!("{texts:?}"),
        };
        let list = Asked::read("list_events", Map::new()).unwrap();
        assert_eq!(answer(&list, ""), "{\"items\":[]}");
        let lines = "{\"id\":\"x\",\"payload\":{}}\n{\"envelope\":{\"id\":\"y\",\"payload\":{}}}\n";
        assert_eq!(answer(&list, lines), "{\"items\":[{\"id\":\"x\"},{\"envelope\":{\"id\":\"y\"}}]}");
        let number = "{\"n\":12345678901234567890123,\"x\":1.10}";
        assert_eq!(answer(&Asked::Status, &format!("{number}\n")), number, "to the digit");
        assert!(Asked::Status.answer("", &fences).is_err());
    }

    #[test]
    fn what_has_payloads_is_answered_as_texts_and_never_as_data() {
        let id = json!({ "id": "x" }).as_object().unwrap().clone();
        for name in ["show_event", "show_dead_letters"] {
            let answer =
                Asked::read(name, id.clone()).unwrap().answer("{\"id\":\"x\",\"payload\":{}}\n", &Fences::new());
            let Ok(Answer::Texts(texts)) = answer else { panic!("{answer:?}") };
            assert_eq!((texts.len(), texts[0].as_str()), (2, "{\"id\":\"x\"}"));
        }
    }

    #[test]
    fn an_argument_that_is_not_known_is_an_error() {
        assert!(line("status", json!({ "x": 1 })).unwrap_err().contains('x'));
        assert!(line("explain", json!({})).unwrap_err().contains("id"));
        assert!(line("up", json!({})).unwrap_err().contains("no tool"));
    }
}
