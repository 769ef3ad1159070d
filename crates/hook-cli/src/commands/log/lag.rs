//! `hook log lag`: how much waits for each destination.

use std::collections::BTreeMap;

use hook_core::names::CursorName;
use hook_runtime::cursors as runtime;
use serde::Serialize;

use crate::{commands::cursors, context::Context, data_directory::Flag, exit::Exit, owner::fail, readers};

/// Show how many records each cursor of the contract has not done
///
/// Works with and without a pipeline that runs, on either log.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// End with exit code 1 where a cursor is further behind than this
    #[arg(long, value_name = "RECORDS")]
    fail_above: Option<u64>,
}

/// A cursor as it is listed.
#[derive(Serialize)]
struct Lag {
    cursor: CursorName,
    /// Records that it has not done.
    behind: u64,
    /// Partitions in which there are some.
    partitions_behind: u64,
    /// The most in one partition: where it is about as much as in all, one key or one broker is slow.
    most: u64,
    /// Whether what it has not done is kept, however old it is.
    pins: bool,
}

/// Looks and says.
pub async fn run(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    let (state, plan) = cursors::look(context, flag).await?;
    let pinning = runtime::pinning(&plan);
    let states: BTreeMap<_, _> = state.cursors.iter().map(|cursor| (&cursor.name, cursor)).collect();
    let lags: Vec<Lag> = readers::active(&plan)
        .iter()
        .filter_map(|reads| {
            let cursor = states.get(&reads.name)?;
            let places = state.partitions.iter();
            let behind: Vec<u64> =
                places.filter_map(|place| Some(readers::progress(cursor, place, Some(reads))?.behind)).collect();
            Some(Lag {
                cursor: reads.name.clone(),
                behind: behind.iter().sum(),
                partitions_behind: behind.iter().filter(|behind| **behind > 0).count() as u64,
                most: behind.iter().copied().max().unwrap_or(0),
                pins: pinning.contains(&reads.name),
            })
        })
        .collect();
    if context.output.is_json() {
        lags.iter().try_for_each(|lag| context.output.json(lag))?;
    } else if lags.is_empty() {
        context.output.line("no cursors")?;
    } else {
        let rows: Vec<_> = lags.iter().map(row).collect();
        context.output.titled_table(["cursor", "behind", "in partitions", "most in one", "retention"], &rows)?;
    }
    let limit = arguments.fail_above.unwrap_or(u64::MAX);
    match lags.iter().filter(|lag| lag.behind > limit).map(|lag| lag.cursor.as_str()).collect::<Vec<_>>() {
        above if above.is_empty() => Ok(()),
        above => Err(fail(context, &format!("more than {limit} records behind: {}", above.join(", ")))),
    }
}

fn row(lag: &Lag) -> [String; 5] {
    let pins = if lag.pins { "pins" } else { "" };
    [
        lag.cursor.to_string(),
        lag.behind.to_string(),
        lag.partitions_behind.to_string(),
        lag.most.to_string(),
        pins.to_owned(),
    ]
}
