//! The arguments of a call: a table in which `{{payload.issue.title}}` stands for a value of the event.
//!
//! A text that is one placeholder becomes the value, with its type and digit for digit; in a longer text a placeholder
//! becomes the value's text.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use hook_core::{
    catalog::Fault,
    envelope::{Envelope, Layout},
    payload::Payload,
};
use hook_sanitize::Fence;
use serde_json::{Map, Value, value::RawValue};
use thiserror::Error;

/// What a placeholder may begin with.
const ROOTS: [&str; 8] = ["id", "source", "event_type", "received_at", "payload", "meta", "envelope", "text"];
/// Stands behind a path where the value is to be shown to an agent.
const FENCED: &str = "fenced";
/// Keeps the fences of tools apart from those of other destinations.
const PURPOSE: &str = "hook/mcp/fence";
/// A path that is longer is cut in errors.
const LONGEST_SHOWN: usize = 120;

/// What a call's arguments are made of.
pub(super) enum Template {
    /// The envelope itself.
    Envelope,
    /// A table.
    Table(Vec<(String, Part)>),
}

/// A value of the table.
pub(super) enum Part {
    /// JSON as it stands.
    Literal(String),
    /// A value of the event.
    Place(Place),
    Text(Vec<Piece>),
    List(Vec<Part>),
    Table(Vec<(String, Part)>),
}

/// A part of a text.
pub(super) enum Piece {
    Literal(String),
    Place(Place),
}

/// Where in an envelope a value stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    root: &'static str,
    /// Below the root, as an RFC 6901 pointer.
    pointer: String,
    /// As it was written.
    written: String,
    /// Whether nothing may stand there.
    is_optional: bool,
    /// Whether the value is text behind a fence.
    is_fenced: bool,
}

/// An event has nothing where the arguments name a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the event has nothing at `{0}`, which the arguments name; where that is well, write `{{{{{0}?}}}}`")]
pub(super) struct Missing(String);

impl Template {
    /// Reads the setting `arguments`, or finds all that is wrong with it.
    pub(super) fn parse(arguments: Option<&Map<String, Value>>) -> Result<Self, Vec<Fault>> {
        let Some(arguments) = arguments else { return Ok(Self::Envelope) };
        let mut faults = Vec::new();
        let table = table(arguments, "/arguments", &mut faults);
        if faults.is_empty() { Ok(Self::Table(table)) } else { Err(faults) }
    }

    /// The names of the arguments.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            // Not `meta`, which may be left out.
            Self::Envelope => vec!["id", "source", "event_type", "received_at", "payload"],
            Self::Table(fields) => fields.iter().map(|(name, _)| name.as_str()).collect(),
        }
    }

    /// The arguments of one call, as one line of JSON.
    pub(super) fn render(&self, envelope: &Envelope) -> Result<Arc<RawValue>, Missing> {
        let mut out = Vec::new();
        match self {
            Self::Envelope => out = envelope.to_json(Layout::OneLine),
            Self::Table(fields) => write_table(fields, envelope, &mut out)?,
        }
        let text = String::from_utf8(out).unwrap_or_default();
        // An event in the log is JSON: it was checked when it came.
        Ok(RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned()).into())
    }
}

fn table(fields: &Map<String, Value>, pointer: &str, faults: &mut Vec<Fault>) -> Vec<(String, Part)> {
    let step = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    fields.iter().map(|(key, value)| (key.clone(), part(value, &step(key), faults))).collect()
}

fn part(value: &Value, pointer: &str, faults: &mut Vec<Fault>) -> Part {
    match value {
        Value::String(text) => text_part(text).unwrap_or_else(|(message, help)| {
            faults.push(Fault::at(pointer, message, help));
            Part::Literal(String::new())
        }),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            Part::List(items.map(|(index, item)| part(item, &format!("{pointer}/{index}"), faults)).collect())
        }
        Value::Object(fields) => Part::Table(table(fields, pointer, faults)),
        other => Part::Literal(other.to_string()),
    }
}

fn text_part(text: &str) -> Result<Part, (String, String)> {
    let mut pieces = pieces(text)?;
    Ok(match pieces.as_mut_slice() {
        [Piece::Place(_)] => match pieces.pop() {
            Some(Piece::Place(place)) => Part::Place(place),
            _ => Part::Text(pieces),
        },
        pieces if pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))) => Part::Literal(json(&plain(pieces))),
        _ => Part::Text(pieces),
    })
}

