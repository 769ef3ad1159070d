//! `hook infra broker topics`: which topics there are to be, and how those are that exist.

use hook_kafka::operate::{
    Cluster,
    topics::{Difference, MORE_PARTITIONS, Step, Topic},
};
use serde::Serialize;

use super::check::show_remedies;
use crate::{context::Context, exit::Exit, owner::fail};

/// Show the topics that the contract needs, and what would be done to make them
///
/// Nothing is done without --apply. With it, topics that are missing are made, as a start with `auto_create_topics` would. What
/// differs in topics that exist is shown with the command that changes it, and never changed, but for the number of
/// partitions with --add-partitions.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Make what is missing
    #[arg(long)]
    apply: bool,

    /// Also give topics that have fewer partitions than `topic_partitions` the rest
    ///
    /// More partitions break the order once: keys move to other partitions, and what comes then may be delivered before what
    /// is still in the old one. Stop ingesting first, and let everything be delivered.
    #[arg(long)]
    add_partitions: bool,
}

/// Who comes back under its instance id within a session gets what it had at first.
const DIVIDED_AGAIN: &str = "processes read the new partitions within a minute, also those that were ended and are started again; \
                             `hook log groups` says whether somebody reads each";

/// A topic, and what was done.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    topic: &'a Topic,
    /// Whether the step was taken now.
    done: bool,
    /// Whether the step breaks the order of each key once.
    breaks_order: bool,
}

/// Looks, says, and does it where it is told to.
pub(super) async fn run(context: &Context, cluster: &Cluster, arguments: &Arguments) -> Result<(), Exit> {
    let topics = cluster.topics().await.map_err(|error| {
        fail(context, &format!("{error}; `hook infra broker check` says why the brokers do not answer"))
    })?;
    let is_due = |topic: &Topic| match topic.step {
        Step::Keep => false,
        Step::Create => true,
        Step::AddPartitions { .. } => arguments.add_partitions,
    };
    let breaks_order = |topic: &Topic| matches!(topic.step, Step::AddPartitions { .. });
    if topics.iter().any(|topic| is_due(topic) && breaks_order(topic)) {
        context.output.note(&format!("warning: {MORE_PARTITIONS}"));
    }
    let mut failed = Vec::new();
    let mut listed = Vec::new();
    for topic in &topics {
        let mut done = false;
        if arguments.apply && is_due(topic) {
            match cluster.take_step(topic).await {
                Ok(()) => done = true,
                Err(error) => failed.push(error.to_string()),
            }
        }
        listed.push(Listed { topic, done, breaks_order: breaks_order(topic) });
    }
    show(context, &listed)?;
    if !failed.is_empty() {
        return Err(fail(context, &failed.join("; ")));
    }
    if listed.iter().any(|listed| listed.done && listed.breaks_order) {
        context.output.note(DIVIDED_AGAIN);
    }
    let left = listed.iter().filter(|listed| !listed.done && is_due(listed.topic)).count();
    if left > 0 && !context.output.is_json() {
        context.output.note(&format!("{left} steps would be taken: --apply takes them"));
    }
    Ok(())
}

fn show(context: &Context, listed: &[Listed<'_>]) -> Result<(), Exit> {
    if context.output.is_json() {
        return listed.iter().try_for_each(|listed| context.output.json(listed));
    }
    let rows: Vec<_> = listed.iter().map(row).collect();
    context.output.titled_table(["topic", "partitions", "copies", "state"], &rows)?;
    let differences: Vec<_> = listed
        .iter()
        .flat_map(|listed| {
            let differences = listed.topic.differences.iter();
            let what = |differs: &Difference| format!("{}: {}, wanted {}", differs.what, differs.found, differs.wanted);
            differences.map(move |differs| [listed.topic.topic.clone(), what(differs)])
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    context.output.heading("what differs")?;
    context.output.table(&differences)?;
    let topics = listed.iter().map(|listed| listed.topic);
    let remedies = topics
        .flat_map(|topic| topic.differences.iter().map(|differs| (topic.topic.as_str(), differs.remedy.as_str())));
    show_remedies(context, remedies)
}

fn row(listed: &Listed<'_>) -> [String; 4] {
    let Listed { topic, done, .. } = listed;
    let wanted = &topic.wanted;
    let (partitions, copies) = match &topic.found {
        Some(found) => (found.partitions, found.replication),
        None => (wanted.partitions, wanted.replication),
    };
    let state = match (topic.step, done) {
        (Step::Keep, _) if topic.differences.is_empty() => "as it is to be".to_owned(),
        (Step::Keep, _) => "differs".to_owned(),
        (Step::Create, true) => "made".to_owned(),
        (Step::Create, false) => "missing: would be made".to_owned(),
        (Step::AddPartitions { to, .. }, true) => format!("has {to} partitions now"),
        (Step::AddPartitions { to, .. }, false) => format!("too few partitions: {to} are set"),
    };
    [topic.topic.clone(), partitions.to_string(), copies.to_string(), state]
}
