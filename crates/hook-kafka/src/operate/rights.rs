//! What this user may do, as far as it can be seen without doing it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hook_core::{
    names::{CursorName, TopicName},
    ports::log::LogError,
};
use rdkafka::{
    admin::{AdminOptions, NewTopic, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
    producer::Producer as _,
};

use super::{Cluster, Finding, Verdict, check::refusal};
use crate::{
    client::{Clients, connect},
    cluster::{self, PATIENCE},
    error::unavailable,
    log::blocking,
    produce::Producer,
    read::{Next, Reading},
    view::{Partition, View},
};

/// One partition is read for so long at most.
const READ_WITHIN: Duration = Duration::from_secs(5);
const SLICE: Duration = Duration::from_millis(100);
const REFERENCE: &str = "docs/reference/kafka.md lists the rights";

impl Cluster {
    /// Looks at groups, topics and transactions. Nothing is written but the id of a transaction that never begins.
    pub(super) async fn look_at_rights(&self, cursors: &[CursorName], findings: &mut Vec<Finding>) {
        findings.push(self.may_read_groups(cursors).await);
        findings.push(self.may_read_topics().await);
        findings.push(self.may_begin_transactions().await);
        if self.clients.settings().topics.auto_create {
            findings.push(self.may_create().await);
        }
    }

    async fn may_read_groups(&self, cursors: &[CursorName]) -> Finding {
        let (clients, cursors) = (self.clients.clone(), cursors.to_vec());
        let count = cursors.len();
        let ask = move || {
            for cursor in &cursors {
                let group = clients.names.group(cursor);
                let asked = connect(&clients.outside(cursor), clients.context())
                    .and_then(|consumer| cluster::is_cursor(&consumer, &clients.names));
                if let Err(error) = asked {
                    return Ok(Some((group, error)));
                }
            }
            Ok(None)
        };
        match blocking(ask).await {
            Ok(None) => Finding::ok("rights on groups", format!("{count} groups may be asked for their progress")),
            Ok(Some((group, error))) => {
                let remedy =
                    format!("give this user Describe and Read on the group {group} or its prefix; {REFERENCE}");
                failed("rights on groups", format!("{group}: {error}"), &error, &remedy)
            }
            Err(error) => given_up("rights on groups", &error),
        }
    }

    async fn may_read_topics(&self) -> Finding {
        let (clients, reader) = (self.clients.clone(), Arc::clone(&self.reader));
        let ask = move || {
            let (_, mut topics) = cluster::describe(&reader, &clients.names).map_err(unavailable)?;
            topics.retain(|topic, _| clients.settings().topics.expected.contains(topic));
            // The rights of a topic are those of each of its partitions.
            let firsts: Vec<Partition> = topics.keys().map(|topic| (topic.clone(), 0)).collect();
            let bounds = match cluster::bounds(&reader, &clients.names, &firsts) {
                Ok(bounds) => bounds,
                Err(error) => return Ok((firsts.len(), Some((None, error)))),
            };
            let starts: BTreeMap<Partition, u64> =
                bounds.into_iter().map(|(partition, bounds)| (partition, bounds.end)).collect();
            Ok((starts.len(), first_refused(&clients, &starts)))
        };
        let remedy = format!("give this user Describe, Read and Write on the topics; {REFERENCE}");
        match blocking(ask).await {
            Ok((0, None)) => Finding::ok("rights on topics", "none of the topics exists yet"),
            Ok((count, None)) => Finding::ok(
                "rights on topics",
                format!("{count} topics may be read; writing is tried by nothing but events"),
            ),
            Ok((_, Some((topic, error)))) => {
                let name = topic.map(|topic| format!("{}: ", self.clients.names.topic(&topic))).unwrap_or_default();
                failed("rights on topics", format!("{name}{error}"), &error, &remedy)
            }
            Err(error) => given_up("rights on topics", &error),
        }
    }

    async fn may_begin_transactions(&self) -> Finding {
        let clients = self.clients.clone();
        let Ok(name) = CursorName::new("check") else {
            return Finding::ok("rights on transactions", "not looked at");
        };
        let config = clients.making(&name);
        let id = config.get("transactional.id").unwrap_or_default().to_owned();
        let ask = move || {
            let producer = Producer::new(&config, clients.context(), Arc::new(View::new()), clients.names.clone());
            Ok(producer.and_then(|producer| producer.native().init_transactions(PATIENCE)).err())
        };
        match blocking(ask).await {
            Ok(None) => Finding::ok("rights on transactions", "transactions may begin"),
            Ok(Some(error)) => {
                let remedy = format!(
                    "give this user Describe and Write on transactional ids that begin like {id} and like the instance ids; \
                     where it is no right, see transaction.state.log.replication.factor of the brokers; {REFERENCE}"
                );
                failed("rights on transactions", format!("{id}: {error}"), &error, &remedy)
            }
            Err(error) => given_up("rights on transactions", &error),
        }
    }

    /// The broker checks a topic that it is not to make.
    async fn may_create(&self) -> Finding {
        let check = "rights to make topics";
        let name = format!("{}hook.check", self.clients.settings().namespace);
        let admin = match self.admin() {
            Ok(admin) => admin,
            Err(error) => return given_up(check, &error),
        };
        let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).validate_only(true);
        let answer = admin.create_topics([&topic], &options).await;
        let code = match answer.map(|answers| answers.into_iter().next()) {
            Ok(Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) | None) => {
                return Finding::ok(check, "topics may be made");
            }
            Ok(Some(Err((_, code)))) => KafkaError::AdminOp(code),
            Err(error) => error,
        };
        let remedy = format!(
            "give this user Create on the cluster or on the topics; or make them as another user with `hook infra broker \
             topics --apply`, and set KAFKA_AUTO_CREATE_TOPICS=false; {REFERENCE}"
        );
        // Where every topic is there already, nobody needs the right.
        let is_needed = !matches!(self.topics().await, Ok(all) if all.iter().all(|topic| topic.found.is_some()));
        let verdict = if is_needed { Verdict::Failed } else { Verdict::Warning };
        Finding::not_ok(check, verdict, code.to_string(), remedy)
    }
}

/// The first topic that may not be read.
fn first_refused(clients: &Clients, starts: &BTreeMap<Partition, u64>) -> Option<(Option<TopicName>, KafkaError)> {
    let read = || -> Result<Option<(TopicName, KafkaError)>, KafkaError> {
        let reading = Reading::new(clients)?;
        for part in reading.begin(starts)? {
            let until = Instant::now() + READ_WITHIN;
            loop {
                reading.serve();
                match part.next(SLICE) {
                    Ok(Next::Nothing) if Instant::now() < until => {}
                    Ok(_) => break,
                    Err(error) => return Ok(Some((part.partition.0, error))),
                }
            }
        }
        reading.end();
        Ok(None)
    };
    match read() {
        Ok(found) => found.map(|(topic, error)| (Some(topic), error)),
        Err(error) => Some((None, error)),
    }
}

fn failed(check: &str, detail: String, error: &KafkaError, remedy: &str) -> Finding {
    match refusal(error) {
        Some(_) => Finding::not_ok(check, Verdict::Failed, detail, remedy),
        None => Finding::not_ok(check, Verdict::Failed, detail, format!("try again; if it stays: {remedy}")),
    }
}

fn given_up(check: &str, error: &LogError) -> Finding {
    Finding::not_ok(check, Verdict::Failed, error.to_string(), "check that the brokers still answer, and try again")
}
