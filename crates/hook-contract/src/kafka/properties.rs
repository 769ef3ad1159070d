//! Which properties of librdkafka may be set, and why the others may not.

/// Whose properties they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Producer,
    Consumer,
}

/// What is thought of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is handed on.
    Allowed,
    /// A promise or a secret depends on it: why, and what to do instead.
    Refused(&'static str, &'static str),
    /// Older releases had it, and nothing reads it here: what is so instead.
    Forgotten(&'static str),
}

const LEAVE_OUT: &str = "leave it out";
const USE_TLS: &str = "name files in `tls = { ca_path = \"…\" }`";
const USE_SASL: &str = "write `sasl = { mechanism = \"…\" }`, which names the variables of the secrets";

/// For both sides: the name, why it is refused, and what to do instead.
const SHARED: &[(&str, &str, &str)] = &[
    ("bootstrap.servers", "it says where the brokers are, which `brokers` does", "write `brokers`"),
    ("metadata.broker.list", "it says where the brokers are, which `brokers` does", "write `brokers`"),
    ("security.protocol", "`security_protocol` says how connections are protected", "write `security_protocol`"),
    ("enable.ssl.certificate.verification", "a broker always proves who it is", USE_TLS),
    ("allow.auto.create.topics", "`auto_create_topics` says whether topics are made", "write `auto_create_topics`"),
    ("plugin.library.paths", "it loads code into this process", LEAVE_OUT),
];

const PRODUCER: &[(&str, &str, &str)] = &[
    ("acks", "an event is acknowledged when all replicas in sync have it", LEAVE_OUT),
    ("request.required.acks", "an event is acknowledged when all replicas in sync have it", LEAVE_OUT),
    ("enable.idempotence", "a retry must not store an event twice", LEAVE_OUT),
    ("enable.gapless.guarantee", "what is done about a lost batch is the log's to decide", LEAVE_OUT),
    ("retries", "without retries a passing fault loses what was sent", LEAVE_OUT),
    ("message.send.max.retries", "without retries a passing fault loses what was sent", LEAVE_OUT),
    ("message.timeout.ms", "a sender is told in time that an event could not be stored", LEAVE_OUT),
    ("delivery.timeout.ms", "a sender is told in time that an event could not be stored", LEAVE_OUT),
    ("max.in.flight", "the order of events depends on it", LEAVE_OUT),
    ("max.in.flight.requests.per.connection", "the order of events depends on it", LEAVE_OUT),
    ("queuing.strategy", "the order of events depends on it", LEAVE_OUT),
    ("partitioner", "the order of events, and where copies meet, depend on it", LEAVE_OUT),
    ("transactional.id", "it is made of the name of the process and the cursor", "give `--instance-id`"),
    ("transaction.timeout.ms", "how long a relay that died keeps others waiting depends on it", LEAVE_OUT),
    ("delivery.report.only.error", "an event is acknowledged by its delivery report", LEAVE_OUT),
    ("queue.buffering.max.kbytes", "the memory of the producer is bounded by it", LEAVE_OUT),
];

const CONSUMER: &[(&str, &str, &str)] = &[
    ("group.id", "it is the name of the cursor", LEAVE_OUT),
    ("group.instance.id", "it is made of the name of the process", "give `--instance-id`"),
    ("group.protocol", "who reads what is agreed in one way by all processes", LEAVE_OUT),
    ("group.remote.assignor", "who reads what is agreed in one way by all processes", LEAVE_OUT),
    ("partition.assignment.strategy", "who reads what is agreed in one way by all processes", LEAVE_OUT),
    ("session.timeout.ms", "how long the events of a process that died wait depends on it", LEAVE_OUT),
    ("max.poll.interval.ms", "a destination that is down must not cost the process its partitions", LEAVE_OUT),
    ("enable.auto.commit", "a cursor moves when its events are delivered", LEAVE_OUT),
    ("auto.commit.enable", "a cursor moves when its events are delivered", LEAVE_OUT),
    ("auto.commit.interval.ms", "a cursor moves when its events are delivered", LEAVE_OUT),
    ("enable.auto.offset.store", "a cursor moves when its events are delivered", LEAVE_OUT),
    ("offset.store.method", "a cursor is stored on the brokers", LEAVE_OUT),
    ("auto.offset.reset", "where a cursor begins is the destination's `from`", "write `from` on the destination"),
    ("isolation.level", "what a relay took back must not be read", LEAVE_OUT),
    ("enable.partition.eof", "the end of a partition is how reading ends", LEAVE_OUT),
    ("queued.max.messages.kbytes", "`fetch_memory` bounds what is fetched ahead", "write `fetch_memory`"),
    ("fetch.max.bytes", "`fetch_memory` bounds what is fetched ahead", "write `fetch_memory`"),
];

