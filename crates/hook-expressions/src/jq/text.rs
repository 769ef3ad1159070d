//! Formats such as `@csv`, and functions that look for a pattern.

use std::{fmt::Write as _, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::Captures;

use crate::{
    budget::Budget,
    json,
    pattern::Pattern,
    value::{Members, Value},
};

use super::{
    machine::{Flow, Halt, Machine, Scope},
    program::{Node, Search},
};

/// Looking for a match again over so many bytes is a step.
const BYTES_LEFT: usize = 512;

/// How a value is written into a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Html,
    Uri,
    Csv,
    Tsv,
    Sh,
    Base64,
    Base64Decoded,
}

impl Format {
    pub(super) const ALL: &'static str = "there are @text, @json, @html, @uri, @csv, @tsv, @sh, @base64 and @base64d";

    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "@text" => Self::Text,
            "@json" => Self::Json,
            "@html" => Self::Html,
            "@uri" => Self::Uri,
            "@csv" => Self::Csv,
            "@tsv" => Self::Tsv,
            "@sh" => Self::Sh,
            "@base64" => Self::Base64,
            "@base64d" => Self::Base64Decoded,
            _ => return None,
        })
    }

    pub(super) fn apply(self, value: &Value, budget: &Budget) -> Flow<String> {
        // What is written is at most six times as long as what is read.
        budget.spend_bytes(value.bytes())?;
        let text = || plain(value, budget);
        match self {
            Self::Text => text(),
            Self::Json => Ok(json::write(value, budget)?),
            Self::Html => Ok(escape(&text()?, html)),
            Self::Uri => Ok(uri(&text()?)),
            Self::Csv => row(value, ",", budget, |text| format!("\"{}\"", text.replace('"', "\"\""))),
            Self::Tsv => row(value, "\t", budget, |text| escape(text, tsv)),
            Self::Sh => match value {
                Value::List(_) => row(value, " ", budget, quoted),
                Value::Text(text) => Ok(quoted(text)),
                _ => text(),
            },
            Self::Base64 => Ok(STANDARD.encode(text()?)),
            Self::Base64Decoded => {
                let bytes = STANDARD.decode(text()?).map_err(|_| Halt::raised("a string is no base64"))?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }
}

fn plain(value: &Value, budget: &Budget) -> Flow<String> {
    match value {
        Value::Text(text) => Ok(text.to_string()),
        value => Ok(json::write(value, budget)?),
    }
}

fn row(value: &Value, by: &str, budget: &Budget, of_text: fn(&str) -> String) -> Flow<String> {
    let Value::List(items) = value else { return Err(Halt::raised("a row is an array")) };
    let cell = |item: &Value| match item {
        Value::Null => Ok(String::new()),
        Value::Text(text) => Ok(of_text(text)),
        Value::Number(_) | Value::Bool(_) => Ok(json::write(item, budget)?),
        _ => Err(Halt::raised("a row has strings, numbers and booleans only")),
    };
    Ok(items.iter().map(cell).collect::<Flow<Vec<_>>>()?.join(by))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn escape(text: &str, replacement: fn(char) -> Option<&'static str>) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match replacement(char) {
            Some(replacement) => escaped.push_str(replacement),
            None => escaped.push(char),
        }
    }
    escaped
}

fn html(char: char) -> Option<&'static str> {
    Some(match char {
        '<' => "&lt;",
        '>' => "&gt;",
        '&' => "&amp;",
        '\'' => "&#39;",
        '"' => "&quot;",
        _ => return None,
    })
}

fn tsv(char: char) -> Option<&'static str> {
    Some(match char {
        '\t' => "\\t",
        '\n' => "\\n",
        '\r' => "\\r",
        '\\' => "\\\\",
        _ => return None,
    })
}

