//! Everything that is remembered beside the active segment, shared by the writer, who asks, and the keeper, who tidies up.

use std::{
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{debug, warn};

use super::{
    keys::{First, Keys},
    merge::{choose, merge},
    name::{run_name, run_segments},
    run::{Run, RunError, RunWriter},
};
use crate::{
    disk::Disk,
    error::{Damage, OpenError},
    format::ChainKind,
};

/// A run has at most this part of all entries, so that dropping the oldest one does not forget too much.
const RUN_SHARE: u64 = 8;

/// The keys of sealed segments.
pub(crate) struct Digests {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    chain: ChainKind,
    most_entries: u64,
    live: Mutex<Arc<Live>>,
    /// Files that must go before anything else is merged or forgotten: one that came back would contradict the others.
    /// Only the keeper takes it.
    doomed: Mutex<Vec<PathBuf>>,
}

/// What is remembered at one moment, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Live {
    runs: Vec<Arc<Run>>,
    /// Keys of sealed segments that no run has yet. Mostly newer than all runs; a segment whose run was lost is not.
    sealed: Vec<Sealed>,
}

#[derive(Clone)]
struct Sealed {
    segment: u64,
    since_us: i64,
    keys: Arc<Keys>,
}

impl Live {
    /// Who was the first with this key. The newest entry decides.
    pub(crate) fn first(&self, digest: &[u8; 16]) -> Result<Option<First>, RunError> {
        let mut runs = self.runs.iter().rev().peekable();
        for sealed in self.sealed.iter().rev() {
            while let Some(run) = runs.next_if(|run| *run.segments.start() > sealed.segment) {
                if let Some(first) = run.find(digest)? {
                    return Ok(Some(first));
                }
            }
            if let Some(first) = sealed.keys.get(digest) {
                return Ok(Some(first));
            }
        }
        for run in runs {
            if let Some(first) = run.find(digest)? {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> u64 {
        let sealed = self.sealed.iter().map(|sealed| sealed.keys.len() as u64);
        self.runs.iter().map(|run| run.count).chain(sealed).sum()
    }

    #[cfg(test)]
    pub(super) fn sealed_segments(&self) -> Vec<u64> {
        self.sealed.iter().map(|sealed| sealed.segment).collect()
    }

    /// The memory that is taken by what is on disk.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.filter_bytes()).sum()
    }

    /// Since when every key that was stored is here until it expires; `None` where there is none.
    pub(crate) fn since_us(&self) -> Option<i64> {
        let sealed = self.sealed.iter().map(|sealed| sealed.since_us);
        self.runs.iter().filter(|run| run.count > 0).map(|run| run.since_us).chain(sealed).min()
    }
}

/// The damaged runs of a chain. Every byte of every run is read.
pub(crate) fn damaged_runs(disk: &dyn Disk, dir: &Path, chain: ChainKind) -> Result<Vec<Damage>, OpenError> {
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(OpenError::io("list", dir)(error)),
    };
    let mut damaged = Vec::new();
    for segments in names.iter().filter_map(|name| run_segments(name)) {
        match Run::open(disk, dir, chain, segments).and_then(|run| run.check()) {
            Ok(()) => {}
            Err(RunError::Damaged(damage)) => damaged.push(damage),
            // The owner has merged it meanwhile.
            Err(RunError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(RunError::Io { path, source }) => return Err(OpenError::io("read", path)(source)),
        }
    }
    Ok(damaged)
}

/// The runs that were found when a chain was opened.
#[derive(Default)]
pub(crate) struct Opened(Vec<Run>);

impl Opened {
    /// Opens the runs of a chain whose segments begin at `oldest`. Those that a merge has replaced are removed, and so is a
    /// damaged one whose segments are still there: it will be made anew.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, chain: ChainKind, oldest: u64) -> Result<Self, OpenError> {
        let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
        let mut found: Vec<(RangeInclusive<u64>, &String)> =
            names.iter().filter_map(|name| Some((run_segments(name)?, name))).collect();
        // Of those that begin alike, the longest comes first.
        found.sort_by_key(|(segments, _)| (*segments.start(), u64::MAX - segments.end()));
        if !found.is_empty() {
            // A merged run may have got its name just before the process ended. It must be certain before its inputs go.
            disk.sync_dir(dir).map_err(OpenError::io("sync", dir))?;
        }
        let mut runs: Vec<Run> = Vec::new();
        for (segments, name) in found {
            let path = dir.join(name);
            let remove = || disk.remove(&path).map_err(OpenError::io("remove", &path));
            match runs.last() {
                Some(last) if segments.end() <= last.segments.end() => {
                    remove()?;
                    continue;
                }
                Some(last) if segments.start() <= last.segments.end() => {
                    let what = "a digest run that overlaps another";
                    return Err(Damage { file: path, position: 0, what }.into());
                }
                _ => {}
            }
            let first = *segments.start();
            match Run::open(disk, dir, chain, segments) {
                Ok(run) => runs.push(run),
                Err(RunError::Damaged(damage)) if first >= oldest => {
                    warn!(%damage, "digest run is made anew");
                    remove()?;
                }
                Err(RunError::Damaged(damage)) => return Err(damage.into()),
                Err(RunError::Io { path, source }) => return Err(OpenError::io("read", path)(source)),
            }
        }
        Ok(Self(runs))
    }

    /// Whether the keys of that segment are in a run.
    pub(crate) fn cover(&self, segment: u64) -> bool {
        self.0.iter().any(|run| run.segments.contains(&segment))
    }
}

impl Digests {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, chain: ChainKind, most_entries: u64, opened: Opened) -> Self {
        let runs = opened.0.into_iter().map(Arc::new).collect();
        let live = Mutex::new(Arc::new(Live { runs, sealed: Vec::new() }));
        Self { disk, dir, chain, most_entries, live, doomed: Mutex::default() }
    }