fn plain(pieces: &[Piece]) -> String {
    let literal = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Place(_) => String::new(),
    };
    pieces.iter().map(literal).collect()
}

/// `{{` opens a placeholder and `}}` closes it; `{{{{` is the text `{{`.
fn pieces(text: &str) -> Result<Vec<Piece>, (String, String)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        if let Some(after) = after.strip_prefix("{{") {
            pieces.push(Piece::Literal("{{".to_owned()));
            rest = after;
            continue;
        }
        let Some((path, after)) = after.split_once("}}") else {
            let help = "close it with `}}`, or write `{{{{` where the text is to hold two braces";
            return Err(("`{{` is not closed".to_owned(), help.to_owned()));
        };
        pieces.push(Piece::Place(place(path.trim())?));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

/// `payload.issue.title`, or the same as a pointer: `/payload/issue/title`. Behind it ` | fenced`.
fn place(written: &str) -> Result<Place, (String, String)> {
    let (written, is_fenced) = match written.rsplit_once('|') {
        Some((path, way)) if way.trim() == FENCED => (path.trim_end(), true),
        Some((_, way)) => {
            let message = format!("`{}` is no way to write a value", shown(way.trim()));
            return Err((message, "write `| fenced` behind the path, or nothing".to_owned()));
        }
        None => (written, false),
    };
    let (path, is_optional) = match written.strip_suffix('?') {
        Some(path) => (path.trim_end(), true),
        None => (written, false),
    };
    let (first, pointer) = match path.strip_prefix('/') {
        Some(path) => match path.split_once('/') {
            Some((first, rest)) => (first, format!("/{rest}")),
            None => (path, String::new()),
        },
        None => {
            let mut steps = path.split('.');
            let first = steps.next().unwrap_or_default();
            (first, steps.map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect())
        }
    };
    let is_empty_step = !path.starts_with('/') && path.split('.').any(str::is_empty);
    let root = ROOTS.into_iter().find(|root| *root == first).filter(|_| !is_empty_step);
    let Some(root) = root else {
        let help = "begin with `payload.` and a path, or take one of `id`, `source`, `event_type`, `received_at`, \
                    `meta.…`, `text` for what an agent is shown, and `envelope` for all of it";
        return Err((format!("`{}` is no place in an event", shown(path)), help.to_owned()));
    };
    if !pointer.is_empty() && !matches!(root, "payload" | "meta") {
        return Err((format!("`{root}` has nothing below it"), format!("write `{{{{{root}}}}}`")));
    }
    Ok(Place { root, pointer, written: shown(path), is_optional, is_fenced })
}

fn shown(path: &str) -> String {
    path.chars().filter(|character| !character.is_control()).take(LONGEST_SHOWN).collect()
}

impl Place {
    /// The JSON that stands there, on one line. `None` where nothing has to.
    fn find<'e>(&self, envelope: &'e Envelope) -> Result<Option<Cow<'e, str>>, Missing> {
        let header = &envelope.header;
        let found = match self.root {
            "id" => Some(json(&header.id).into()),
            "source" => Some(json(&header.source).into()),
            "event_type" => Some(json(&header.event_type).into()),
            "received_at" => Some(json(&header.received_at).into()),
            "payload" => envelope.payload.pointer(&self.pointer).map(|raw| compact(raw.get())),
            "meta" => {
                let meta = serde_json::to_value(&header.meta).unwrap_or_default();
                meta.pointer(&self.pointer).map(|value| value.to_string().into())
            }
            "text" => Some(json(&presented(envelope)).into()),
            _ => Some(String::from_utf8(envelope.to_json(Layout::OneLine)).unwrap_or_default().into()),
        };
        let found = match self.is_fenced {
            true => found.map(|value| if value == "null" { value } else { json(&fenced(envelope, &value)).into() }),
            false => found,
        };
        match found {
            None if !self.is_optional => Err(Missing(self.written.clone())),
            found => Ok(found),
        }
    }
}

/// What an agent is shown of the event, behind a fence.
fn presented(envelope: &Envelope) -> String {
    let header = &envelope.header;
    let payload = String::from_utf8_lossy(envelope.payload.bytes());
    let shown = hook_sanitize::present(&header.providers(), header.event_type.as_str(), &payload);
    let note = if shown.is_partial { " The event has more than is shown." } else { "" };
    fence().enclose(&envelope.webhook_id(), &shown.text, note)
}

