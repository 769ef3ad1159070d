//! The drivers that speak Kafka, each with a cluster of its own.
//!
//! | module | says |
//! |---|---|
//! | [`connection`] | which cluster, and how it is reached |
//! | [`output`] | `kafka_output`: one record a delivery |
//! | `record` | an event as a record: key, headers, value |
//! | `classify` | what an error means for the next attempt |
//! | `sender` | the producer of one adapter |

mod classify;
pub mod connection;
pub mod output;
mod record;
mod sender;

use hook_core::{catalog::Entry, ports::egress::EgressDriver};

/// The drivers through which events go out.
pub fn egress() -> Vec<Entry<dyn EgressDriver>> {
    vec![Entry::of::<output::KafkaOutput>()]
}
