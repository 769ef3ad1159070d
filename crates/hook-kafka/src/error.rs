//! Why the log could not be opened, and how errors of librdkafka become those of the port.

use hook_core::{names::TopicName, ports::log::LogError};
use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::settings::Problem;

/// Why the log could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The settings are wrong: all that is wrong with them.
    #[error("the settings of the Kafka log are wrong: {}", list(.0))]
    Settings(Vec<Problem>),
    /// No broker has answered.
    #[error("no Kafka broker answers at {brokers}: {reason}")]
    Unreachable {
        /// The bootstrap addresses.
        brokers: String,
        /// What was met.
        reason: String,
    },
    /// Topics are not as they must be: all that is wrong with them.
    #[error("topics are not as they must be: {}", list(.0))]
    Topics(Vec<TopicProblem>),
    /// librdkafka could not be set up.
    #[error("the Kafka client could not be made")]
    Client(#[from] KafkaError),
}

/// What is wrong with a topic. `Display` says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicProblem {
    /// It does not exist and must not be made.
    #[error(
        "topic {0} does not exist and is not made, because auto_create_topics is off; make it, or set \
         KAFKA_AUTO_CREATE_TOPICS=true"
    )]
    Missing(TopicName),
    /// It could not be made.
    #[error(
        "topic {topic} could not be made: {reason}; make it by hand, or give this client the right to create topics"
    )]
    NotMade {
        /// The topic.
        topic: TopicName,
        /// What the broker says.
        reason: String,
    },
    /// It has fewer partitions than are set.
    #[error(
        "topic {topic} has {found} partitions where {wanted} are set; set topic_partitions = {found}, or add partitions \
         while nothing is being ingested (keys move to other partitions, which breaks their order once)"
    )]
    FewPartitions {
        /// The topic.
        topic: TopicName,
        /// How many it has.
        found: u32,
        /// How many are set.
        wanted: u32,
    },
    /// It rests on fewer brokers than are set.
    #[error(
        "topic {topic} rests on {found} brokers where {wanted} are set; set topic_replication_factor = {found}, or \
         reassign its partitions to more brokers"
    )]
    FewReplicas {
        /// The topic.
        topic: TopicName,
        /// On how many brokers its weakest partition rests.
        found: u16,
        /// How many are set.
        wanted: u16,
    },
}

fn list<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Most of what a cluster refuses may work later, or after an operator has mended it.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
pub(crate) fn unavailable(error: KafkaError) -> LogError {
    LogError::Unavailable(error.to_string())
}
