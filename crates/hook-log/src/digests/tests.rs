//! Digests against a plain map: whatever is sealed, written, merged, forgotten and opened again.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use bytes::BytesMut;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    disk::RealDisk,
    format::{ChainKind, Encoder, Frame, frames},
};

pub(super) const CHAIN: ChainKind = ChainKind::Events;
const NEVER: i64 = i64::MAX;

/// An evenly spread digest of a number.
pub(super) fn digest(number: u64) -> [u8; 16] {
    let mut seed = fastrand::Rng::with_seed(number);
    seed.u128(..).to_le_bytes()
}

pub(super) fn id(number: u64) -> [u8; 16] {
    u128::from(number).to_le_bytes()
}

/// The keys that a segment says, as (digest, id, expiry).
pub(super) fn keys(of: impl IntoIterator<Item = (u64, u64, i64)>) -> Keys {
    let mut keys = Keys::default();
    for (number, by, expires_at_us) in of {
        let mut buffer = BytesMut::new();
        Encoder::new(&mut buffer, 0, 0).seen_until(id(by), std::iter::once((digest(number), expires_at_us)));
        for (_, frame) in frames(&buffer) {
            let Frame::Seen { id, keys: frame } = frame else { continue };
            keys.insert(id, frame);
        }
    }
    keys
}

fn open(dir: &Path, most: u64, oldest: u64) -> Digests {
    let opened = Opened::open(&RealDisk, dir, CHAIN, oldest).unwrap();
    Digests::new(Arc::new(RealDisk), dir.to_owned(), CHAIN, most, opened)
}

fn settle(digests: &Digests, oldest: u64, now_us: i64) {
    while digests.write_next().unwrap().is_some() {}
    while digests.tidy(oldest, now_us, || false).unwrap() {}
}

fn runs(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_million_keys_take_ten_bits_each_and_sixteen_files() {
    let dir = TempDir::new().unwrap();
    let digests = open(dir.path(), 10_000_000, 0);
    let (segments, each) = (50, 20_000);
    for segment in 0..segments {
        digests.seal(segment, 0, keys((0..each).map(|key| (segment * each + key, segment, NEVER))));
        settle(&digests, 0, 0);
    }
    assert!(runs(dir.path()).len() <= 16, "{:?}", runs(dir.path()));
    let again = open(dir.path(), 10_000_000, 0);
    let live = again.live();
    assert_eq!(live.len(), segments * each);
    assert!(live.memory_bytes() * 8 <= 11 * live.len(), "{} bytes", live.memory_bytes());
    for number in (0..segments * each).step_by(997) {
        assert_eq!(live.first(&digest(number)).unwrap().unwrap().id, id(number / each), "{number}");
    }
    assert!((1 << 40..(1 << 40) + 20_000).all(|number| live.first(&digest(number)).unwrap().is_none()));
}

#[test]
fn too_many_keys_forget_the_oldest_and_expired_ones_leave_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let digests = open(dir.path(), 1000, 0);
    for segment in 1..=30 {
        digests.seal(
            segment,
            i64::try_from(segment).unwrap(),
            keys((0..100).map(|key| (segment * 100 + key, segment, 500))),
        );
        settle(&digests, 1, 0);
    }
    let live = digests.live();
    assert!(live.len() <= 1000 && live.len() >= 700, "{}", live.len());
    assert!(live.first(&digest(100)).unwrap().is_none());
    assert!(live.first(&digest(3000)).unwrap().is_some());
    assert!(live.since_us().unwrap() > 15, "{:?}", live.since_us());
    // Their segments are there: what was forgotten is covered all the same.
    let opened = Opened::open(&RealDisk, dir.path(), CHAIN, 1).unwrap();
    assert!((1..=30).all(|segment| opened.cover(segment)));
    settle(&digests, 31, 501);
    assert_eq!(runs(dir.path()), [] as [&str; 0]);
}

