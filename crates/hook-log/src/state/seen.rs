//! Deduplication keys that have not expired.

use std::collections::HashMap;

use crate::format::Keys;

/// With fewer keys than this, expired ones may stay.
const PURGE_FROM: usize = 1 << 16;

/// Digest → who was the first. Only the writer asks, so nobody else pays for it.
#[derive(Default)]
pub(crate) struct Seen {
    first: HashMap<[u8; 16], First>,
    /// At so many keys the next purge is due.
    purge_at: usize,
}

#[derive(Clone, Copy)]
struct First {
    id: [u8; 16],
    expires_at_us: i64,
    /// The segment that says so.
    segment: u64,
}

impl Seen {
    /// The append that has this key.
    pub(crate) fn first(&self, digest: &[u8; 16], now_us: i64) -> Option<[u8; 16]> {
        self.first.get(digest).filter(|first| first.expires_at_us > now_us).map(|first| first.id)
    }

    /// Takes a *seen* frame in. Returns the latest time at which a key of it expires.
    pub(super) fn insert(&mut self, id: [u8; 16], keys: Keys<'_>, segment: u64) -> i64 {
        let mut latest = i64::MIN;
        for (digest, expires_at_us) in keys.iter() {
            self.first.insert(digest, First { id, expires_at_us, segment });
            latest = latest.max(expires_at_us);
        }
        latest
    }

    /// Forgets what has expired, when that is worth a walk over all of it.
    pub(crate) fn purge(&mut self, now_us: i64) {
        if self.first.len() >= self.purge_at.max(PURGE_FROM) {
            self.first.retain(|_, first| first.expires_at_us > now_us);
            self.purge_at = self.first.len() * 2;
        }
    }

    /// What that segment says and no later one: append id, digest, expiry. Expired keys are left out.
    pub(crate) fn of_segment(&self, segment: u64, now_us: i64) -> Vec<([u8; 16], [u8; 16], i64)> {
        let kept = self.first.iter().filter(|(_, first)| first.segment == segment && first.expires_at_us > now_us);
        kept.map(|(digest, first)| (first.id, *digest, first.expires_at_us)).collect()
    }
}
