//! From JSON text to values and back, within a budget.

use std::{fmt::Write as _, sync::Arc};

use crate::{
    budget::{Budget, Spent},
    number::{MAX_LENGTH, Number},
    value::{Members, Value},
};

/// Reads text that is known to be valid JSON and not nested deeply, such as a part of a payload. Of equal keys the last wins.
/// A number that is longer than [`MAX_LENGTH`] is more than is looked at.
pub(crate) fn read(text: &str, budget: &Budget) -> Result<Value, Spent> {
    budget.spend_bytes(text.len())?;
    Reader { rest: text, budget }.value()
}

/// Reads any text. `None` where it is not JSON.
pub(crate) fn read_any(text: &str, budget: &Budget) -> Result<Option<Value>, Spent> {
    budget.spend_bytes(text.len())?;
    // This refuses more than 128 levels, too.
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => read(text, budget).map(Some),
        Err(_) => Ok(None),
    }
}

struct Reader<'t, 'b> {
    rest: &'t str,
    budget: &'b Budget,
}

impl<'t> Reader<'t, '_> {
    fn value(&mut self) -> Result<Value, Spent> {
        self.budget.spend(1)?;
        self.skip_whitespace();
        match self.rest.as_bytes().first() {
            Some(b'{') => self.map(),
            Some(b'[') => self.list(),
            Some(b'"') => Ok(Value::Text(self.string())),
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
                Ok(match self.take(end) {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    "null" | "" => Value::Null,
                    number if number.len() > MAX_LENGTH => return Err(Spent),
                    number => Value::Number(Number::of_json(number)),
                })
            }
        }
    }

    fn list(&mut self) -> Result<Value, Spent> {
        let mut items = Vec::new();
        self.take(1);
        while !self.ends_with(b']') {
            items.push(self.value()?);
        }
        Value::list(items, self.budget)
    }

    fn map(&mut self) -> Result<Value, Spent> {
        let mut members = Members::new();
        self.take(1);
        while !self.ends_with(b'}') {
            let key = self.string();
            self.skip_whitespace();
            self.take(1);
            let value = self.value()?;
            members.insert(key, value);
        }
        Value::map(members, self.budget)
    }

    /// Whether the list or object ends here; a comma before the next is passed.
    fn ends_with(&mut self, close: u8) -> bool {
        self.skip_whitespace();
        if self.rest.starts_with(',') {
            self.take(1);
            self.skip_whitespace();
        }
        let ends = self.rest.as_bytes().first().is_none_or(|byte| *byte == close);
        if ends {
            self.take(1);
        }
        ends
    }

    fn string(&mut self) -> Arc<str> {
        let bytes = self.rest.as_bytes();
        let (mut end, mut has_escape) = (1, false);
        while end < bytes.len() && bytes[end] != b'"' {
            has_escape |= bytes[end] == b'\\';
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let text = self.take(end + 1);
        match has_escape {
            true => unescaped(text).into(),
            false => text.get(1..text.len() - 1).unwrap_or_default().into(),
        }
    }

    fn skip_whitespace(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

/// Half of a surrogate pair is valid JSON, and no character: it is read as U+FFFD, as jq does.
fn unescaped(text: &str) -> String {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&without_halves(text))).unwrap_or_default()
}

fn without_halves(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let unit = |from: usize| {
            let digits = rest.get(from..from + 6)?.strip_prefix("\\u")?;
            u32::from_str_radix(digits, 16).ok()
        };
        let (kept, length) = match (unit(0), unit(6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (None, 12),
            (Some(0xd800..=0xdfff), _) => (Some("\\ufffd"), 6),
            (Some(_), _) => (None, 6),
            (None, _) => (None, 2),
        };
        let (escape, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        whole.push_str(kept.unwrap_or(escape));
        rest = behind;
    }
    whole + rest
}

/// The value as JSON on one line.
pub(crate) fn write(value: &Value, budget: &Budget) -> Result<String, Spent> {
    // A value knows its size, so that what is paid for here bounds all that follows.
    budget.spend_bytes(value.bytes())?;
    let mut out = String::new();
    append(value, &mut out);
    Ok(out)
}

fn append(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => {
            // Writing to a string does not fail.
            let _ = write!(out, "{number}");
        }
        Value::Text(text) => append_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                append(item, out);
            }
            out.push(']');
        }
        Value::Map(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                append_text(key, out);
                out.push(':');
                append(value, out);
            }
            out.push('}');
        }
    }
}

fn append_text(text: &str, out: &mut String) {
    let written = serde_json::to_string(text).unwrap_or_default();
    match written.contains('\u{7f}') {
        // A control character too, which jq writes as an escape.
        true => out.push_str(&written.replace('\u{7f}', "\\u007f")),
        false => out.push_str(&written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            "null",
            "[]",
            "{}",
            r#"{"b":1.10,"a":[true,false,null,"x\"\\\nü"],"":{"":-0}}"#,
            "[123456789012345678901234567890,[[[]]]]",
        ] {
            let budget = Budget::default();
            assert_eq!(write(&read(text, &budget).unwrap(), &budget).unwrap(), text);
        }
        let spaced = " { \"a\" : [ 1 , 2 ] , \"\\u0062\" : \"\\u00fc\" } ";
        let budget = Budget::default();
        assert_eq!(write(&read(spaced, &budget).unwrap(), &budget).unwrap(), r#"{"a":[1,2],"b":"ü"}"#);
    }

    #[test]
    fn half_of_a_surrogate_pair_is_no_character_and_loses_nothing_beside_it() {
        let check = |text: &str, expected: &str| {
            let budget = Budget::default();
            assert_eq!(write(&read(text, &budget).unwrap(), &budget).unwrap(), expected, "{text}");
        };
        check(r#""a\ud800b""#, "\"a\u{fffd}b\"");
        check(r#"["\udc00\ud83d\ude00","\\ud800"]"#, "[\"\u{fffd}\u{1f600}\",\"\\\\ud800\"]");
        check(r#"{"\ud83d":1,"\n":2}"#, "{\"\u{fffd}\":1,\"\\n\":2}");
        check("\"\u{7f}\"", "\"\\u007f\"");
    }

    #[test]
    fn a_number_without_end_is_not_read() {
        let long = "1".repeat(MAX_LENGTH + 1);
        assert_eq!(read(&long, &Budget::default()).unwrap_err(), Spent);
        assert!(read(&long[1..], &Budget::default()).is_ok());
    }

    #[test]
    fn text_that_is_not_json_is_not_read() {
        for text in ["", "{", "[1,]", "nul", "1 2", &"[".repeat(1_000)] {
            assert!(read_any(text, &Budget::default()).unwrap().is_none(), "{text}");
        }
    }
}
