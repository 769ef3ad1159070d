//! Every kind of broken destination beside a good one: the good one notices nothing, and the others are given everything,
//! in order of each key, when they are back.

use std::time::{Duration, Instant};

use hook_bench::latency::Summary;
use tokio::time::sleep;

use super::{
    Setup,
    contract::{self, Destination, Topology},
    home::Home,
    ledger::Counts,
    load::{Load, Shaped},
    report::{Outcome, millis},
    settle,
    sink::{Mode, Sink},
};

const FAULTS: [(&str, Mode); 6] = [
    ("refuses", Mode::Refuses),
    ("stalls", Mode::Stalls),
    ("resets", Mode::Resets),
    ("garbles", Mode::Garbles),
    ("fails", Mode::Fails),
    ("trickles", Mode::Trickles),
];
/// The good destination may be so far behind while the others are broken, on a machine that is busy.
const GOOD_BEHIND: Duration = Duration::from_secs(10);
/// Memory may grow by so much while six destinations of seven take nothing.
const MOST_GROWTH_KIB: u64 = 64 * 1024;

/// One key in sixteen is one that the strict destination answers with 400.
fn is_rejected(key: u32) -> bool {
    key % 16 == 3
}

/// Breaks all of them at once, and mends them.
pub(super) async fn run(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let (whole_for, broken_for) = match setup.is_quick {
        true => (Duration::from_secs(1), Duration::from_secs(6)),
        false => (Duration::from_secs(20), Duration::from_secs(60)),
    };
    // A steady load that all of them can take together: eight deliveries an event.
    let pause = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 20 });
    let shaped = Shaped { senders: 16, keys: 256, pause, ..Shaped::default() };
    let good = Sink::start(shaped.keys, &mut setup.random).await?;
    let strict = Sink::start_that_rejects(shaped.keys, is_rejected, &mut setup.random).await?;
    let mut broken = Vec::new();
    for (name, mode) in FAULTS {
        broken.push((name, mode, Sink::start(shaped.keys, &mut setup.random).await?));
    }
    let of = |id, sink: &Sink| Destination { id, address: sink.address };
    let destinations: Vec<_> = [of("good", &good), of("strict", &strict)]
        .into_iter()
        .chain(broken.iter().map(|(name, _, sink)| of(name, sink)))
        .collect();
    let home = Home::new(setup, &contract::text(Topology::Direct, &destinations, ""))?;
    let mut pipeline = home.up().await?;
    let mut load = Load::start(shaped, &good.arrivals);
    load.send_to(pipeline.ingress);
    load.acknowledged(200, setup.patience()).await?;
    good.arrivals.take_latencies();
    sleep(whole_for).await;
    let whole = good.arrivals.take_latencies();
    broken.iter().for_each(|(_, mode, sink)| sink.set(*mode));
    let memory = || pipeline.process().memory().map_err(|error| error.to_string());
    let (before, asked_before) = (memory()?.resident_kib, requests(&broken));
    sleep(broken_for).await;
    let beside = good.arrivals.take_latencies();
    for (name, figures) in [("good destination, all whole", whole), ("good destination, six broken", beside)] {
        let Summary { p50_ms, p99_ms, .. } = figures;
        outcome.measure(name, format!("p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms from sending to arrival"));
    }
    // What was acknowledged by now arrives at the good one, while the others are still broken.
    let (behind, goal) = (Instant::now(), load.ledger.acknowledged());
    let caught_up = async || good.arrivals.distinct() >= goal;
    settle::until("the good destination had what was acknowledged", GOOD_BEHIND, caught_up).await?;
    outcome.measure("the good destination was behind by", millis(behind.elapsed()));
    let after = memory()?.resident_kib;
    outcome.measure("resident before and after", format!("{before} KiB, {after} KiB"));
    outcome.check(after <= before + MOST_GROWTH_KIB, || format!("memory grew from {before} to {after} KiB"));
    let asked = requests(&broken).iter().zip(&asked_before).map(|(after, before)| after - before).collect::<Vec<_>>();
    let asked: Vec<_> = broken.iter().zip(asked).map(|((name, ..), asked)| format!("{name} {asked}")).collect();
    outcome.measure("attempts that each saw while broken", asked.join(", "));

    broken.iter().for_each(|(.., sink)| sink.set(Mode::Takes));
    let revived = Instant::now();
    load.finish().await?;
    settle::everything_arrives(&load.ledger, &good.arrivals, setup.patience()).await;
    for (name, _, sink) in &broken {
        settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
        let counts = load.ledger.compare(&sink.arrivals, |_| false);
        outcome.faults.extend(counts.complaints().into_iter().map(|fault| format!("{name}: {fault}")));
        outcome.measure(*name, format!("{} delivered, {} again", counts.delivered, counts.delivered_again));
    }
    outcome.measure("all had everything after", millis(revived.elapsed()));
    settle::everything_arrives_but(&load.ledger, &strict.arrivals, is_rejected, setup.patience()).await;
    let counts = load.ledger.compare(&strict.arrivals, is_rejected);
    outcome.faults.extend(counts.complaints().into_iter().map(|fault| format!("strict: {fault}")));

    // What the strict one refused for good, and nothing else, is in the dead letters.
    let counts_of_good = load.ledger.compare(&good.arrivals, |_| false);
    dead_letters(&home, counts_of_good, counts, outcome).await?;
    outcome.check(pipeline.is_alive(), || "the process ended".to_owned());
    outcome.faults.extend(load.ledger.complaints());
    outcome.count(counts_of_good);
    Ok(())
}

fn requests(broken: &[(&str, Mode, Sink)]) -> Vec<u64> {
    broken.iter().map(|(.., sink)| sink.requests()).collect()
}

async fn dead_letters(home: &Home, good: Counts, strict: Counts, outcome: &mut Outcome) -> Result<(), String> {
    let expected = good.delivered - strict.delivered;
    let limit = (good.delivered * 8).to_string();
    let listed = async || home.ask(&["dlq", "list", "--json", "--limit", &limit]).await;
    // A dead letter is written before its cursor moves, and after the answer came.
    let mut letters = listed().await?;
    let _ = settle::until("the last dead letters were there", GOOD_BEHIND, async || {
        letters = listed().await.unwrap_or_default();
        letters.len() as u64 >= expected
    })
    .await;
    let is_strict = |letter: &serde_json::Value| letter["destination"].as_str() == Some("out/strict");
    let elsewhere = letters.iter().filter(|letter| !is_strict(letter)).count();
    outcome.check(elsewhere == 0, || format!("{elsewhere} events of a destination that came back are dead letters"));
    let strict = letters.len() - elsewhere;
    outcome.measure("dead letters of the strict destination", format!("{strict} of {expected} refused"));
    outcome.check(strict as u64 == expected, || format!("{strict} dead letters for {expected} refused events"));
    Ok(())
}
