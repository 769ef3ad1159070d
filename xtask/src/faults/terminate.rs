//! SIGTERM under load: the process ends in order and in time, with status 0, and the next one goes on.

use std::time::Duration;

use super::{
    Setup,
    contract::{self, Destination, Topology},
    home::Home,
    load::{Load, Shaped},
    report::{Outcome, spread},
    settle,
    sink::Sink,
};

/// Ingress, relay and attempts in flight may take 10, 5 and 15 seconds to end, questions in flight two more.
const DRAIN: Duration = Duration::from_secs(40);

/// Terminates `rounds` times.
pub(super) async fn run(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let rounds = setup.rounds.unwrap_or(if setup.is_quick { 3 } else { 20 });
    let most = if setup.is_quick { 500 } else { 2_000 };
    let shaped = Shaped::default();
    let sink = Sink::start(shaped.keys, &mut setup.random).await?;
    let destination = Destination { id: "service", address: sink.address };
    let home = Home::new(setup, &contract::text(Topology::Relayed, &[destination], ""))?;
    let mut load = Load::start(shaped, &sink.arrivals);
    let (mut ends, mut failed) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let pipeline = home.up().await?;
        load.send_to(pipeline.ingress);
        tokio::time::sleep(Duration::from_millis(setup.random.u64(50..most))).await;
        let (status, took) = pipeline.terminate(DRAIN).await?;
        load.hold();
        ends.push(took);
        if !status.success() {
            failed.push(format!("round {round} ended with {status}"));
        }
    }
    let pipeline = home.up().await?;
    load.send_to(pipeline.ingress);
    load.finish().await?;
    settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
    drop(pipeline);
    outcome.measure("rounds", rounds.to_string());
    outcome.measure("from SIGTERM to the end", spread(&mut ends));
    outcome.faults.extend(failed);
    outcome.faults.extend(load.ledger.complaints());
    outcome.count(load.ledger.compare(&sink.arrivals, |_| false));
    Ok(())
}
