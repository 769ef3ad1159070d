//! One file for each thing that is measured.

pub(crate) mod backlog;
pub(crate) mod broadcast;
pub(crate) mod echo;
pub(crate) mod end_to_end;
pub(crate) mod fsync;
pub(crate) mod ingest;
pub(crate) mod isolation;
pub(crate) mod kafka;
pub(crate) mod options;
pub(crate) mod outage;
mod percentile;
pub(crate) mod poison;
mod rate;
pub(crate) mod scaling;
pub(crate) mod travel;

use std::{path::PathBuf, time::Duration};

use hook_bench::{
    contract::{Destination, SECRET, SECRET_VARIABLE, contract},
    error::Error,
    load::{Load, Pace, Until},
    mark,
    pipeline::{Home, Program},
    process::Process,
    template::Shape,
};

/// How hard and how long is measured.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    /// Data directories are made below this one.
    pub(crate) below: PathBuf,
    pub(crate) body_bytes: usize,
    pub(crate) connections: u32,
    pub(crate) keys: u32,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// The rate of the steady load.
    pub(crate) steady: f64,
}

impl Scale {
    /// 1 KiB bodies over 64 connections, 10,000 keys, five seconds.
    pub(crate) fn new(below: PathBuf) -> Self {
        Self {
            below,
            body_bytes: 1024,
            connections: 64,
            keys: 10_000,
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(5),
            steady: 16_000.0,
        }
    }

    /// A data directory of its own, and a contract with these destinations.
    pub(crate) fn home(&self, destinations: &[Destination]) -> Result<Home, Error> {
        self.home_with(destinations, "")
    }

    pub(crate) fn home_with(&self, destinations: &[Destination], sections: &str) -> Result<Home, Error> {
        let contract = contract(destinations, sections);
        Home::new(Program::this("hook")?, &self.below, &contract, &[(SECRET_VARIABLE, SECRET)])
    }

    /// A load on this address, as fast as answers come, as long as is measured.
    pub(crate) fn load<'a>(&self, address: std::net::SocketAddr, path: &'a str, watched: &[Process]) -> Load<'a> {
        Load {
            shape: Shape { address, path, secret: SECRET, body_bytes: self.body_bytes },
            run: mark::new_run(),
            keys: self.keys,
            connections: self.connections,
            pace: Pace::AsAnswered,
            until: Until::Elapsed { warm_up: self.warm_up, measured: self.measured },
            first_round: 0,
            hold_back: None,
            watched: watched.to_vec(),
            keeps_numbers: false,
        }
    }
}

/// Processor time for each of so many events, in microseconds.
pub(crate) fn each_us(cpu: Duration, events: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / events.max(1) as f64
}

/// The element in the middle, by this measure.
pub(crate) fn middle<T: Clone>(rounds: &[T], measure: impl Fn(&T) -> f64) -> Option<T> {
    let mut sorted: Vec<&T> = rounds.iter().collect();
    sorted.sort_by(|left, right| measure(left).total_cmp(&measure(right)));
    sorted.get(sorted.len() / 2).map(|found| (*found).clone())
}
