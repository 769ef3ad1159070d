//! A file of lines that is only ever appended to, and survives crashes, rotation (by others, and our own) and full disks.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::rotation::Rotation;

/// Appends whole lines to a path. Opens it when it must, and again when something else stands there.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    rotation: Option<Rotation>,
    file: Option<File>,
}

impl Appender {
    /// One that moves the file away when it is full, where it is told when that is.
    pub(super) fn new(path: PathBuf, rotation: Option<Rotation>) -> Self {
        Self { path, rotation, file: None }
    }

    /// How many of the next lines, of these lengths, the file has room for: at least one. A full file is moved away first, and
    /// what was written to it is on the disk by then.
    pub(super) fn make_room(&mut self, lengths: impl Iterator<Item = u64> + Clone) -> io::Result<usize> {
        let Some(rotation) = self.rotation else { return Ok(usize::MAX) };
        let file = self.open()?;
        let length = file.metadata()?.len();
        let fitting = rotation.fitting(length, lengths.clone());
        if fitting > 0 || length == 0 {
            self.file = Some(file);
            return Ok(fitting.max(1));
        }
        // A torn line that a crash left may be newer than the last sync.
        file.sync_data()?;
        rotation.rotate(&self.path)?;
        Ok(rotation.fitting(0, lengths).max(1))
    }

    /// Appends lines, each with its line break, and returns when they are on the disk. After an error none of them
    /// counts as written, and the file is opened anew: what its cache holds is not trusted any more.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        let length = file.metadata()?.len();
        if let Err(error) = file.write_all(lines) {
            take_back(&file, length, lines.len() as u64);
            return Err(error);
        }
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }

    /// Makes sure that the file can be appended to, or created where it is missing. Leaves nothing behind.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        let is_missing = is_missing(&self.path)?;
        if is_missing || self.rotation.is_some() {
            probe_creation(&self.path)?;
        }
        if is_missing {
            return Ok(());
        }
        self.file = Some(self.open()?);
        Ok(())
    }

    /// The open file where it is still the one at the path; otherwise that one, opened now.
    fn open(&mut self) -> io::Result<File> {
        match self.file.take() {
            Some(file) if is_at(&file, &self.path) => Ok(file),
            _ => open(&self.path),
        }
    }
}

/// Whether the path still leads to this file. A log rotation moves it away.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// Whether nothing stands at the path. An error where something does that is no regular file: asked before opening,
/// because opening a pipe would wait for its reader.
fn is_missing(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(there) if there.is_file() => Ok(false),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Creates a file beside the path, and removes it with the directories that it needed. The path itself is not touched:
/// another process may have begun to append to it, and what it wrote to a removed file would be lost.
fn probe_creation(path: &Path) -> io::Result<()> {
    let missing = missing_parents(path);
    let beside = parent_of(path).join(format!(".hook-probe-{}", std::process::id()));
    let created = fs::create_dir_all(parent_of(path))
        .and_then(|()| OpenOptions::new().append(true).create(true).mode(0o600).open(&beside))
        .and_then(|_| fs::remove_file(&beside));
    for directory in missing {
        // One that is in use by now stays.
        let _ = fs::remove_dir(directory);
    }
    created
}

fn open(path: &Path) -> io::Result<File> {
    let is_new = is_missing(path)?;
    if is_new {
        create_parents(path)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if is_new {
        // Behind a link it is another directory that gained an entry.
        sync_directory(parent_of(&fs::canonicalize(path)?))?;
    }
    complete_last_line(&mut file)?;
    Ok(file)
}

/// A crash can leave half a line. A line break after it keeps the next event a line of its own.
fn complete_last_line(file: &mut File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// Removes what a failed write left, unless someone else has written meanwhile. Where that fails too, the next opening
/// completes the torn line.
fn take_back(file: &File, length: u64, attempted: u64) {
    if file.metadata().is_ok_and(|now| now.len() <= length + attempted) {
        let _ = file.set_len(length);
    }
}

/// Creates the missing directories, and syncs those that gained an entry: a synced file in a forgotten directory is lost.
fn create_parents(path: &Path) -> io::Result<()> {
    let missing = missing_parents(path);
    fs::create_dir_all(parent_of(path))?;
    missing.into_iter().try_for_each(|directory| sync_directory(parent_of(directory)))
}

/// The directories above a path that do not exist, the nearest first.
fn missing_parents(path: &Path) -> Vec<&Path> {
    parent_of(path).ancestors().take_while(|directory| !directory.exists()).collect()
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory of a path; of a bare name, the current one.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn lines_are_appended_to_a_private_file_whose_directories_are_created() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/events.jsonl");
        let mut appender = Appender::new(path.clone(), None);
        appender.append(b"one\n").unwrap();
        appender.append(b"two\nthree\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_torn_last_line_does_not_swallow_the_next_event() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        fs::write(&path, "one\ntw").unwrap();
        Appender::new(path.clone(), None).append(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntw\nthree\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let [path, rotated] = ["events.jsonl", "events.jsonl.1"].map(|name| directory.path().join(name));
        let mut appender = Appender::new(path.clone(), None);
        appender.append(b"one\n").unwrap();
        fs::rename(&path, &rotated).unwrap();
        appender.append(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&rotated).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn what_a_failed_write_left_is_taken_back_unless_someone_else_wrote() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        fs::write(&path, "one\ntwo\nth").unwrap();
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        take_back(&file, 8, 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nth");
        take_back(&file, 8, 6);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let error = Appender::new(directory.path().to_owned(), None).append(b"one\n").unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
        assert!(Appender::new("/dev/null".into(), None).probe().is_err());
    }
}
