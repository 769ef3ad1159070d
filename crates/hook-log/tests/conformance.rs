//! The embedded log keeps the promises of the port: with one large segment, and with segments so small that every batch
//! begins another one.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use common::Fixture;

mod in_one_segment {
    hook_testkit::log_conformance!(super::Fixture::new());
}

mod in_many_segments {
    hook_testkit::log_conformance!(super::Fixture::with_segments_of(200));
}