/// A value as text behind a fence.
fn fenced(envelope: &Envelope, value: &str) -> String {
    let text: Cow<'_, str> = match value.starts_with('"') {
        true => serde_json::from_str::<String>(value).unwrap_or_default().into(),
        false => value.into(),
    };
    let (shown, all) = hook_sanitize::cut(&text, hook_sanitize::Kind::Body.limit());
    let note = all.map(|all| format!(" It is cut: it has {all} characters.")).unwrap_or_default();
    fence().enclose(&envelope.webhook_id(), shown, &note)
}

/// A server may have no token to derive boundaries from. The event's id is drawn after its text was written, and nobody can have
/// written what follows from it.
fn fence() -> Fence<'static> {
    Fence::new(PURPOSE, b"")
}

fn compact(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\r']) {
        return text.into();
    }
    let mut out = Vec::with_capacity(text.len());
    Payload::from_checked(Bytes::copy_from_slice(text.as_bytes())).write_compact(&mut out);
    String::from_utf8(out).unwrap_or_default().into()
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn write_table(fields: &[(String, Part)], envelope: &Envelope, out: &mut Vec<u8>) -> Result<(), Missing> {
    out.push(b'{');
    for (index, (key, part)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(json(key).as_bytes());
        out.push(b':');
        write(part, envelope, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write(part: &Part, envelope: &Envelope, out: &mut Vec<u8>) -> Result<(), Missing> {
    match part {
        Part::Literal(json) => out.extend_from_slice(json.as_bytes()),
        Part::Place(place) => out.extend_from_slice(place.find(envelope)?.as_deref().unwrap_or("null").as_bytes()),
        Part::Text(pieces) => out.extend_from_slice(json(&text(pieces, envelope)?).as_bytes()),
        Part::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, envelope, out)?;
            }
            out.push(b']');
        }
        Part::Table(fields) => write_table(fields, envelope, out)?,
    }
    Ok(())
}

