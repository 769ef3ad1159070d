//! `hook log lag`: how much waits for each destination.

use hook_runtime::lag::{self, Lag};

use crate::{commands::cursors, context::Context, data_directory::Flag, exit::Exit, owner::fail};

/// Show how many records each cursor of the contract has not done
///
/// Works with and without a pipeline that runs, on either log.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// End with exit code 1 where a cursor is further behind than this
    #[arg(long, value_name = "RECORDS")]
    fail_above: Option<u64>,
}

/// Looks and says.
pub async fn run(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    let (state, plan) = cursors::look(context, flag).await?;
    let lags = lag::of(&plan, &state);
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
