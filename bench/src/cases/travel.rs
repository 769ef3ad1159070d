//! A replay and a redrive of a backlog: does their memory grow with what they send?

use std::{
    fmt::Write as _,
    io::{BufWriter, Write},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use hook_bench::{contract::Destination, error::Error, pipeline::Home, process::Process};
use hook_core::{
    Timestamp,
    envelope::{DeadLetterHeader, EventHeader, Meta},
    event::EventId,
    names::{EventType, SourceName},
    outcome::FailureClass,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, process::Command};

use super::{Scale, options::Common};
use crate::report::{grouped, megabytes};

/// How often the memory of a command is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// A thousand events, which the first row has, are a third of what it costs to open the log.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Options of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The largest backlog
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Bytes of each payload
    #[arg(long, default_value_t = 256)]
    body: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What was measured, for each size of the backlog.
#[derive(Debug, Serialize)]
pub(crate) struct Travel {
    body_bytes: usize,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    events: u64,
    dry_run: Ran,
    replay: Ran,
    redrive: Ran,
    /// What both have added to the journal.
    journal_bytes: u64,
}

/// A command.
#[derive(Debug, Clone, Serialize)]
struct Ran {
    seconds: f64,
    /// The most that was resident.
    peak_kib: u64,
    /// What of that was not pages of files.
    anonymous_kib: u64,
}

pub(crate) async fn measure(options: &Options) -> Result<Travel, Error> {
    let most = if options.common.quick { 2_000 } else { options.events };
    let mut sizes: Vec<u64> = SIZES.into_iter().filter(|size| *size < most).collect();
    sizes.push(most);
    let mut rows = Vec::new();
    for events in sizes {
        rows.push(measure_one(&options.common.scale(), options.body, events).await?);
    }
    Ok(Travel { body_bytes: options.body, rows })
}

async fn measure_one(scale: &Scale, body_bytes: usize, events: u64) -> Result<Row, Error> {
    // Nobody listens there, and nothing is delivered: no pipeline runs.
    let home = scale.home(&[Destination::new("service", ([127, 0, 0, 1], 9).into())])?;
    let file = home.contract().with_file_name("backlog.jsonl");
    write_backlog(&file, body_bytes, events).map_err(Error::io("write the backlog"))?;
    let name = file.to_string_lossy().into_owned();
    run(&home, &["log", "import", &name, "--json"]).await?;
    std::fs::remove_file(&file).map_err(Error::io("remove the backlog's file"))?;
    let before = journal_bytes(&home).await?;
    let sent = |(ran, answer): (Ran, Value), key: &str| match answer[key].as_u64() {
        Some(sent) if sent == events => Ok(ran),
        _ => Err(Error::Unexpected(format!("{events} events were to be sent: {answer}"))),
    };
    let dry_run = sent(run(&home, &["dlq", "redrive", "--all", "--dry-run", "--json"]).await?, "events")?;
    let replay = sent(run(&home, &["replay", "--all", "--yes", "--json"]).await?, "sent")?;
    let redrive = sent(run(&home, &["dlq", "redrive", "--all", "--yes", "--json"]).await?, "sent")?;
    let journal_bytes = journal_bytes(&home).await?.saturating_sub(before);
    Ok(Row { events, dry_run, replay, redrive, journal_bytes })
}

/// As many events as dead letters, as an export has them.
fn write_backlog(file: &Path, body_bytes: usize, events: u64) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    let at = Timestamp::now();
    let first = json!({ "format": "hook-log-export", "version": 1, "app": "measured", "exported_at": at });
    writeln!(out, "{first}")?;
    let payload = json!({ "text": "x".repeat(body_bytes.saturating_sub(11)) });
    let (source, event_type) = (SourceName::new("github"), EventType::new("issues.opened"));
    let (Ok(source), Ok(event_type)) = (source, event_type) else { return Ok(()) };
    let header = || EventHeader {
        id: EventId::generate(),
        source: source.clone(),
        event_type: event_type.clone(),
        received_at: at,
        meta: Meta::default(),
    };
    let mut record = |topic: &str, offset: u64, header: Value| {
        let record =
            json!({ "topic": topic, "partition": 0, "offset": offset, "time": at, "header": header, "body": payload });
        writeln!(out, "{record}")
    };
    for offset in 0..events {
        record("webhooks.core", offset, json!(header()))?;
        let letter = DeadLetterHeader {
            failed_at: at,
            error: "503 Service Unavailable".into(),
            destination: "out/service".into(),
            attempts: 6,
            first_attempt_at: Some(at),
            class: Some(FailureClass::Transient),
            event: header(),
        };
        record("webhooks.dlq", offset, json!(letter))?;
    }
    let topics = json!({ "webhooks.core": events, "webhooks.dlq": events });
    writeln!(out, "{}", json!({ "end": true, "records": 2 * events, "topics": topics }))?;
    out.flush()
}

/// Runs a command to its end, and watches its memory.
async fn run(home: &Home, arguments: &[&str]) -> Result<(Ran, Value), Error> {
    let mut command: Command = home.command(arguments);
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(Error::io("start hook"))?;
    let process = Process::new(child.id().unwrap_or_default());
    let mut ran = Ran { seconds: 0.0, peak_kib: 0, anonymous_kib: 0 };
    let status = loop {
        if let Ok(memory) = process.memory() {
            ran.peak_kib = ran.peak_kib.max(memory.peak_kib);
            ran.anonymous_kib = ran.anonymous_kib.max(memory.anonymous_kib);
        }
        tokio::select! {
            status = child.wait() => break status.map_err(Error::io("wait for hook"))?,
            () = tokio::time::sleep(LOOK) => {}
        }
    };
    ran.seconds = began.elapsed().as_secs_f64();
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text).await.map_err(Error::io("read what hook says"))?;
    }
    match (status.success(), serde_json::from_str(&text)) {
        (true, Ok(answer)) => Ok((ran, answer)),
        _ => Err(Error::Unexpected(format!("`hook {}` failed: {text}", arguments.join(" ")))),
    }
}

/// What the journal has on the disk.
async fn journal_bytes(home: &Home) -> Result<u64, Error> {
    let (_, stat) = run(home, &["log", "stat", "--json"]).await?;
    let chains = stat["chains"].as_array().into_iter().flatten();
    let journal = chains.filter(|chain| chain["chain"] == "journal").filter_map(|chain| chain["written"].as_u64());
    Ok(journal.sum())
}

impl Travel {
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = format!(
            "\n| events (payloads of {} bytes) | `redrive --dry-run`: peak memory, of it not files, seconds | `replay`: the same | `redrive`: the same | journal |\n\
             |---|---|---|---|---|\n",
            self.body_bytes
        );
        for Row { events, dry_run, replay, redrive, journal_bytes } in &self.rows {
            let ran = |ran: &Ran| {
                format!("{}, {}, {:.1} s", megabytes(&[ran.peak_kib]), megabytes(&[ran.anonymous_kib]), ran.seconds)
            };
            // Writing into a string cannot fail.
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                grouped(*events),
                ran(dry_run),
                ran(replay),
                ran(redrive),
                megabytes(&[journal_bytes / 1024])
            );
        }
        out
    }
}
