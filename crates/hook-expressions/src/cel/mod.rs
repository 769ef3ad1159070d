//! CEL, the Common Expression Language: one expression over an event that is true or false.
//!
//! An expression sees `source` and `type` (strings), `payload` (the body as received) and `meta` (what the envelope says
//! beside). A whole number of 64 bits is an integer, any other number is a float; the two may be mixed. Only the fields that an
//! expression names are read from the payload: a filter on `type` alone never looks at it.
//!
//! Of the language's standard functions there are `size`, `contains`, `startsWith`, `endsWith`, `matches`, `int`, `double`,
//! `string`, `dyn`, `lowerAscii` and `upperAscii`, and all of its macros. There are no bytes, unsigned integers,
//! timestamps, durations and messages.

mod check;
mod evaluate;
mod functions;
mod lexer;
mod parser;
mod syntax;
#[cfg(test)]
mod tests;

use hook_core::{
    envelope::{Envelope, Meta},
    payload::Payload,
    ports::plugin::Draft,
};
use thiserror::Error;

use crate::{
    budget::{Budget, Spent},
    text_error::TextError,
};

/// No expression is longer, in bytes.
pub const MAX_LENGTH: usize = 4_096;

/// An expression that was compiled: it is over an event, and is true or false where it can be evaluated.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    program: syntax::Program,
}

/// The event that an expression is about.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    /// `source`.
    pub source: &'a str,
    /// `type`.
    pub event_type: &'a str,
    /// `payload`.
    pub payload: &'a Payload,
    /// `meta`.
    pub meta: &'a Meta,
}

impl<'a> From<&'a Envelope> for EventView<'a> {
    fn from(event: &'a Envelope) -> Self {
        let header = &event.header;
        let (source, event_type) = (header.source.as_str(), header.event_type.as_str());
        Self { source, event_type, payload: &event.payload, meta: &header.meta }
    }
}

impl<'a> From<&'a Draft> for EventView<'a> {
    fn from(draft: &'a Draft) -> Self {
        let (source, event_type) = (draft.source.as_str(), draft.event_type.as_str());
        Self { source, event_type, payload: &draft.payload, meta: &draft.meta }
    }
}

/// Why an expression has no answer for an event. Never says what a value was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvalError {
    /// A field or element is not there.
    #[error("there is no `{0}`")]
    Missing(String),
    /// Something is of another type than an operation takes.
    #[error("{0}")]
    Mismatch(String),
    /// The work exceeds the budget.
    #[error(transparent)]
    Spent(#[from] Spent),
}

impl Expression {
    /// Compiles an expression. It is refused where it cannot be parsed, names a variable or function that there is not,
    /// cannot be true or false, or is too large.
    pub fn compile(text: &str) -> Result<Self, TextError> {
        if text.len() > MAX_LENGTH {
            let message = format!("the expression is longer than {MAX_LENGTH} bytes");
            return Err(TextError::new(text, MAX_LENGTH..text.len(), message, "write several shorter expressions"));
        }
        let program = parser::parse(text)?;
        check::check(text, &program.root)?;
        Ok(Self { text: text.to_owned(), program })
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the expression is true of an event.
    pub fn matches<'a>(&self, event: impl Into<EventView<'a>>) -> Result<bool, EvalError> {
        self.matches_within(event, &Budget::default())
    }

    /// The same, within a budget of the caller's.
    pub fn matches_within<'a>(&self, event: impl Into<EventView<'a>>, budget: &Budget) -> Result<bool, EvalError> {
        evaluate::truth(&self.program, event.into(), budget)
    }
}
