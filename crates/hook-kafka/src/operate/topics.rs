//! Which topics there are to be, how those are that exist, and what would be done about it.

use std::{collections::BTreeMap, sync::Arc};

use hook_core::ports::log::LogError;
use rdkafka::{
    admin::{AdminOptions, ConfigResource, NewPartitions, OwnedResourceSpecifier, ResourceSpecifier},
    consumer::Consumer,
};
use serde::Serialize;

use super::{Cluster, Verdict};
use crate::{
    client::{Clients, MOST_RECORD},
    cluster::PATIENCE,
    error::unavailable,
    log::blocking,
    names::Names,
    settings::Deduplication,
    topics::create,
};

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Events, dead letters or the journal.
    Records,
    /// By what the relay tells copies.
    Copies,
    /// Which cursors there are.
    Cursors,
}

/// A topic that the contract needs.
#[derive(Debug, Clone, Serialize)]
pub struct Topic {
    /// Its name on the cluster.
    pub topic: String,
    /// What it is for.
    pub kind: Kind,
    /// How it would be made.
    pub wanted: Wanted,
    /// How it is; `None` where it does not exist.
    pub found: Option<Found>,
    /// What would be done to it.
    pub step: Step,
    /// Where it is not as it would be made.
    pub differences: Vec<Difference>,
}

/// How a topic would be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// How many partitions.
    pub partitions: u32,
    /// On how many brokers each.
    pub replication: u16,
    /// `cleanup.policy`.
    pub cleanup: &'static str,
    /// `retention.ms`; the broker's default where it is `None`.
    pub retention_ms: Option<u64>,
}

/// How a topic is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// How many partitions.
    pub partitions: u32,
    /// On how many brokers its weakest partition rests.
    pub replication: u16,
    /// How many brokers have all of its weakest partition.
    pub in_sync: u16,
    /// How many partitions have no leader now.
    pub without_leader: u32,
    /// What is configured, as far as it may be seen.
    pub configuration: Option<BTreeMap<&'static str, String>>,
}

/// What would be done to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Step {
    /// Nothing.
    Keep,
    /// It is made.
    Create,
    /// It gets more partitions, which breaks the order of each key once.
    AddPartitions {
        /// How many it has.
        from: u32,
        /// How many it gets.
        to: u32,
    },
}

/// Where a topic is not as it would be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs.
    pub what: &'static str,
    /// How it is.
    pub found: String,
    /// How it would be made.
    pub wanted: String,
    /// Whether the log works with it.
    pub verdict: Verdict,
    /// What to do.
    pub remedy: String,
}

const CLEANUP: &str = "cleanup.policy";
const RETENTION: &str = "retention.ms";
const LARGEST: &str = "max.message.bytes";
const TIMES: &str = "message.timestamp.type";
const IN_SYNC: &str = "min.insync.replicas";
const CONFIGURED: [&str; 5] = [CLEANUP, RETENTION, LARGEST, TIMES, IN_SYNC];

/// Said wherever partitions may be added.
pub const MORE_PARTITIONS: &str = "more partitions break the order once: keys move, and what comes then may overtake what is still in the old partition";

