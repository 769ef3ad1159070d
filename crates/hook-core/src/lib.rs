//! Vocabulary and ports of `hook`: what an event, an envelope, an outcome and a problem are, and the traits that
//! drivers and logs implement.
//!
//! This crate does no I/O and knows no async runtime, no TOML and no driver. Read it in this order:
//!
//! | module | says |
//! |---|---|
//! | [`names`] | names parsed into types that cannot be wrong |
//! | [`event`] | what comes in: raw, then verified |
//! | [`payload`] | the JSON object of an event, kept as the bytes that came |
//! | [`envelope`] | what rests in the log and goes out |
//! | [`journal`] | what happened to an event, as records |
//! | [`job`] | what is sent again, and how far that has come |
//! | [`outcome`] | what a destination answered |
//! | [`problem`] | what is wrong with a contract or a start, with a stable code |
//! | [`progress`] | how far a reader has come: a watermark, and what is done above it |
//! | [`ports`] | the traits: ingress, verifier, plugin, log, egress |
//! | [`transport`] | a connection that adapters share |
//! | [`tls`] | TLS on an address that we listen on |
//! | [`catalog`] | which drivers this build has |

pub mod catalog;
pub mod clock;
pub mod duration;
pub mod envelope;
pub mod event;
pub mod job;
pub mod journal;
pub mod names;
pub mod outcome;
pub mod payload;
pub mod ports;
pub mod problem;
pub mod progress;
pub mod sasl;
pub mod secret;
pub mod selector;
pub mod stop;
pub mod tls;
pub mod transport;

pub use futures_util::future::BoxFuture;
pub use jiff::{SignedDuration, Timestamp};
