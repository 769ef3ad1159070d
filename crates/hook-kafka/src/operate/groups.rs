//! Who reads with which cursor: the groups of the cluster as their coordinators know them.

use std::sync::Arc;

use hook_core::{names::CursorName, ports::log::LogError};
use rdkafka::{consumer::Consumer, groups::GroupMemberInfo};
use serde::Serialize;

use super::Cluster;
use crate::{cluster::PATIENCE, error::unavailable, log::blocking, names::Names};

/// The group of a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name on the cluster.
    pub group: String,
    /// The cursor.
    pub cursor: CursorName,
    /// What the coordinator says of it: `stable`, `empty`, `preparing_rebalance`, `completing_rebalance` or `dead`.
    pub state: String,
    /// Who reads.
    pub members: Vec<Member>,
}

/// A process that reads with a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// What the process calls itself: its instance id; without one, something different in every process.
    pub instance: String,
    /// Where it is, as the broker sees it.
    pub host: String,
    /// What is its part.
    pub partitions: Vec<Assigned>,
}

/// A partition that a member reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Assigned {
    /// The topic, without the namespace.
    pub topic: String,
    /// Its number.
    pub partition: u32,
}

impl Cluster {
    /// The groups of the namespace.
    pub async fn groups(&self) -> Result<Vec<Group>, LogError> {
        let (reader, names) = (Arc::clone(&self.reader), self.clients.names.clone());
        let ask = move || {
            let found = reader.fetch_group_list(None, PATIENCE).map_err(unavailable)?;
            let groups = found.groups().iter().filter(|group| group.protocol_type() == "consumer" || is_empty(group));
            let group = |group: &rdkafka::groups::GroupInfo| {
                let mut members: Vec<Member> = group.members().iter().map(|found| member(found, &names)).collect();
                members.sort_by(|first, second| first.instance.cmp(&second.instance));
                let state = snake_case(group.state());
                Some(Group { group: group.name().to_owned(), cursor: names.cursor_of(group.name())?, state, members })
            };
            let mut groups: Vec<Group> = groups.filter_map(group).collect();
            groups.sort_by(|first, second| first.group.cmp(&second.group));
            Ok(groups)
        };
        blocking(ask).await
    }
}

/// A group that nobody has ever joined has no protocol: a cursor that was only made.
fn is_empty(group: &rdkafka::groups::GroupInfo) -> bool {
    group.protocol_type().is_empty()
}

fn member(found: &GroupMemberInfo, names: &Names) -> Member {
    let mut partitions = found.assignment().map(|bytes| assignment(bytes, names)).unwrap_or_default();
    partitions.sort();
    let instance = found.client_id().strip_prefix("hook-").unwrap_or(found.client_id());
    Member { instance: instance.to_owned(), host: found.client_host().trim_start_matches('/').to_owned(), partitions }
}

/// Reads what the leader of a group has given to a member; as far as it is written as consumers write it.
fn assignment(bytes: &[u8], names: &Names) -> Vec<Assigned> {
    let mut reader = Bytes(bytes);
    let mut read = || {
        let mut partitions = Vec::new();
        let _version = reader.take::<2>()?;
        for _ in 0..reader.count()? {
            let topic = reader.text()?;
            let topic = names.any_topic_of(&topic).map_or(topic, |topic| topic.to_string());
            for _ in 0..reader.count()? {
                partitions.push(Assigned { topic: topic.clone(), partition: reader.count()? });
            }
        }
        Some(partitions)
    };
    read().unwrap_or_default()
}

/// What is left to be read. Numbers have their big end first.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, left) = self.0.split_first_chunk::<N>()?;
        self.0 = left;
        Some(*taken)
    }

    fn count(&mut self) -> Option<u32> {
        u32::try_from(i32::from_be_bytes(self.take()?)).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(i16::from_be_bytes(self.take()?)).ok()?;
        let (text, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        String::from_utf8(text.to_vec()).ok()
    }
}

/// `PreparingRebalance` as `preparing_rebalance`.
fn snake_case(text: &str) -> String {
    let mut out = String::new();
    for (index, letter) in text.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_as_consumers_write_it() {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        for (topic, partitions) in [("a.webhooks.core", &[0u32, 2][..]), ("other", &[7])] {
            bytes.extend((topic.len() as u16).to_be_bytes());
            bytes.extend(topic.bytes());
            bytes.extend((partitions.len() as u32).to_be_bytes());
            partitions.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        }
        bytes.extend([255; 4]);
        let names = Names::new("a.");
        let read: Vec<_> =
            assignment(&bytes, &names).into_iter().map(|assigned| (assigned.topic, assigned.partition)).collect();
        let expected = [("webhooks.core", 0), ("webhooks.core", 2), ("other", 7)];
        assert_eq!(read, expected.map(|(topic, partition)| (topic.to_owned(), partition)));
        for cut in 0..bytes.len() - 4 {
            assert_eq!(assignment(&bytes[..cut], &names), [], "cut at {cut}");
        }
    }

    #[test]
    fn states_are_written_like_everything_else() {
        assert_eq!(["Stable", "PreparingRebalance", ""].map(snake_case), ["stable", "preparing_rebalance", ""]);
    }
}