impl Cluster {
    /// The topics that are expected, with what the log keeps beside them.
    pub async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        let wanted = wanted(&self.clients);
        let reader = Arc::clone(&self.reader);
        let names: Vec<String> = wanted.iter().map(|(name, ..)| name.clone()).collect();
        let mut found = blocking(move || {
            let metadata = reader.fetch_metadata(None, PATIENCE).map_err(unavailable)?;
            let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
            let topics = topics.filter(|topic| names.iter().any(|name| name == topic.name()));
            Ok(topics.map(|topic| (topic.name().to_owned(), shape(topic))).collect::<BTreeMap<_, _>>())
        })
        .await?;
        self.configure(&mut found).await?;
        Ok(wanted
            .into_iter()
            .map(|(name, kind, wanted)| judge(name.clone(), kind, wanted, found.remove(&name)))
            .collect())
    }

    /// Looks up what is configured, as far as it may be seen.
    async fn configure(&self, found: &mut BTreeMap<String, Found>) -> Result<(), LogError> {
        if found.is_empty() {
            return Ok(());
        }
        let admin = self.admin()?;
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let names: Vec<String> = found.keys().cloned().collect();
        let specifiers: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let answers = admin.describe_configs(&specifiers, &options).await.map_err(unavailable)?;
        for ConfigResource { specifier, entries } in answers.into_iter().flatten() {
            let OwnedResourceSpecifier::Topic(name) = specifier else { continue };
            let Some(topic) = found.get_mut(&name) else { continue };
            let value = |wanted: &'static str| {
                let entry = entries.iter().find(|entry| entry.name == wanted)?;
                Some((wanted, entry.value.clone()?))
            };
            topic.configuration = Some(CONFIGURED.into_iter().filter_map(value).collect());
        }
        Ok(())
    }

    /// Takes the step of a topic.
    pub async fn take_step(&self, topic: &Topic) -> Result<(), LogError> {
        let failed = |reason: String| LogError::Unavailable(format!("topic {}: {reason}", topic.topic));
        match topic.step {
            Step::Keep => Ok(()),
            Step::Create => {
                let Wanted { partitions, cleanup, retention_ms, .. } = topic.wanted;
                let retention = retention_ms.map(std::time::Duration::from_millis);
                create(&self.clients, &topic.topic, partitions, retention, cleanup).await.map_err(failed)
            }
            Step::AddPartitions { to, .. } => {
                let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
                let count = usize::try_from(to).unwrap_or(usize::MAX);
                let wanted = NewPartitions::new(&topic.topic, count);
                let answer = self.admin()?.create_partitions([&wanted], &options).await.map_err(unavailable)?;
                match answer.into_iter().next() {
                    Some(Err((_, code))) => Err(failed(code.to_string())),
                    Some(Ok(_)) | None => Ok(()),
                }
            }
        }
    }
}

/// Every topic that there is to be, as it would be made.
fn wanted(clients: &Clients) -> Vec<(String, Kind, Wanted)> {
    let settings = clients.settings();
    let set = &settings.topics;
    let like = |partitions, cleanup, retention: Option<std::time::Duration>| Wanted {
        partitions,
        replication: set.replication,
        cleanup,
        retention_ms: retention.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    };
    let mut all: Vec<_> = set
        .expected
        .iter()
        .map(|topic| (clients.names.topic(topic), Kind::Records, like(set.partitions, "delete", set.retention(topic))))
        .collect();
    if let Some(Deduplication { cursor, window }) = &settings.deduplication
        && let Some(topic) = Names::dedup(cursor)
    {
        all.push((clients.names.topic(&topic), Kind::Copies, like(set.partitions, "compact,delete", Some(*window))));
    }
    all.push((clients.names.cursors(), Kind::Cursors, like(1, "compact", None)));
    all
}

fn shape(topic: &rdkafka::metadata::MetadataTopic) -> Found {
    let partitions = topic.partitions();
    let least = |count: fn(&rdkafka::metadata::MetadataPartition) -> usize| {
        u16::try_from(partitions.iter().map(count).min().unwrap_or(0)).unwrap_or(u16::MAX)
    };
    Found {
        partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
        replication: least(|partition| partition.replicas().len()),
        in_sync: least(|partition| partition.isr().len()),
        without_leader: u32::try_from(partitions.iter().filter(|partition| partition.leader() < 0).count())
            .unwrap_or(u32::MAX),
        configuration: None,
    }
}

/// Compares a topic with how it would be made.
fn judge(topic: String, kind: Kind, wanted: Wanted, found: Option<Found>) -> Topic {
    let Some(found) = found else {
        return Topic { topic, kind, wanted, found: None, step: Step::Create, differences: Vec::new() };
    };
    let pair = Pair { topic: &topic, kind, wanted: &wanted, found: &found };
    let (partitions, step) = match pair.partitions() {
        Some((difference, step)) => (Some(difference), step),
        None => (None, Step::Keep),
    };
    let rest = [
        pair.replication(),
        pair.leaders(),
        pair.in_sync(),
        pair.cleanup(),
        pair.retention(),
        pair.largest(),
        pair.times(),
    ];
    let differences = partitions.into_iter().chain(rest.into_iter().flatten()).collect();
    Topic { topic, kind, wanted, found: Some(found), step, differences }
}

