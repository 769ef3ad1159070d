//! What is wrong with a text of one of the languages, and where.

use std::ops::Range;

use thiserror::Error;

/// What is wrong with a text, where in it, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}{}", self.place())]
pub struct TextError {
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// Where in the text, in bytes.
    pub span: Range<usize>,
    /// The line and column of its beginning, from 1.
    pub line_column: (usize, usize),
}

impl TextError {
    pub(crate) fn new(text: &str, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { message: message.into(), help: help.into(), span, line_column: (line, column) }
    }

    fn place(&self) -> String {
        match self.line_column {
            (1, column) => format!(" (at character {column})"),
            (line, column) => format!(" (at line {line}, character {column})"),
        }
    }
}

/// A piece of a text for a message, cut short.
pub(crate) fn shown(piece: &str) -> String {
    piece.chars().take(60).collect()
}
