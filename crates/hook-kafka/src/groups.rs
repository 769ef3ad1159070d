//! Who reads with which cursor: the groups of the cluster as their coordinators know them.

use std::collections::BTreeSet;

use hook_core::names::CursorName;
use rdkafka::{consumer::Consumer, error::KafkaResult, groups::GroupMemberInfo};
use serde::Serialize;

use crate::{client::Reader, cluster::PATIENCE, names::Names, view::Partition};

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

/// Groups of consumers; one that nobody has ever joined has no protocol: a cursor that was only made.
const PROTOCOLS: [&str; 2] = ["consumer", ""];

/// The groups of the namespace. Blocks.
pub(crate) fn list(reader: &Reader, names: &Names) -> KafkaResult<Vec<Group>> {
    let found = reader.fetch_group_list(None, PATIENCE)?;
    let groups = found.groups().iter().filter(|group| PROTOCOLS.contains(&group.protocol_type()));
    let group = |group: &rdkafka::groups::GroupInfo| {
        let mut members: Vec<Member> = group.members().iter().map(|found| member(found, names)).collect();
        members.sort_by(|first, second| first.instance.cmp(&second.instance));
        let state = snake_case(group.state());
        Some(Group { group: group.name().to_owned(), cursor: names.cursor_of(group.name())?, state, members })
    };
    let mut groups: Vec<Group> = groups.filter_map(group).collect();
    groups.sort_by(|first, second| first.group.cmp(&second.group));
    Ok(groups)
}

impl Group {
    /// Partitions of a topic that is read, and which nobody reads: the topic got them while its readers were away, who have come
    /// back to what they had.
    pub(crate) fn left_out(&self, partitions: &[Partition]) -> BTreeSet<Partition> {
        if self.state != "stable" {
            return BTreeSet::new();
        }
        let read: BTreeSet<_> = self.members.iter().flat_map(|member| &member.partitions).collect();
        // A topic of which nobody reads anything is one that nobody has subscribed to yet.
        let topics: BTreeSet<_> = read.iter().map(|assigned| assigned.topic.as_str()).collect();
        let is_left_out = |(topic, partition): &&Partition| {
            let assigned = Assigned { topic: topic.to_string(), partition: *partition };
            topics.contains(topic.as_str()) && !read.contains(&assigned)
        };
        partitions.iter().filter(is_left_out).cloned().collect()
    }

    /// Who leaves and joins so that these are given to somebody: of those who read the topics, the one with the least to let go of.
    /// Every member comes to the same answer.
    pub(crate) fn who_yields(&self, left_out: &BTreeSet<Partition>) -> Option<&str> {
        let reads = |member: &&Member| {
            let mut topics = member.partitions.iter().map(|assigned| assigned.topic.as_str());
            topics.any(|topic| left_out.iter().any(|(left_out, _)| left_out.as_str() == topic))
        };
        let readers = self.members.iter().filter(reads);
        readers.min_by_key(|member| (member.partitions.len(), &member.instance)).map(|member| member.instance.as_str())
    }
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

    fn group(state: &str, members: &[(&str, &[(&str, u32)])]) -> Group {
        let assigned =
            |(topic, partition): &(&str, u32)| Assigned { topic: (*topic).to_owned(), partition: *partition };
        let member = |(instance, partitions): &(&str, &[(&str, u32)])| Member {
            instance: (*instance).to_owned(),
            host: "127.0.0.1".to_owned(),
            partitions: partitions.iter().map(assigned).collect(),
        };
        let cursor = CursorName::new("app.route.out").unwrap();
        Group {
            group: cursor.to_string(),
            cursor,
            state: state.to_owned(),
            members: members.iter().map(member).collect(),
        }
    }

    fn partitions(of: &[(&str, u32)]) -> Vec<Partition> {
        of.iter().map(|(topic, number)| (hook_core::names::TopicName::new(*topic).unwrap(), *number)).collect()
    }

    #[test]
    fn a_partition_that_nobody_reads_is_found() {
        let there = partitions(&[("busy", 0), ("busy", 1), ("busy", 2), ("new", 0)]);
        let members: &[(&str, &[(&str, u32)])] = &[("one", &[("busy", 0)]), ("two", &[("busy", 1)])];
        let left_out = group("stable", members).left_out(&there);
        assert_eq!(Vec::from_iter(left_out), partitions(&[("busy", 2)]), "nobody has subscribed to the new topic yet");
        assert!(group("stable", members).left_out(&there[..2]).is_empty());
        assert!(group("preparing_rebalance", members).left_out(&there).is_empty(), "they are being divided");
        assert!(group("empty", &[]).left_out(&there).is_empty());
    }

    #[test]
    fn who_yields_reads_the_topic_and_has_the_least() {
        let left_out = partitions(&[("busy", 9)]).into_iter().collect();
        let members: &[(&str, &[(&str, u32)])] = &[
            ("four", &[("other", 0)]),
            ("one", &[("busy", 0), ("busy", 1)]),
            ("three", &[("busy", 2)]),
            ("two", &[("busy", 3)]),
            ("zero", &[]),
        ];
        assert_eq!(group("stable", members).who_yields(&left_out), Some("three"));
        assert_eq!(group("empty", &[]).who_yields(&left_out), None);
    }

    #[test]
    fn states_are_written_like_everything_else() {
        assert_eq!(["Stable", "PreparingRebalance", ""].map(snake_case), ["stable", "preparing_rebalance", ""]);
    }
}