/// A topic as it is, beside what it would be made like. Each of its questions is answered with what differs.
struct Pair<'a> {
    topic: &'a str,
    kind: Kind,
    wanted: &'a Wanted,
    found: &'a Found,
}

impl Pair<'_> {
    fn partitions(&self) -> Option<(Difference, Step)> {
        let (found, wanted) = (self.found.partitions, self.wanted.partitions);
        // The number of partitions of what tells copies says where each key is written: it is never changed.
        let is_short = found < wanted && self.kind == Kind::Records;
        let remedy = format!(
            "set topic_partitions = {found}; or stop ingesting, let everything be delivered, and run `hook infra broker topics \
             --add-partitions --apply` (keys move, which breaks their order once)"
        );
        let difference = || differs("partitions", &found, &wanted, Verdict::Failed, remedy);
        is_short.then(|| (difference(), Step::AddPartitions { from: found, to: wanted }))
    }

    fn replication(&self) -> Option<Difference> {
        let (found, wanted) = (self.found.replication, self.wanted.replication);
        // The log opens with the others: only topics of the contract are looked at when it does.
        let verdict = if self.kind == Kind::Records { Verdict::Failed } else { Verdict::Warning };
        let remedy = format!(
            "set topic_replication_factor = {found}, or move its partitions to more brokers with kafka-reassign-partitions.sh"
        );
        (found < wanted).then(|| differs("replication", &found, &wanted, verdict, remedy))
    }

    fn leaders(&self) -> Option<Difference> {
        let found = self.found.without_leader;
        let remedy = "start the brokers that keep them".to_owned();
        (found > 0)
            .then(|| differs("leader", &format!("{found} partitions have none"), &"one each", Verdict::Failed, remedy))
    }

    fn in_sync(&self) -> Option<Difference> {
        let (found, least) = (self.found.in_sync, self.number(IN_SYNC)?);
        let remedy = format!("start the brokers that are missing; nothing is taken until {least} have everything");
        let wanted = format!("{IN_SYNC} = {least}");
        (i64::from(found) < least)
            .then(|| differs("in sync", &format!("{found} in sync"), &wanted, Verdict::Failed, remedy))
    }

    fn cleanup(&self) -> Option<Difference> {
        let (policy, wanted) = (self.configured(CLEANUP)?, self.wanted.cleanup);
        if is_same_list(policy, wanted) || self.kind == Kind::Cursors {
            return None;
        }
        // Compaction keeps only the last event of each key.
        let verdict = match self.kind == Kind::Records && policy.contains("compact") {
            true => Verdict::Failed,
            false => Verdict::Warning,
        };
        Some(differs(CLEANUP, &policy, &wanted, verdict, self.alter(CLEANUP, wanted)))
    }

    fn retention(&self) -> Option<Difference> {
        let (found, wanted) = (self.number(RETENTION)?, self.wanted.retention_ms?);
        let remedy = self.alter(RETENTION, &wanted.to_string());
        (u64::try_from(found).ok() != Some(wanted))
            .then(|| differs(RETENTION, &found, &wanted, Verdict::Warning, remedy))
    }

    fn largest(&self) -> Option<Difference> {
        let (found, wanted) = (self.number(LARGEST)?, i64::try_from(MOST_RECORD).unwrap_or(i64::MAX));
        let remedy = self.alter(LARGEST, &wanted.to_string());
        let is_small = found < wanted && self.kind == Kind::Records;
        is_small.then(|| differs(LARGEST, &found, &format!("at least {wanted}"), Verdict::Warning, remedy))
    }

    fn times(&self) -> Option<Difference> {
        let (found, wanted) = (self.configured(TIMES)?, "CreateTime");
        let is_other = found != wanted && self.kind == Kind::Records;
        is_other.then(|| differs(TIMES, &found, &wanted, Verdict::Warning, self.alter(TIMES, wanted)))
    }

    /// What is configured, where that may be seen.
    fn configured(&self, key: &str) -> Option<&str> {
        self.found.configuration.as_ref()?.get(key).map(String::as_str)
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.configured(key)?.parse().ok()
    }

    /// The command that configures it.
    fn alter(&self, key: &str, value: &str) -> String {
        let value = if value.contains(',') { format!("[{value}]") } else { value.to_owned() };
        let topic = self.topic;
        format!("kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {key}={value}")
    }
}

