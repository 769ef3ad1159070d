//! Whether a cluster is fit for the log. Every finding that is not well says what to do.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hook_core::names::CursorName;
use rdkafka::{
    admin::{AdminOptions, ResourceSpecifier},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Cluster, Finding, Verdict, topics::Step};
use crate::{
    client::{SESSION_TIMEOUT, TRANSACTION_TIMEOUT, Witness},
    cluster::PATIENCE,
    error::unavailable,
    log::blocking,
    view::Broker,
};

/// A broker that takes longer to answer makes everything slow that waits for it.
const SLOW: Duration = Duration::from_millis(500);
/// What happens on the connections is looked at for so long when no answer has come.
const LOOK: Duration = Duration::from_millis(200);
/// The least version of `TxnOffsetCommit` that knows members of groups: Kafka 2.5.
const TXN_OFFSET_COMMIT: (&str, i16) = ("TxnOffsetCommit", 3);

impl Cluster {
    /// Looks at everything; `cursors` are those that will be read with. Ends early where no broker answers.
    pub async fn check(&self, cursors: &[CursorName]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(brokers) = self.reach(&mut findings).await else { return findings };
        findings.push(self.version());
        let limits = self.look_at_brokers(&brokers, &mut findings).await;
        self.judge_replication(&brokers, &limits, &mut findings);
        judge_limits(&limits, &mut findings);
        self.look_at_topics(&mut findings).await;
        self.look_at_rights(cursors, &mut findings).await;
        findings
    }

    /// Whether anybody answers, and lets us in.
    async fn reach(&self, findings: &mut Vec<Finding>) -> Option<Vec<Broker>> {
        let security = &self.clients.settings().security;
        let protocol = security.protocol.as_str();
        let how = match &security.sasl {
            Some(sasl) => format!("{protocol} with {}", sasl.mechanism()),
            None => protocol.to_owned(),
        };
        let (reader, witness) = (Arc::clone(&self.reader), self.witness.clone());
        let names = self.clients.names.clone();
        let asked = blocking(move || {
            let first = crate::cluster::describe(&reader, &names);
            let began = Instant::now();
            let found = first.and_then(|_| crate::cluster::describe(&reader, &names));
            let took = began.elapsed();
            // What has happened on the connections is told when it is asked for.
            let until = Instant::now() + LOOK;
            while Instant::now() < until && (found.is_err() || !witness.has_versions()) {
                let _ = reader.poll(Duration::from_millis(20));
            }
            found.map(|(brokers, _)| (brokers, took)).map_err(unavailable)
        });
        match asked.await {
            Ok((brokers, took)) => {
                let millis = took.as_millis();
                findings.push(Finding::ok("reachable", format!("{} answers in {millis} ms", self.asked())));
                if took > SLOW {
                    let detail = format!("an answer took {millis} ms");
                    let remedy = "whoever sends an event waits for some of them: run nearer to the brokers";
                    findings.push(Finding::not_ok("latency", Verdict::Warning, detail, remedy));
                }
                findings.push(Finding::ok("security", format!("let in over {how}")));
                Some(brokers)
            }
            Err(error) => {
                findings.push(self.unreached(&how, &error.to_string()));
                None
            }
        }
    }

    fn asked(&self) -> String {
        self.clients.settings().brokers.join(", ")
    }

    /// Why nobody has answered, as far as the connections tell.
    fn unreached(&self, how: &str, error: &str) -> Finding {
        let Some((code, reason)) = self.witness.worst() else {
            let detail = format!("{}: {error}", self.asked());
            return Finding::not_ok("reachable", Verdict::Failed, detail, remedy_of(RDKafkaErrorCode::Fail));
        };
        let check = match code {
            RDKafkaErrorCode::SSL | RDKafkaErrorCode::Authentication => "security",
            _ => "reachable",
        };
        Finding::not_ok(check, Verdict::Failed, format!("over {how}: {reason}"), remedy_of(code))
    }

    /// What the brokers can do.
    fn version(&self) -> Finding {
        let (name, least) = TXN_OFFSET_COMMIT;
        match self.witness.version_of(name) {
            Some(found) if found >= least => {
                Finding::ok("version", "Kafka 2.5 or later: transactions know the members of groups")
            }
            Some(_) => {
                let detail = "older than Kafka 2.5: its transactions do not know the members of groups";
                Finding::not_ok("version", Verdict::Failed, detail, "run brokers of Kafka 2.5 or later")
            }
            None => {
                let detail = "the broker did not say what it can do";
                let remedy = "nothing, where its version is known to be 2.5 or later";
                Finding::not_ok("version", Verdict::Unknown, detail, remedy)
            }
        }
    }

