//! `hook log stat`: what the log consists of, and how long it keeps it.

use hook_admin::socket::Client;
use hook_contract::plan::{self, LogPlan, Plan};
use hook_core::{
    Timestamp,
    duration::HumanDuration,
    ports::log::{LogState, PartitionState},
};
use hook_log::check::{self, ChainSurvey};
use serde::{Deserialize, Serialize};

use super::embedded;
use crate::{
    context::Context,
    data_directory::Flag,
    exit::Exit,
    output::size,
    owner::{self, Located, fail, failed},
    pipeline, readers,
};

/// Show what the log consists of: segments, bytes, times, offsets, retention
///
/// Works with and without a pipeline that runs, and reads little: the newest segment and the beginnings of the others.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// What the log consists of.
#[derive(Serialize)]
struct Stat {
    data_directory: String,
    /// Whether a pipeline runs on it.
    running: bool,
    /// Why it takes no events now. Only a running pipeline knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<String>,
    /// Undelivered records that were dropped since the start of the running pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_records: Option<u64>,
    chains: Vec<Chain>,
    limits: Limits,
}

#[derive(Serialize)]
struct Chain {
    #[serde(flatten)]
    survey: ChainSurvey,
    /// Bytes that retention may not take yet, because a cursor of the contract needs them.
    pinned: u64,
    retention: Retention,
}

#[derive(Serialize)]
struct Retention {
    max_age: HumanDuration,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Limits {
    segment_bytes: u64,
    /// `null`: half of the file system.
    max_pinned: Option<u64>,
    when_pinned: plan::WhenPinned,
}

#[derive(Deserialize)]
struct Running {
    log: LogState,
}

/// Looks and says.
pub async fn run(context: &Context, flag: &Flag) -> Result<(), Exit> {
    let located = owner::locate(context, flag)?;
    let located = if flag.data_dir.is_some() { located } else { embedded(context, located)? };
    let Located { client, plan, directory, .. } = located;
    let running = running(context, &client).await?;
    owner::must_exist(context, &directory)?;
    let surveyed = {
        let directory = directory.clone();
        tokio::task::spawn_blocking(move || check::survey(&directory)).await
    };
    let surveyed = surveyed.map_err(|error| fail(context, &error.to_string()))?;
    let chains = surveyed.map_err(|error| context.refuse(&[*pipeline::not_opened(&directory, &error)], None))?;
    let stat = Stat {
        data_directory: directory.display().to_string(),
        running: running.is_some(),
        unavailable: running.as_ref().and_then(|running| running.log.unavailable.clone()),
        dropped_records: running.as_ref().map(|running| running.log.dropped_records),
        chains: chains.into_iter().map(|survey| chain(survey, &plan)).collect(),
        limits: Limits {
            segment_bytes: plan.log.segment_bytes,
            max_pinned: plan.log.max_pinned,
            when_pinned: plan.log.when_pinned,
        },
    };
    if context.output.is_json() { context.output.json(&stat) } else { stat.show(context) }
}

/// What only the owner knows.
async fn running(context: &Context, client: &Client) -> Result<Option<Running>, Exit> {
    if !client.is_running().await {
        return Ok(None);
    }
    client.get_json("/status").await.map(Some).map_err(|error| failed(context, &error))
}

fn chain(survey: ChainSurvey, plan: &Plan) -> Chain {
    let retention = retention(&plan.log, survey.chain);
    Chain {
        pinned: survey.pinned_bytes(&readers::pinning(plan)),
        retention: Retention { max_age: HumanDuration(retention.max_age), max_bytes: retention.max_bytes },
        survey,
    }
}

fn retention(log: &LogPlan, chain: &str) -> plan::Retention {
    match chain {
        "dead_letters" => log.dead_letters,
        "journal" => log.journal,
        _ => log.events,
    }
}

impl Stat {
    fn show(&self, context: &Context) -> Result<(), Exit> {
        let state = if self.running { "a pipeline runs on it" } else { "no pipeline runs on it" };
        context.output.line(&format!("log in {}: {state}", self.data_directory))?;
        if let Some(why) = &self.unavailable {
            context.output.line(&format!("it takes no events now: {why}"))?;
        }
        if let Some(dropped) = self.dropped_records.filter(|dropped| *dropped > 0) {
            context.output.line(&format!("{dropped} undelivered events were dropped: too many were pinned"))?;
        }
        let titles = ["chain", "segments", "written", "on disk", "pinned", "oldest", "newest", "kept for"];
        let rows: Vec<_> = self.chains.iter().map(Chain::row).collect();
        context.output.titled_table(titles, &rows)?;
        context.output.line("")?;
        let partitions = self.chains.iter().flat_map(|chain| &chain.survey.partitions);
        let rows: Vec<_> = partitions.map(row_of_partition).collect();
        match rows.is_empty() {
            true => context.output.line("no topics")?,
            false => context.output.titled_table(["topic", "records", "first offset", "next offset"], &rows)?,
        }
        let Limits { segment_bytes, max_pinned, when_pinned } = &self.limits;
        let most = max_pinned.map_or("half of the file system".to_owned(), size);
        let then = match when_pinned {
            plan::WhenPinned::Block => "then no events are taken",
            plan::WhenPinned::DropOldest => "then the oldest go",
        };
        context.output.line(&format!("\nsegments of {}; at most {most} pinned, {then}", size(*segment_bytes)))
    }
}

impl Chain {
    fn row(&self) -> [String; 8] {
        let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), |time| format!("{time:.0}"));
        let ChainSurvey { chain, segments, written, allocated, oldest, newest, .. } = &self.survey;
        let most = self.retention.max_bytes.map(|bytes| format!(", up to {}", size(bytes))).unwrap_or_default();
        [
            (*chain).to_owned(),
            segments.to_string(),
            size(*written),
            size(*allocated),
            size(self.pinned),
            time(*oldest),
            time(*newest),
            format!("{}{most}", self.retention.max_age),
        ]
    }
}

fn row_of_partition(partition: &PartitionState) -> [String; 4] {
    let PartitionState { topic, start, end, .. } = partition;
    [topic.to_string(), (end - start).to_string(), start.to_string(), end.to_string()]
}
