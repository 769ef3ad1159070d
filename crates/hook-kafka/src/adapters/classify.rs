//! What an error of a cluster means for the next attempt.

use hook_core::outcome::{FailureClass, Outcome};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::client::meant;

/// What a client has met outside of any record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No broker answers.
    Down(String),
    /// A broker does not take our login or certificate.
    Refused(String),
}

/// What went wrong with a client, where it says something about whole connections.
pub(super) fn trouble(error: &KafkaError, reason: &str) -> Option<Trouble> {
    // librdkafka names the broker and the cause, and never a password.
    match meant(error.rdkafka_error_code()?, reason) {
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => Some(Trouble::Down(reason.to_owned())),
        Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => Some(Trouble::Refused(reason.to_owned())),
        _ => None,
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Down(reason) => write!(f, "no broker answers: {reason}"),
            Self::Refused(reason) => write!(f, "the brokers refuse us: {reason}"),
        }
    }
}

/// What keeps a consumer from fetching, where somebody has to mend it.
pub(super) fn not_fetched(error: &KafkaError) -> Option<String> {
    match error.rdkafka_error_code()? {
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            Some(format!("a topic does not exist, or we may not see it: {error}; make it, or allow DESCRIBE on it"))
        }
        Code::TopicAuthorizationFailed => {
            Some(format!("the brokers do not let us read a topic: {error}; allow READ on it"))
        }
        Code::GroupAuthorizationFailed => {
            Some("the brokers do not let us be a member of the group; allow READ on it".to_owned())
        }
        Code::InvalidGroupId | Code::InconsistentGroupProtocol => {
            Some(format!("the group is used in another way by somebody else: {error}; give another `group_id`"))
        }
        _ => None,
    }
}

/// The outcome of a record that was not acknowledged.
pub(super) fn failed(error: &KafkaError, topic: &str, trouble: Option<&Trouble>) -> Outcome {
    let Some(code) = error.rdkafka_error_code() else {
        return Outcome::failed(FailureClass::Transient, error.to_string());
    };
    let (class, text) = match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
            let text = format!("the record is larger than topic {topic} takes; raise its max.message.bytes");
            (FailureClass::Rejected, text)
        }
        Code::InvalidRecord => (FailureClass::Rejected, format!("topic {topic} does not take such a record")),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            let text = format!("topic {topic} does not exist and the brokers do not make it; make it");
            (FailureClass::Misconfigured, text)
        }
        Code::InvalidTopic => (FailureClass::Misconfigured, format!("{topic} is no name of a topic")),
        Code::TopicAuthorizationFailed => {
            let text = format!("the brokers do not let us write to topic {topic}; allow WRITE on it");
            (FailureClass::Misconfigured, text)
        }
        Code::ClusterAuthorizationFailed => {
            let text = "the brokers do not let us write without duplicates; allow IDEMPOTENT_WRITE on the cluster";
            (FailureClass::Misconfigured, text.to_owned())
        }
        Code::Authentication | Code::SaslAuthenticationFailed => {
            (FailureClass::Misconfigured, "the brokers do not take our login".to_owned())
        }
        Code::UnsupportedSASLMechanism => {
            (FailureClass::Misconfigured, "the brokers do not have this SASL mechanism".to_owned())
        }
        Code::QueueFull => {
            let text = "the queue to the brokers is full: they take less than comes in";
            (FailureClass::Transient, text.to_owned())
        }
        Code::MessageTimedOut => return timed_out(trouble),
        _ => (FailureClass::Transient, format!("the brokers did not take the record: {error}")),
    };
    Outcome::failed(class, text)
}

/// Nothing was acknowledged in time. What the client has met meanwhile says whether anybody was there.
pub(super) fn timed_out(trouble: Option<&Trouble>) -> Outcome {
    match trouble {
        Some(trouble @ Trouble::Down(_)) => Outcome::failed(FailureClass::Unreachable, trouble.to_string()),
        Some(trouble @ Trouble::Refused(_)) => Outcome::failed(FailureClass::Misconfigured, trouble.to_string()),
        None => Outcome::failed(FailureClass::Transient, "the brokers have not acknowledged the record in time"),
    }
}

#[cfg(test)]
mod tests {
    use FailureClass::{Misconfigured, Rejected, Transient, Unreachable};

    use super::*;

    #[track_caller]
    fn check(code: Code, trouble: Option<&Trouble>, expected: FailureClass, words: &str) {
        let Outcome::Failed(failure) = failed(&KafkaError::MessageProduction(code), "orders", trouble) else {
            panic!()
        };
        assert_eq!(failure.class, expected, "{code:?}");
        assert!(failure.error.contains(words), "{}", failure.error);
    }

    #[test]
    fn every_error_has_one_meaning() {
        check(Code::MessageSizeTooLarge, None, Rejected, "max.message.bytes");
        check(Code::InvalidRecord, None, Rejected, "orders");
        check(Code::UnknownTopicOrPartition, None, Misconfigured, "topic orders does not exist");
        check(Code::UnknownTopic, None, Misconfigured, "topic orders does not exist");
        check(Code::TopicAuthorizationFailed, None, Misconfigured, "allow WRITE");
        check(Code::ClusterAuthorizationFailed, None, Misconfigured, "IDEMPOTENT_WRITE");
        check(Code::SaslAuthenticationFailed, None, Misconfigured, "login");
        for code in [
            Code::NotLeaderForPartition,
            Code::LeaderNotAvailable,
            Code::NotEnoughReplicas,
            Code::NotEnoughReplicasAfterAppend,
            Code::RequestTimedOut,
            Code::BrokerTransportFailure,
            Code::QueueFull,
            Code::PurgeInflight,
            Code::Fatal,
        ] {
            check(code, None, Transient, "brokers");
        }
    }

    #[test]
    fn what_is_late_is_judged_by_what_the_client_has_met() {
        let down = Trouble::Down("1/1 brokers are down".into());
        let refused = Trouble::Refused("authentication failure".into());
        check(Code::MessageTimedOut, None, Transient, "in time");
        check(Code::MessageTimedOut, Some(&down), Unreachable, "1/1 brokers are down");
        check(Code::MessageTimedOut, Some(&refused), Misconfigured, "authentication failure");
    }

    #[test]
    fn what_keeps_records_away_is_said_with_its_remedy() {
        let said = |code| not_fetched(&KafkaError::MessageConsumption(code));
        for (code, words) in [
            (Code::UnknownTopicOrPartition, "make it"),
            (Code::TopicAuthorizationFailed, "allow READ"),
            (Code::GroupAuthorizationFailed, "allow READ"),
        ] {
            assert!(said(code).unwrap().contains(words), "{code:?}");
        }
        assert_eq!((said(Code::NotLeaderForPartition), said(Code::AllBrokersDown)), (None, None));
    }

    #[test]
    fn only_errors_of_whole_connections_are_remembered() {
        let of = |code| trouble(&KafkaError::Global(code), "why");
        assert_eq!(of(Code::AllBrokersDown), Some(Trouble::Down("why".into())));
        assert_eq!(of(Code::Authentication), Some(Trouble::Refused("why".into())));
        assert_eq!(of(Code::NotLeaderForPartition), None);
    }
}
