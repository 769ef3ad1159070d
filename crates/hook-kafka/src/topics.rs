//! Makes topics, and checks those that are there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use hook_core::{
    names::TopicName,
    ports::log::{LogError, NewRecord},
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    config::FromClientConfigAndContext,
    error::RDKafkaErrorCode,
};
use tracing::info;

use crate::{
    client::{Clients, Context, MOST_RECORD, connect},
    cluster::{self, PATIENCE, Shape},
    error::{TopicProblem, unavailable},
    names::Names,
    settings::{Deduplication, Sasl},
    view::View,
};

/// Makes topics on demand.
pub(crate) struct Topics {
    clients: Clients,
    view: Arc<View>,
    /// One process makes one topic once.
    turn: tokio::sync::Mutex<()>,
}

impl Topics {
    pub(crate) fn new(clients: Clients, view: Arc<View>) -> Self {
        Self { clients, view, turn: tokio::sync::Mutex::default() }
    }

    /// Whether every topic of these records is known.
    pub(crate) fn are_known(&self, records: &[NewRecord]) -> bool {
        records.iter().all(|record| self.view.knows(&record.topic))
    }

    /// Makes the topics of records that are not known.
    pub(crate) async fn ensure(&self, records: &[NewRecord]) -> Result<(), LogError> {
        if self.are_known(records) {
            return Ok(());
        }
        self.ensure_all(&records.iter().map(|record| record.topic.clone()).collect()).await
    }

    /// Makes those of these topics that are not known.
    pub(crate) async fn ensure_all(&self, topics: &BTreeSet<TopicName>) -> Result<(), LogError> {
        let _turn = self.turn.lock().await;
        for topic in topics {
            if !self.view.knows(topic) {
                self.make(topic).await.map_err(|problem| LogError::Unavailable(problem.to_string()))?;
            }
        }
        Ok(())
    }

    async fn make(&self, topic: &TopicName) -> Result<(), TopicProblem> {
        let settings = &self.clients.settings().topics;
        if !settings.auto_create {
            return Err(TopicProblem::Missing(topic.clone()));
        }
        let retention = settings.retention(topic);
        let name = self.clients.names.topic(topic);
        let made = create(&self.clients, &name, settings.partitions, retention, "delete").await;
        made.map_err(|reason| TopicProblem::NotMade { topic: topic.clone(), reason })?;
        info!(kafka_topic = %topic, partitions = settings.partitions, "topic made");
        self.view.add_topic(topic, settings.partitions);
        Ok(())
    }

    /// Makes the topic of cursors, which never grows: nothing is ever written to it, only positions in it are committed.
    pub(crate) async fn make_cursors(&self) -> Result<(), LogError> {
        let name = self.clients.names.cursors();
        if !self.clients.settings().topics.auto_create {
            return Err(LogError::Unavailable(format!(
                "topic {name} does not exist and is not made, because auto_create_topics is off; make it with one partition"
            )));
        }
        let made = create(&self.clients, &name, 1, None, "compact").await;
        made.map_err(|reason| LogError::Unavailable(format!("topic {name} could not be made: {reason}")))
    }

    /// Checks the topics that are expected, and makes those that are missing where that is wanted.
    pub(crate) async fn check(&self, found: &BTreeMap<TopicName, Shape>) -> Vec<TopicProblem> {
        let mut problems = Vec::new();
        for topic in &self.clients.settings().topics.expected {
            match found.get(topic) {
                Some(shape) => self.find_problems(topic, *shape, &mut problems),
                None => problems.extend(self.make(topic).await.err()),
            }
        }
        problems.extend(self.make_dedup().await.err());
        problems
    }

    /// Makes the topic of what tells copies, where this process removes them.
    async fn make_dedup(&self) -> Result<(), TopicProblem> {
        let settings = self.clients.settings();
        let Some(Deduplication { cursor, window }) = &settings.deduplication else { return Ok(()) };
        let Some(topic) = Names::dedup(cursor) else { return Ok(()) };
        let failed = |reason: String| TopicProblem::NotMade { topic: topic.clone(), reason };
        let (clients, name) = (self.clients.clone(), self.clients.names.topic(&topic));
        let is_there = {
            let name = name.clone();
            let look = move || cluster::describe_one(&connect(&clients.reader(), clients.context())?, &name);
            tokio::task::spawn_blocking(look).await.map_err(|error| failed(error.to_string()))?
        };
        if is_there.map_err(|error| failed(error.to_string()))?.is_some() {
            return Ok(());
        }
        if !settings.topics.auto_create {
            return Err(TopicProblem::Missing(topic));
        }
        // A key is read back within the window, and is of no use after it.
        create(&self.clients, &name, settings.topics.partitions, Some(*window), "compact,delete").await.map_err(failed)
    }

    fn find_problems(&self, topic: &TopicName, shape: Shape, problems: &mut Vec<TopicProblem>) {
        let wanted = &self.clients.settings().topics;
        let topic = || topic.clone();
        if shape.partitions < wanted.partitions {
            let (found, wanted) = (shape.partitions, wanted.partitions);
            problems.push(TopicProblem::FewPartitions { topic: topic(), found, wanted });
        }
        if shape.replicas < wanted.replication {
            let (found, wanted) = (shape.replicas, wanted.replication);
            problems.push(TopicProblem::FewReplicas { topic: topic(), found, wanted });
        }
    }

    /// Forgets a group. Its members must have left.
    pub(crate) async fn delete_group(&self, group: &str) -> Result<(), RDKafkaErrorCode> {
        let admin = admin(&self.clients).map_err(|_| RDKafkaErrorCode::UnsupportedSASLMechanism)?;
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let answer = admin.delete_groups(&[group], &options).await;
        let code = |error: rdkafka::error::KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        match answer.map_err(code)?.pop() {
            Some(Err((_, code))) => Err(code),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}

/// A client that makes and deletes. It serves no questions for tokens.
fn admin(clients: &Clients) -> Result<AdminClient<Context>, String> {
    if matches!(clients.settings().security.sasl, Some(Sasl::OauthBearer { .. })) {
        return Err("OAUTHBEARER does not let this client in to administer".to_owned());
    }
    let admin = AdminClient::from_config_and_context(&clients.base(&BTreeMap::new()), clients.context());
    admin.map_err(|error| unavailable(error).to_string())
}

/// Makes a topic by its name on the cluster; one that exists already is as good.
pub(crate) async fn create(
    clients: &Clients,
    name: &str,
    partitions: u32,
    retention: Option<Duration>,
    cleanup: &str,
) -> Result<(), String> {
    let admin = admin(clients)?;
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    let replication = TopicReplication::Fixed(i32::from(clients.settings().topics.replication));
    let (most, retention_ms) = (MOST_RECORD.to_string(), retention.map(|time| time.as_millis().to_string()));
    let mut topic = NewTopic::new(name, partitions, replication)
        .set("max.message.bytes", &most)
        .set("cleanup.policy", cleanup)
        // Records carry the time at which events were received, also those that are copied from another log.
        .set("message.timestamp.type", "CreateTime");
    if let Some(retention_ms) = &retention_ms {
        topic = topic.set("retention.ms", retention_ms);
    }
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let answer = admin.create_topics([&topic], &options).await.map_err(|error| error.to_string())?;
    match answer.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) | None => Ok(()),
        Some(Err((_, code))) => Err(code.to_string()),
    }
}
