//! What a destination answered to one attempt, in the classes that the retry module and the breaker act on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The result of one attempt at one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has it.
    Delivered {
        /// What it answered, in a few words for the journal: `202 Accepted`.
        answer: String,
    },
    /// The destination does not have it, as far as we know.
    Failed(Failure),
}

/// Why an attempt failed, and what that means for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the failure means.
    pub class: FailureClass,
    /// One lower-case fragment for people: names the cause, never the payload or a secret.
    pub error: String,
    /// When the destination asked to be tried again.
    pub retry_after: Option<Duration>,
}

/// Five meanings, and nothing else decides about retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Nothing was sent: name, connection, TLS. Spends no attempt.
    Unreachable,
    /// The destination is set up wrongly: 401, 403, a redirect. Opens the breaker at once; spends no attempt.
    Misconfigured,
    /// The destination asks for patience: 429. Spends no attempt.
    Throttled,
    /// It may have been tried and may work later: 5xx, 408, time-out, connection lost. Spends an attempt.
    Transient,
    /// It will never be taken: any other 4xx. Dead-lettered at once.
    Rejected,
}

impl FailureClass {
    /// Whether a failure of this class uses up one of the event's attempts.
    pub fn spends_attempt(self) -> bool {
        matches!(self, Self::Transient | Self::Rejected)
    }

    /// The name in metrics and the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Misconfigured => "misconfigured",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Rejected => "rejected",
        }
    }
}

impl Outcome {
    /// A delivery, with the destination's answer in a few words.
    pub fn delivered(answer: impl Into<String>) -> Self {
        Self::Delivered { answer: answer.into() }
    }

    /// A failure without a wish for when to try again.
    pub fn failed(class: FailureClass, error: impl Into<String>) -> Self {
        Self::Failed(Failure { class, error: error.into(), retry_after: None })
    }
}
