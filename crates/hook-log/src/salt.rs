//! The salts of segments: random, so that nobody who writes bodies can write something that looks like a frame; or made of a
//! seed, so that a simulation does the same again.

use std::{
    collections::hash_map::{DefaultHasher, RandomState},
    hash::{BuildHasher, BuildHasherDefault},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Where salts come from. No two are alike.
#[derive(Debug, Clone)]
pub(crate) enum Salts {
    Random,
    Seeded { seed: u64, given: Arc<AtomicU64> },
}

impl Salts {
    /// Salts that are the same for the same seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded { seed, given: Arc::default() }
    }

    /// Another one.
    pub(crate) fn next(&self) -> u64 {
        match self {
            Self::Random => RandomState::new().hash_one(()),
            Self::Seeded { seed, given } => {
                let number = given.fetch_add(1, Ordering::Relaxed);
                BuildHasherDefault::<DefaultHasher>::default().hash_one((seed, number))
            }
        }
    }
}
