//! The suite of [`main.rs`](main.rs) on Kafka, from the same source: what is not the embedded log's alone; and
//! [`processes`], [`operate`], [`fetching`] and [`migrate`], which that cannot do.
//!
//! It needs a broker, and runs only when it is asked for by name:
//!
//! ```sh
//! scripts/services up kafka
//! env $(scripts/services env kafka) cargo test -p hook-cli --test pipeline-kafka
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod answers;
mod canary;
mod delivery;
#[cfg(feature = "mcp")]
mod fan_out;
mod fetching;
mod isolation;
mod kill;
mod lifecycle;
#[cfg(feature = "mcp")]
mod mcp;
mod migrate;
mod operate;
mod processes;
mod questions;
mod sockets;
mod steps;
mod streams;
#[allow(dead_code, reason = "the suite of the embedded log uses all of it")]
mod support;
mod travel;

/// What the pipelines run on.
const LOG: support::LogUnderTest = support::LogUnderTest::Kafka;
