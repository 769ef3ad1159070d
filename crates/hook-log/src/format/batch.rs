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

/// Finds the end of the batch at the beginning of `bytes`, which stand at `start` of a segment, with every frame checked.
pub(crate) fn next_batch(bytes: &[u8], start: u64, seed: u32) -> Result<Extent, BadSpot> {
    let mut at = start;
    let mut count = 0;
    loop {
        let position = at;
        let bad = |what| BadSpot { position, what };
        let rest = bytes.get((at - start) as usize..).ok_or(bad("the segment is too short"))?;
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

/// Whether a valid batch behind a bad one says that `bad` was durable when it was written. `bytes` stand at `bad_start`,
/// where the bad batch begins, and go on to the end of the segment.
pub(crate) fn proves_damage(bytes: &[u8], bad_start: u64, bad: u64, seed: u32) -> bool {
    let is_end_at = |at: usize| {
        let payload = &bytes[at + PREFIX..];
        if payload.first() != Some(&kind::BATCH_END) {
            return false;
        }
        let Some(checked) = check(&bytes[at..], seed) else { return false };
        let Some((start, Frame::BatchEnd { synced, .. })) = parse(checked.payload) else { return false };
        let is_behind = start > bad_start && start <= bad_start + at as u64;
        let batch = |start: u64| next_batch(&bytes[(start - bad_start) as usize..], start, seed);
        is_behind && synced > bad && batch(start).is_ok_and(|batch| batch.synced == synced)
    };
    let pattern = END_LENGTH.to_le_bytes();
    let mut at = 0;
    while at + PREFIX + COMMON <= bytes.len() {
        // Nearly every byte is passed over here; what is left is checked in full.
        let Some(found) = bytes[at..].iter().position(|&byte| byte == pattern[0]) else { return false };
        at += found;
        if at + PREFIX + COMMON <= bytes.len() && bytes[at..].starts_with(&pattern) && is_end_at(at) {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use hook_core::{Timestamp, names::TopicName, ports::log::NewRecord};

    use super::{super::Encoder, *};

    const SEED: u32 = 7;

    /// A batch of one record, at that position.
    fn batch(at: usize, body: &[u8], synced: u64, seed: u32) -> Vec<u8> {
        let mut buffer = BytesMut::new();
        let mut batch = Encoder::new(&mut buffer, at as u64, seed);
        let record = NewRecord {
            topic: TopicName::new("t").unwrap(),
            key: None,
            time: Timestamp::UNIX_EPOCH,
            header: Default::default(),
            body: body.to_vec().into(),
        };
        batch.data(&record, 0, 0);
        batch.end(synced);
        buffer.to_vec()
    }

    #[test]
    fn a_batch_proves_what_was_synced_before_it() {
        let mut segment = batch(0, b"first", 0, SEED);
        let end = segment.len();
        segment.extend(batch(end, b"second", end as u64, SEED));
        assert!(proves_damage(&segment, 0, 20, SEED));
        assert!(!proves_damage(&segment[end..], end as u64, end as u64 + 20, SEED), "a batch proves itself");
        let mut unsynced = batch(0, b"first", 0, SEED);
        unsynced.extend(batch(end, b"second", 0, SEED));
        assert!(!proves_damage(&unsynced, 0, 20, SEED));
    }

    #[test]
    fn a_body_that_holds_a_batch_of_its_very_place_proves_nothing() {
        let begin = batch(0, b"", 0, SEED).len() - END_LENGTH as usize - PREFIX;
        let forged = |seed| batch(0, &batch(begin, b"forged", begin as u64, seed), 0, SEED);
        assert!(proves_damage(&forged(SEED), 0, 20, SEED), "the forgery is none, so that this test shows nothing");
        assert!(!proves_damage(&forged(SEED + 1), 0, 20, SEED));
    }

    #[test]
    fn a_batch_with_any_byte_flipped_is_bad() {
        let whole = batch(0, b"body", 0, SEED);
        assert_eq!(next_batch(&whole, 0, SEED).map(|batch| batch.end), Ok(whole.len() as u64));
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(next_batch(&bytes, 0, SEED).is_err(), "byte {at}");
        }
    }
}
