//! Reads sealed segments now and then, slowly: damage is found while there still is a copy somewhere.

use std::{
    io,
    time::{Duration, Instant},
};

use super::PERIOD;
use crate::{
    chain::Chain,
    error::Damage,
    format::{BatchStream, HEADER_BYTES},
};

/// Each sealed segment is read again after so long.
const AGAIN: Duration = Duration::from_secs(24 * 3600);
/// While there is something to read, a part of it is read so often.
const TICK: Duration = Duration::from_millis(250);

/// The walk over the sealed segments of a chain.
pub(super) struct Scrub {
    bytes_per_tick: u64,
    next_at: Instant,
    /// When the digest runs are read again.
    runs_at: Instant,
    /// The segment that is being read.
    current: Option<(u64, BatchStream)>,
}

impl Scrub {
    /// Reads so much a second; nothing at all where that is 0.
    pub(super) fn new(bytes_per_second: u64, now: Instant) -> Self {
        Self { bytes_per_tick: bytes_per_second / 4, next_at: now + PERIOD, runs_at: now + PERIOD, current: None }
    }

    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// Reads a little, where it is due.
    pub(super) fn step(&mut self, chain: &Chain, now: Instant) {
        if self.next_at > now {
            return;
        }
        if self.bytes_per_tick > 0 && self.current.is_none() {
            self.current = next_segment(chain, now);
            if self.current.is_none() && self.runs_at <= now {
                self.runs_at = now + AGAIN;
                chain.digests.check().iter().for_each(|damage| chain.found(damage));
            }
        }
        let Some((segment, batches)) = &mut self.current else {
            self.next_at = now + PERIOD;
            return;
        };
        self.next_at = now + TICK;
        let is_done = match read_on(chain, *segment, batches, self.bytes_per_tick) {
            Ok(is_at_end) => is_at_end,
            Err(Found::Damage(damage)) => {
                chain.found(&damage);
                true
            }
            Err(Found::Nothing) => true,
        };
        if is_done {
            let number = *segment;
            self.current = None;
            if let Some(segment) = chain.state().segments.iter_mut().find(|segment| segment.number == number) {
                segment.checked_at = Some(now);
            }
        }
    }
}

enum Found {
    Damage(Damage),
    /// Retention was faster, or the disk says no: whoever needs the segment will be told.
    Nothing,
}

impl From<io::Error> for Found {
    fn from(_: io::Error) -> Self {
        Self::Nothing
    }
}

/// Opens the oldest sealed segment that was not read for long.
fn next_segment(chain: &Chain, now: Instant) -> Option<(u64, BatchStream)> {
    let (number, seed, end) = {
        let state = chain.state();
        let sealed = state.segments.len().saturating_sub(1);
        let is_due = |checked_at: Option<Instant>| checked_at.is_none_or(|at| at + AGAIN <= now);
        let due = state.segments.iter().take(sealed).find(|segment| is_due(segment.checked_at))?;
        (due.number, due.seed, due.end)
    };
    let file = chain.shared.disk.open_read_only(&chain.path(number)).ok()?;
    Some((number, BatchStream::new(file, seed, HEADER_BYTES, end)))
}

/// Checks so many bytes. `true` at the end of the segment.
fn read_on(chain: &Chain, segment: u64, batches: &mut BatchStream, bytes: u64) -> Result<bool, Found> {
    let until = batches.position() + bytes;
    while batches.position() < until && !batches.is_at_limit() {
        batches.next()?.map_err(|bad| {
            Found::Damage(Damage { file: chain.path(segment), position: bad.position, what: bad.what })
        })?;
    }
    Ok(batches.is_at_limit())
}