fn uri(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Runs a function that looks for a pattern.
pub(super) fn search<'p>(
    machine: &Machine<'_>,
    search: Search,
    pattern: &Pattern,
    arguments: &'p [Node],
    scope: &Scope<'p>,
    input: &Value,
    out: &mut dyn FnMut(Value) -> Flow,
) -> Flow {
    let Value::Text(text) = input else {
        return Err(Halt::raised(format!("a pattern is looked for in a string, found {}", input.kind())));
    };
    let budget = machine.budget;
    if search == Search::Test {
        return out(Value::Bool(pattern.matches(text, budget)?));
    }
    let regex = pattern.over(text, budget)?;
    let names: Vec<Option<&str>> = regex.capture_names().collect();
    let once = matches!(
        search,
        Search::Match { is_global: false }
            | Search::Capture { is_global: false }
            | Search::Substitute { is_global: false }
    );
    let found = regex.captures_iter(text).take(if once { 1 } else { usize::MAX });
    let mut found = found.map(|captures| {
        // Looking for the next may go over all that is left, for each match again.
        let left = text.len() - captures.get(0).map_or(0, |whole| whole.start());
        budget.spend((1 + left / BYTES_LEFT) as u64 + captures.len() as u64)?;
        Ok(captures)
    });
    match search {
        Search::Split => {
            let mut parts = Vec::new();
            pieces(text, found, &mut |part, _| {
                parts.push(Value::text(part));
                Ok(())
            })?;
            out(Value::list(parts, budget)?)
        }
        Search::Splits => pieces(text, found, &mut |part, _| out(Value::text(part))),
        Search::Substitute { .. } => {
            let [replacement] = arguments else { return Err(Halt::raised("a replacement is missing")) };
            let mut replaced = Some(String::new());
            pieces(text, found, &mut |part, captures| {
                budget.spend_bytes(part.len())?;
                let with = match captures {
                    Some(captures) => {
                        one(machine.collect(replacement, scope, &captured(captures, &names, budget)?)?)?
                    }
                    None => Some("".into()),
                };
                budget.spend_bytes(with.as_ref().map_or(0, |with| with.len()))?;
                replaced = replaced.take().zip(with).map(|(so_far, with)| so_far + part + &with);
                Ok(())
            })?;
            replaced.map_or(Ok(()), |replaced| out(Value::text(replaced)))
        }
        Search::Match { .. } => found.try_for_each(|captures| out(matched(text, &captures?, &names, budget)?)),
        Search::Capture { .. } => found.try_for_each(|captures| out(captured(&captures?, &names, budget)?)),
        Search::Scan | Search::Test => found.try_for_each(|captures| {
            let captures = captures?;
            let groups = captures.iter().skip(1).map(|group| text_of(group.map(|group| group.as_str())));
            let groups: Vec<Value> = groups.collect();
            match groups.is_empty() {
                true => out(text_of(captures.get(0).map(|whole| whole.as_str()))),
                false => out(Value::list(groups, budget)?),
            }
        }),
    }
}

/// Hands on what stands before each match, with the match, and what stands behind the last.
fn pieces<'t>(
    text: &'t str,
    found: impl Iterator<Item = Flow<Captures<'t>>>,
    out: &mut dyn FnMut(&'t str, Option<&Captures<'t>>) -> Flow,
) -> Flow {
    let mut behind = 0;
    for captures in found {
        let captures = captures?;
        let Some(whole) = captures.get(0) else { continue };
        out(&text[behind..whole.start()], Some(&captures))?;
        behind = whole.end();
    }
    out(&text[behind..], None)
}

/// The one replacement; `None` where there is none, which leaves no result.
fn one(mut replacements: Vec<Value>) -> Flow<Option<Arc<str>>> {
    match (replacements.pop(), replacements.is_empty()) {
        (None, _) => Ok(None),
        (Some(Value::Text(text)), true) => Ok(Some(text)),
        (Some(_), true) => Err(Halt::raised("a replacement is no string")),
        (Some(_), false) => Err(Halt::raised("a replacement gives more than one string")),
    }
}

fn text_of(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::text)
}

/// The named groups of a match as an object.
fn captured(captures: &Captures<'_>, names: &[Option<&str>], budget: &Budget) -> Flow<Value> {
    let named = names.iter().enumerate().filter_map(|(at, name)| Some((at, (*name)?)));
    let members = named.map(|(at, name)| (Arc::from(name), text_of(captures.get(at).map(|group| group.as_str()))));
    Ok(Value::map(members.collect(), budget)?)
}

/// A match with its place in characters, as `match` gives it.
fn matched(text: &str, captures: &Captures<'_>, names: &[Option<&str>], budget: &Budget) -> Flow<Value> {
    let group = |group: Option<regex::Match<'_>>, more: Vec<(Arc<str>, Value)>| {
        let (offset, length, string) = match group {
            Some(group) => {
                budget.spend_bytes(group.end())?;
                let offset = text[..group.start()].chars().count();
                (Value::count(offset), Value::count(group.as_str().chars().count()), Value::text(group.as_str()))
            }
            None => (Value::int(-1), Value::int(0), Value::Null),
        };
        let own = [("offset".into(), offset), ("length".into(), length), ("string".into(), string)];
        Ok::<_, Halt>(Value::map(own.into_iter().chain(more).collect::<Members>(), budget)?)
    };
    let groups = captures.iter().enumerate().skip(1);
    let groups =
        groups.map(|(at, found)| group(found, vec![("name".into(), text_of(names.get(at).copied().flatten()))]));
    let groups = Value::list(groups.collect::<Flow<Vec<_>>>()?, budget)?;
    group(captures.get(0), vec![("captures".into(), groups)])
}
