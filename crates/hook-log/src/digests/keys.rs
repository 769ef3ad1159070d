//! The keys of one segment, in memory.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::Entry;
use crate::format::Keys as Frame;

/// Who was the first with a key, and until when that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) id: [u8; 16],
    pub(crate) expires_at_us: i64,
}

impl First {
    /// The id, as long as it counts.
    pub(crate) fn unexpired(self, now_us: i64) -> Option<[u8; 16]> {
        (self.expires_at_us > now_us).then_some(self.id)
    }
}

/// Digest → who was the first.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    first: HashMap<[u8; 16], First, BuildHasherDefault<Prefix>>,
}

impl Keys {
    pub(crate) fn get(&self, digest: &[u8; 16]) -> Option<First> {
        self.first.get(digest).copied()
    }

    /// Takes a *seen* frame in.
    pub(crate) fn insert(&mut self, id: [u8; 16], keys: Frame<'_>) {
        self.first.extend(keys.iter().map(|(digest, expires_at_us)| (digest, First { id, expires_at_us })));
    }

    pub(crate) fn len(&self) -> usize {
        self.first.len()
    }

    /// All of them, by digest.
    pub(crate) fn sorted(&self) -> Vec<Entry> {
        let mut entries: Vec<_> = self.first.iter().map(|(&digest, &first)| Entry { digest, first }).collect();
        entries.sort_unstable_by_key(|entry| entry.digest);
        entries
    }
}

/// A digest is a hash: a part of it is as good as hashing it again.
#[derive(Debug, Default)]
pub(crate) struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*prefix);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}
