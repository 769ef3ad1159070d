//! jq: one payload made out of another.
//!
//! A program is parsed by jaq, and run here: jaq's own interpreter has no bound on steps, depth or size, and a contract must
//! not be able to hang a process. What a program can use is what its input alone decides: there is no `env`, `$ENV`, `input`,
//! `now`, `debug`, `halt`, no module and no file. Loops may be written in any way; they end with the budget.

mod access;
mod arithmetic;
mod bind;
mod compile;
mod dates;
mod format;
mod machine;
mod natives;
mod parse;
mod path;
mod program;
mod search;
mod special;
#[cfg(test)]
mod tests;
mod update;

use bytes::Bytes;
use hook_core::payload::{Payload, PayloadError};
use thiserror::Error;

use crate::{
    budget::{Budget, Spent},
    json,
    text_error::TextError,
    value::Value,
};

/// No program is longer, in bytes.
pub const MAX_LENGTH: usize = 8_192;

/// A program that was compiled.
#[derive(Debug, Clone)]
pub struct Program {
    text: String,
    main: program::Node,
}

/// Why a program made no payload. Never says what a value was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RunError {
    /// The program ended with an error.
    #[error("the program ended with an error: {0}")]
    Raised(String),
    /// There was no result.
    #[error("the program gave no result")]
    NoResult,
    /// There were several results.
    #[error("the program gave more than one result")]
    SeveralResults,
    /// The result is something else.
    #[error("the program gave {0}, not an object")]
    NotAnObject(&'static str),
    /// The result is no payload of ours.
    #[error("the program's result is no payload: {0}")]
    NotAPayload(#[from] PayloadError),
    /// The work exceeds the budget, or something became too large or too deep.
    #[error("the program takes more work, memory or depth than one event may")]
    Spent(#[from] Spent),
}

impl Program {
    /// Compiles a program. It is refused where it cannot be parsed, names something that there is not, or is too large.
    pub fn compile(text: &str) -> Result<Self, TextError> {
        Ok(Self { text: text.to_owned(), main: compile::compile(text)? })
    }

    /// The program as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The one object that the program makes of a payload.
    pub fn run(&self, payload: &Payload) -> Result<Payload, RunError> {
        self.run_within(payload, &Budget::default())
    }

    /// The same, within a budget of the caller's.
    pub fn run_within(&self, payload: &Payload, budget: &Budget) -> Result<Payload, RunError> {
        let text = std::str::from_utf8(payload.bytes()).map_err(|_| PayloadError::NotUtf8)?;
        let input = json::read(text, budget)?;
        let mut results = machine::run(&self.main, input, budget, 2)?;
        let result = match (results.pop(), results.is_empty()) {
            (None, _) => return Err(RunError::NoResult),
            (Some(_), false) => return Err(RunError::SeveralResults),
            (Some(result), true) => result,
        };
        let Value::Map(_) = &result else { return Err(RunError::NotAnObject(result.kind())) };
        Ok(Payload::parse(Bytes::from(json::write(&result, budget)?))?)
    }
}
