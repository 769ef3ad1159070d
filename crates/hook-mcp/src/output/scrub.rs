//! What a server says of a failure, made fit for the journal and the logs: one short line without what we sent it.
//!
//! A server quotes what it was sent, in whole or by the word: values are taken out. The names of fields are not, or nobody could
//! tell which one it does not like.

use std::collections::HashSet;

use hook_core::secret::Secret;
use serde_json::{Value, value::RawValue};

/// No cause needs more characters than this to be recognised.
const LONGEST: usize = 200;
/// So much of an answer is looked at.
const LOOKED_AT: usize = 2000;
/// A part of a value that is shorter says nothing.
const SHORTEST_WORD: usize = 4;
/// So many characters in a row that stand in a value of ours are a quotation.
const QUOTATION: usize = 16;
/// Stands for what was taken out.
const MARK: char = '…';

/// What must not be shown: the values of a call's arguments, and secrets.
#[derive(Default)]
pub(super) struct Hidden {
    values: Vec<String>,
    /// The words of the arguments.
    words: HashSet<String>,
}

impl Hidden {
    /// The values of arguments, and secrets.
    pub(super) fn of<'s>(arguments: Option<&RawValue>, secrets: impl Iterator<Item = &'s Secret>) -> Self {
        let mut values = Vec::new();
        if let Some(arguments) = arguments.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok()) {
            collect(&arguments, &mut values);
        }
        let words = words(&values);
        values.extend(secrets.filter_map(|secret| secret.expose_str().map(|text| text.trim().to_owned())));
        for value in &mut values {
            *value = value.chars().map(without_control).collect();
        }
        values.retain(|value| value.trim().len() >= SHORTEST_WORD);
        // The longest first: a part of a value must not hide the rest of it.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values, words }
    }

    /// The text, on one line, without values and without longer parts of them.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut line: String = text.chars().take(LOOKED_AT).map(without_control).collect();
        for value in &self.values {
            if line.contains(value) {
                line = line.replace(value, "…");
            }
        }
        let line: String = line.chars().take(LONGEST + QUOTATION).collect();
        let line = self.without_words(&self.without_quotations(&line));
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        match words.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}{MARK}", &words[..end]),
            None => words,
        }
    }

    fn without_words(&self, line: &str) -> String {
        let parts = line.split_inclusive(|character: char| !character.is_alphanumeric());
        let shown = parts.map(|part| {
            let word = part.trim_end_matches(|character: char| !character.is_alphanumeric());
            match self.words.contains(word) {
                true => format!("{MARK}{}", &part[word.len()..]),
                false => part.to_owned(),
            }
        });
        shown.collect()
    }

    fn without_quotations(&self, line: &str) -> String {
        let characters: Vec<char> = line.chars().collect();
        let mut is_quoted = vec![false; characters.len()];
        for (start, window) in characters.windows(QUOTATION).enumerate() {
            let part: String = window.iter().collect();
            if self.values.iter().any(|value| value.contains(&part)) {
                is_quoted[start..start + QUOTATION].fill(true);
            }
        }
        let mut out = String::new();
        for (at, character) in characters.into_iter().enumerate() {
            match is_quoted[at] {
                false => out.push(character),
                true if at == 0 || !is_quoted[at - 1] => out.push(MARK),
                true => {}
            }
        }
        out
    }
}

/// The words of texts, and the texts that are a word as short as it may be.
fn words(values: &[String]) -> HashSet<String> {
    let words = values.iter().flat_map(|value| value.split(|character: char| !character.is_alphanumeric()));
    let long = words.filter(|word| word.chars().count() >= SHORTEST_WORD);
    let whole = values.iter().map(String::as_str).filter(|value| value.len() > 1);
    long.chain(whole).map(str::to_owned).collect()
}

/// A line's end in a value is told from no other space.
fn without_control(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

fn collect(value: &Value, values: &mut Vec<String>) {
    match value {
        Value::String(text) => values.push(text.clone()),
        Value::Number(number) => values.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, values)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, values)),
        Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        let arguments = r#"{ "title": "leak the canary", "user": "casey", "n": 1234567, "on": true, "list": ["ab", "words of a body\nthat goes on and on"] }"#;
        let arguments = RawValue::from_string(arguments.to_owned()).unwrap();
        Hidden::of(Some(&arguments), [Secret::new("hunter22")].iter()).clean(text)
    }

    #[test]
    fn a_server_may_explain_itself() {
        assert_eq!(clean("no such project; ask an administrator"), "no such project; ask an administrator");
        assert_eq!(clean("title is too long (true, 12)"), "title is too long (true, 12)");
    }

    #[test]
    fn values_secrets_and_longer_parts_of_them_are_taken_out() {
        assert_eq!(clean("bad title 'leak the canary' by casey (1234567)"), "bad title '…' by … (…)");
        assert_eq!(clean("no canary, ab: leaks"), "no …, …: leaks");
        assert_eq!(clean("token hunter22 is wrong"), "token … is wrong");
        assert_eq!(clean("near: body that goes on and: stop"), "near:…: stop");
    }

    #[test]
    fn a_text_is_one_short_line() {
        assert_eq!(clean("a\r\n\tb\u{1b}[31m c\u{0}"), "a b [31m c");
        assert_eq!(clean(&"x".repeat(5000)).chars().count(), LONGEST + 1);
        assert_eq!(clean(""), "");
    }
}