#[test]
fn every_flipped_or_missing_byte_of_a_run_is_noticed() {
    let dir = TempDir::new().unwrap();
    let digests = open(dir.path(), 1000, 0);
    digests.seal(3, 0, keys((0..150).map(|key| (key, 1, NEVER))));
    settle(&digests, 0, 0);
    let path = dir.path().join(&runs(dir.path())[0]);
    let whole = fs::read(&path).unwrap();
    let damaged = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        // The segment is gone, so that it cannot be made anew.
        match Opened::open(&RealDisk, dir.path(), CHAIN, 4) {
            Err(crate::OpenError::Damaged(damage)) => damage.file == path,
            // A flipped version is one that is not known.
            Err(crate::OpenError::Io { path: file, source, .. }) => {
                file == path && source.kind() == std::io::ErrorKind::Unsupported
            }
            Err(error) => panic!("another error: {error}"),
            Ok(opened) => {
                let digests = Digests::new(Arc::new(RealDisk), dir.path().to_owned(), CHAIN, 1000, opened);
                !digests.check().is_empty()
            }
        }
    };
    assert!(!damaged(&whole));
    for at in (0..whole.len()).step_by(7).chain(whole.len() - 200..whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        assert!(damaged(&bytes), "byte {at} of {}", whole.len());
        assert!(damaged(&whole[..at]), "cut at {at}");
    }
    // While the segment is there, the file only goes.
    fs::write(&path, &whole[..100]).unwrap();
    assert!(!Opened::open(&RealDisk, dir.path(), CHAIN, 3).unwrap().cover(3));
    assert_eq!(runs(dir.path()), [] as [&str; 0]);
}

#[test]
fn a_run_of_a_later_version_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let digests = open(dir.path(), 1000, 0);
    digests.seal(3, 0, keys([(1, 1, NEVER)]));
    settle(&digests, 0, 0);
    let path = dir.path().join(&runs(dir.path())[0]);
    let mut bytes = fs::read(&path).unwrap();
    (bytes[8], bytes[100]) = (2, 1);
    fs::write(&path, &bytes).unwrap();
    let Err(crate::OpenError::Io { source, .. }) = Opened::open(&RealDisk, dir.path(), CHAIN, 3) else {
        panic!("it was opened, or taken for damage")
    };
    assert!(source.to_string().contains("format version 2"), "{source}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_bit_that_was_flipped_anywhere_in_the_header_is_damage_and_no_later_version() {
    let dir = TempDir::new().unwrap();
    let digests = open(dir.path(), 1000, 0);
    digests.seal(3, 0, keys([(1, 1, NEVER)]));
    settle(&digests, 0, 0);
    let path = dir.path().join(&runs(dir.path())[0]);
    let whole = fs::read(&path).unwrap();
    for bit in 0..64 * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let damaged = damaged_runs(&RealDisk, dir.path(), CHAIN).unwrap();
        assert_eq!(damaged.len(), 1, "bit {bit}");
    }
}

#[test]
fn what_a_crash_leaves_between_a_merge_and_the_removal_of_its_inputs_is_tidied_up() {
    let dir = TempDir::new().unwrap();
    let digests = open(dir.path(), 100_000, 0);
    for segment in 1..=15 {
        digests.seal(segment, 0, keys([(segment, segment, NEVER)]));
        settle(&digests, 0, 0);
    }
    let inputs: Vec<_> =
        runs(dir.path()).iter().map(|name| (name.clone(), fs::read(dir.path().join(name)).unwrap())).collect();
    digests.seal(16, 0, keys([(16, 16, NEVER)]));
    settle(&digests, 0, 0);
    let merged = runs(dir.path());
    assert!(merged.len() < 16);
    inputs.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
    let live = open(dir.path(), 100_000, 0).live();
    assert_eq!(runs(dir.path()), merged);
    assert!((1..=16).all(|number| live.first(&digest(number)).unwrap().unwrap().id == id(number)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Few digests, each stored again when it has expired.
    #[test]
    fn they_say_what_a_map_says(
        segments in prop::collection::vec(prop::collection::vec((0..40_u64, 1..100_i64), 0..6), 1..60),
        opens in prop::collection::vec(any::<bool>(), 60),
    ) {
        let dir = TempDir::new().unwrap();
        let mut digests = open(dir.path(), 100_000, 0);
        let mut model = HashMap::new();
        for (index, stored) in segments.iter().enumerate() {
            let (segment, now_us) = (index as u64 + 1, index as i64);
            let mut fresh = Vec::new();
            for &(key, life) in stored {
                let is_known = model.get(&key).is_some_and(|&(_, until)| until > now_us);
                if !is_known {
                    fresh.push((key, segment, now_us + life));
                    model.insert(key, (id(segment), now_us + life));
                }
            }
            if !fresh.is_empty() {
                digests.seal(segment, now_us, keys(fresh));
            }
            if opens[index] {
                settle(&digests, 0, now_us);
                digests = open(dir.path(), 100_000, 0);
            }
            let live = digests.live();
            for key in 0..40 {
                let known = model.get(&key).filter(|(_, until)| *until > now_us).map(|(id, _)| *id);
                let found = live.first(&digest(key)).unwrap().and_then(|first| first.unexpired(now_us));
                prop_assert_eq!(found, known, "key {} after segment {}", key, segment);
            }
        }
    }
}
