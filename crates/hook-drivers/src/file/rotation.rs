//! A file that is full is moved away: `events.jsonl` becomes `events.jsonl.1`, that one `.2`, and what would be one too many goes.
//!
//! ```text
//! .1 → .2    events.jsonl → .1    a new events.jsonl      the oldest first: whatever is interrupted leaves every event in one file
//! ```

use std::{
    ffi::OsString,
    fs, io,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
};

use hook_core::catalog::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Less than an event commonly has.
const SMALLEST_BYTES: u64 = 1024;
/// Moving one away moves all of them.
const MOST_FILES: u32 = 1000;

/// When a file is moved away, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How large the file may get. What would make it larger goes into a new one; a single event that is larger has a file to
    /// itself.
    pub max_bytes: NonZeroU64,
    /// How many files are kept beside the one that is written: `.1` is the newest. The oldest is removed for a newer one.
    #[serde(default = "default_keep")]
    pub keep: NonZeroU32,
}

fn default_keep() -> NonZeroU32 {
    const { NonZeroU32::new(5).expect("not zero") }
}

impl Rotation {
    /// What is wrong with it.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let (bytes, keep) = (self.max_bytes.get(), self.keep.get());
        let small = (bytes < SMALLEST_BYTES).then(|| {
            let help = format!("write at least {SMALLEST_BYTES}, such as 104857600 for 100 MiB");
            Fault::at("/rotate/max_bytes", format!("{bytes} bytes are too few"), help)
        });
        let many = (keep > MOST_FILES)
            .then(|| Fault::at("/rotate/keep", format!("{keep} is too much"), format!("write at most {MOST_FILES}")));
        small.into_iter().chain(many).collect()
    }

    /// How many of the next lines go into a file that has so many bytes.
    pub(super) fn fitting(&self, length: u64, lines: impl Iterator<Item = u64>) -> usize {
        let sums = lines.scan(length, |sum, line| {
            *sum = sum.saturating_add(line);
            Some(*sum)
        });
        sums.take_while(|&sum| sum <= self.max_bytes.get()).count()
    }

    /// Moves the file away. What was written to it is on the disk; the caller begins a new one, and makes both names durable.
    pub(super) fn rotate(&self, path: &Path) -> io::Result<()> {
        let failed =
            |error: io::Error| io::Error::new(error.kind(), format!("could not move the full file away: {error}"));
        // Where the path is a link, what it leads to is moved, and not the link.
        let path = fs::canonicalize(path).map_err(failed)?;
        let steps = self.steps(&path).map_err(failed)?;
        steps.iter().try_for_each(|(from, to)| fs::rename(from, to)).map_err(failed)
    }

    /// From which name to which, in this order. Where one is free already, such as after a crash in between, those behind it
    /// stay where they are.
    fn steps(&self, path: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
        let mut free = 1;
        while free < self.keep.get() && fs::exists(numbered(path, free))? {
            free += 1;
        }
        Ok((0..free).rev().map(|number| (numbered(path, number), numbered(path, number + 1))).collect())
    }
}

/// `events.jsonl.3`; the file itself for 0.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(max_bytes: u64, keep: u32) -> Rotation {
        Rotation { max_bytes: NonZeroU64::new(max_bytes).unwrap(), keep: NonZeroU32::new(keep).unwrap() }
    }

    /// What stands in the files, the oldest first.
    fn read_all(path: &Path) -> String {
        let files = (0..20).rev().filter_map(|number| fs::read_to_string(numbered(path, number)).ok());
        files.collect()
    }

    #[test]
    fn as_many_lines_go_into_a_file_as_it_has_room_for() {
        let rotation = rotation(2000, 1);
        for (length, expected) in [(0, 3), (500, 2), (501, 1), (1500, 0), (9999, 0)] {
            assert_eq!(rotation.fitting(length, [600, 900, 500, 1].into_iter()), expected, "{length}");
        }
    }

    #[test]
    fn the_oldest_goes_when_there_are_enough() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        for number in 1..=5 {
            fs::write(&path, format!("{number}\n")).unwrap();
            rotation(1024, 3).rotate(&path).unwrap();
        }
        assert_eq!(read_all(&path), "3\n4\n5\n");
        assert!(!path.exists());
    }

    #[test]
    fn a_crash_between_any_two_steps_leaves_every_line_in_its_order() {
        for crash_after in 0..=4 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("events.jsonl");
            for (number, text) in [(3, "1\n"), (2, "2\n"), (1, "3\n"), (0, "4\n")] {
                fs::write(numbered(&path, number), text).unwrap();
            }
            let rotation = rotation(1024, 10);
            let steps = rotation.steps(&path).unwrap();
            assert_eq!(steps.len(), 4);
            steps.iter().take(crash_after).for_each(|(from, to)| fs::rename(from, to).unwrap());
            assert_eq!(read_all(&path), "1\n2\n3\n4\n", "a crash after {crash_after} steps");
            // What is left is moved the next time that the file is full.
            if path.exists() {
                rotation.rotate(&path).unwrap();
            }
            fs::write(&path, "5\n").unwrap();
            assert_eq!(read_all(&path), "1\n2\n3\n4\n5\n", "a crash after {crash_after} steps");
        }
    }

    #[test]
    fn the_file_behind_a_link_is_moved_and_not_the_link() {
        let directory = tempfile::tempdir().unwrap();
        let [path, real] = ["link.jsonl", "real.jsonl"].map(|name| directory.path().join(name));
        fs::write(&real, "1\n").unwrap();
        std::os::unix::fs::symlink(&real, &path).unwrap();
        rotation(1024, 3).rotate(&path).unwrap();
        assert!(path.is_symlink() && !real.exists());
        assert_eq!(fs::read_to_string(numbered(&real, 1)).unwrap(), "1\n");
    }

    #[test]
    fn what_is_too_small_or_too_much_is_a_fault() {
        let pointers =
            |rotation: Rotation| rotation.faults().into_iter().map(|fault| fault.pointer).collect::<Vec<_>>();
        assert_eq!(pointers(rotation(1024, 1000)), [""; 0]);
        assert_eq!(pointers(rotation(1023, 1001)), ["/rotate/max_bytes", "/rotate/keep"]);
    }
}
