//! The variables that `hook` reads by itself. `hook debug env` and the reference are made from this list.

/// A variable that this program reads.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, as one sentence.
    pub about: &'static str,
}

/// Chooses the profile.
pub const PROFILE: &str = "RELAY_PROFILE";
/// Names the contract.
pub const CONTRACT_PATH: &str = "RELAY_CONTRACT_PATH";
/// Chooses how strict the check is.
pub const VALIDATION_MODE: &str = "RELAY_VALIDATION_MODE";
/// Replaces the address of the contract that is part of the program.
pub const BIND: &str = "RELAY_BIND";
/// The body limit where the contract gives none.
pub const MAX_PAYLOAD_BYTES: &str = "RELAY_MAX_PAYLOAD_BYTES";
/// Which built-in sources are taken.
pub const ENABLED_SOURCES: &str = "RELAY_ENABLED_SOURCES";
/// Where dead letters go.
pub const DLQ_TOPIC: &str = "KAFKA_DLQ_TOPIC";
/// Chooses Kafka, and says where it is.
pub const BROKERS: &str = "KAFKA_BROKERS";
/// How connections to Kafka are protected.
pub const SECURITY_PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
/// Allows Kafka in the clear.
pub const ALLOW_PLAINTEXT: &str = "KAFKA_ALLOW_PLAINTEXT";
/// The file of our certificate.
pub const TLS_CERT: &str = "KAFKA_TLS_CERT";
/// The file of its key.
pub const TLS_KEY: &str = "KAFKA_TLS_KEY";
/// The file of the brokers' authority.
pub const TLS_CA: &str = "KAFKA_TLS_CA";
/// How we prove who we are.
pub const SASL_MECHANISM: &str = "KAFKA_SASL_MECHANISM";
/// Whether topics are made.
pub const AUTO_CREATE_TOPICS: &str = "KAFKA_AUTO_CREATE_TOPICS";
/// With how many partitions.
pub const TOPIC_PARTITIONS: &str = "KAFKA_TOPIC_PARTITIONS";
/// On how many brokers.
pub const TOPIC_REPLICATION_FACTOR: &str = "KAFKA_TOPIC_REPLICATION_FACTOR";
/// What stands before the name of every topic and group on the cluster.
pub const NAMESPACE: &str = "KAFKA_NAMESPACE";
/// How topics begin that the contract does not name.
pub const SOURCE_TOPIC_PREFIX: &str = "RELAY_SOURCE_TOPIC_PREFIX";
/// Where state is kept.
pub const DATA_DIRECTORY: &str = "HOOK_DATA_DIR";
/// Where systemd wants state to be kept.
pub const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
/// Where systemd wants to be told that we are ready.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// How often systemd wants to hear that we live.
pub const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
/// Where the user's programs keep state.
pub const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// What is logged.
pub const RUST_LOG: &str = "RUST_LOG";

/// All of them. None is a secret: secrets are named by the contract and by the built-in sources.
pub static ALL: &[Variable] = &[
    Variable { name: CONTRACT_PATH, about: "The contract, where neither --contract nor --app names one." },
    Variable { name: PROFILE, about: "The profile, where --profile names none." },
    Variable { name: VALIDATION_MODE, about: "`strict` or `debug`, over the contract; --validation-mode comes first." },
    Variable { name: BIND, about: "The address of the built-in contract default-openclaw, and of no other." },
    Variable { name: MAX_PAYLOAD_BYTES, about: "The largest body, where an adapter's max_body_bytes says nothing." },
    Variable { name: ENABLED_SOURCES, about: "The built-in sources that are taken, separated by commas; unset: all." },
    Variable { name: DLQ_TOPIC, about: "The topic of dead letters; unset: webhooks.dlq." },
    Variable {
        name: BROKERS,
        about: "Kafka's brokers, `HOST:PORT`, separated by commas. Chooses Kafka where the contract names no log.",
    },
    Variable {
        name: SECURITY_PROTOCOL,
        about: "On Kafka: `ssl`, `sasl_ssl`, `plaintext` or `sasl_plaintext`; unset: ssl.",
    },
    Variable { name: ALLOW_PLAINTEXT, about: "On Kafka: `true` allows plaintext, which needs both; unset: false." },
    Variable { name: TLS_CERT, about: "On Kafka: the file of our certificate, where the brokers ask for one." },
    Variable { name: TLS_KEY, about: "On Kafka: the file of the key of our certificate." },
    Variable { name: TLS_CA, about: "On Kafka: the file of the authority of the brokers; unset: those of the system." },
    Variable {
        name: SASL_MECHANISM,
        about: "On Kafka: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`, with sasl_ssl and sasl_plaintext. \
                User and password are in KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD unless the contract names others.",
    },
    Variable { name: AUTO_CREATE_TOPICS, about: "On Kafka: whether topics are made that are missing; unset: true." },
    Variable { name: TOPIC_PARTITIONS, about: "On Kafka: the partitions of a topic that is made; unset: 3." },
    Variable { name: TOPIC_REPLICATION_FACTOR, about: "On Kafka: the copies of a topic that is made; unset: 1." },
    Variable {
        name: NAMESPACE,
        about: "On Kafka: what stands before the name of every topic and group on the cluster; unset: nothing.",
    },
    Variable {
        name: SOURCE_TOPIC_PREFIX,
        about: "On Kafka: how topics begin that the contract does not name, such as PREFIX.core; unset: webhooks.",
    },
    Variable { name: DATA_DIRECTORY, about: "Where the log is kept, where --data-dir says nothing." },
    Variable { name: STATE_DIRECTORY, about: "Set by systemd: where the log is kept, where HOOK_DATA_DIR is not set." },
    Variable {
        name: NOTIFY_SOCKET,
        about: "Set by systemd: where it is told that events are taken, and that the process ends.",
    },
    Variable {
        name: WATCHDOG_USEC,
        about: "Set by systemd: within how many microseconds it wants to hear that the process lives.",
    },
    Variable { name: XDG_STATE_HOME, about: "Else the log is kept in hook/<app id> there; unset: ~/.local/state." },
    Variable { name: RUST_LOG, about: "What is logged, such as `debug` or `hook_runtime=trace`; unset: info." },
];
