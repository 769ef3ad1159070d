//! `hook dlq redrive`: dead letters to the destinations that did not take them.

use hook_core::{
    event::EventId,
    job::{DeadLetterClass, JobKind, Selection},
};

use crate::{
    context::Context,
    data_directory::Flag,
    event_id,
    exit::Exit,
    owner::{block_on, fail},
    travel::{
        self, Asked,
        flags::{self, Age, How, Which},
    },
};

/// Which dead letters.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The events' ids
    #[arg(value_name = "ID", value_parser = event_id::parse)]
    ids: Vec<EventId>,
    /// Only of this class of error; may be repeated
    ///
    /// One of unreachable, misconfigured, throttled, transient, rejected: what the last attempt met; plugin: a plugin refused the
    /// event; unrouted: no route took it; unknown: written by a release that did not say.
    #[arg(long = "error-class", value_name = "CLASS", help_heading = "Which events")]
    classes: Vec<DeadLetterClass>,
    /// Only with an error that matches this pattern, such as `*503*`
    #[arg(long, value_name = "PATTERN", help_heading = "Which events")]
    error: Option<String>,
    /// Only of destinations (`route/adapter`) that match this pattern
    #[arg(long, value_name = "PATTERN", help_heading = "Which events")]
    destination: Option<String>,
    /// Only failed longer ago than this, such as `2h`
    #[arg(long, value_name = "AGE", help_heading = "Which events")]
    older_than: Option<Age>,
    /// Only failed within this time, such as `1d`
    #[arg(long, value_name = "AGE", help_heading = "Which events")]
    newer_than: Option<Age>,
    /// Also those that were redriven before
    #[arg(long, help_heading = "Which events")]
    again: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
}

/// Does it.
pub(super) fn run(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    block_on(context, redrive(context, flag, arguments))
}

async fn redrive(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    let Arguments { ids, classes, error, destination, older_than, newer_than, again, which, how } = arguments;
    let selection = Selection {
        ids: ids.clone(),
        classes: classes.clone(),
        error: error.clone(),
        destination: destination.clone(),
        since: newer_than.as_ref().map(|age| age.since.0),
        until: older_than.as_ref().map(|age| age.since.0),
        ..which.selection()
    };
    if selection == Selection::default() && !which.all {
        let message = "say which dead letters: events' ids, or --error-class, --error, --destination, --older-than, \
                       --newer-than, --source, --type, --where; or --all";
        return Err(fail(context, message));
    }
    let selection = Selection { again: *again, ..selection };
    let asked = Asked { kind: JobKind::Redrive, selection, how, command: command(arguments) };
    match travel::carry_out(context, flag, asked).await? {
        Some((_, done)) => travel::say_done(context, &done),
        None => Ok(()),
    }
}

fn command(arguments: &Arguments) -> String {
    let Arguments { ids, classes, error, destination, older_than, newer_than, again, which, how } = arguments;
    let age = |age: &Option<Age>| age.iter().map(|age| age.text.clone()).collect();
    let words = [("hook dlq redrive", true), (" --again", *again), (" --all", which.all)];
    let words: String = words.iter().filter(|(_, is_said)| *is_said).map(|(word, _)| *word).collect();
    flags::command(
        &words,
        &[
            ("", ids.iter().map(ToString::to_string).collect()),
            ("--error-class", classes.iter().map(|class| class.as_str().to_owned()).collect()),
            ("--error", error.iter().cloned().collect()),
            ("--destination", destination.iter().cloned().collect()),
            ("--newer-than", age(newer_than)),
            ("--older-than", age(older_than)),
            ("--source", which.sources.clone()),
            ("--type", which.event_types.clone()),
            ("--where", which.condition.iter().cloned().collect()),
            ("--to", how.to.iter().cloned().collect()),
            ("--to-url", how.shown_url().into_iter().collect()),
        ],
    )
}
