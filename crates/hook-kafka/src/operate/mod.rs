//! What an operator asks of a cluster, without a log being opened on it.
//!
//! | module | says |
//! |---|---|
//! | [`check`] | whether the cluster is fit for the log, and what to do where it is not |
//! | [`topics`] | which topics there are to be, how they are, and what would be done about it |
//! | [`Group`] | who reads with which cursor |

pub mod check;
mod rights;
pub mod topics;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hook_core::{clock::SharedClock, names::TopicName, ports::log::LogError};
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    config::FromClientConfigAndContext,
    consumer::Consumer,
    error::RDKafkaErrorCode,
};
use serde::Serialize;

pub use crate::groups::{Assigned, Group, Member};
use crate::{
    client::{Clients, Context, Health, Reader, SESSION_TIMEOUT, Witness, connect},
    cluster::{self, PATIENCE},
    error::{OpenError, unavailable},
    groups,
    log::blocking,
    settings::Settings,
    view::Broker,
};

/// Between two tries to remove a group.
const PAUSE: Duration = Duration::from_millis(250);

/// A cluster as an operator sees it. Nothing is made or changed but what is asked for.
pub struct Cluster {
    clients: Clients,
    reader: Arc<Reader>,
    witness: Witness,
}

/// How something that was looked at is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Ok,
    /// It could not be seen.
    Unknown,
    /// It works, and may not be what is meant.
    Warning,
    /// The log does not work with it.
    Failed,
}

/// What one look has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, detail: detail.into(), remedy: None }
    }

    fn not_ok(
        check: impl Into<String>,
        verdict: Verdict,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { check: check.into(), verdict, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

impl Cluster {
    /// Takes settings. Nobody has been asked anything yet.
    pub fn new(settings: Settings, clock: SharedClock) -> Result<Self, OpenError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(OpenError::Settings(problems));
        }
        let clients = Clients::new(Arc::new(settings), Health::default(), clock);
        let witness = Witness::default();
        let mut config = clients.reader();
        // What a broker can do stands in lines of this kind, and nowhere else.
        config.set("debug", "feature").set_log_level(rdkafka::config::RDKafkaLogLevel::Debug);
        let reader = Arc::new(connect(&config, clients.context().seen_by(witness.clone()))?);
        Ok(Self { clients, reader, witness })
    }

    /// The brokers.
    pub async fn brokers(&self) -> Result<Vec<Broker>, LogError> {
        let (reader, names) = (Arc::clone(&self.reader), self.clients.names.clone());
        blocking(move || Ok(cluster::describe(&reader, &names).map_err(unavailable)?.0)).await
    }

    /// The groups of the namespace.
    pub async fn groups(&self) -> Result<Vec<Group>, LogError> {
        let (reader, names) = (Arc::clone(&self.reader), self.clients.names.clone());
        blocking(move || groups::list(&reader, &names).map_err(unavailable)).await
    }

    /// Removes every topic and every group of the namespace, which must have a name. For what was made to try something.
    pub async fn remove_namespace(&self) -> Result<(), LogError> {
        if self.clients.settings().namespace.is_empty() {
            return Err(LogError::Unavailable("without a namespace everything on the cluster would be removed".into()));
        }
        let (reader, clients) = (Arc::clone(&self.reader), self.clients.clone());
        let found = move || {
            let metadata = reader.fetch_metadata(None, PATIENCE).map_err(unavailable)?;
            let topics = metadata.topics().iter().filter_map(|topic| clients.names.any_topic_of(topic.name()));
            let topics: Vec<TopicName> = topics.collect();
            Ok((topics, groups::list(&reader, &clients.names).map_err(unavailable)?))
        };
        let (topics, found) = blocking(found).await?;
        let admin = self.admin()?;
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let topics: Vec<String> = topics.iter().map(|topic| self.clients.names.topic(topic)).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let mut groups: Vec<&str> = found.iter().map(|group| group.group.as_str()).collect();
        let mut left = Vec::new();
        let deadline = Instant::now() + SESSION_TIMEOUT + PATIENCE;
        while !groups.is_empty() {
            let answers = admin.delete_groups(&groups, &options).await.map_err(unavailable)?;
            left = answers.into_iter().filter_map(Result::err).collect();
            // A member that has just left is still counted until its session ends.
            groups.retain(|group| {
                left.iter().any(|(name, code)| name == group && *code == RDKafkaErrorCode::NonEmptyGroup)
            });
            if Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if !topics.is_empty() {
            let answers = admin.delete_topics(&topics, &options).await.map_err(unavailable)?;
            left.extend(answers.into_iter().filter_map(Result::err));
        }
        let is_gone = |code: &RDKafkaErrorCode| {
            matches!(code, RDKafkaErrorCode::GroupIdNotFound | RDKafkaErrorCode::UnknownTopicOrPartition)
        };
        match left.into_iter().find(|(_, code)| !is_gone(code)) {
            None => Ok(()),
            Some((name, code)) => Err(LogError::Unavailable(format!("{name} could not be removed: {code}"))),
        }
    }

    fn admin(&self) -> Result<AdminClient<Context>, LogError> {
        let config = self.clients.base(&std::collections::BTreeMap::new());
        AdminClient::from_config_and_context(&config, self.clients.context()).map_err(unavailable)
    }
}
