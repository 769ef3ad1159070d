//! What tests share: a clock that stands still, a log in memory, an inlet that answers as it is told, what is logged, and the
//! promises of ports as suites.
//!
//! | suite | of |
//! |---|---|
//! | [`mod@log_conformance`] | a log |
//! | [`mod@ingress_conformance`] | a driver through which events come in |
//! | [`mod@egress_conformance`] | a driver through which events go out |
//!
//! A dev-dependency only. What is wrong in a test panics, with a reason.

pub mod egress_conformance;
pub mod fake_inlet;
pub mod ingress_conformance;
pub mod log_conformance;
pub mod logged;
mod manual_clock;
mod memory_log;

pub use manual_clock::ManualClock;
pub use memory_log::MemoryLog;
