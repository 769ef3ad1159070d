//! What a job would do, without doing it.

use std::collections::{BTreeSet, HashMap};

use hook_core::{
    envelope::UNROUTED,
    job::{JobEnd, JobKind, Selection, Tally, Target},
    names::TopicName,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Ground, TravelError,
    address::Addressing,
    jobs::{self, JobState},
    reader::{Chosen, Reader, Reading},
    redriven::{Redriven, Replayed},
};

/// So many kinds of events are told apart; the rest is counted as one.
const MOST_GROUPS: usize = 1000;

/// What a job would do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Count {
    /// Events that it would send.
    pub events: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
    /// The same by kind, the most first. An event with several destinations counts for each.
    pub groups: Vec<Group>,
    /// Deliveries of kinds that are not among the groups, because there are too many kinds.
    #[serde(default)]
    pub in_other_groups: u64,
    /// The topics that they would be stored in.
    pub topics: BTreeSet<TopicName>,
    /// What would be passed over.
    pub passed_over: Tally,
    /// Where they would go, a destination by its whole name.
    pub target: Target,
    /// The destinations that the contract has.
    #[serde(default)]
    pub reaches: Vec<String>,
    /// Events among them that a replay has sent to the same place before. They go once more.
    #[serde(default)]
    pub replayed_before: u64,
    /// The last job that asked for the same, where it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Uuid>,
}

/// Events of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Their source.
    pub source: String,
    /// Their type.
    pub event_type: String,
    /// Where they would go.
    pub destination: String,
    /// How many.
    pub events: u64,
}

/// Counts, in memory that does not grow with what is counted.
pub async fn count(
    ground: &Ground,
    kind: JobKind,
    selection: &Selection,
    target: &Target,
) -> Result<Count, TravelError> {
    let Ground { plan, log, clock } = ground;
    let addressing = Addressing::new(plan, &log.state(), target)?;
    let jobs = jobs::list(log, &plan.journal).await?;
    let mut counter = Counter::default();
    counter.count.target = addressing.target().clone();
    counter.count.reaches = addressing.reaches();
    let wanted = (kind, without_times(selection), addressing.target());
    let same = |state: &&JobState| (state.job.kind, without_times(&state.job.selection), &state.job.target) == wanted;
    let last = jobs.iter().rev().find(same).filter(|state| state.end != Some(JobEnd::Finished));
    counter.count.unfinished = last.map(|state| state.job.id);
    let reading = Reading { kind, selection, at: clock.now(), id: Uuid::nil(), next: &[] };
    let redriven = (kind == JobKind::Redrive).then(|| Redriven::of(&jobs, None));
    let replayed = (kind == JobKind::Replay).then(|| Replayed::of(&jobs, &counter.count.target));
    let mut reader = Reader::begin(log, reading, addressing, redriven).await?;
    while let Some(chosen) = reader.next().await? {
        for chosen in &chosen {
            counter.take(chosen);
            let was_replayed = replayed.as_ref().is_some_and(|replayed| replayed.has(&chosen.event, &chosen.position));
            counter.count.replayed_before += u64::from(was_replayed);
        }
        counter.count.passed_over.add(reader.take_tally());
    }
    let mut count = counter.into_count();
    if count.passed_over.without_destination > 0 {
        // They are to be taken when there is a route for them.
        count.reaches.retain(|name| name != UNROUTED);
    }
    Ok(count)
}

/// `--since 1h` is another time whenever it is typed.
fn without_times(selection: &Selection) -> (Selection, bool, bool) {
    let Selection { since, until, .. } = *selection;
    (Selection { since: None, until: None, ..selection.clone() }, since.is_some(), until.is_some())
}

#[derive(Default)]
struct Counter {
    count: Count,
    groups: HashMap<[String; 3], u64>,
}

impl Counter {
    fn take(&mut self, chosen: &Chosen) {
        let Chosen { event, addressed, .. } = chosen;
        self.count.events += 1;
        self.count.bytes += event.payload.bytes().len() as u64;
        if !self.count.topics.contains(&addressed.topic) {
            self.count.topics.insert(addressed.topic.clone());
        }
        for destination in &addressed.destinations {
            let kind = [event.header.source.to_string(), event.header.event_type.to_string(), destination.clone()];
            let has_room = self.groups.len() < MOST_GROUPS;
            match self.groups.get_mut(&kind) {
                Some(events) => *events += 1,
                None if has_room => drop(self.groups.insert(kind, 1)),
                None => self.count.in_other_groups += 1,
            }
        }
    }

    fn into_count(self) -> Count {
        let Self { mut count, groups } = self;
        let group = |([source, event_type, destination], events): ([String; 3], u64)| Group {
            source,
            event_type,
            destination,
            events,
        };
        count.groups = groups.into_iter().map(group).collect();
        count.groups.sort_by(|a, b| {
            let name = |group: &Group| (group.source.clone(), group.event_type.clone(), group.destination.clone());
            b.events.cmp(&a.events).then_with(|| name(a).cmp(&name(b)))
        });
        count
    }
}
