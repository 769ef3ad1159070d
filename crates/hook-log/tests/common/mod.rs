//! An embedded log in a directory of its own, and a disk that does as a test says.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod disk;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hook_core::{BoxFuture, ports::log::Log};
use hook_log::{EmbeddedLog, Options, disk::Disk};
use hook_testkit::{
    ManualClock,
    log_conformance::{DEAD_LETTERS, EVENTS, JOURNAL, LogFixture, topic},
};
use tempfile::TempDir;

pub(crate) use disk::TestDisk;

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) segment_bytes: u64,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with_segments_of(64 << 20)
    }

    pub(crate) fn with_segments_of(segment_bytes: u64) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::default(), segment_bytes }
    }

    pub(crate) fn options(&self) -> Options {
        let options =
            Options::new(self.dir.path().join("log"), topic(DEAD_LETTERS), topic(JOURNAL), self.clock.clone());
        Options { segment_bytes: self.segment_bytes, ..options }
    }

    pub(crate) fn log(&self) -> EmbeddedLog {
        EmbeddedLog::open(self.options()).unwrap()
    }

    pub(crate) fn log_on(&self, disk: impl Disk) -> EmbeddedLog {
        EmbeddedLog::open_on(self.options(), disk).unwrap()
    }

    /// The segments of the chain of events, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        self.files("log")
    }

    /// The files of the chain of events whose names end so, in their order.
    pub(crate) fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.options().dir.join("events")).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
        files.sort();
        files
    }

    /// A copy of the directory as it stands now: what a process that is killed leaves behind.
    pub(crate) fn copy(&self) -> Self {
        let copy =
            Self { dir: tempfile::tempdir().unwrap(), clock: self.clock.clone(), segment_bytes: self.segment_bytes };
        copy_dir(&self.options().dir, &copy.options().dir);
        copy
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl LogFixture for Fixture {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Log>> {
        Box::pin(async { Arc::new(self.log()) as Arc<dyn Log> })
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

/// The end of the partition of [`EVENTS`].
pub(crate) fn end(log: &dyn Log) -> u64 {
    log.state()
        .partitions
        .iter()
        .find(|partition| partition.topic == topic(EVENTS))
        .map_or(0, |partition| partition.end)
}

/// Waits until a condition holds that the log's own thread brings about.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !holds() {
            // tidy-allow(no-sleep): the writer is a thread of its own, and says nothing to tests
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.expect("the condition holds within 30 s");
}
