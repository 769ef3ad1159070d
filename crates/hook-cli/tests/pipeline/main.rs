//! The binary, end to end: real processes, real signatures, a real disk, and a receiver that misbehaves as it is told.
//! [`kafka.rs`](kafka.rs) runs what is not the embedded log's alone on Kafka.
//!
//! | module | promises |
//! |---|---|
//! | [`answers`] | what a sender is told, and what is then stored |
//! | [`delivery`] | what destinations get, and what happens where they fail |
//! | [`questions`] | what `events`, `dlq`, `explain` and `replay` say |
//! | [`lifecycle`] | starts, ends, restarts, roles and cursors |
//! | [`log`] | `log stat`, `verify`, `repair`, `export` and `import` |
//! | [`embedded`] | what is the embedded log's alone |
//! | [`commands`] | `demo`, `send` and `test` |
//! | `mcp` | events as calls of a tool; the pipeline for agents that operate it |
//! | [`sources`] | providers that packs describe: bodies, challenges, answers |
//! | [`sockets`] | events over WebSocket, in and out |
//! | [`steps`] | filters and plugins on both sides of the log |
//! | [`streams`] | events to clients that connect to us |
//! | `tools` | events as calls of tools, of a process and over HTTP |
//! | [`travel`] | stored events again, and the story that tells of them |
//! | [`abuse`] | a thousand bad requests cost nothing |
//! | [`floods`] | clients that send without end cost no memory |
//! | [`kill`] | SIGKILL loses nothing that was acknowledged |
//! | `fan_out` | the contract that sends one event to everything |
//! | [`isolation`] | a bad destination is nobody else's problem |
//! | [`rotation`] | secrets are changed without a restart |
//! | [`tls`] | TLS from one end to the other |
//! | [`canary`] | secrets and payloads are written nowhere |

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod abuse;
mod answers;
mod canary;
mod commands;
mod delivery;
mod embedded;
#[cfg(feature = "mcp")]
mod fan_out;
mod floods;
mod isolation;
mod kill;
mod lifecycle;
mod log;
#[cfg(feature = "mcp")]
mod mcp;
mod questions;
mod rotation;
mod sockets;
mod sources;
mod steps;
mod streams;
mod support;
mod tls;
#[cfg(feature = "mcp")]
mod tools;
mod travel;

/// What the pipelines run on.
const LOG: support::LogUnderTest = support::LogUnderTest::Embedded;
