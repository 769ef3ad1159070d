//! A machine with a disk: its files and directories, the weather that it stands in, and the moment when it loses power.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use fastrand::Rng;

use crate::file::{File, Flip, Survival};

/// What goes wrong, each out of 256 times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    pub(crate) write: u8,
    pub(crate) sync: u8,
    /// Creating, renaming, removing, and the sync of a directory.
    pub(crate) directory: u8,
}

/// What was done and what went wrong, counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) operations: u64,
    pub(crate) write_errors: u64,
    pub(crate) sync_errors: u64,
    pub(crate) directory_errors: u64,
    pub(crate) full: u64,
}

/// Whether directories lose their unsynced changes from the last one backwards, as where a journal keeps their order, or
/// any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirectoryOrder {
    Journal,
    Any,
}

pub(crate) struct Machine {
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) capacity: u64,
    pub(crate) can_allocate: bool,
    pub(crate) order: DirectoryOrder,
    pub(crate) counts: Counts,
    /// So many more changes, and the power is gone.
    pub(crate) crash_in: Option<u64>,
    pub(crate) is_down: bool,
    pub(crate) trace: Option<Vec<String>>,
    directories: BTreeMap<PathBuf, Directory>,
    pub(crate) files: Vec<File>,
}

#[derive(Clone, Default)]
struct Directory {
    seen: BTreeMap<String, usize>,
    disk: BTreeMap<String, usize>,
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Made(String, usize),
    Renamed(String, String, usize),
    Removed(String),
}

/// What a change comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    DoneThenDown,
    Failed,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Write,
    Allocate,
    Sync,
    Directory,
}

fn no_power() -> io::Error {
    io::Error::other("the machine has lost power")
}