fn differs(
    what: &'static str,
    found: &impl ToString,
    wanted: &impl ToString,
    verdict: Verdict,
    remedy: String,
) -> Difference {
    Difference { what, found: found.to_string(), wanted: wanted.to_string(), verdict, remedy }
}

fn is_same_list(first: &str, second: &str) -> bool {
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        parts.sort();
        parts
    };
    sorted(first) == sorted(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted { partitions: 3, replication: 2, cleanup: "delete", retention_ms: Some(1000) }
    }

    fn found(configuration: &[(&'static str, &str)]) -> Found {
        let configuration = configuration.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        Found { partitions: 3, replication: 2, in_sync: 2, without_leader: 0, configuration: Some(configuration) }
    }

    #[track_caller]
    fn check(kind: Kind, found: Found, expected: &[(&str, Verdict)]) -> Step {
        let topic = judge("t".into(), kind, wanted(), Some(found));
        let differences: Vec<_> = topic.differences.iter().map(|found| (found.what, found.verdict)).collect();
        assert_eq!(differences, expected, "{:?}", topic.differences);
        assert!(topic.differences.iter().all(|difference| !difference.remedy.is_empty()));
        topic.step
    }

    #[test]
    fn a_topic_that_is_not_there_is_made() {
        assert_eq!(judge("t".into(), Kind::Records, wanted(), None).step, Step::Create);
    }

    #[test]
    fn a_topic_that_is_as_it_would_be_made_is_kept() {
        let as_made =
            [(CLEANUP, "delete"), (RETENTION, "1000"), (LARGEST, "2097152"), (TIMES, "CreateTime"), (IN_SYNC, "2")];
        assert_eq!(check(Kind::Records, found(&as_made), &[]), Step::Keep);
        let hidden = Found { configuration: None, ..found(&[]) };
        assert_eq!(check(Kind::Records, hidden, &[]), Step::Keep);
        let more = Found { partitions: 12, replication: 3, in_sync: 3, ..found(&[]) };
        assert_eq!(check(Kind::Records, more, &[]), Step::Keep);
    }

    #[test]
    fn what_differs_is_said_with_what_to_do() {
        let few = Found { partitions: 1, ..found(&[]) };
        let step = check(Kind::Records, few.clone(), &[("partitions", Verdict::Failed)]);
        assert_eq!(step, Step::AddPartitions { from: 1, to: 3 });
        assert_eq!(check(Kind::Copies, few, &[]), Step::Keep, "keys are where they were written");
        check(Kind::Records, Found { replication: 1, ..found(&[]) }, &[("replication", Verdict::Failed)]);
        check(Kind::Records, Found { without_leader: 1, ..found(&[]) }, &[("leader", Verdict::Failed)]);
        check(Kind::Records, Found { in_sync: 1, ..found(&[(IN_SYNC, "2")]) }, &[("in sync", Verdict::Failed)]);
        check(Kind::Records, found(&[(CLEANUP, "compact")]), &[(CLEANUP, Verdict::Failed)]);
        check(Kind::Copies, found(&[(CLEANUP, "compact")]), &[(CLEANUP, Verdict::Warning)]);
        check(Kind::Records, found(&[(RETENTION, "-1")]), &[(RETENTION, Verdict::Warning)]);
        check(Kind::Records, found(&[(LARGEST, "1048588")]), &[(LARGEST, Verdict::Warning)]);
        check(Kind::Records, found(&[(TIMES, "LogAppendTime")]), &[(TIMES, Verdict::Warning)]);
    }

    #[test]
    fn a_list_is_the_same_in_any_order() {
        assert!(is_same_list("compact,delete", "delete, compact"));
        assert!(!is_same_list("compact", "compact,delete"));
    }
}
