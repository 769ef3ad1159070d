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
/// Would choose Kafka.
pub const BROKERS: &str = "KAFKA_BROKERS";
/// Where state is kept.
pub const DATA_DIRECTORY: &str = "HOOK_DATA_DIR";
/// Where systemd wants state to be kept.
pub const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
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
    Variable { name: BROKERS, about: "Would choose Kafka as the log; this build has none, warns and goes on." },
    Variable { name: DATA_DIRECTORY, about: "Where the log is kept, where --data-dir says nothing." },
    Variable { name: STATE_DIRECTORY, about: "Set by systemd: where the log is kept, where HOOK_DATA_DIR is not set." },
    Variable { name: XDG_STATE_HOME, about: "Else the log is kept in hook/<app id> there; unset: ~/.local/state." },
    Variable { name: RUST_LOG, about: "What is logged, such as `debug` or `hook_runtime=trace`; unset: info." },
];
