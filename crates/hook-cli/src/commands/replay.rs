//! `hook replay`: stored events to their destinations again, and jobs that do that.

use std::path::PathBuf;

use hook_core::{
    event::EventId,
    job::{JobEnd, JobKind, Selection, Target},
};
use hook_runtime::travel::JobState;
use serde_json::json;
use uuid::Uuid;

use crate::{
    context::Context,
    data_directory::Flag,
    event_id,
    exit::Exit,
    owner::{block_on, fail},
    since::Since,
    travel::{
        self, Asked,
        desk::Desk,
        flags::{self, How, Pace, Which},
    },
};

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod webhook;

/// Deliver stored events to their destinations again
///
/// By id, or by what they have in common. An event keeps its id and gains `meta.replay`; it passes neither ingress nor
/// deduplication. What goes out is counted first; more than one event is asked about, or needs --yes. A replay that was
/// interrupted goes on with `hook replay resume`.
#[derive(Debug, clap::Args)]
#[command(subcommand_negates_reqs = true)]
pub struct Arguments {
    /// Where the log is kept
    ///
    /// Without it: HOOK_DATA_DIR, systemd's STATE_DIRECTORY, or hook/APP_ID below XDG_STATE_HOME (~/.local/state).
    // Not that of every command, which would be one of `hook replay kafka` too.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The events' ids
    #[arg(value_name = "ID", value_parser = event_id::parse)]
    ids: Vec<EventId>,
    /// Only received since then: a time (RFC 3339), or a duration back from now, such as `1h`
    #[arg(long, value_name = "TIME", help_heading = "Which events")]
    since: Option<Since>,
    /// Only received before then
    #[arg(long, value_name = "TIME", help_heading = "Which events")]
    until: Option<Since>,
    /// Only stored in topics that match this pattern [default: those that the destinations read]
    #[arg(long, value_name = "PATTERN", help_heading = "Which events")]
    topic: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
    #[command(subcommand)]
    other: Option<Other>,
}

/// What else can be replayed, and the jobs.
#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Go on with a replay or a redrive that was interrupted
    Resume {
        /// Where the log is kept
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// The job, as `hook replay list` shows it
        #[arg(value_name = "JOB")]
        id: Uuid,
        #[command(flatten)]
        pace: Pace,
    },
    /// List replays and redrives: who, what, when, and how they ended
    List {
        /// Where the log is kept
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    Webhook(webhook::Arguments),
    #[cfg(feature = "kafka")]
    Kafka(kafka::Arguments),
}

/// Does it.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let flag = |own: &Option<PathBuf>| Flag { data_dir: own.clone().or_else(|| arguments.data_dir.clone()) };
    match &arguments.other {
        #[cfg(feature = "kafka")]
        Some(Other::Kafka(arguments)) => kafka::run(context, arguments),
        Some(Other::Webhook(arguments)) => webhook::run(context, arguments),
        Some(Other::Resume { data_dir, id, pace }) => {
            block_on(context, travel::resume(context, &flag(data_dir), *id, pace.speed()))
        }
        Some(Other::List { data_dir }) => list(context, &flag(data_dir)),
        None => block_on(context, replay(context, arguments)),
    }
}

async fn replay(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let Arguments { data_dir, ids, since, until, topic, which, how, .. } = arguments;
    let selection = Selection {
        ids: ids.clone(),
        since: since.map(|since| since.0),
        until: until.map(|until| until.0),
        topic: topic.clone(),
        ..which.selection()
    };
    if selection == Selection::default() && !which.all {
        return Err(fail(
            context,
            "say which events: their ids, or --since, --source, --type, --topic, --where; or --all",
        ));
    }
    let command = command(arguments);
    let asked = Asked { kind: JobKind::Replay, selection, how, command };
    let done = travel::carry_out(context, &Flag { data_dir: data_dir.clone() }, asked).await?;
    let Some((count, done)) = done else { return Ok(()) };
    let ([id], Target::Same | Target::Destination(_)) = (&ids[..], &done.target) else {
        return travel::say_done(context, &done);
    };
    let destinations: Vec<_> = count.groups.iter().map(|group| group.destination.as_str()).collect();
    if context.output.is_json() {
        let (replay_id, topics) = (done.job, &count.topics);
        let answer = json!({ "event_id": id, "replay_id": replay_id, "topics": topics, "destinations": destinations });
        return context.output.json(&answer);
    }
    let topics: Vec<_> = count.topics.iter().map(ToString::to_string).collect();
    let (destinations, topics) = (destinations.join(", "), topics.join(", "));
    context.output.line(&format!("event {id} goes again to {destinations} (through {topics})"))
}

fn command(arguments: &Arguments) -> String {
    let Arguments { ids, since, until, topic, which, how, .. } = arguments;
    let time = |time: &Option<Since>| time.iter().map(|time| format!("{:.3}", time.0)).collect();
    flags::command(
        if which.all { "hook replay --all" } else { "hook replay" },
        &[
            ("", ids.iter().map(ToString::to_string).collect()),
            ("--since", time(since)),
            ("--until", time(until)),
            ("--topic", topic.iter().cloned().collect()),
            ("--source", which.sources.clone()),
            ("--type", which.event_types.clone()),
            ("--where", which.condition.iter().cloned().collect()),
            ("--to", how.to.iter().cloned().collect()),
            ("--to-url", how.shown_url().into_iter().collect()),
        ],
    )
}

fn list(context: &Context, flag: &Flag) -> Result<(), Exit> {
    let jobs = block_on(context, async {
        let desk = Desk::look(context, flag).await?;
        desk.jobs(context).await
    })?;
    if context.output.is_json() {
        return jobs.iter().try_for_each(|job| context.output.json(&travel::shown(job)));
    }
    if jobs.is_empty() {
        return context.output.line("no jobs: nothing was replayed or redriven");
    }
    let rows: Vec<_> = jobs.iter().map(row).collect();
    context.output.titled_table(["asked", "job", "by", "state", "sent", "command"], &rows)
}

fn row(state: &JobState) -> [String; 6] {
    let job = &state.job;
    let tally = state.reached.tally;
    let refused = if tally.refused > 0 { format!(", {} refused", tally.refused) } else { String::new() };
    let sent = format!("{} of {}{refused}", tally.sent + tally.known, job.counted);
    let how = match (&state.end, state.is_running) {
        (_, true) => "running",
        (Some(JobEnd::Finished), _) => "finished",
        (Some(JobEnd::Stopped { .. }), _) => "stopped",
        (None, _) => "interrupted",
    };
    [format!("{:.3}", job.at), job.id.to_string(), job.by.clone(), how.to_owned(), sent, job.command.clone()]
}
