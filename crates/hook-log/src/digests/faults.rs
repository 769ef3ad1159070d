//! A disk that fails for a moment, at every operation in turn: nothing is forgotten that was remembered.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use tempfile::TempDir;

use super::{
    Digests, Keys, Opened,
    tests::{CHAIN, digest, id, keys},
};
use crate::disk::{Disk, DiskFile, RealDisk};

/// The real disk, which refuses some operations that change something. A sync only counts: the process may end here, the
/// machine does not.
#[derive(Clone)]
struct FailingDisk {
    done: Arc<AtomicI64>,
    fails: std::ops::Range<i64>,
}

impl FailingDisk {
    fn new(fails: std::ops::Range<i64>) -> Self {
        Self { done: Arc::default(), fails }
    }

    fn change<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let fails = self.fails.contains(&self.done.fetch_add(1, Ordering::SeqCst));
        if fails { Err(io::Error::other("made to fail")) } else { operation() }
    }

    fn has_failed(&self) -> bool {
        self.done.load(Ordering::SeqCst) > self.fails.start
    }
}

impl Disk for FailingDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|| RealDisk.create_dir(dir))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.change(|| RealDisk.create(file))?;
        Ok(Arc::new(FailingFile { file, disk: self.clone() }))
    }

    fn open(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(file)
    }

    fn open_read_only(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open_read_only(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|| RealDisk.rename(from, to))
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.change(|| RealDisk.remove(file))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|| dir.try_exists().map(drop))
    }

    fn capacity(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.capacity(dir)
    }
}

struct FailingFile {
    file: Arc<dyn DiskFile>,
    disk: FailingDisk,
}

impl DiskFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    /// A write that fails has written half.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let written = self.disk.change(|| self.file.write_at(bytes, position));
        if written.is_err() {
            self.file.write_at(&bytes[..bytes.len() / 2], position)?;
        }
        written
    }

    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        self.disk.change(|| self.file.allocate(position, length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.change(|| self.file.len().map(drop))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.change(|| self.file.set_len(length))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

const SEGMENTS: u64 = 24;
/// The first segments are gone soon, and their keys expire.
const GONE: u64 = 3;

fn sealed(segment: u64) -> Keys {
    let until = if segment < GONE { 10 } else { i64::MAX };
    keys((0..20).map(|key| (segment * 20 + key, segment, until)))
}

/// As the keeper does it: after an error, the next time.
fn settle(digests: &Digests, oldest: u64, now_us: i64) {
    while digests.write_next().is_ok_and(|written| written.is_some()) {}
    while digests.tidy(oldest, now_us, || false).unwrap_or(false) {}
}

fn assert_knows(digests: &Digests, segments: std::ops::RangeInclusive<u64>, what: &str) {
    for segment in segments {
        let first = digests.live().first(&digest(segment * 20)).unwrap();
        assert_eq!(first.map(|first| first.id), Some(id(segment)), "{what}: segment {segment}");
    }
}

#[test]
fn a_disk_that_fails_for_a_moment_leaves_runs_that_can_be_opened() {
    for length in [1, 2, 3] {
        for start in 0.. {
            let what = format!("{length} operations failed after {start}");
            let dir = TempDir::new().unwrap();
            let disk = FailingDisk::new(start..start + length);
            let opened = Opened::open(&RealDisk, dir.path(), CHAIN, 0).unwrap();
            let digests = Digests::new(Arc::new(disk.clone()), dir.path().to_owned(), CHAIN, 100_000, opened);
            for segment in 1..=SEGMENTS {
                digests.seal(segment, 0, sealed(segment));
                let is_late = segment > 16 || disk.has_failed();
                settle(&digests, if is_late { GONE } else { 0 }, if is_late { 10 } else { 0 });
            }
            assert_knows(&digests, GONE..=SEGMENTS, &what);
            let opened = Opened::open(&RealDisk, dir.path(), CHAIN, GONE);
            let opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
            let again = Digests::new(Arc::new(RealDisk), dir.path().to_owned(), CHAIN, 100_000, opened);
            for segment in GONE..=SEGMENTS {
                let is_unwritten = digests.live().sealed_segments().contains(&segment);
                if !is_unwritten {
                    assert_knows(&again, segment..=segment, &what);
                }
            }
            if !disk.has_failed() {
                break;
            }
        }
    }
}