/// What is set for a connection's security in `tls` and `sasl`, but for what only narrows it.
const ALLOWED_SSL: &[&str] = &["ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list", "ssl.crl.location"];

/// Names of older releases of the field, which were no properties of librdkafka.
const FORGOTTEN: &[(Side, &str, &str)] = &[
    (Side::Producer, "publish_queue_capacity", "the memory of the producer is bounded"),
    (Side::Producer, "publish_max_retries", "sending is repeated for as long as a sender can wait"),
    (Side::Producer, "publish_backoff_base_ms", "`retry.backoff.ms` says how long to wait"),
    (Side::Producer, "publish_backoff_max_ms", "`retry.backoff.max.ms` says how long to wait at most"),
    (Side::Consumer, "commit_mode", "a cursor moves when its events are delivered"),
    (Side::Consumer, "auto_offset_reset", "where a cursor begins is the `from` of its destination"),
];

/// What is thought of a property of that name.
pub(super) fn judge(side: Side, name: &str) -> Verdict {
    let name = name.to_ascii_lowercase();
    let own = match side {
        Side::Producer => PRODUCER,
        Side::Consumer => CONSUMER,
    };
    if let Some((_, reason, help)) = SHARED.iter().chain(own).find(|(refused, ..)| *refused == name) {
        return Verdict::Refused(reason, help);
    }
    if let Some((.., instead)) = FORGOTTEN.iter().find(|(of, forgotten, _)| *of == side && *forgotten == name) {
        return Verdict::Forgotten(instead);
    }
    match name {
        name if ALLOWED_SSL.contains(&name.as_str()) => Verdict::Allowed,
        name if name.starts_with("ssl.") => Verdict::Refused("`tls` says what it would say", USE_TLS),
        name if name.starts_with("sasl.") => Verdict::Refused("`sasl` says what it would say", USE_SASL),
        name if name.starts_with("test.mock.") => {
            Verdict::Refused("it replaces the brokers by some that keep nothing", LEAVE_OUT)
        }
        _ => Verdict::Allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_promises_and_secrets_depend_on_is_refused() {
        let is_refused = |side, name| matches!(judge(side, name), Verdict::Refused(..));
        for name in ["acks", "ACKS", "enable.idempotence", "partitioner", "transactional.id", "sasl.password"] {
            assert!(is_refused(Side::Producer, name), "{name}");
        }
        for name in ["group.id", "isolation.level", "enable.auto.commit", "ssl.key.password", "test.mock.num.brokers"] {
            assert!(is_refused(Side::Consumer, name), "{name}");
        }
    }

    #[test]
    fn what_only_tunes_is_allowed() {
        for name in ["linger.ms", "batch.size", "compression.type", "message.max.bytes", "ssl.cipher.suites"] {
            assert_eq!(judge(Side::Producer, name), Verdict::Allowed, "{name}");
        }
        for name in ["fetch.wait.max.ms", "client.rack", "fetch.min.bytes", "socket.keepalive.enable"] {
            assert_eq!(judge(Side::Consumer, name), Verdict::Allowed, "{name}");
        }
    }

    #[test]
    fn names_of_older_releases_are_known_as_such() {
        assert!(matches!(judge(Side::Producer, "publish_max_retries"), Verdict::Forgotten(_)));
        assert!(matches!(judge(Side::Consumer, "commit_mode"), Verdict::Forgotten(_)));
        assert_eq!(judge(Side::Consumer, "publish_max_retries"), Verdict::Allowed);
    }
}
