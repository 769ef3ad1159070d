//! The log on Apache Kafka, through librdkafka: the same port as the embedded log, for more than one process and machine.
//! And the adapters that speak to a Kafka of somebody else's.
//!
//! What stands on the cluster, and where the two differ, is written in `docs/reference/kafka.md`.
//!
//! | module | says |
//! |---|---|
//! | `settings` | what an operator decides, and what can be wrong with it |
//! | `client` | how every client is configured |
//! | `names` | what topics, groups and transactions are called on the cluster |
//! | `wire` | a record as Kafka has it |
//! | `marks` | what is done above a watermark, as text beside a committed offset |
//! | `cluster` | questions to the cluster |
//! | `view` | what this process knows of it; `refresh` keeps that fresh |
//! | `topics` | makes topics and checks them |
//! | `produce` | sends records and answers when they are durable |
//! | `transaction` | records and progress, both or neither |
//! | `cursors` | makes and deletes groups |
//! | `groups` | who reads with which cursor, and what nobody does |
//! | `subscription`, `consume` | a member of a group: its state, and its thread |
//! | `copies`, `restore` | what the relay remembers of events, and how that comes back |
//! | `read`, `scan` | single records; once through |
//! | `carry` | takes records over from another log, none of them twice |
//! | `log` | [`KafkaLog`]: the port |
//! | [`operate`] | what an operator asks of a cluster, without a log |
//! | [`adapters`] | the drivers through which events go to and come from topics that are not ours |

pub mod adapters;
mod carry;
mod client;
mod cluster;
mod consume;
mod copies;
mod cursors;
mod error;
mod groups;
mod log;
mod marks;
mod names;
pub mod operate;
mod partitioner;
mod produce;
mod read;
mod refresh;
mod restore;
mod scan;
pub mod settings;
mod subscription;
mod topics;
mod transaction;
mod view;
mod wire;

pub use carry::{Carried, Carrier, Known, ReadBack};
pub use client::MOST_RECORD;
pub use error::{OpenError, TopicProblem};
pub use log::KafkaLog;
pub use settings::Settings;
pub use view::Broker;
pub use wire::Origin;
