//! The binary on Kafka, end to end. It needs a broker, and runs only when it is asked for by name:
//!
//! ```sh
//! scripts/services up kafka
//! env $(scripts/services env kafka) cargo test -p hook-cli --test pipeline-kafka
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod processes;
#[allow(dead_code, reason = "the suite of the embedded log uses all of it")]
mod support;

/// What the pipelines run on.
const LOG: support::LogUnderTest = support::LogUnderTest::Kafka;
