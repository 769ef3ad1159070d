//! Few file descriptors, and more connections than that: nothing crashes, nothing acknowledged is lost, nothing spins.

use std::time::Duration;

use tokio::{net::TcpStream, time::sleep};

use super::{
    Setup,
    contract::{self, Destination, Topology},
    home::Home,
    load::{Load, Shaped},
    report::{Outcome, millis},
    settle,
    sink::Sink,
};

/// What the process may open. It has some twenty open when it is idle.
const LIMIT: u32 = 64;
/// Connections that say nothing.
const SILENT: usize = 200;
/// While it is starved, it may use so much of one processor. It answers those that get through, and says that it is starved.
const MOST_BUSY: f64 = 0.5;
/// When the connections are gone, the next event must be taken within this.
const RECOVERY: Duration = Duration::from_secs(30);

/// Starves the pipeline for a while.
pub(super) async fn run(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let starved_for = Duration::from_secs(if setup.is_quick { 3 } else { 30 });
    // Fewer than the limit, so that there are times without hunger.
    let shaped = Shaped { senders: 8, keys: 64, ..Shaped::default() };
    let sink = Sink::start(shaped.keys, &mut setup.random).await?;
    let destination = Destination { id: "service", address: sink.address };
    let small = "[log]\nsegment_bytes = 1048576";
    let mut home = Home::new(setup, &contract::text(Topology::Direct, &[destination], small))?;
    // The shell lowers the limit of itself, and becomes the program.
    let limited = ["sh", "-c", &format!("ulimit -n {LIMIT} && exec \"$@\""), "sh"].map(Into::into);
    home.wrapped_in = limited.to_vec();
    let mut pipeline = home.up().await?;
    let mut load = Load::start(shaped, &sink.arrivals);
    load.send_to(pipeline.ingress);
    load.acknowledged(500, setup.patience()).await?;

    // The senders lose their connections to those that say nothing, again and again.
    let began = std::time::Instant::now();
    while began.elapsed() < starved_for {
        let silent = silent(&pipeline).await;
        sleep(Duration::from_millis(setup.random.u64(200..1_000))).await;
        drop(silent);
    }
    outcome.check(pipeline.is_alive(), || "the process ended while it was starved".to_owned());
    outcome.measure("acknowledged while connections came and went", load.ledger.acknowledged().to_string());

    // And now nobody says anything at all.
    load.finish().await?;
    let silent = silent(&pipeline).await;
    let before = pipeline.process().cpu().map_err(|error| error.to_string())?;
    let idle = std::time::Instant::now();
    sleep(Duration::from_secs(3)).await;
    let used = pipeline.process().cpu().map_err(|error| error.to_string())?.saturating_sub(before);
    let busy = used.as_secs_f64() / idle.elapsed().as_secs_f64();
    outcome.measure("processor while starved and idle", format!("{:.1} % of one", busy * 100.0));
    outcome.check(busy <= MOST_BUSY, || format!("starved of descriptors it used {:.0} % of a processor", busy * 100.0));
    drop(silent);
    let was_starved = home.logs().contains("Too many open files");
    outcome.check(was_starved, || "it was never out of descriptors: the run shows nothing".to_owned());

    let answers = async || pipeline.status().await.is_ok_and(|(status, _)| status == 200);
    let recovered = settle::until("it was ready again after the connections were gone", RECOVERY, answers).await?;
    outcome.measure("ready again after", millis(recovered));
    settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
    outcome.check(pipeline.is_alive(), || "the process ended".to_owned());
    outcome.check(!home.logs().contains("panicked"), || "something panicked".to_owned());
    outcome.faults.extend(load.ledger.complaints());
    outcome.count(load.ledger.compare(&sink.arrivals, |_| false));
    Ok(())
}

async fn silent(pipeline: &super::home::Pipeline) -> Vec<TcpStream> {
    let mut silent = Vec::with_capacity(SILENT);
    for _ in 0..SILENT {
        // What the kernel no longer queues is as good: the listener has more than it can take.
        let connecting = TcpStream::connect(pipeline.ingress);
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(50), connecting).await {
            silent.push(stream);
        }
    }
    silent
}
