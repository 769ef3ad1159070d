//! What `hook up` takes with many destinations: at rest, under load, and with a backlog that all of them read at once.

use std::{fmt::Write, time::Duration};

use hook_bench::{
    contract::{Destination, PATH, contract},
    error::Error,
    load::{HoldBack, Until},
    pipeline::Role,
    process::Process,
    sink::{Reply, Sink},
};
use serde::Serialize;

use super::{Memory, Stage, ingest::home};
use crate::{
    cases::end_to_end::check,
    report::{grouped, megabytes},
};

/// So many events may be taken and not delivered to the first destination.
const UNDER_WAY: u64 = 2_000;
/// What every destination has to read when it comes back. Its bodies are four times what may be fetched ahead.
const BACKLOG: u64 = 40_000;
const BACKLOG_BODY: usize = 6 * 1024;
const PATIENCE: Duration = Duration::from_secs(300);
const REST: Duration = Duration::from_secs(3);

/// With so many destinations.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Destinations {
    destinations: usize,
    /// When it has been ready for a while.
    at_rest: Memory,
    /// Events that went to every destination, and the memory after them; its peak is that of the load.
    events: u64,
    under_load: Memory,
    /// A backlog that was taken in while all destinations were away, and the memory when it was there.
    backlog: u64,
    waiting: Memory,
    /// And when all of them had taken it.
    with_backlog: Memory,
}

impl Destinations {
    /// The most that there was.
    pub(super) fn peak_kib(&self) -> u64 {
        [self.at_rest, self.under_load, self.waiting, self.with_backlog]
            .map(|memory| memory.peak_kib)
            .into_iter()
            .max()
            .unwrap_or(0)
    }

    pub(super) fn write(&self, out: &mut String) {
        let Self { destinations, at_rest, events, under_load, backlog, waiting, with_backlog } = self;
        // Writing into a string cannot fail.
        let _ = writeln!(
            out,
            "\n## Memory\n\n`hook up` with a relay and {destinations} destinations:\n\n| | resident, peak |\n|---|---|"
        );
        let rows = [
            ("at rest".to_owned(), at_rest),
            (format!("under load: {} events of 1 KiB to each", grouped(*events)), under_load),
            (format!("all are away, and {} events of 6 KiB wait for each", grouped(*backlog)), waiting),
            ("all are back, and have taken them".to_owned(), with_backlog),
        ];
        for (name, memory) in rows {
            let _ = writeln!(out, "| {name} | {} |", megabytes(&[memory.resident_kib, memory.peak_kib]));
        }
    }
}

pub(super) async fn measure(stage: &Stage, destinations: usize) -> Result<Destinations, Error> {
    let sinks = (0..destinations.max(1)).map(|_| Sink::open(0)).collect::<Result<Vec<_>, _>>()?;
    let to = |(number, sink): (usize, &Sink)| Destination {
        // A destination that is away is asked again soon, and a dead letter is none of what is measured.
        settings: "retry = { max_retries = 1000, base_ms = 50, cap_ms = 1000 }\n".to_owned(),
        ..Destination::new(format!("out-{number}"), sink.address())
    };
    let routed: Vec<_> = sinks.iter().enumerate().map(to).collect();
    // Through the relay, which reads as well.
    let contract =
        contract(&routed, "").replace("target_topic = \"webhooks.core\"", "target_topic = \"webhooks.{source}\"");
    let home = home(stage, &contract)?;
    let pipeline = home.start(Role::Up).await?;
    tokio::time::sleep(REST).await;
    let at_rest = pipeline.process.memory()?;

    let first = &sinks[0];
    let mut load = stage.scale.load(pipeline.address()?, PATH, &[pipeline.process, Process::this()]);
    load.hold_back = Some(HoldBack { delivered: first.delivered(), before: 0, most: UNDER_WAY });
    sinks.iter().for_each(|sink| sink.count_anew(load.run));
    let sent = load.run().await?.all_acknowledged()?;
    let events = sent.acknowledged;
    for sink in &sinks {
        sink.wait_for(events, PATIENCE).await?;
        check(sink, events)?;
    }
    let under_load = pipeline.process.memory()?;
    pipeline.process.forget_peak()?;

    sinks.iter().for_each(|sink| sink.reply_with(|_| Reply::Status(503)));
    let mut load = stage.scale.load(pipeline.address()?, PATH, &[pipeline.process]);
    load.shape.body_bytes = BACKLOG_BODY;
    load.until = Until::Events(BACKLOG);
    sinks.iter().for_each(|sink| sink.count_anew(load.run));
    let sent = load.run().await?.all_acknowledged()?;
    tokio::time::sleep(REST).await;
    let waiting = pipeline.process.memory()?;
    sinks.iter().for_each(|sink| sink.reply_with(|_| Reply::Taken));
    for sink in &sinks {
        sink.wait_for(events + sent.acknowledged, PATIENCE).await?;
        check(sink, sent.acknowledged)?;
    }
    let with_backlog = pipeline.process.memory()?;
    pipeline.kill().await?;
    Ok(Destinations {
        destinations: sinks.len(),
        at_rest,
        events,
        under_load,
        backlog: sent.acknowledged,
        waiting,
        with_backlog,
    })
}
