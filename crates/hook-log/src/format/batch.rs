//! Batches as they stand in a segment: the next one, or what a bad spot proves.

use super::frame::{COMMON, END_LENGTH, Frame, PREFIX, check, kind, parse};

/// A place where no whole batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadSpot {
    /// The position of the frame that is bad.
    pub(crate) position: u64,
    /// What is wrong with it.
    pub(crate) what: &'static str,
}

/// A whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The position behind its batch end.
    pub(crate) end: u64,
    /// What its batch end says was synced.
    pub(crate) synced: u64,
}

/// Finds the end of the batch at `start` of `segment`, with every frame checked.
pub(crate) fn next_batch(segment: &[u8], start: u64, seed: u32) -> Result<Extent, BadSpot> {
    let mut at = start;
    let mut count = 0;
    loop {
        let position = at;
        let bad = |what| BadSpot { position, what };
        let rest = segment.get(at as usize..).ok_or(bad("the segment is too short"))?;
        let frame = check(rest, seed).ok_or(bad("no record with a right checksum"))?;
        let (batch_start, content) = parse(frame.payload).ok_or(bad("a record that cannot be read"))?;
        if batch_start != start {
            return Err(bad("a record of another batch"));
        }
        at += frame.size as u64;
        match content {
            Frame::BatchEnd { frames, synced } if frames == count => return Ok(Extent { end: at, synced }),
            Frame::BatchEnd { .. } => return Err(bad("the end of a batch of another size")),
            _ => count += 1,
        }
    }
}

/// Whether a valid batch behind the bad batch at `bad_start` says that `bad` was durable when it was written.
pub(crate) fn proves_damage(segment: &[u8], bad_start: u64, bad: u64, seed: u32) -> bool {
    let is_end_at = |at: usize| {
        let payload = &segment[at + PREFIX..];
        if payload.first() != Some(&kind::BATCH_END) {
            return false;
        }
        let Some(checked) = check(&segment[at..], seed) else { return false };
        let Some((start, Frame::BatchEnd { synced, .. })) = parse(checked.payload) else { return false };
        let is_behind = start > bad_start && start < at as u64;
        is_behind && synced > bad && next_batch(segment, start, seed).is_ok_and(|batch| batch.synced == synced)
    };
    let pattern = END_LENGTH.to_le_bytes();
    let mut at = bad_start as usize;
    while at + PREFIX + COMMON <= segment.len() {
        // Nearly every byte is passed over here; what is left is checked in full.
        let Some(found) = segment[at..].iter().position(|&byte| byte == pattern[0]) else { return false };
        at += found;
        if at + PREFIX + COMMON <= segment.len() && segment[at..].starts_with(&pattern) && is_end_at(at) {
            return true;
        }
        at += 1;
    }
    false
}
