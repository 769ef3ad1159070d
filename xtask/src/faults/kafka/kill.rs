//! SIGKILL of a broker, of a serve, of a relay, of a smash, in turn under load: three brokers, two processes of each role.

use std::{
    fmt,
    time::{Duration, Instant},
};

use hook_bench::brokers::{Brokers, DIRECT};
use tokio::time::sleep;

use super::{
    Topics, check_topics,
    fleet::{Fleet, Role},
    home, said, shaped, topic,
};
use crate::faults::{
    Setup,
    ledger::{Arrivals, Ledger},
    load::{Load, Shaped},
    report::{Outcome, seconds},
    settle,
    sink::Sink,
};

const TOPICS: Topics = Topics { partitions: 6, replication: 3 };
const OF_EACH: u32 = 2;
const ROUNDS: u32 = 4;
/// In every other round whoever was killed is away for longer than a session lasts, so that others take its work over.
const AWAY: Duration = Duration::from_secs(15);
/// What was acknowledged before a kill must arrive within this.
const RECOVERS: Duration = Duration::from_secs(120);
const REST: Duration = Duration::from_secs(2);

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Broker,
    Process(Role),
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker => f.write_str("a broker"),
            Self::Process(role) => write!(f, "a {role}"),
        }
    }
}

/// What was seen of a kill.
struct Seen {
    victim: Victim,
    is_away: bool,
    /// The longest that an acknowledgement took until everything was well again.
    acknowledgement: Duration,
    /// Until everything had arrived that was acknowledged when it was killed.
    recovered: Duration,
    /// From its start to its ready line.
    started: Duration,
}

/// Kills each in turn, `rounds` times.
pub(crate) async fn run(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let rounds = setup.rounds.unwrap_or(if setup.is_quick { 1 } else { ROUNDS });
    let mut brokers = Brokers::up(&["--brokers", "3"]).await.map_err(said)?;
    let shaped = Shaped { senders: 16, keys: 256, pause: Duration::from_millis(10), ..shaped() };
    let sink = Sink::start(shaped.keys, &mut setup.random).await?;
    let home = home(setup, &sink, (&brokers, DIRECT), TOPICS)?;
    let mut fleet = Fleet::start(&home, [OF_EACH; 3]).await?;
    let mut load = Load::start(shaped, &sink.arrivals);
    load.send_to_all(fleet.ingresses());
    load.acknowledged(1_000, RECOVERS).await?;
    recovered(&load.ledger, &sink.arrivals, "the first events").await?;
    let mut seen = Vec::new();
    for round in 0..rounds {
        for victim in
            [Victim::Broker, Victim::Process(Role::Serve), Victim::Process(Role::Relay), Victim::Process(Role::Smash)]
        {
            let number = match victim {
                Victim::Broker => setup.random.u32(1..=3),
                Victim::Process(_) => setup.random.u32(1..=OF_EACH),
            };
            let killing = Killing { victim, number, is_away: round % 2 == 1 };
            crate::say(&format!("faults: {killing}\n"));
            seen.push(killing.run((&mut brokers, &mut fleet), &load, &sink.arrivals).await?);
            outcome.faults.extend(fleet.fallen());
        }
    }
    load.finish().await?;
    settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
    report(&seen, outcome);
    outcome.measure("starts that were refused and repeated", fleet.refused.len().to_string());
    fleet.refused.iter().for_each(|refused| crate::say(&format!("faults: {refused}\n")));
    outcome.faults.extend(fleet.fallen());
    outcome.faults.extend(load.ledger.complaints());
    outcome.count(load.ledger.compare(&sink.arrivals, |_| false));
    check_topics(&brokers, &load.ledger, shaped.keys, outcome).await
}

struct Killing {
    victim: Victim,
    number: u32,
    is_away: bool,
}

impl fmt::Display for Killing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIGKILL of {}, number {}, {}", self.victim, self.number, back(self.is_away))
    }
}

fn back(is_away: bool) -> &'static str {
    if is_away { "back after 15 s" } else { "back at once" }
}

impl Killing {
    async fn run(
        &self,
        (brokers, fleet): (&mut Brokers, &mut Fleet<'_>),
        load: &Load,
        arrivals: &Arrivals,
    ) -> Result<Seen, String> {
        load.ledger.take_latencies();
        let before = load.ledger.now();
        match self.victim {
            Victim::Broker => brokers.kill(self.number).await.map_err(said)?,
            Victim::Process(role) => fleet.kill(role, self.number)?,
        }
        let back = async {
            if self.is_away {
                sleep(AWAY).await;
            }
            let began = Instant::now();
            match self.victim {
                Victim::Broker => brokers.start(self.number).await.map_err(said)?,
                Victim::Process(role) => drop(fleet.add(role, self.number).await?),
            }
            load.send_to_all(fleet.ingresses());
            Ok::<_, String>(began.elapsed())
        };
        let has_recovered = settle::until("everything acknowledged before a kill had arrived", RECOVERS, async || {
            arrivals.have(&before)
        });
        let (started, has_recovered) = tokio::join!(back, has_recovered);
        let recovered = has_recovered.map_err(|error| format!("{self}: {error}"))?;
        let started = started?;
        // The next kill finds everything in its place.
        self.settle(brokers, load, arrivals).await?;
        let acknowledgement = Duration::from_secs_f64(load.ledger.take_latencies().max_ms / 1000.0);
        Ok(Seen { victim: self.victim, is_away: self.is_away, acknowledgement, recovered, started })
    }

    async fn settle(&self, brokers: &Brokers, load: &Load, arrivals: &Arrivals) -> Result<(), String> {
        if self.victim == Victim::Broker {
            let bootstrap = brokers.bootstrap(DIRECT).map_err(said)?;
            settle::until("every replica was in sync", RECOVERS, async || {
                topic::out_of_sync(bootstrap).await.is_ok_and(|partitions| partitions == 0)
            })
            .await?;
        }
        sleep(REST).await;
        recovered(&load.ledger, arrivals, "what was acknowledged after a kill").await.map(drop)
    }
}

/// Waits until everything has arrived that is acknowledged now.
async fn recovered(ledger: &Ledger, arrivals: &Arrivals, what: &str) -> Result<Duration, String> {
    let now = ledger.now();
    settle::until(&format!("{what} had arrived"), RECOVERS, async || arrivals.have(&now)).await
}

fn report(seen: &[Seen], outcome: &mut Outcome) {
    let mut kinds: Vec<(Victim, bool)> = Vec::new();
    for Seen { victim, is_away, .. } in seen {
        if !kinds.contains(&(*victim, *is_away)) {
            kinds.push((*victim, *is_away));
        }
    }
    outcome.measure("kills", seen.len().to_string());
    for (victim, is_away) in kinds {
        let of_kind: Vec<_> = seen.iter().filter(|seen| (seen.victim, seen.is_away) == (victim, is_away)).collect();
        let all =
            |each: fn(&Seen) -> Duration| of_kind.iter().map(|seen| seconds(each(seen))).collect::<Vec<_>>().join(", ");
        outcome.measure(
            format!("{victim}, {}", back(is_away)),
            format!(
                "everything acknowledged before had arrived after {}; the longest acknowledgement took {}; its start {}",
                all(|seen| seen.recovered),
                all(|seen| seen.acknowledgement),
                all(|seen| seen.started)
            ),
        );
    }
}
