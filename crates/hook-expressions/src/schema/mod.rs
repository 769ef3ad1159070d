//! JSON Schema 2020-12: what a payload has to look like.
//!
//! A schema stands alone: `$ref` leads to a place within it, and nothing is ever fetched. All keywords that assert something
//! are there; `format` and the `content…` keywords say something to people and assert nothing, as the standard has it. A keyword that nobody knows is refused, because with a slip of the pen a check would be gone.

mod check;
mod compile;
mod rules;
#[cfg(test)]
mod tests;

use hook_core::payload::Payload;
use thiserror::Error;

use crate::{
    budget::{Budget, Spent},
    json,
};

/// A schema that was compiled.
#[derive(Debug, Clone)]
pub struct Schema {
    nodes: Vec<rules::Node>,
}

/// What is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SchemaError {
    /// Where, as a JSON pointer into the schema.
    pub pointer: String,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What would be right.
    pub help: String,
}

/// Why a payload is not what a schema says. Never says what a value was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// A value does not meet a rule.
    #[error("`{instance}` does not meet `{rule}`")]
    Unmet {
        /// The value, as a JSON pointer into the payload; `/` stands for all of it.
        instance: String,
        /// The rule, as a JSON pointer into the schema.
        rule: String,
    },
    /// The work exceeds the budget.
    #[error("checking it takes more work than one event may")]
    Spent(#[from] Spent),
}

impl Schema {
    /// Compiles a schema.
    pub fn compile(schema: &serde_json::Value) -> Result<Self, SchemaError> {
        compile::compile(schema)
    }

    /// Whether a payload is what the schema says.
    pub fn check(&self, payload: &Payload) -> Result<(), Invalid> {
        self.check_within(payload, &Budget::default())
    }

    /// The same, within a budget of the caller's.
    pub fn check_within(&self, payload: &Payload, budget: &Budget) -> Result<(), Invalid> {
        // A payload is UTF-8.
        let text = std::str::from_utf8(payload.bytes()).unwrap_or_default();
        let value = json::read(text, budget)?;
        check::check(&self.nodes, &value, budget)
    }
}