    /// Whether each broker answers where it says that it is, and what is set there.
    async fn look_at_brokers(&self, brokers: &[Broker], findings: &mut Vec<Finding>) -> Vec<Limits> {
        let mut all = Vec::new();
        let Ok(admin) = self.admin() else { return all };
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let mut is_hidden = false;
        for broker in brokers {
            let Broker { id, address } = broker;
            let answers = admin.describe_configs([&ResourceSpecifier::Broker(*id)], &options).await;
            match answers.map(|answers| answers.into_iter().next()) {
                Ok(Some(Ok(found))) => {
                    let values = found.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
                    all.push(values.collect());
                }
                Ok(Some(Err(RDKafkaErrorCode::ClusterAuthorizationFailed))) => is_hidden = true,
                Ok(Some(Err(code))) => findings.push(silent(broker, &code.to_string())),
                Ok(None) => findings.push(silent(broker, "an empty answer")),
                Err(error) => findings.push(silent(broker, &error.to_string())),
            }
            if findings.iter().all(|finding| !finding.check.ends_with(&format!("broker {id}"))) {
                findings.push(Finding::ok(format!("broker {id}"), format!("answers at {address}")));
            }
        }
        if is_hidden {
            let detail = "how the brokers are set up may not be seen by this user";
            let remedy = "nothing is wrong; to have it checked too, allow DescribeConfigs on the cluster";
            findings.push(Finding::not_ok("limits", Verdict::Unknown, detail, remedy));
        }
        all
    }

    fn judge_replication(&self, brokers: &[Broker], limits: &[Limits], findings: &mut Vec<Finding>) {
        let (wanted, count) = (usize::from(self.clients.settings().topics.replication), brokers.len());
        let one_less = "with one broker less, nothing is lost and nothing stops";
        let there_are = if count == 1 { "there is 1 broker".to_owned() } else { format!("there are {count} brokers") };
        findings.push(match (wanted, count) {
            _ if wanted > count => Finding::not_ok(
                "replication",
                Verdict::Failed,
                format!("topic_replication_factor = {wanted}, and {there_are}"),
                format!("set topic_replication_factor = {count}, or add brokers"),
            ),
            (1, 1) => Finding::not_ok(
                "replication",
                Verdict::Warning,
                "one copy of everything, on the only broker",
                "enough to try it; for events that matter, three brokers and topic_replication_factor = 3",
            ),
            (1, _) => Finding::not_ok(
                "replication",
                Verdict::Warning,
                format!("one copy of everything, although {there_are}"),
                "set topic_replication_factor = 3, and min.insync.replicas = 2 on the cluster",
            ),
            _ => Finding::ok("replication", format!("{wanted} copies on {count} brokers possible")),
        });
        let Some(least) = least(limits, "min.insync.replicas") else { return };
        if usize::try_from(least).is_ok_and(|least| least > wanted) {
            findings.push(Finding::not_ok(
                "durability",
                Verdict::Failed,
                format!("min.insync.replicas = {least}, and topics have {wanted} copies: nothing would ever be taken"),
                format!("set topic_replication_factor = {least} or more"),
            ));
        } else if least == 1 && wanted > 1 {
            findings.push(Finding::not_ok(
                "durability",
                Verdict::Warning,
                "min.insync.replicas = 1: an event is taken when one broker has it, and gone with that broker",
                "set min.insync.replicas = 2 on the cluster",
            ));
        } else if wanted > 1 {
            let spare = usize::try_from(least).is_ok_and(|least| least < wanted);
            let rest = if spare { one_less } else { "with one broker less, nothing is taken" };
            findings.push(Finding::ok("durability", format!("an event is taken when {least} brokers have it; {rest}")));
        }
        for key in ["offsets.topic.replication.factor", "transaction.state.log.replication.factor"] {
            let Some(factor) =
                values(limits, key).min().filter(|factor| usize::try_from(*factor).is_ok_and(|n| n > count))
            else {
                continue;
            };
            findings.push(Finding::not_ok(
                key,
                Verdict::Failed,
                format!("it is {factor}, and {there_are}: the topic of that cannot be made"),
                format!("set {key} = {count} on the brokers, or add brokers"),
            ));
        }
    }

