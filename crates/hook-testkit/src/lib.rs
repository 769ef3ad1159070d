//! What tests share: a clock that stands still, a log in memory, and the promises of the log port as a suite.
//!
//! A dev-dependency only. What is wrong in a test panics, with a reason.

pub mod log_conformance;
mod manual_clock;
mod memory_log;

pub use manual_clock::ManualClock;
pub use memory_log::MemoryLog;