    /// What is remembered now. It does not change under whoever has it.
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.guard())
    }

    /// Takes the keys of a segment that was sealed. There must be some.
    pub(crate) fn seal(&self, segment: u64, since_us: i64, keys: Keys) {
        self.change(|live| live.sealed.push(Sealed { segment, since_us, keys: Arc::new(keys) }));
    }

    /// Writes the oldest keys that no run has into one. Returns their segment; `None` where there are none left.
    pub(crate) fn write_next(&self) -> Result<Option<u64>, RunError> {
        let live = self.live();
        let Some(Sealed { segment, since_us, keys }) = live.sealed.first() else { return Ok(None) };
        let written = || {
            let (disk, segments, count) = (&*self.disk, *segment..=*segment, keys.len() as u64);
            let mut writer = RunWriter::begin(disk, &self.dir, self.chain, segments, count, *since_us)?;
            keys.sorted().iter().try_for_each(|entry| writer.push(entry))?;
            writer.finish()
        };
        let run = written().map_err(|source| RunError::Io { path: self.dir.clone(), source })?;
        self.change(|live| {
            live.sealed.remove(0);
            let at = live.runs.partition_point(|known| known.segments.start() < segment);
            live.runs.insert(at, Arc::new(run));
        });
        Ok(Some(*segment))
    }

    /// Forgets what has expired and what is too much, then merges a few runs where there are too many. `oldest` is the oldest
    /// segment that is kept. `true` where there may be more to do.
    pub(crate) fn tidy(&self, oldest: u64, now_us: i64, is_ending: impl Fn() -> bool) -> Result<bool, RunError> {
        self.remove_doomed()?;
        let live = self.live();
        let is_too_much = live.len() > self.most_entries;
        let is_gone = |run: &Run| *run.segments.end() < oldest && run.until_us <= now_us;
        let is_useless = |run: &Run| run.count > 0 && (run.until_us <= now_us || is_too_much);
        if let Some(at) = live.runs.iter().position(|run| is_gone(run) || is_useless(run)) {
            return self.forget(at, oldest).map(|()| true);
        }
        // Between runs, nothing may be missing that is still to come.
        let newest = live.runs.last().map_or(0, |run| *run.segments.end());
        if live.sealed.iter().any(|sealed| sealed.segment < newest) {
            return Ok(false);
        }
        let counts: Vec<u64> = live.runs.iter().map(|run| run.count).collect();
        let Some(range) = choose(&counts, self.most_entries / RUN_SHARE) else { return Ok(false) };
        let inputs = &live.runs[range.clone()];
        let merged = match merge(&*self.disk, &self.dir, self.chain, inputs, now_us, is_ending) {
            Ok(merged) => merged,
            Err(error) => {
                // It may have its name already. Were it left, a later merge of other neighbours would overlap with it.
                self.doomed().extend(merged_name(inputs).map(|name| self.dir.join(name)));
                return Err(error);
            }
        };
        self.change(|live| drop(live.runs.splice(range, [Arc::new(merged)])));
        self.doomed().extend(inputs.iter().map(|run| run.path.clone()));
        self.remove_doomed()?;
        Ok(true)
    }

    /// Forgets the keys of a run. As long as one of its segments is there, an empty run stays in its place: without one, the
    /// segments would be read for their keys when the log opens.
    fn forget(&self, at: usize, oldest: u64) -> Result<(), RunError> {
        let run = Arc::clone(&self.live().runs[at]);
        debug!(file = %run.path.display(), keys = run.count, "deduplication keys forgotten");
        if *run.segments.end() < oldest {
            self.change(|live| drop(live.runs.remove(at)));
            self.doomed().push(run.path.clone());
            return self.remove_doomed();
        }
        let (disk, segments) = (&*self.disk, run.segments.clone());
        let empty = RunWriter::begin(disk, &self.dir, self.chain, segments, 0, i64::MAX).and_then(RunWriter::finish);
        let empty = empty.map_err(|source| RunError::Io { path: run.path.clone(), source })?;
        self.change(|live| live.runs[at] = Arc::new(empty));
        Ok(())
    }

    /// Reads everything that is not in memory. Returns what is damaged.
    pub(crate) fn check(&self) -> Vec<Damage> {
        let damage = |run: &Arc<Run>| match run.check() {
            Err(RunError::Damaged(damage)) => Some(damage),
            Ok(()) | Err(RunError::Io { .. }) => None,
        };
        self.live().runs.iter().filter_map(damage).collect()
    }

    /// Removes what has to go. The directory is synced each time, so that a crash brings nothing back either.
    fn remove_doomed(&self) -> Result<(), RunError> {
        let mut doomed = self.doomed();
        while let Some(path) = doomed.last() {
            let removed = match self.disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => self.disk.sync_dir(&self.dir),
            };
            removed.map_err(|source| RunError::Io { path: path.clone(), source })?;
            doomed.pop();
        }
        Ok(())
    }

    fn doomed(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Live)) {
        let mut guard = self.guard();
        let mut live = Live::clone(&guard);
        change(&mut live);
        *guard = Arc::new(live);
    }

    fn guard(&self) -> MutexGuard<'_, Arc<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the run that these are merged into.
fn merged_name(runs: &[Arc<Run>]) -> Option<String> {
    Some(run_name(&(*runs.first()?.segments.start()..=*runs.last()?.segments.end())))
}
