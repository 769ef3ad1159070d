//! The same on Kafka: real brokers, started for each scenario, and roles in processes of their own.
//!
//! ```text
//!   load ──▶ serve, serve ──▶ webhooks.github ──▶ relay, relay ──▶ webhooks.core ──▶ smash, smash ──▶ sink
//!     └── acknowledged ──────────── compared: with the topics, with what arrived ──────────────────────┘
//! ```
//!
//! What was acknowledged has to be in the topic that `serve` writes, under the very id that was acknowledged. In the core topic
//! nothing may stand twice. A sender who had no answer sends again, and both copies are stored; which of the two reaches the
//! destination is the relay's choice, so that arrivals are compared by delivery and not by id.

mod fleet;
mod kill;
mod network;
mod proxy;
mod share;
mod topic;

pub(super) use self::{kill::run as run_kill, network::run as run_network, share::run as run_share};

use std::{collections::HashMap, ffi::OsString};

use hook_bench::brokers::{Brokers, DIRECT};

use super::{
    Setup,
    contract::{self, Destination, Topology},
    home::Home,
    ledger::{Copies, Ledger, Place},
    load::Shaped,
    report::Outcome,
    sink::Sink,
};

/// What `serve` writes for the source of the load.
const SOURCE_TOPIC: &str = "webhooks.github";
const CORE_TOPIC: &str = "webhooks.core";
/// Before every topic and group.
const NAMESPACE: &str = "faults.";

/// What topics are made with.
#[derive(Debug, Clone, Copy)]
struct Topics {
    partitions: u32,
    replication: usize,
}

/// A home whose log is on these brokers, reached over this listener, with one destination behind a relay.
fn home(setup: &Setup, sink: &Sink, (brokers, listener): (&Brokers, &str), topics: Topics) -> Result<Home, String> {
    let destination = Destination { id: "service", address: sink.address };
    // Partitions are shared out over all topics that are read: those of sources without a load could be all that one relay gets.
    let text = contract::text(Topology::Relayed, &[destination], "")
        .replace(r#"source_match = "*""#, r#"source_match = "github""#);
    let mut home = Home::new(setup, &text)?;
    let mut environment = brokers.environment(listener).map_err(said)?;
    environment.extend(
        [
            ("KAFKA_NAMESPACE", NAMESPACE.to_owned()),
            ("KAFKA_TOPIC_PARTITIONS", topics.partitions.to_string()),
            ("KAFKA_TOPIC_REPLICATION_FACTOR", topics.replication.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    home.environment = environment.into_iter().map(|(name, value)| (OsString::from(name), value.into())).collect();
    Ok(home)
}

/// A load whose copies are removed behind the acknowledgement.
fn shaped() -> Shaped {
    Shaped { copies: Copies::Removed, ..Shaped::default() }
}

/// Compares what was acknowledged with what stands in the topics.
async fn check_topics(brokers: &Brokers, ledger: &Ledger, keys: u32, outcome: &mut Outcome) -> Result<(), String> {
    let bootstrap = brokers.bootstrap(DIRECT).map_err(said)?;
    let stored = topic::read(bootstrap, &format!("{NAMESPACE}{SOURCE_TOPIC}")).await?;
    let mut missing = ledger.ids();
    for event in &stored {
        missing.remove(&event.id);
    }
    outcome.check(missing.is_empty(), || format!("{} acknowledged events are not in {SOURCE_TOPIC}", missing.len()));
    let core = topic::read(bootstrap, &format!("{NAMESPACE}{CORE_TOPIC}")).await?;
    let (mut ids, mut places) = (HashMap::<_, u32>::new(), HashMap::<(u32, usize), u32>::new());
    for event in &core {
        let Place { key, nth } = event.place(keys);
        *ids.entry(event.id).or_default() += 1;
        *places.entry((key, nth)).or_default() += 1;
    }
    let twice = |counts: &mut dyn Iterator<Item = &u32>| counts.filter(|count| **count > 1).count();
    let (same_id, same_delivery) = (twice(&mut ids.values()), twice(&mut places.values()));
    outcome.check(same_id == 0, || format!("{same_id} events stand in {CORE_TOPIC} more than once"));
    outcome.check(same_delivery == 0, || format!("{same_delivery} deliveries stand in {CORE_TOPIC} under several ids"));
    let acknowledged = ledger.acknowledged();
    outcome.measure(
        "in the topics",
        format!(
            "{} records that serve wrote for {acknowledged} acknowledged events, {} in {CORE_TOPIC}, none twice",
            stored.len(),
            core.len()
        ),
    );
    Ok(())
}

/// An error of the tools that measurements and faults share.
#[expect(clippy::needless_pass_by_value, reason = "it is what errors are mapped by")]
fn said(error: hook_bench::error::Error) -> String {
    error.to_string()
}
