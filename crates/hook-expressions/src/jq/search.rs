//! Functions that look for a pattern: `test`, `match`, `sub` and their like.

use std::sync::Arc;

use regex::{Captures, Regex};

use crate::{
    budget::Budget,
    pattern::Pattern,
    value::{Members, Value},
};

use super::{
    machine::{Flow, Halt, Machine, Scope},
    program::Node,
};

/// Looking for a match again over so many bytes is a step.
const BYTES_LEFT: usize = 256;

/// A function that looks for a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) sought: Sought,
    /// Whether it goes on behind the first match.
    pub(super) is_global: bool,
    /// Whether a match may be empty.
    pub(super) takes_empty: bool,
}

/// What is made of the matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sought {
    Test,
    Match,
    Capture,
    Scan,
    Split,
    Splits,
    Substitute,
}

impl Search {
    pub(super) fn once(sought: Sought) -> Self {
        Self { sought, is_global: false, takes_empty: true }
    }

    pub(super) fn all(sought: Sought) -> Self {
        Self { is_global: true, ..Self::once(sought) }
    }
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
    if search.sought == Sought::Test && search.takes_empty {
        return out(Value::Bool(pattern.matches(text, budget)?));
    }
    let regex = pattern.over(text, budget)?;
    let names: Vec<Option<&str>> = regex.capture_names().collect();
    let mut found = found(search, regex, text, budget);
    match search.sought {
        Sought::Test => out(Value::Bool(found.next().transpose()?.is_some())),
        Sought::Split => {
            let mut parts = Vec::new();
            pieces(text, found, &mut |part, _| {
                parts.push(Value::text(part));
                Ok(())
            })?;
            out(Value::list(parts, budget)?)
        }
        Sought::Splits => pieces(text, found, &mut |part, _| out(Value::text(part))),
        Sought::Substitute => {
            let [replacement] = arguments else { return Err(Halt::raised("a replacement is missing")) };
            let with = |captures: &Captures<'_>| {
                one(machine.collect(replacement, scope, &captured(captures, &names, budget)?)?)
            };
            substitute(text, found, budget, with)?.map_or(Ok(()), |replaced| out(Value::text(replaced)))
        }
        Sought::Match => found.try_for_each(|captures| out(matched(text, &captures?, &names, budget)?)),
        Sought::Capture => found.try_for_each(|captures| out(captured(&captures?, &names, budget)?)),
        Sought::Scan => found.try_for_each(|captures| out(scanned(&captures?, budget)?)),
    }
}

/// The matches, one after the other. One may begin where another has ended, an empty one too.
fn found<'t>(
    search: Search,
    regex: &'t Regex,
    text: &'t str,
    budget: &'t Budget,
) -> impl Iterator<Item = Flow<Captures<'t>>> {
    let mut from = Some(0);
    let all = std::iter::from_fn(move || {
        let start = from?;
        // Looking for the next may go over all that is left, for each match again.
        if let Err(spent) = budget.spend((1 + (text.len() - start) / BYTES_LEFT) as u64 + regex.captures_len() as u64) {
            from = None;
            return Some(Err(Halt::from(spent)));
        }
        let captures = regex.captures_at(text, start)?;
        let whole = captures.get(0)?;
        from = match whole.is_empty() {
            true => text[whole.end()..].chars().next().map(|char| whole.end() + char.len_utf8()),
            false => Some(whole.end()),
        };
        Some(Ok(captures))
    });
    let is_taken = move |captures: &Flow<Captures<'_>>| match captures {
        Ok(captures) => search.takes_empty || captures.get(0).is_some_and(|whole| !whole.is_empty()),
        Err(_) => true,
    };
    all.filter(is_taken).take(if search.is_global { usize::MAX } else { 1 })
}

/// The text with something in the place of each match; `None` where a match is replaced by nothing at all.
fn substitute<'t>(
    text: &'t str,
    found: impl Iterator<Item = Flow<Captures<'t>>>,
    budget: &Budget,
    with: impl Fn(&Captures<'t>) -> Flow<Option<Arc<str>>>,
) -> Flow<Option<String>> {
    let mut replaced = Some(String::new());
    pieces(text, found, &mut |part, captures| {
        let with = captures.map_or_else(|| Ok(Some("".into())), &with)?;
        budget.spend_bytes(part.len() + with.as_ref().map_or(0, |with| with.len()))?;
        replaced = replaced.take().zip(with).map(|(so_far, with)| so_far + part + &with);
        Ok(())
    })?;
    Ok(replaced)
}

/// What `scan` gives for a match: its groups, or where there are none all of it.
fn scanned(captures: &Captures<'_>, budget: &Budget) -> Flow<Value> {
    let groups = captures.iter().skip(1).map(|group| text_of(group.map(|group| group.as_str())));
    let groups: Vec<Value> = groups.collect();
    match groups.is_empty() {
        true => Ok(text_of(captures.get(0).map(|whole| whole.as_str()))),
        false => Ok(Value::list(groups, budget)?),
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
