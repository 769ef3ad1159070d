//! (b) Signed durable ingest: `hook serve` alone, straight into the core topic.

use std::net::SocketAddr;

use hook_bench::{
    contract::{Destination, PATH},
    error::Error,
    latency::Summary,
    load::Pace,
    pipeline::Role,
    process::{Memory, Process},
};
use serde::Serialize;

use super::{Scale, each_us, echo::Closed};

/// The destination of a contract whose deliveries are not run.
pub(crate) fn nowhere() -> Destination {
    Destination::new("out", SocketAddr::from(([127, 0, 0, 1], 9)))
}

/// As fast as acknowledgements come.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ingest {
    #[serde(flatten)]
    pub(crate) closed: Closed,
    /// The server's memory at the end of the load.
    pub(crate) memory: Memory,
    /// What the data directory takes for each event on the disk.
    pub(crate) disk_bytes_each: f64,
}

/// At a steady rate.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Steady {
    /// The rate that was asked for, and the one that was reached.
    pub(crate) asked_per_second: f64,
    pub(crate) per_second: f64,
    /// From when a request was meant to be sent to its acknowledgement.
    pub(crate) latency: Summary,
    pub(crate) server_cpu_us: f64,
    pub(crate) other_cores: f64,
    pub(crate) memory: Memory,
}

pub(crate) async fn closed(scale: &Scale) -> Result<Ingest, Error> {
    let home = scale.home(&[nowhere()])?;
    let pipeline = home.start(Role::Serve).await?;
    let load = scale.load(pipeline.address()?, PATH, &[pipeline.process, Process::this()]);
    let sent = load.run().await?.all_acknowledged()?;
    let memory = pipeline.process.memory()?;
    let disk_bytes_each = home.data_bytes() as f64 / sent.acknowledged.max(1) as f64;
    pipeline.kill().await?;
    Ok(Ingest { closed: Closed::of(&sent.window), memory, disk_bytes_each })
}

pub(crate) async fn steady(scale: &Scale) -> Result<Steady, Error> {
    let home = scale.home(&[nowhere()])?;
    let pipeline = home.start(Role::Serve).await?;
    let mut load = scale.load(pipeline.address()?, PATH, &[pipeline.process, Process::this()]);
    load.pace = Pace::Steady(scale.steady);
    let window = load.run().await?.all_acknowledged()?.window;
    let memory = pipeline.process.memory()?;
    pipeline.kill().await?;
    Ok(Steady {
        asked_per_second: scale.steady,
        per_second: window.rate(),
        latency: window.latencies.summary(),
        other_cores: window.other_cores(),
        server_cpu_us: each_us(window.cpu.first().copied().unwrap_or_default(), window.acknowledged),
        memory,
    })
}
