//! Two serve, two relay and four smash share the work; some are added and some go, in good order and not.

use std::time::{Duration, Instant};

use hook_bench::brokers::{Brokers, DIRECT};
use tokio::time::sleep;

use super::{
    Topics, check_topics,
    fleet::{Fleet, Role},
    home, said, shaped,
};
use crate::faults::{
    Setup,
    ledger::Arrivals,
    load::{Load, Shaped},
    report::{Outcome, seconds},
    settle,
    sink::Sink,
};

const TOPICS: Topics = Topics { partitions: 12, replication: 1 };
const ONE_OF_EACH: [u32; 3] = [1, 1, 1];
const SEVERAL: [u32; 3] = [2, 2, 4];
const ROUNDS: u32 = 3;
/// A process that was added has its share within this.
const JOINS: Duration = Duration::from_secs(120);
const GOES_ON: Duration = Duration::from_secs(120);

pub(crate) async fn run(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let rounds = setup.rounds.unwrap_or(if setup.is_quick { 1 } else { ROUNDS });
    let measured = Duration::from_secs(if setup.is_quick { 4 } else { 15 });
    let (mut alone, mut shared) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        crate::say(&format!("faults: round {round}, one process of each role\n"));
        alone.push(rate(setup, ONE_OF_EACH, measured, outcome).await?);
        crate::say(&format!("faults: round {round}, two serve, two relay, four smash\n"));
        shared.push(rate(setup, SEVERAL, measured, outcome).await?);
    }
    let each = |rates: &[f64]| rates.iter().map(|rate| format!("{rate:.0}")).collect::<Vec<_>>().join(", ");
    outcome.measure("events a second through 1, 1 and 1", each(&alone));
    outcome.measure("events a second through 2, 2 and 4", each(&shared));
    let mut ratios: Vec<f64> = shared.iter().zip(&alone).map(|(shared, alone)| shared / alone).collect();
    ratios.sort_by(f64::total_cmp);
    outcome.measure("2, 2 and 4 over 1, 1 and 1, in the middle", format!("{:.2}", ratios[ratios.len() / 2]));
    crate::say("faults: processes come and go\n");
    come_and_go(setup, outcome).await
}

/// Events delivered a second by so many processes.
async fn rate(setup: &mut Setup, of_each: [u32; 3], measured: Duration, outcome: &mut Outcome) -> Result<f64, String> {
    let brokers = Brokers::up(&[]).await.map_err(said)?;
    let shaped = Shaped { most_ahead: 5_000, ..shaped() };
    let sink = Sink::start(shaped.keys, &mut setup.random).await?;
    let home = home(setup, &sink, (&brokers, DIRECT), TOPICS)?;
    let fleet = Fleet::start(&home, of_each).await?;
    let mut load = Load::start(shaped, &sink.arrivals);
    load.send_to_all(fleet.ingresses());
    everyone_works(&fleet, &load, &sink.arrivals).await?;
    sleep(measured / 5).await;
    let (before, began) = (sink.arrivals.distinct(), Instant::now());
    sleep(measured).await;
    let rate = (sink.arrivals.distinct() - before) as f64 / began.elapsed().as_secs_f64();
    for role in Role::ALL {
        let work = fleet.work(role).await?;
        let total = work.iter().map(|(_, work)| work).sum::<u64>().max(1);
        let shares: Vec<_> = work.iter().map(|(_, work)| format!("{} %", 100 * work / total)).collect();
        if work.len() > 1 {
            outcome.measure(format!("shares of each {role}"), shares.join(", "));
        }
    }
    load.finish().await?;
    settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
    outcome.faults.extend(load.ledger.complaints());
    outcome.faults.extend(load.ledger.compare(&sink.arrivals, |_| false).complaints());
    Ok(rate)
}

/// Waits until each process has done something, and has caught up.
async fn everyone_works(fleet: &Fleet<'_>, load: &Load, arrivals: &Arrivals) -> Result<Duration, String> {
    let mut idle = String::new();
    let works = settle::until("every process had its share", JOINS, async || {
        for role in Role::ALL {
            let work = fleet.work(role).await.unwrap_or_default();
            if let Some((number, _)) = work.iter().find(|(_, work)| *work == 0) {
                idle = format!("{role}-{number}");
                return false;
            }
        }
        true
    });
    let took = works.await.map_err(|error| format!("{error}: {idle} had none"))?;
    let now = load.ledger.now();
    settle::until("everything had arrived", GOES_ON, async || arrivals.have(&now)).await?;
    Ok(took)
}

/// One of each role is added, one is terminated, one is killed; nothing is lost.
async fn come_and_go(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let brokers = Brokers::up(&[]).await.map_err(said)?;
    let shaped = Shaped { senders: 32, keys: 512, pause: Duration::from_millis(10), ..shaped() };
    let sink = Sink::start(shaped.keys, &mut setup.random).await?;
    let home = home(setup, &sink, (&brokers, DIRECT), TOPICS)?;
    let mut fleet = Fleet::start(&home, SEVERAL).await?;
    let mut load = Load::start(shaped, &sink.arrivals);
    load.send_to_all(fleet.ingresses());
    everyone_works(&fleet, &load, &sink.arrivals).await?;
    for (role, number) in Role::ALL.into_iter().zip([3, 3, 5]) {
        fleet.add(role, number).await?;
        load.send_to_all(fleet.ingresses());
        let took = everyone_works(&fleet, &load, &sink.arrivals).await?;
        outcome.measure(format!("a {role} was added, and had its share after"), seconds(took));
    }
    for role in Role::ALL {
        let before = load.ledger.now();
        let (ended, all) = (fleet.terminate(role, 1), arrived(&before, &sink.arrivals));
        let (ended, all) = tokio::join!(ended, all);
        load.send_to_all(fleet.ingresses());
        outcome.measure(
            format!("SIGTERM of a {role}"),
            format!(
                "it ended after {}, everything acknowledged before had arrived after {}",
                seconds(ended?),
                seconds(all?)
            ),
        );
    }
    for role in Role::ALL {
        let before = load.ledger.now();
        fleet.kill(role, 2)?;
        load.send_to_all(fleet.ingresses());
        let all = arrived(&before, &sink.arrivals).await?;
        let said = format!("everything acknowledged before had arrived after {}", seconds(all));
        outcome.measure(format!("SIGKILL of a {role}, which does not come back"), said);
    }
    load.finish().await?;
    settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
    outcome.faults.extend(fleet.fallen());
    outcome.faults.extend(load.ledger.complaints());
    outcome.count(load.ledger.compare(&sink.arrivals, |_| false));
    check_topics(&brokers, &load.ledger, shaped.keys, outcome).await
}

async fn arrived(before: &crate::faults::ledger::Acknowledged, arrivals: &Arrivals) -> Result<Duration, String> {
    settle::until("everything acknowledged before a process went had arrived", GOES_ON, async || arrivals.have(before))
        .await
}
