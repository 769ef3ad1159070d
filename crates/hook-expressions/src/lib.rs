//! Small languages over events, for contracts: CEL says which events are meant, jq makes one payload of another, JSON Schema
//! says what a payload has to look like.
//!
//! Contracts and payloads may both be hostile. So nothing here runs for longer than a [`Budget`] allows, which counts steps
//! and never looks at a clock; nothing recurses deeper than a fixed bound; nothing reads a file, the environment or the
//! time. The same text over the same event always gives the same answer.

mod budget;
pub mod cel;
pub mod jq;
mod json;
mod number;
mod pattern;
pub mod schema;
mod text_error;
mod value;

pub use budget::{Budget, Spent};
pub use text_error::TextError;
