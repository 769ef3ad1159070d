//! What is wrong with a contract or a start: a stable code, a place, a message, and what would have been right.

pub mod codes;

use std::ops::Range;

use serde::{Serialize, Serializer};

/// A kind of problem. Its page in `docs/errors/` is generated from it.
#[derive(Debug)]
pub struct Code {
    /// The stable id: `HOOK01xx` for contracts, `HOOK02xx` for starts.
    pub id: &'static str,
    /// What it is, as a heading.
    pub title: &'static str,
    /// Whether it stops the start in every mode, debug mode and `--force` included.
    pub is_security_critical: bool,
    /// Why it is a problem and what to do, in a few sentences of Markdown.
    pub about: &'static str,
    /// The shortest contract text that provokes it; empty where no contract does.
    pub wrong: &'static str,
    /// The same text, mended.
    pub right: &'static str,
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Code {}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look; nothing stops.
    Warning,
    /// Nothing starts.
    Error,
}

/// Where a problem stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// The bytes that are wrong.
    pub span: Range<usize>,
    /// Line of the first of them, from 1.
    pub line: usize,
    /// Column of the first of them in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a span in a text.
    pub fn in_text(file: &str, text: &str, span: Range<usize>) -> Self {
        let start = (0..=span.start.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
        }
    }
}

/// One thing that is wrong, for the person who can mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind of problem.
    pub code: &'static Code,
    /// How bad it is here.
    pub severity: Severity,
    /// Where; `None` where it is in no file.
    pub place: Option<Place>,
    /// What is wrong. Never shows a secret.
    pub message: String,
    /// What would have been right.
    pub help: String,
}

impl Problem {
    /// An error that stands in no file.
    pub fn error(code: &'static Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, place: None, message: message.into(), help: help.into() }
    }

    /// A warning that stands in no file.
    pub fn warning(code: &'static Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, help) }
    }

    /// The same problem at a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The same problem where it stops nothing.
    #[must_use]
    pub fn into_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Whether nothing may start.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            code: &'static str,
            severity: Severity,
            file: Option<&'a str>,
            line: Option<usize>,
            column: Option<usize>,
            message: &'a str,
            help: &'a str,
        }
        let place = self.place.as_ref();
        Flat {
            code: self.code.id,
            severity: self.severity,
            file: place.map(|place| place.file.as_str()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            message: &self.message,
            help: &self.help,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let place = |at| {
            let place = Place::in_text("c.toml", "a = 1\nä = 2\n", at..at + 1);
            (place.line, place.column)
        };
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(6), (2, 1));
        assert_eq!(place(9), (2, 3));
        assert_eq!(place(900), (3, 1));
    }
}
