//! (c) End to end: `hook up`, from the load to the sink. (d) The same, one event at a time.

use std::time::Duration;

use hook_bench::{
    contract::{Destination, PATH},
    error::Error,
    latency::Summary,
    load::{HoldBack, Pace, Until},
    pipeline::Role,
    process::{Memory, Process},
    sink::Sink,
};
use serde::Serialize;

use super::{Scale, each_us};

/// So many events may be taken and not delivered: the load waits, so that what is measured can go on for ever.
const UNDER_WAY: u64 = 2_000;
/// How long nothing may come before a run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// As fast as events are delivered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EndToEnd {
    /// Events delivered a second.
    pub(crate) per_second: f64,
    /// From sending to arrival, with that many events under way.
    pub(crate) latency: Summary,
    pub(crate) hook_cpu_us: f64,
    /// Load and sink, for each event.
    pub(crate) tools_cpu_us: f64,
    pub(crate) other_cores: f64,
    pub(crate) memory: Memory,
    /// Deliveries beyond the first of an event; nothing was restarted.
    pub(crate) duplicates: u64,
}

/// One event at a time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Idle {
    pub(crate) latency: Summary,
    /// The acknowledgement of the same events.
    pub(crate) acknowledgement: Summary,
    /// Memory of a pipeline that has nothing to do.
    pub(crate) memory: Memory,
}

/// Fails where something was lost or came out of order: a pipeline that is wrong has no speed.
pub(crate) fn check(sink: &Sink, acknowledged: u64) -> Result<(), Error> {
    let tally = sink.tally();
    match (tally.distinct == acknowledged, tally.out_of_order, tally.foreign) {
        (true, 0, 0) => Ok(()),
        _ => Err(Error::Unexpected(format!(
            "{acknowledged} events were acknowledged and {} delivered, {} of them out of order, {} that were not sent",
            tally.distinct, tally.out_of_order, tally.foreign
        ))),
    }
}

pub(crate) async fn loaded(scale: &Scale) -> Result<EndToEnd, Error> {
    loaded_to(scale, &[Sink::open(0)?]).await
}

/// To several destinations. What is measured is the first; all must get everything.
pub(crate) async fn loaded_to(scale: &Scale, sinks: &[Sink]) -> Result<EndToEnd, Error> {
    const IDS: [&str; 2] = ["out", "other"];
    let destinations: Vec<_> = IDS.iter().zip(sinks).map(|(id, sink)| Destination::new(*id, sink.address())).collect();
    let sink = sinks.first().ok_or_else(|| Error::Unexpected("there is no destination".to_owned()))?;
    let home = scale.home(&destinations)?;
    let pipeline = home.start(Role::Up).await?;
    let mut load = scale.load(pipeline.address()?, PATH, &[pipeline.process, Process::this()]);
    load.hold_back = Some(HoldBack { delivered: sink.delivered(), before: 0, most: UNDER_WAY });
    sinks.iter().for_each(|sink| sink.count_anew(load.run));
    let sent = load.run().await?.all_acknowledged()?;
    for sink in sinks {
        sink.wait_for(sent.acknowledged, PATIENCE).await?;
        check(sink, sent.acknowledged)?;
    }
    let memory = pipeline.process.memory()?;
    pipeline.kill().await?;
    let (window, tally) = (sent.window, sink.tally());
    let cpu = |at: usize| each_us(window.cpu.get(at).copied().unwrap_or_default(), window.delivered);
    Ok(EndToEnd {
        per_second: window.delivery_rate(),
        latency: tally.latencies.summary(),
        hook_cpu_us: cpu(0),
        tools_cpu_us: cpu(1),
        other_cores: window.other_cores(),
        memory,
        duplicates: tally.duplicates,
    })
}

/// Sends one event, waits, and sends the next.
pub(crate) async fn idle(scale: &Scale, events: u64, pause: Duration) -> Result<Idle, Error> {
    let sink = Sink::open(0)?;
    let home = scale.home(&[Destination::new("out", sink.address())])?;
    let pipeline = home.start(Role::Up).await?;
    let mut load = scale.load(pipeline.address()?, PATH, &[]);
    load.connections = 1;
    // The connections of the first events are made before.
    load.until = Until::Events(10);
    sink.count_anew(load.run);
    let warm = load.run().await?.all_acknowledged()?;
    sink.wait_for(warm.acknowledged, PATIENCE).await?;
    load.run = hook_bench::mark::new_run();
    load.pace = Pace::Paused(pause);
    load.until = Until::Events(events);
    sink.count_anew(load.run);
    let sent = load.run().await?.all_acknowledged()?;
    sink.wait_for(warm.acknowledged + sent.acknowledged, PATIENCE).await?;
    check(&sink, sent.acknowledged)?;
    let memory = pipeline.process.memory()?;
    pipeline.kill().await?;
    Ok(Idle { latency: sink.tally().latencies.summary(), acknowledgement: sent.window.latencies.summary(), memory })
}
