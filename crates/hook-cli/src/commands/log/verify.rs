//! `hook log verify`: whether every byte of the log is right.

use hook_log::check::{self, Report};
use serde::Serialize;

use super::{directory, findings, progress};
use crate::{context::Context, data_directory::Flag, exit::Exit, output::size, pipeline};

/// Read every byte of the log and say what is damaged
///
/// Names file, position and the records that are lost, and goes on behind a damage. Writes nothing; works beside a running
/// pipeline and where the log does not open. Exit code 0: no damage; 3: damage.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// What was found, for programs.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    pub(super) damaged: bool,
    #[serde(flatten)]
    pub(super) report: &'a Report,
}

/// Reads and says.
pub fn run(context: &Context, flag: &Flag) -> Result<(), Exit> {
    let directory = directory(context, flag)?;
    let verified = check::verify(&directory, &mut progress(context.output.clone(), "reading"));
    context.output.progress("");
    let report = verified.map_err(|error| context.refuse(&[*pipeline::not_opened(&directory, &error)], None))?;
    let damaged = report.is_damaged();
    if context.output.is_json() {
        context.output.json(&Answer { damaged, report: &report })?;
    } else {
        show(context, &report)?;
    }
    if damaged { Err(Exit::Damaged) } else { Ok(()) }
}

fn show(context: &Context, report: &Report) -> Result<(), Exit> {
    let rows: Vec<_> = report
        .chains
        .iter()
        .map(|chain| {
            let damages = if chain.damages.is_empty() { "none".to_owned() } else { chain.damages.len().to_string() };
            let numbers = [chain.segments, chain.records, chain.keys].map(|number| number.to_string());
            let [segments, records, keys] = numbers;
            [chain.chain.to_owned(), segments, size(chain.bytes), records, keys, damages]
        })
        .collect();
    context.output.titled_table(["chain", "segments", "read", "records", "dedup keys", "damages"], &rows)?;
    findings::show(context, report)?;
    if report.is_damaged() {
        context.output.note("`hook log repair --dry-run` says what would be written; `hook log repair` does it");
    }
    Ok(())
}
