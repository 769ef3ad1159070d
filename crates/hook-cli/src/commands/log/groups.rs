//! `hook log groups`: who reads with which cursor.

use std::collections::{BTreeMap, BTreeSet};

use hook_core::{
    names::CursorName,
    ports::log::{Cursor, PartitionState},
};
use hook_runtime::{cursors as runtime, lag};
use serde::{Deserialize, Serialize};

use crate::{
    commands::cursors,
    context::Context,
    data_directory::Flag,
    exit::Exit,
    kafka,
    owner::{self, failed},
};

/// Show who reads with each cursor, which partitions, and how far it is behind
///
/// On Kafka a cursor is a consumer group, and the brokers say who its members are, on whatever machine. On the embedded log
/// one process reads with all of them, or none. Works with and without a pipeline that runs.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Of other contracts too, as far as they share the namespace
    #[arg(long)]
    all: bool,
}

/// A cursor and its readers.
#[derive(Debug, Serialize)]
pub struct Group {
    /// What it is called on the cluster; on the embedded log the cursor's own name.
    pub group: String,
    /// The cursor.
    pub cursor: CursorName,
    /// `stable`, `empty`, or that it changes: `preparing_rebalance`, `completing_rebalance`.
    pub state: String,
    /// Who reads.
    pub members: Vec<Member>,
}

/// A process that reads.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    /// What it calls itself.
    pub instance: String,
    /// Where it is.
    pub host: String,
    /// What is its part.
    pub partitions: Vec<Assigned>,
}

/// A partition that a member reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assigned {
    /// The topic.
    pub topic: String,
    /// Its number.
    pub partition: u32,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    group: &'a Group,
    /// How many records it has not done; `null` where it is not one of this contract's.
    behind: Option<u64>,
    /// Partitions that it is to read, and that no member has.
    unread: Vec<Assigned>,
}

/// What a running pipeline says of itself.
#[derive(Deserialize)]
struct Running {
    roles: Vec<String>,
    instance: Option<String>,
}

/// Looks and says.
pub async fn run(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    let (state, plan) = cursors::look(context, flag).await?;
    let behind: BTreeMap<CursorName, u64> =
        lag::of(&plan, &state).into_iter().map(|lag| (lag.cursor, lag.behind)).collect();
    let located = owner::locate(context, flag)?;
    let mut groups = match kafka::of(&plan) {
        Some(settings) => {
            let groups = kafka::groups((settings, &plan), &located.secrets).await;
            groups.map_err(|problem| context.refuse(&[*problem], None))?
        }
        None => {
            let running = match located.client.is_running().await {
                true => Some(located.client.get_json("/status").await.map_err(|error| failed(context, &error))?),
                false => None,
            };
            embedded(&plan, &state, running.as_ref())
        }
    };
    let active = runtime::active(&plan);
    let is_ours = |cursor: &CursorName| active.contains(cursor) || cursor.belongs_to(&plan.app.id);
    let is_cursor = |cursor: &CursorName| state.cursors.iter().any(|known| known.name == *cursor);
    groups.retain(|group| is_cursor(&group.cursor) && (arguments.all || is_ours(&group.cursor)));
    let listed: Vec<_> = groups
        .iter()
        .map(|group| Listed {
            group,
            behind: behind.get(&group.cursor).copied(),
            unread: unread(group, lag::reader(&plan, group.cursor.clone()), &state.partitions),
        })
        .collect();
    if context.output.is_json() {
        return listed.iter().try_for_each(|listed| context.output.json(listed));
    }
    if listed.is_empty() {
        return context.output.line("no groups");
    }
    let rows: Vec<_> = listed.iter().flat_map(rows).collect();
    context.output.titled_table(["group", "state", "behind", "member", "host", "partitions"], &rows)?;
    if listed.iter().any(|listed| !listed.unread.is_empty()) {
        context.output.note(UNREAD);
    }
    Ok(())
}

/// Whoever comes back under an instance id within a session gets what it had, and nobody looks for more.
const UNREAD: &str = "warning: nobody reads some partitions; where that stays so, end every process of the group, and start them \
                      again after more than 10 s";