pub(crate) fn failure() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Fate {
    /// What is answered after a change that was done.
    pub(crate) fn answer(self) -> io::Result<()> {
        match self {
            Self::Done => Ok(()),
            Self::DoneThenDown => Err(no_power()),
            Self::Failed => Err(failure()),
        }
    }
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            weather: Weather::default(),
            capacity: u64::MAX,
            can_allocate: false,
            order: DirectoryOrder::Journal,
            counts: Counts::default(),
            crash_in: None,
            is_down: false,
            trace: None,
            directories: BTreeMap::new(),
            files: Vec::new(),
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    pub(crate) fn check_power(&self) -> io::Result<()> {
        if self.is_down { Err(no_power()) } else { Ok(()) }
    }

    /// Decides what becomes of a change.
    pub(crate) fn decide(&mut self, kind: Kind) -> io::Result<Fate> {
        self.check_power()?;
        self.counts.operations += 1;
        let mut fate = Fate::Done;
        if let Some(left) = &mut self.crash_in {
            if *left == 0 {
                self.is_down = true;
                self.note(|| "    the power is gone".to_owned());
                if self.rng.bool() {
                    return Err(no_power());
                }
                fate = Fate::DoneThenDown;
            } else {
                *left -= 1;
            }
        }
        let (odds, count) = match kind {
            Kind::Write | Kind::Allocate => (self.weather.write, &mut self.counts.write_errors),
            Kind::Sync => (self.weather.sync, &mut self.counts.sync_errors),
            Kind::Directory => (self.weather.directory, &mut self.counts.directory_errors),
        };
        if fate == Fate::Done && odds > 0 && self.rng.u8(..) < odds {
            *count += 1;
            return Ok(Fate::Failed);
        }
        Ok(fate)
    }

    /// So many of `wanted` bytes still fit. Where they are not all, that is counted.
    pub(crate) fn room(&mut self, wanted: u64) -> u64 {
        if self.capacity == u64::MAX {
            return wanted;
        }
        let free = self.capacity.saturating_sub(self.used());
        if free < wanted {
            self.counts.full += 1;
            self.note(|| format!("    full: {free} of {wanted} bytes fit"));
        }
        wanted.min(free)
    }

    pub(crate) fn used(&self) -> u64 {
        let files = self.directories.values().flat_map(|directory| directory.seen.values());
        files.map(|&file| self.files[file].seen.length).sum()
    }

    /// Makes a directory with its parents, durably. Each is an entry of its parent.
    pub(crate) fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        self.check_power()?;
        if self.directories.contains_key(path) {
            self.settle_entry(path);
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        let fate = self.decide(Kind::Directory)?;
        if fate == Fate::Failed {
            return Err(failure());
        }
        self.directories.insert(path.to_owned(), Directory::default());
        if let Some(parent) = path.parent() {
            // A directory has no content of its own here: its entry stands for it.
            self.files.push(File::default());
            let (name, number) = (name(path), self.files.len() - 1);
            self.directory(parent)?.change(Change::Made(name, number));
        }
        if fate == Fate::Done {
            self.settle_entry(path);
        }
        fate.answer()
    }

    /// Makes the entry of a directory durable in its parent.
    fn settle_entry(&mut self, path: &Path) {
        if let Some(parent) = path.parent().and_then(|parent| self.directories.get_mut(parent))
            && let Some(&number) = parent.seen.get(&name(path))
        {
            parent.disk.insert(name(path), number);
        }
    }

    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn parent(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directory(path.parent().unwrap_or(path))
    }

    pub(crate) fn list(&mut self, path: &Path) -> io::Result<Vec<String>> {
        self.check_power()?;
        Ok(self.directory(path)?.seen.keys().cloned().collect())
    }

    pub(crate) fn find(&mut self, path: &Path) -> io::Result<usize> {
        self.check_power()?;
        self.parent(path)?.seen.get(&name(path)).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn create(&mut self, path: &Path) -> io::Result<usize> {
        let fate = self.decide(Kind::Directory)?;
        if self.room(1) == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if fate == Fate::Failed && self.rng.bool() {
            return Err(failure());
        }
        self.note(|| format!("    create {}", path.display()));
        let file = match self.find_seen(path) {
            Some(file) => {
                self.files[file].set_length(0);
                file
            }
            None => {
                self.files.push(File::default());
                let number = self.files.len() - 1;
                self.parent(path)?.change(Change::Made(name(path), number));
                number
            }
        };
        fate.answer().map(|()| file)
    }

    fn find_seen(&mut self, path: &Path) -> Option<usize> {
        self.parent(path).ok()?.seen.get(&name(path)).copied()
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let fate = self.decide(Kind::Directory)?;
        if fate == Fate::Failed && self.rng.bool() {
            return Err(failure());
        }
        let file = self.find_seen(from).ok_or(io::ErrorKind::NotFound)?;
        self.note(|| format!("    rename {} to {}", from.display(), name(to)));
        self.parent(from)?.change(Change::Renamed(name(from), name(to), file));
        fate.answer()
    }

    pub(crate) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let fate = self.decide(Kind::Directory)?;
        if fate == Fate::Failed && self.rng.bool() {
            return Err(failure());
        }
        self.find_seen(path).ok_or(io::ErrorKind::NotFound)?;
        self.note(|| format!("    remove {}", path.display()));
        self.parent(path)?.change(Change::Removed(name(path)));
        fate.answer()
    }

    pub(crate) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        let fate = self.decide(Kind::Directory)?;
        if fate == Fate::Failed {
            return Err(failure());
        }
        self.note(|| format!("    sync {}/", path.display()));
        let directory = self.directory(path)?;
        directory.disk.clone_from(&directory.seen);
        directory.changes.clear();
        fate.answer()
    }

    /// The machine as it starts again after it has lost power.
    pub(crate) fn after_power_loss(&mut self) -> Self {
        let survival = *self
            .rng
            .choice(&[Survival::Nothing, Survival::Everything, Survival::Prefix, Survival::Any, Survival::Torn])
            .expect("there are some");
        self.is_down = true;
        let shows_old = matches!(survival, Survival::Any | Survival::Torn) && self.rng.u8(..4) == 0;
        let old: Vec<_> = if shows_old { self.files.iter().flat_map(File::sectors).collect() } else { Vec::new() };
        self.note(|| format!("power loss: {survival:?} of what was not synced, old bytes: {shows_old}"));
        let mut next = Self {
            counts: self.counts,
            capacity: self.capacity,
            can_allocate: self.can_allocate,
            order: self.order,
            trace: self.trace.take(),
            ..Self::new(self.rng.u64(..))
        };
        let mut paths = vec![PathBuf::from("/")];
        while let Some(path) = paths.pop() {
            let Some(directory) = self.directories.get(&path) else { continue };
            let entries = directory.after_power_loss(&mut self.rng, self.order, survival);
            let mut kept = Directory::default();
            for (name, number) in entries {
                let child = path.join(&name);
                next.files.push(self.files[number].after_power_loss(&mut self.rng, survival, &old));
                kept.disk.insert(name, next.files.len() - 1);
                paths.push(child);
            }
            kept.seen.clone_from(&kept.disk);
            next.directories.insert(path, kept);
        }
        next
    }

    /// Flips a bit of some file.
    pub(crate) fn flip(&mut self) -> Option<(PathBuf, usize, Flip)> {
        let files = self
            .directories
            .iter()
            .flat_map(|(path, directory)| directory.seen.iter().map(move |(name, &file)| (path.join(name), file)));
        let files: Vec<_> = files.filter(|(path, _)| !self.directories.contains_key(path)).collect();
        let (path, file) = self.rng.choice(&files)?.clone();
        let flip = self.files[file].flip(&mut self.rng)?;
        self.note(|| format!("a bit of {} at byte {} is flipped", path.display(), flip.position));
        Some((path, file, flip))
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        apply(&mut self.seen, &change);
        self.changes.push(change);
    }

    fn after_power_loss(&self, rng: &mut Rng, order: DirectoryOrder, survival: Survival) -> BTreeMap<String, usize> {
        let mut entries = self.disk.clone();
        let prefix = match survival {
            Survival::Nothing => 0,
            Survival::Everything => self.changes.len(),
            _ => rng.usize(..=self.changes.len()),
        };
        for (number, change) in self.changes.iter().enumerate() {
            let survives = match (order, survival) {
                (DirectoryOrder::Any, Survival::Any | Survival::Torn) => rng.bool(),
                _ => number < prefix,
            };
            if survives {
                apply(&mut entries, change);
            }
        }
        entries
    }
}

fn apply(entries: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Made(name, file) => drop(entries.insert(name.clone(), *file)),
        Change::Renamed(from, to, file) => {
            entries.remove(from);
            entries.insert(to.clone(), *file);
        }
        Change::Removed(name) => drop(entries.remove(name)),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
