//! Where an event says what it is: templates of headers and fields.

use hook_core::payload::Payload;
use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::verify::{
    header,
    template::{self, Piece},
};

/// Templates, of which the first counts whose every part is there.
pub(super) struct Selectors(Vec<Selector>);

/// One template.
pub(super) struct Selector(Vec<Step>);

/// A part of a template.
pub(super) enum Step {
    /// This text.
    Text(&'static str),
    /// The value of a header.
    Header(HeaderName),
    /// The string, number or boolean at a JSON pointer; with `*`, that of every element, where they all say the same.
    Pointer(&'static str),
}

impl Selectors {
    pub(super) fn parse(texts: &'static [String]) -> Result<Self, String> {
        texts.iter().map(|text| Selector::parse(text)).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Selector> {
        self.0.iter()
    }

    /// The first text that is complete, and the template that it was made by.
    pub(super) fn select(&self, headers: &HeaderMap, payload: &Payload) -> Option<(String, &Selector)> {
        self.0.iter().find_map(|selector| Some((selector.select(headers, payload)?, selector)))
    }

    /// The header that the first template reads.
    pub(super) fn header(&self) -> Option<&HeaderName> {
        self.0.first()?.0.iter().find_map(|step| match step {
            Step::Header(name) => Some(name),
            Step::Text(_) | Step::Pointer(_) => None,
        })
    }

    /// How many values make the first template's text.
    pub(super) fn parts_of_first(&self) -> usize {
        let is_value = |step: &&Step| !matches!(step, Step::Text(_));
        self.0.first().map_or(0, |selector| selector.0.iter().filter(is_value).count())
    }
}

impl Selector {
    fn parse(text: &'static str) -> Result<Self, String> {
        let pieces = template::pieces(text).map_err(|_| format!("a brace of `{text}` is not closed"))?;
        let step = |piece| match piece {
            Piece::Text(text) => Ok(Step::Text(text)),
            Piece::Name(name) => Step::parse(name).ok_or_else(|| format!("`{{{name}}}` stands for nothing")),
        };
        pieces.into_iter().map(step).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn select(&self, headers: &HeaderMap, payload: &Payload) -> Option<String> {
        self.0.iter().map(|step| step.select(headers, payload)).collect()
    }
}

impl Step {
    pub(super) fn parse(name: &'static str) -> Option<Self> {
        match name.strip_prefix("header:") {
            Some(name) => name.parse().map(Self::Header).ok(),
            None => name.starts_with('/').then_some(Self::Pointer(name)),
        }
    }

    pub(super) fn select(&self, headers: &HeaderMap, payload: &Payload) -> Option<String> {
        let value = match self {
            Self::Text(text) => return Some((*text).to_owned()),
            Self::Header(name) => header::described(headers, name),
            Self::Pointer(pointer) => match pointer.split_once("/*") {
                None => payload.scalar(pointer),
                Some((array, within)) => shared(payload, array, within),
            },
        };
        value.filter(|value| !value.is_empty())
    }
}

/// What every element of an array says within itself, where that is the same of all: a batch has a type only where all of it has.
fn shared(payload: &Payload, array: &str, within: &str) -> Option<String> {
    let array: Value = serde_json::from_str(payload.pointer(array)?.get()).ok()?;
    shared_within(&array, within)
}

fn shared_within(array: &Value, within: &str) -> Option<String> {
    let said = |element: &Value| match within.split_once("/*") {
        Some((inner, rest)) => shared_within(element.pointer(inner)?, rest),
        None => match element.pointer(within)? {
            Value::String(text) => Some(text.clone()),
            scalar @ (Value::Number(_) | Value::Bool(_)) => Some(scalar.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        },
    };
    let (first, rest) = array.as_array()?.split_first()?;
    let first = said(first)?;
    rest.iter().all(|element| said(element).as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(pointer: &'static str, json: &str) -> Option<String> {
        let payload = Payload::parse(json.to_owned().into()).unwrap();
        Step::parse(pointer).unwrap().select(&HeaderMap::new(), &payload)
    }

    #[test]
    fn what_every_element_says_counts_only_where_all_say_the_same() {
        let check = |json: &str, expected: Option<&str>| {
            assert_eq!(select("/items/*/event", json).as_deref(), expected, "{json}");
        };
        check(r#"{"items":[{"event":"open"}]}"#, Some("open"));
        check(r#"{"items":[{"event":"open"},{"event":"open","x":1}]}"#, Some("open"));
        check(r#"{"items":[{"event":7},{"event":7}]}"#, Some("7"));
        check(r#"{"items":[{"event":"open"},{"event":"bounce"}]}"#, None);
        check(r#"{"items":[{"event":"open"},{}]}"#, None);
        check(r#"{"items":[{"event":"open"},7]}"#, None);
        check(r#"{"items":[{"event":{}}]}"#, None);
        check(r#"{"items":[]}"#, None);
        check(r#"{"items":{"event":"open"}}"#, None);
        check("{}", None);
    }

    #[test]
    fn arrays_in_arrays_are_read_alike() {
        let check = |json: &str, expected: Option<&str>| {
            assert_eq!(select("/entry/*/changes/*/field", json).as_deref(), expected, "{json}");
        };
        check(r#"{"entry":[{"changes":[{"field":"a"}]},{"changes":[{"field":"a"},{"field":"a"}]}]}"#, Some("a"));
        check(r#"{"entry":[{"changes":[{"field":"a"}]},{"changes":[{"field":"b"}]}]}"#, None);
        check(r#"{"entry":[{"changes":[{"field":"a"}]},{"messaging":[]}]}"#, None);
    }
}