/// What a group with readers is to read, and nobody does.
fn unread(group: &Group, reads: Option<Cursor>, partitions: &[PartitionState]) -> Vec<Assigned> {
    let Some(reads) = reads.filter(|_| group.state == "stable") else { return Vec::new() };
    let read: BTreeSet<(&str, u32)> = group
        .members
        .iter()
        .flat_map(|member| &member.partitions)
        .map(|assigned| (assigned.topic.as_str(), assigned.partition))
        .collect();
    let wanted = partitions.iter().filter(|place| reads.topics.matches(&place.topic));
    wanted
        .filter(|place| !read.contains(&(place.topic.as_str(), place.partition)))
        .map(|place| Assigned { topic: place.topic.to_string(), partition: place.partition })
        .collect()
}

/// One row a member; one without any where nobody reads.
fn rows(listed: &Listed<'_>) -> Vec<[String; 6]> {
    let Listed { group, behind, unread } = listed;
    let behind = behind.map_or_else(|| "-".to_owned(), |behind| behind.to_string());
    let row = |member: String, host: String, partitions: String| {
        [group.group.clone(), group.state.clone(), behind.clone(), member, host, partitions]
    };
    if group.members.is_empty() {
        return vec![row("-".into(), String::new(), String::new())];
    }
    let members = group.members.iter();
    let members = members.map(|member| row(member.instance.clone(), member.host.clone(), shown(&member.partitions)));
    let nobody = (!unread.is_empty()).then(|| row("NOBODY".into(), String::new(), shown(unread)));
    members.chain(nobody).collect()
}

/// `webhooks.core/0,1,2 webhooks.github/0`.
fn shown(partitions: &[Assigned]) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Assigned { topic, partition } in partitions {
        topics.entry(topic).or_default().push(partition.to_string());
    }
    let topics: Vec<_> = topics.iter().map(|(topic, numbers)| format!("{topic}/{}", numbers.join(","))).collect();
    if topics.is_empty() { "none".to_owned() } else { topics.join(" ") }
}

/// The embedded log has one process: it reads with the cursors of its roles.
fn embedded(
    plan: &hook_contract::plan::Plan,
    state: &hook_core::ports::log::LogState,
    running: Option<&Running>,
) -> Vec<Group> {
    let readers = lag::readers(plan);
    let group = |cursor: &hook_core::ports::log::CursorState| {
        let reads = readers.iter().find(|reads| reads.name == cursor.name);
        let role = if cursor.name == plan.relay_cursor() { "relay" } else { "smash" };
        let process = running.filter(|running| reads.is_some() && running.roles.iter().any(|runs| runs == role));
        let member = |process: &Running| Member {
            instance: process.instance.clone().unwrap_or_else(|| "-".to_owned()),
            host: "this machine".to_owned(),
            partitions: state
                .partitions
                .iter()
                .filter(|place| reads.is_some_and(|reads| reads.topics.matches(&place.topic)))
                .map(|place| Assigned { topic: place.topic.to_string(), partition: place.partition })
                .collect(),
        };
        let members: Vec<Member> = process.map(member).into_iter().collect();
        let state = if members.is_empty() { "empty" } else { "stable" };
        Group { group: cursor.name.to_string(), cursor: cursor.name.clone(), state: state.to_owned(), members }
    };
    state.cursors.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_that_no_member_has_are_found() {
        use hook_core::{
            names::TopicName,
            ports::log::{From, TopicFilter},
        };
        let topic = |name: &str| TopicName::new(name).unwrap();
        let place = |name: &str, partition| PartitionState { topic: topic(name), partition, start: 0, end: 0 };
        let places = [place("core", 0), place("core", 1), place("core", 2), place("other", 0)];
        let name = CursorName::new("app.route.out").unwrap();
        let reads = Cursor { name: name.clone(), topics: TopicFilter::only(&topic("core")), from: From::Earliest };
        let assigned = |partition| Assigned { topic: "core".to_owned(), partition };
        let member = Member { instance: "a".into(), host: String::new(), partitions: vec![assigned(0), assigned(2)] };
        let mut group = Group { group: name.to_string(), cursor: name, state: "stable".into(), members: vec![member] };
        assert_eq!(unread(&group, Some(reads.clone()), &places), [assigned(1)]);
        assert_eq!(unread(&group, None, &places), [], "what it reads is not known");
        group.state = "preparing_rebalance".into();
        assert_eq!(unread(&group, Some(reads), &places), [], "they are about to be divided");
    }

    #[test]
    fn partitions_are_shown_by_topic() {
        let assigned = |topic: &str, partition| Assigned { topic: topic.to_owned(), partition };
        assert_eq!(shown(&[]), "none");
        assert_eq!(shown(&[assigned("b", 1), assigned("a", 0), assigned("b", 2)]), "a/0 b/1,2");
    }
}
