//! `hook log`: what the log on disk consists of, whether it is sound, and how it gets out and in.
//!
//! | module | says |
//! |---|---|
//! | [`stat`] | what there is, and how long it is kept |
//! | [`verify`] | whether every byte is right |
//! | [`repair`] | what a damage costs, and how the log opens again |
//! | [`export`], [`import`] | records as JSON lines; `file` holds the first and the last line |
//! | `findings` | a damage as people read it |

pub mod export;
mod file;
mod findings;
pub mod import;
pub mod repair;
pub mod stat;
pub mod verify;

use std::path::PathBuf;

use super::cursors;
use crate::{
    context::Context,
    data_directory::Flag,
    exit::Exit,
    output::Output,
    owner::{self, block_on},
};

/// The log on disk: what is in it, whether it is sound, out of it and into it
///
/// `verify` and `repair` need no log that opens; with --data-dir they need no contract either.
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
    Verify(verify::Arguments),
    Repair(repair::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
}

/// Answers.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let flag = &arguments.data_directory;
    match &arguments.question {
        Question::Stat(_) => block_on(context, stat::run(context, flag)),
        Question::Cursors => block_on(context, cursors::list(context, flag)),
        Question::Verify(_) => verify::run(context, flag),
        Question::Repair(arguments) => repair::run(context, flag, arguments),
        Question::Export(arguments) => block_on(context, export::run(context, flag, arguments)),
        Question::Import(arguments) => block_on(context, import::run(context, flag, arguments)),
    }
}

/// The data directory, which must exist. One that is given needs no contract that says which it is.
fn directory(context: &Context, flag: &Flag) -> Result<PathBuf, Exit> {
    let directory = match &flag.data_dir {
        Some(directory) => directory.clone(),
        None => owner::locate(context, flag)?.directory,
    };
    owner::must_exist(context, &directory)?;
    Ok(directory)
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