    async fn look_at_topics(&self, findings: &mut Vec<Finding>) {
        let topics = match self.topics().await {
            Ok(topics) => topics,
            Err(error) => {
                let remedy = "give this user Describe on the topics";
                findings.push(Finding::not_ok("topics", Verdict::Failed, error.to_string(), remedy));
                return;
            }
        };
        let makes = self.clients.settings().topics.auto_create;
        let mut are_hidden = false;
        for topic in topics {
            let check = format!("topic {}", topic.topic);
            let Some(found) = &topic.found else {
                findings.push(match makes {
                    true => Finding::ok(check, "is made at the first start"),
                    false => Finding::not_ok(
                        check,
                        Verdict::Failed,
                        "does not exist, and auto_create_topics is off",
                        "make it: `hook infra broker topics --apply` as a user who may; or set KAFKA_AUTO_CREATE_TOPICS=true",
                    ),
                });
                continue;
            };
            are_hidden |= found.configuration.is_none();
            if topic.differences.is_empty() {
                let copies = if found.replication == 1 { "copy" } else { "copies" };
                let partitions = if found.partitions == 1 { "partition" } else { "partitions" };
                let detail = format!("{} {partitions}, {} {copies}", found.partitions, found.replication);
                findings.push(Finding::ok(check.clone(), detail));
            }
            findings.extend(topic.differences.iter().map(|difference| {
                let detail = format!("{}: {}, wanted {}", difference.what, difference.found, difference.wanted);
                Finding::not_ok(check.clone(), difference.verdict, detail, difference.remedy.clone())
            }));
            debug_assert!(topic.step != Step::Create, "what is there is not made");
        }
        if are_hidden {
            let detail = "retention, compaction and the largest record of topics may not be seen by this user";
            let remedy = "nothing is wrong; to have them checked too, allow DescribeConfigs on the topics";
            findings.push(Finding::not_ok("topic settings", Verdict::Unknown, detail, remedy));
        }
    }
}

/// What is set on a broker.
type Limits = BTreeMap<String, String>;

fn values<'l>(limits: &'l [Limits], key: &'l str) -> impl Iterator<Item = i64> + 'l {
    limits.iter().filter_map(move |limits| limits.get(key)?.parse().ok())
}

fn least(limits: &[Limits], key: &str) -> Option<i64> {
    values(limits, key).min()
}

