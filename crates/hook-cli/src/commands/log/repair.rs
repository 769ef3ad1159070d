//! `hook log repair`: makes a damaged log open again, with everything that can still be read.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use hook_log::check::Repair;
use serde::Serialize;

use super::{directory, findings, findings::count, progress, verify::Answer};
use crate::{context::Context, data_directory::Flag, exit::Exit, owner::fail, pipeline};

/// Make a damaged log open again, with everything that can still be read
///
/// Says first what is lost. A damaged segment is written anew, and the original is kept beside it as `.damaged`. Offsets of
/// lost records are never given again, and no cursor moves past a record that is there. Needs a log that no pipeline
/// runs on. Exit code 0: no damage, or none any more; 3: still damaged.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Only say what is lost
    #[arg(long)]
    dry_run: bool,
}

/// What was done, for programs.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    answer: Answer<'a>,
    /// The segments that were written anew.
    written: &'a [PathBuf],
    /// The damaged originals.
    kept: &'a [PathBuf],
}

/// Looks, says, asks and repairs.
pub fn run(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    let directory = directory(context, flag)?;
    let refuse = |error| context.refuse(&[*pipeline::not_opened(&directory, &error)], None);
    let prepared = Repair::prepare(&directory, &mut progress(context.output.clone(), "reading"));
    context.output.progress("");
    let repair = prepared.map_err(refuse)?;
    let found = repair.report().clone();
    if !found.is_damaged() {
        return say(context, &found, &[], &[]);
    }
    if !context.output.is_json() {
        findings::show(context, &found)?;
    }
    if !may_go_on(context, arguments, &directory)? {
        if context.output.is_json() {
            say(context, &found, &[], &[])?;
        }
        return Err(Exit::Damaged);
    }
    let repaired = repair.apply(&mut progress(context.output.clone(), "reading again"));
    context.output.progress("");
    let repaired = repaired.map_err(refuse)?;
    say(context, &found, &repaired.files, &repaired.kept)?;
    if repaired.report.is_damaged() {
        context.output.note("damage is left that a repair cannot help:");
        if !context.output.is_json() {
            findings::show(context, &repaired.report)?;
        }
        return Err(Exit::Damaged);
    }
    Ok(())
}

/// Whether the operator wants it: said with `--yes`, or on a terminal.
fn may_go_on(context: &Context, arguments: &Arguments, directory: &Path) -> Result<bool, Exit> {
    if arguments.dry_run {
        context.output.note("nothing was changed");
        return Ok(false);
    }
    if arguments.yes {
        return Ok(true);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(fail(context, "nothing was changed: say --yes to repair it, or --dry-run to only look"));
    }
    context
        .output
        .ask(&format!("Repair the log in {}? The damaged files are kept as `.damaged`. [y/N] ", directory.display()));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    let is_yes = read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
    if !is_yes {
        context.output.note("nothing was changed");
    }
    Ok(is_yes)
}

fn say(context: &Context, report: &hook_log::check::Report, written: &[PathBuf], kept: &[PathBuf]) -> Result<(), Exit> {
    if context.output.is_json() {
        let answer = Answer { damaged: report.is_damaged(), report };
        return context.output.json(&Done { answer, written, kept });
    }
    if !report.is_damaged() {
        findings::show(context, report)?;
        return context.output.line("no damage: nothing to repair");
    }
    for file in kept {
        context.output.line(&format!("kept: {}", file.display()))?;
    }
    context.output.line(&format!("repaired: {} written anew", count(written.len() as u64, "segment")))
}
