//! The drivers that speak Kafka, each with a cluster of its own.
//!
//! | module | says |
//! |---|---|
//! | [`connection`] | which cluster, and how it is reached |
//! | [`output`] | `kafka_output`: one record a delivery |
//! | `record` | an event as a record: key, headers, value |
//! | `sender` | the producer of one adapter |
//! | [`mod@ingress`] | `kafka_ingress`: each record an event |
//! | `incoming` | a record as an event: payload, source, type, keys |
//! | `intake` | what is on its way into the log, and what may be committed |
//! | `consumer` | the consumer of one adapter |
//! | `fetch`, `member` | its thread, and what that is called back with |
//! | `lag` | how far its group is behind |
//! | `settle` | what becomes of a record |
//! | `classify` | what an error means |

mod classify;
pub mod connection;
mod consumer;
mod fetch;
mod incoming;
pub mod ingress;
mod intake;
mod lag;
mod member;
pub mod output;
mod record;
mod sender;
mod settle;

use hook_core::{
    catalog::Entry,
    ports::{egress::EgressDriver, ingress::IngressDriver},
};

/// The drivers through which events come in.
pub fn ingress() -> Vec<Entry<dyn IngressDriver>> {
    vec![Entry::of::<ingress::KafkaIngress>()]
}

/// The drivers through which events go out.
pub fn egress() -> Vec<Entry<dyn EgressDriver>> {
    vec![Entry::of::<output::KafkaOutput>()]
}
