//! SIGKILL at random moments under load, and during starts and replays: what was acknowledged is delivered, in order.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    Setup,
    contract::{self, Destination, Topology},
    home::Home,
    ledger::{EventId, parse_id},
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
    let home = Home::new(setup, &contract::text(topology, &[destination], small))?;
    let mut load = Load::start(shaped, &sink.arrivals);
    let (mut starts, mut half_starts, mut acked_before) = (Vec::new(), 0, 0);
    let (mut rounds_without, mut replays) = (0, Vec::new());
    for _ in 0..rounds {
        if setup.random.bool() {
            let after = HALF_START.mul_f64(setup.random.f64());
            home.start_and_kill(after).await?;
            half_starts += 1;
        }
        let pipeline = home.up().await?;
        starts.push(pipeline.took);
        load.send_to(pipeline.ingress);
        let kill = sleep(Duration::from_millis(setup.random.u64(50..most)));
        let event = load.ledger.any_acknowledged(&mut setup.random);
        // An operator sends an event again meanwhile, who may not live to see the answer either.
        let replaying = replay(&home, event);
        let (killed, replay) = tokio::join!(
            async {
                kill.await;
                pipeline.kill()
            },
            replaying
        );
        killed?;
        replays.extend(replay);
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
    let arrived =
        settle::until("every replay had arrived", setup.patience(), async || sink.arrivals.missing(&replays) == 0);
    outcome.faults.extend(arrived.await.err());
    outcome.measure("kills", format!("{rounds} under load, {half_starts} during a start"));
    outcome.measure("replays acknowledged", format!("{}, {} lost", replays.len(), sink.arrivals.missing(&replays)));
    outcome.measure("rounds without an acknowledgement", rounds_without.to_string());
    outcome.measure("from start to ready", spread(&mut starts));
    outcome.measure("after the last acknowledgement everything had arrived in", millis(began.elapsed()));
    outcome.faults.extend(load.ledger.complaints());
    outcome.count(load.ledger.compare(&sink.arrivals, |_| false));
    Ok(())
}

/// Sends an event again as an operator does; the replay's id, where it was acknowledged.
async fn replay(home: &Home, event: Option<EventId>) -> Option<EventId> {
    let replayed = home.ask(&["replay", &uuid(event?), "--json"]).await.ok()?;
    parse_id(replayed.first()?["replay_id"].as_str()?)
}

/// An id as commands take it.
fn uuid(id: EventId) -> String {
    let digits = format!("{id:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_is_read() {
        let text = "01a1fce2-71f6-77af-b868-38ba524066f8";
        assert_eq!(uuid(parse_id(text).unwrap()), text);
    }
}
