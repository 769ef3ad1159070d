//! What measurements and fault runs of `hook` share: a load, a sink, and `hook` as a process of its own.
//!
//! ```text
//!            load ──signed requests──▶ pipeline (hook, a process) ──deliveries──▶ sink
//!   marks: run, key, number, time ─────────── inside the body ──────────────▶ what came, when, in order?
//! ```
//!
//! Every event carries a [`Mark`](mark::Mark): the sink knows from it alone whether an event came twice, in order, and how
//! long after it was sent. Nothing has to be looked up, so that the tools stay cheap beside what they measure.

pub mod brokers;
pub mod connection;
pub mod contract;
pub mod error;
pub mod latency;
pub mod load;
pub mod mark;
pub mod pipeline;
pub mod process;
pub mod sink;
pub mod template;