/// Whether the brokers allow the times that the log works with.
fn judge_limits(limits: &[Limits], findings: &mut Vec<Finding>) {
    if limits.is_empty() {
        return;
    }
    let (session, transaction) = (millis(SESSION_TIMEOUT), millis(TRANSACTION_TIMEOUT));
    let before = findings.len();
    let mut refuses = |key: &str, found: i64, wanted: &str, what: &str| {
        let detail = format!("{key} = {found} on a broker: {what}");
        findings.push(Finding::not_ok(
            "timeouts",
            Verdict::Failed,
            detail,
            format!("set {key} = {wanted} on the brokers"),
        ));
    };
    let most = |key| values(limits, key).max();
    if let Some(found) = most("group.min.session.timeout.ms").filter(|found| *found > session) {
        refuses("group.min.session.timeout.ms", found, "10000 or less", "a session of 10 s is refused");
    }
    if let Some(found) = least(limits, "group.max.session.timeout.ms").filter(|found| *found < session) {
        refuses("group.max.session.timeout.ms", found, "10000 or more", "a session of 10 s is refused");
    }
    if let Some(found) = least(limits, "transaction.max.timeout.ms").filter(|found| *found < transaction) {
        refuses("transaction.max.timeout.ms", found, "10000 or more", "a transaction of 10 s is refused");
    }
    let week = 7 * 24 * 60;
    if let Some(found) = least(limits, "offsets.retention.minutes").filter(|found| *found < week) {
        findings.push(Finding::not_ok(
            "timeouts",
            Verdict::Warning,
            format!("offsets.retention.minutes = {found}: after that long without a reader a cursor is forgotten"),
            "set it higher than the longest time for which everything may stand still, such as 43200",
        ));
    }
    if findings.len() == before {
        let sessions = "sessions and transactions of 10 s are allowed";
        let kept = least(limits, "offsets.retention.minutes").map(|minutes| minutes / 60 / 24);
        let kept = kept.map(|days| format!("; cursors are kept for {days} days without a reader")).unwrap_or_default();
        findings.push(Finding::ok("timeouts", format!("{sessions}{kept}")));
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn silent(broker: &Broker, error: &str) -> Finding {
    let Broker { id, address } = broker;
    Finding::not_ok(
        format!("broker {id}"),
        Verdict::Failed,
        format!("it says that it is at {address}, and does not answer there: {error}"),
        "let its `advertised.listeners` name an address that is reached from here, or start it",
    )
}

/// What to do about an error of a connection.
fn remedy_of(code: RDKafkaErrorCode) -> &'static str {
    match code {
        RDKafkaErrorCode::Resolve => {
            "check how the host is written in KAFKA_BROKERS or `brokers`, and that this machine can look it up"
        }
        RDKafkaErrorCode::SSL => {
            "check that KAFKA_TLS_CA is the authority that signed the broker's certificate, that the certificate names the \
             host that is asked, that our own (KAFKA_TLS_CERT, KAFKA_TLS_KEY) is set where the listener asks for one and has not \
             expired, and that the listener speaks TLS"
        }
        RDKafkaErrorCode::Authentication => {
            "check the mechanism (KAFKA_SASL_MECHANISM), the user and the password that the contract or \
             KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD name, and that the listener asks for them"
        }
        _ => {
            "check that the brokers run, that address and port are those of a listener, that no firewall is between, and that \
             KAFKA_SECURITY_PROTOCOL is what that listener speaks"
        }
    }
}

impl Witness {
    /// What says most about why nobody answers.
    pub(crate) fn worst(&self) -> Option<(RDKafkaErrorCode, String)> {
        let rank = |code: &RDKafkaErrorCode| match code {
            RDKafkaErrorCode::Authentication => 3,
            RDKafkaErrorCode::SSL => 2,
            RDKafkaErrorCode::AllBrokersDown => 0,
            _ => 1,
        };
        self.errors().into_iter().max_by_key(|(code, _)| rank(code))
    }
}

/// What a broker has refused, where it has refused it for want of a right.
pub(super) fn refusal(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    use RDKafkaErrorCode as Code;
    error.rdkafka_error_code().filter(|code| {
        matches!(
            code,
            Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(values: &[(&str, &str)]) -> Vec<(String, Verdict)> {
        let limits: Limits = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut findings = Vec::new();
        judge_limits(&[limits], &mut findings);
        assert!(findings.iter().all(|finding| (finding.verdict == Verdict::Ok) == finding.remedy.is_none()));
        findings.into_iter().map(|finding| (finding.detail, finding.verdict)).collect()
    }

    #[test]
    fn times_that_a_broker_does_not_allow_are_found() {
        let verdicts = |values: &[_]| judged(values).into_iter().map(|(_, verdict)| verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&[("offsets.retention.minutes", "10080")]), [Verdict::Ok]);
        for wrong in [
            ("group.min.session.timeout.ms", "15000"),
            ("group.max.session.timeout.ms", "6000"),
            ("transaction.max.timeout.ms", "5000"),
        ] {
            assert_eq!(verdicts(&[wrong]), [Verdict::Failed], "{wrong:?}");
        }
        assert_eq!(verdicts(&[("offsets.retention.minutes", "60")]), [Verdict::Warning]);
        let mut nothing_seen = Vec::new();
        judge_limits(&[], &mut nothing_seen);
        assert_eq!(nothing_seen, []);
    }

    #[test]
    fn what_says_most_about_a_connection_is_told() {
        let witness = Witness::default();
        witness.note_error(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        witness.note_error(RDKafkaErrorCode::BrokerTransportFailure, "Connection refused");
        assert_eq!(witness.worst().map(|(code, _)| code), Some(RDKafkaErrorCode::BrokerTransportFailure));
        let alert = "Receive failed: SSL routines::sslv3 alert bad certificate: SSL alert number 42";
        witness.note_error(RDKafkaErrorCode::BrokerTransportFailure, alert);
        assert_eq!(witness.worst().map(|(code, _)| code), Some(RDKafkaErrorCode::SSL));
        witness.note_error(RDKafkaErrorCode::Authentication, "SASL PLAIN");
        assert_eq!(witness.worst().map(|(code, _)| code), Some(RDKafkaErrorCode::Authentication));
    }

    #[test]
    fn what_a_broker_can_do_is_read_from_what_the_client_says_of_it() {
        let witness = Witness::default();
        assert_eq!(witness.version_of("TxnOffsetCommit"), None);
        witness.note_line(
            "[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap:   ApiKey TxnOffsetCommit (28) Versions 0..5",
        );
        assert_eq!(witness.version_of("TxnOffsetCommit"), Some(5));
        assert_eq!(witness.version_of("OffsetCommit"), None);
    }
}