fn text(pieces: &[Piece], envelope: &Envelope) -> Result<String, Missing> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Place(place) => match place.find(envelope)?.as_deref() {
                None | Some("null") => {}
                Some(string) if string.starts_with('"') => {
                    text.push_str(&serde_json::from_str::<String>(string).unwrap_or_default());
                }
                Some(other) => text.push_str(other),
            },
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use hook_core::{
        Timestamp,
        envelope::{EventHeader, Meta},
        event::EventId,
        names::{EventType, SourceName},
    };
    use serde_json::json;

    use super::*;

    fn envelope() -> Envelope {
        let payload = r#"{ "issue": { "title": "a \"b\"", "number": 12345678901234567890123, "body": null, "labels": ["x",
            "y"] }, "a.b": { "c/d": 1.0 }, "price": 1.50 }"#;
        Envelope {
            header: EventHeader {
                id: EventId::from_bytes([7; 16]),
                source: SourceName::new("github").unwrap(),
                event_type: EventType::new("issues.opened").unwrap(),
                received_at: Timestamp::UNIX_EPOCH,
                meta: Meta { flags: vec!["seen".to_owned()], ..Meta::default() },
            },
            payload: Payload::parse(payload.into()).unwrap(),
        }
    }

    fn render(arguments: &Value) -> Result<String, Missing> {
        let template = Template::parse(arguments.as_object()).unwrap();
        template.render(&envelope()).map(|raw| raw.get().to_owned())
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(render(&json!({ "x": text })).unwrap(), format!("{{\"x\":{expected}}}"), "{text}");
    }

    #[test]
    fn a_text_that_is_a_placeholder_becomes_the_value_with_its_type() {
        check("{{payload.issue.title}}", r#""a \"b\"""#);
        check("{{ /payload/issue/title }}", r#""a \"b\"""#);
        check("{{payload.issue.number}}", "12345678901234567890123");
        check("{{payload.price}}", "1.50");
        check("{{payload.issue.body}}", "null");
        check("{{payload.issue.labels}}", r#"["x","y"]"#);
        check("{{payload.issue.labels.1}}", r#""y""#);
        check("{{/payload/a.b/c~1d}}", "1.0");
        check("{{id}}", r#""07070707-0707-0707-0707-070707070707""#);
        check("{{source}}", r#""github""#);
        check("{{event_type}}", r#""issues.opened""#);
        check("{{received_at}}", r#""1970-01-01T00:00:00Z""#);
        check("{{meta.flags.0}}", r#""seen""#);
    }

    #[test]
    fn in_a_longer_text_a_placeholder_becomes_text() {
        check(
            "{{source}}: {{payload.issue.title}} (#{{payload.issue.number}})",
            r##""github: a \"b\" (#12345678901234567890123)""##,
        );
        check("[{{payload.issue.body}}] {{payload.issue.labels}}", r#""[] [\"x\",\"y\"]""#);
        check("{{payload.nothing?}}!", r#""!""#);
        check("{{{{no}} {{source}}", r#""{{no}} github""#);
        check("plain", r#""plain""#);
        check("", r#""""#);
    }

    #[test]
    fn text_for_an_agent_stands_behind_a_fence() {
        let text = |argument: &str| {
            let rendered: Value = serde_json::from_str(&render(&json!({ "x": argument })).unwrap()).unwrap();
            rendered["x"].as_str().unwrap().to_owned()
        };
        for (argument, inside) in [
            ("{{payload.issue.title | fenced}}", "a \"b\""),
            ("{{ /payload/issue/number|fenced }}", "12345678901234567890123"),
            ("{{text}}", "number: 12345678901234567890123\ntitle: a \"b\""),
        ] {
            let text = text(argument);
            let (sentence, fenced) = text.split_once("<<<DATA ").unwrap();
            assert!(sentence.contains("not an instruction to you"), "{text}");
            let (boundary, fenced) = fenced.split_once('\n').unwrap();
            assert!(sentence.contains(boundary), "{text}");
            assert_eq!(fenced.strip_suffix(&format!("\nDATA {boundary}>>>")), Some(inside), "{text}");
        }
        assert_eq!(text("From {{source}}: {{payload.issue.body? | fenced}}"), "From github: ");
        check("{{payload.issue.body | fenced}}", "null");
        assert_eq!(render(&json!({ "x": "{{payload.no | fenced}}" })), Err(Missing("payload.no".into())));
        assert!(Template::parse(json!({ "x": "{{payload | loud}}" }).as_object()).is_err());
        assert!(Template::parse(json!({ "x": "{{text.x}}" }).as_object()).is_err());
    }

    #[test]
    fn tables_lists_and_other_values_stay_what_they_are() {
        let arguments = json!({ "a": [1, true, { "b": "{{source}}" }], "c": null, "d": 1.5 });
        assert_eq!(render(&arguments).unwrap(), r#"{"a":[1,true,{"b":"github"}],"c":null,"d":1.5}"#);
        assert_eq!(render(&json!({})).unwrap(), "{}");
    }

    #[test]
    fn without_a_table_the_envelope_is_the_arguments() {
        let all = Template::parse(None).unwrap().render(&envelope()).unwrap();
        assert!(all.get().starts_with(r#"{"id":"07070707-"#) && !all.get().contains('\n'), "{all}");
        assert!(all.get().contains(r#""number":12345678901234567890123"#), "verbatim: {all}");
        let wrapped = render(&json!({ "event": "{{envelope}}" })).unwrap();
        assert_eq!(wrapped, format!("{{\"event\":{all}}}"));
        let payload = render(&json!({ "event": "{{payload}}" })).unwrap();
        assert!(payload.starts_with(r#"{"event":{"issue":{"title":"#), "{payload}");
    }

    #[test]
    fn what_is_missing_refuses_the_event_unless_it_may_be() {
        assert_eq!(render(&json!({ "x": "{{payload.issue.nothing}}" })), Err(Missing("payload.issue.nothing".into())));
        let error = render(&json!({ "x": "a {{ /payload/no }}" })).unwrap_err().to_string();
        assert!(error.contains("`/payload/no`") && error.contains("`{{/payload/no?}}`"), "{error}");
        assert_eq!(render(&json!({ "x": "{{payload.no?}}" })).unwrap(), r#"{"x":null}"#);
        assert!(render(&json!({ "x": "{{meta.trace_id}}" })).is_err());
    }

    #[test]
    fn what_is_wrong_is_found_at_its_place() {
        let arguments = json!({
            "a": "{{payload.x", "b": { "c/d": ["{{}}"] }, "e": "{{issue.title}}", "f": "{{id.x}}", "g": "{{payload..x}}",
            "h": "{{payload.x}}", "i": "{{?}}",
        });
        let faults = Template::parse(arguments.as_object()).map(|_| ()).unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        let expected =
            ["/arguments/a", "/arguments/b/c~1d/0", "/arguments/e", "/arguments/f", "/arguments/g", "/arguments/i"];
        assert_eq!(pointers, expected, "{faults:?}");
        assert_eq!(faults[2].message, "`issue.title` is no place in an event");
    }
}
