//! `hook log`: what the log on disk consists of, whether it is sound, and how it gets out and in.
//!
//! | module | says |
//! |---|---|
//! | [`stat`] | what there is, and how long it is kept |
//! | [`verify`] | whether every byte is right |
//! | [`repair`] | what a damage costs, and how the log opens again |
//! | [`topics`], [`groups`], [`lag`] | what is in each topic, who reads it, and how much of it waits for whom; on either log |
//! | [`export`], [`import`] | records as JSON lines; `file` holds the first and the last line |
//! | [`migrate`] | from the embedded log to Kafka |
//! | `findings` | a damage as people read it |

pub mod export;
mod file;
mod findings;
pub mod groups;
pub mod import;
pub mod lag;
pub mod migrate;
pub mod repair;
pub mod stat;
pub mod topics;
pub mod verify;

use std::path::PathBuf;

use super::cursors;
use crate::{
    context::Context,
    data_directory::Flag,
    exit::Exit,
    kafka,
    output::Output,
    owner::{self, Located, block_on, fail},
};

/// The log: what is in it, how far it has been read, whether it is sound, out of it and into it
///
/// `topics`, `cursors`, `groups` and `lag` answer for either log, the others for the embedded one. `verify` and `repair` need no log that opens; with --data-dir they need no contract either.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: Flag,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    Stat(stat::Arguments),
    /// List every cursor with its place in each topic: the same as `hook cursors list`
    Cursors,
    Topics(topics::Arguments),
    Groups(groups::Arguments),
    Lag(lag::Arguments),
    Verify(verify::Arguments),
    Repair(repair::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Migrate(migrate::Arguments),
}

/// Answers.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let flag = &arguments.data_directory;
    match &arguments.question {
        Question::Stat(_) => block_on(context, stat::run(context, flag)),
        Question::Cursors => block_on(context, cursors::list(context, flag)),
        Question::Topics(_) => block_on(context, topics::run(context, flag)),
        Question::Groups(arguments) => block_on(context, groups::run(context, flag, arguments)),
        Question::Lag(arguments) => block_on(context, lag::run(context, flag, arguments)),
        Question::Verify(_) => verify::run(context, flag),
        Question::Repair(arguments) => repair::run(context, flag, arguments),
        Question::Export(arguments) => block_on(context, export::run(context, flag, arguments)),
        Question::Import(arguments) => block_on(context, import::run(context, flag, arguments)),
        Question::Migrate(arguments) => block_on(context, migrate::run(context, flag, arguments)),
    }
}

/// The data directory, which must exist. One that is given needs no contract that says which it is.
fn directory(context: &Context, flag: &Flag) -> Result<PathBuf, Exit> {
    let directory = match &flag.data_dir {
        Some(directory) => directory.clone(),
        None => embedded(context, owner::locate(context, flag)?)?.directory,
    };
    owner::must_exist(context, &directory)?;
    Ok(directory)
}

/// The log, which must be the embedded one.
fn embedded(context: &Context, located: Located) -> Result<Located, Exit> {
    match kafka::of(&located.plan) {
        None => Ok(located),
        Some(_) => Err(fail(
            context,
            "the log of this contract is on Kafka, which has no files here: `hook log topics`, `cursors`, `groups` and `lag` answer \
             for it; for an embedded log name its --data-dir",
        )),
    }
}

/// Shows on a terminal how far a long read has come.
fn progress(output: Output, what: &'static str) -> impl FnMut(u64, u64) {
    let mut shown = None;
    move |done, total| {
        let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
        if shown != Some(percent) {
            shown = Some(percent);
            output.progress(&format!("{what}: {percent} %"));
        }
    }
}
