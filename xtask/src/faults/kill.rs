//! SIGKILL at random moments under load, and during the start: what was acknowledged is delivered, in order.

use std::time::{Duration, Instant};

use super::{
    Setup,
    contract::{self, Destination, Topology},
    home::Home,
    load::{Load, Shaped},
    report::{Outcome, millis, spread},
    settle,
    sink::Sink,
};

/// A start is killed at most so long after its beginning.
const HALF_START: Duration = Duration::from_millis(60);

/// Kills `rounds` times.
pub(super) async fn run(setup: &mut Setup, topology: Topology, outcome: &mut Outcome) -> Result<(), String> {
    let rounds = setup.rounds.unwrap_or(match (setup.is_quick, topology) {
        (true, _) => 6,
        (false, Topology::Direct) => 100,
        (false, Topology::Relayed) => 30,
    });
    // Long enough that the log grows by segments, short enough that a hundred rounds are minutes.
    let most = if setup.is_quick { 500 } else { 3_000 };
    let shaped = Shaped::default();
    let sink = Sink::start(shaped.keys, &mut setup.random).await?;
    let destination = Destination { id: "service", address: sink.address };
    // Segments of a mebibyte, so that kills hit the change from one to the next as well.
    let small = "[log]\nsegment_bytes = 1048576";
    let home = Home::new(&setup.hook, &contract::text(topology, &[destination], small))?;
    let mut load = Load::start(shaped, &sink.arrivals);
    let (mut starts, mut half_starts, mut acked_before) = (Vec::new(), 0, 0);
    let mut rounds_without = 0;
    for _ in 0..rounds {
        if setup.random.bool() {
            let after = HALF_START.mul_f64(setup.random.f64());
            home.start_and_kill(after).await?;
            half_starts += 1;
        }
        let pipeline = home.up().await?;
        starts.push(pipeline.took);
        load.send_to(pipeline.ingress);
        tokio::time::sleep(Duration::from_millis(setup.random.u64(50..most))).await;
        pipeline.kill()?;
        load.hold();
        rounds_without += u32::from(load.ledger.acknowledged() == acked_before);
        acked_before = load.ledger.acknowledged();
    }
    let pipeline = home.up().await?;
    starts.push(pipeline.took);
    load.send_to(pipeline.ingress);
    load.finish().await?;
    let began = Instant::now();
    settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
    outcome.measure("kills", format!("{rounds} under load, {half_starts} during a start"));
    outcome.measure("rounds without an acknowledgement", rounds_without.to_string());
    outcome.measure("from start to ready", spread(&mut starts));
    outcome.measure("after the last acknowledgement everything had arrived in", millis(began.elapsed()));
    outcome.faults.extend(load.ledger.complaints());
    outcome.count(load.ledger.compare(&sink.arrivals, |_| false));
    Ok(())
}
