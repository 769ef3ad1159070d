//! The log on Kafka keeps the promises of the port, on a real broker.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use common::Fixture;

hook_testkit::log_conformance!(ignore = "needs Kafka: scripts/services up kafka", Fixture::new());
