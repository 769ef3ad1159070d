//! The cluster of a plan, as an operator asks it.

use std::sync::Arc;

use hook_contract::plan::{Kafka, Plan};
use hook_core::{
    clock::SystemClock,
    problem::{Problem, codes},
    secret::Secrets,
};
use hook_kafka::operate::{self, Cluster};

use super::{Purpose, open};
use crate::commands::log::groups::{Assigned, Group, Member};

/// The cluster of a plan. Nobody has been asked anything yet.
pub fn cluster(of: (&Kafka, &Plan), secrets: &Secrets) -> Result<Cluster, Box<Problem>> {
    let settings = open::settings(of, Purpose::Operate, secrets)?;
    Cluster::new(settings, Arc::new(SystemClock)).map_err(|error| open::not_opened(&error))
}

/// Who reads with which cursor.
pub async fn groups(of: (&Kafka, &Plan), secrets: &Secrets) -> Result<Vec<Group>, Box<Problem>> {
    let groups = cluster(of, secrets)?.groups().await.map_err(|error| {
        let help =
            "check that the brokers answer (`hook infra broker check`), and that this user may Describe the groups";
        Box::new(Problem::error(&codes::KAFKA_UNREACHABLE, error.to_string(), help))
    })?;
    Ok(groups.into_iter().map(group).collect())
}

fn group(found: operate::Group) -> Group {
    let operate::Group { group, cursor, state, members } = found;
    let assigned = |operate::Assigned { topic, partition }| Assigned { topic, partition };
    let member = |operate::Member { instance, host, partitions }| Member {
        instance,
        host,
        partitions: partitions.into_iter().map(assigned).collect(),
    };
    Group { group, cursor, state, members: members.into_iter().map(member).collect() }
}
