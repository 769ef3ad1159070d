//! Writes damaged segments anew, so that the log opens with everything that can still be read.
//!
//! Every good batch keeps its place: only a damaged region is replaced, by a batch of the same length that holds what can
//! be read of it and says which offsets are lost. So no other file changes. A file is written beside the damaged one,
//! synced, and takes its name at once; the damaged one is kept as `.damaged`. Killed anywhere, it can be run again.

use std::{
    fs, io,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use bytes::BytesMut;
use hook_core::{
    names::{CursorName, TopicName},
    progress::Progress,
};

use super::{
    chain::{OnProgress, RegionPlan, SegmentPlan},
    fold::Snapshot,
    report::Report,
    verify::check_all,
    walk::{Content, Fact, Place, Walk},
    window::Window,
};
use crate::{
    disk::{Disk, DiskFile, RealDisk},
    error::OpenError,
    format::{
        COMMON, ChainKind, END_LENGTH, Encoder, HEADER_BYTES, PREFIX, checksum_seed, index_name, segment_name,
        unfinished_name,
    },
    owner::Ownership,
};

/// What is kept aside ends with this.
const DAMAGED_SUFFIX: &str = ".damaged";
/// So much is copied, or filled, at once.
const STEP: u64 = 1 << 20;
/// The bytes of the end of a batch.
const BATCH_END: u64 = PREFIX as u64 + END_LENGTH as u64;
/// The least bytes of a frame.
const LEAST_FRAME: u64 = (PREFIX + COMMON) as u64;

/// A repair that has looked and not touched anything. It owns the log until it is dropped.
pub struct Repair {
    dir: PathBuf,
    report: Report,
    plans: Vec<(ChainKind, SegmentPlan)>,
    _owned: Ownership,
}

/// What a repair has done.
#[derive(Debug, Clone)]
pub struct Repaired {
    /// The segments that were written anew.
    pub files: Vec<PathBuf>,
    /// The damaged originals.
    pub kept: Vec<PathBuf>,
    /// What a check of the repaired log has found: no damage.
    pub report: Report,
}

impl Repair {
    /// Takes the log, reads every byte of it, and plans what to write.
    pub fn prepare(dir: &Path, on_progress: OnProgress<'_>) -> Result<Self, OpenError> {
        let owned = Ownership::take(dir)?;
        let mut report = Report::default();
        let mut plans = Vec::new();
        for (kind, checked) in check_all(&RealDisk, dir, on_progress)? {
            report.chains.push(checked.report);
            plans.extend(checked.plans.into_iter().map(|plan| (kind, plan)));
        }
        Ok(Self { dir: dir.to_owned(), report, plans, _owned: owned })
    }

    /// What is damaged, and what is lost with it.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Writes the damaged segments anew, and checks the whole log again.
    pub fn apply(self, on_progress: OnProgress<'_>) -> Result<Repaired, OpenError> {
        let (mut files, mut kept) = (Vec::new(), Vec::new());
        // All are written before the first takes its name: a disk that is full, or a damage that leaves no room for what
        // is to be said about it, is met before anything has changed.
        for (kind, plan) in &self.plans {
            let dir = self.dir.join(kind.folder());
            let path = dir.join(unfinished_name(&segment_name(plan.header.number)));
            write(&RealDisk, &dir, plan).map_err(OpenError::io("write", path))?;
        }
        for (kind, plan) in &self.plans {
            let dir = self.dir.join(kind.folder());
            let path = dir.join(segment_name(plan.header.number));
            if plan.has_file {
                kept.push(keep_aside(&path).map_err(OpenError::io("keep a copy of", &path))?);
            }
            // Before the file changes: an index that tells of the damaged one would lead readers astray.
            remove_index(&dir, plan.header.number).map_err(OpenError::io("remove the index of", &path))?;
            let replaced = RealDisk.rename(&dir.join(unfinished_name(&segment_name(plan.header.number))), &path);
            replaced.and_then(|()| RealDisk.sync_dir(&dir)).map_err(OpenError::io("replace", &path))?;
            files.push(path);
        }
        for finding in self.report.damages().filter(|finding| finding.is_of_run()) {
            let aside = with_suffix(&finding.file, DAMAGED_SUFFIX);
            let renamed = RealDisk.rename(&finding.file, &aside);
            renamed.map_err(OpenError::io("keep a copy of", &finding.file))?;
            kept.push(aside);
        }
        let chains = check_all(&RealDisk, &self.dir, on_progress)?;
        let report = Report { chains: chains.into_iter().map(|(_, checked)| checked.report).collect() };
        Ok(Repaired { files, kept, report })
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Keeps the damaged file under another name, beside the one that takes its place.
fn keep_aside(path: &Path) -> io::Result<PathBuf> {
    let is_same = |other: &Path| -> io::Result<bool> {
        let (one, other) = (fs::metadata(path)?, fs::metadata(other)?);
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    for count in 1_u32.. {
        let number = if count == 1 { String::new() } else { format!("-{count}") };
        let aside = path.with_extension(format!("log{number}{DAMAGED_SUFFIX}"));
        match fs::hard_link(path, &aside) {
            Ok(()) => return Ok(aside),
            // A repair that was killed before the new file had its name has kept it already.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if is_same(&aside)? {
                    return Ok(aside);
                }
            }
            // A file system without links.
            Err(_) => {
                let partial = aside.with_extension("part");
                fs::copy(path, &partial)?;
                fs::File::open(&partial)?.sync_all()?;
                fs::rename(&partial, &aside)?;
                return Ok(aside);
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes the index of a segment. It is made anew when the log opens.
fn remove_index(dir: &Path, number: u64) -> io::Result<()> {
    match RealDisk.remove(&dir.join(index_name(number))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| RealDisk.sync_dir(dir)),
    }
}

/// Writes a segment anew under its unfinished name, and makes it durable.
fn write(disk: &dyn Disk, dir: &Path, plan: &SegmentPlan) -> io::Result<()> {
    let new = disk.create(&dir.join(unfinished_name(&segment_name(plan.header.number))))?;
    let seed = checksum_seed(plan.header.salt);
    let mut writer = Writer { new: &*new, seed, end: HEADER_BYTES };
    new.write_at(&plan.header.encode(), 0)?;
    let whole = plan.regions.iter().find(|region| region.start == HEADER_BYTES && region.kept.is_empty());
    match (plan.has_file, whole) {
        (false, Some(region)) => writer.region(region, |_| Err(io::ErrorKind::NotFound.into()))?,
        (_, Some(region)) if region.end.is_none_or(|end| plan.end == Some(end)) => {
            writer.region(region, |_| Err(io::ErrorKind::NotFound.into()))?;
        }
        _ => {
            let path = dir.join(segment_name(plan.header.number));
            let old = disk.open_read_only(&path)?;
            writer.copy(&*old, plan.end.unwrap_or(old.len()?))?;
            let mut walk = Walk::new(Window::new(&*old)?, seed, plan.end);
            for region in &plan.regions {
                writer.region(region, |fact| walk.payload(fact).map(<[u8]>::to_vec))?;
            }
        }
    }
    writer.tail(&plan.tail)?;
    new.set_len(writer.end)?;
    new.sync_data()
}

struct Writer<'a> {
    new: &'a dyn DiskFile,
    seed: u32,
    /// Where the file ends.
    end: u64,
}

impl Writer<'_> {
    /// Copies all that stands between the header and `end`; damaged regions are written over it.
    fn copy(&mut self, old: &dyn DiskFile, end: u64) -> io::Result<()> {
        let mut window = Window::new(old)?;
        let mut at = HEADER_BYTES;
        while at < end {
            let bytes = window.bytes(at, STEP.min(end - at) as usize)?;
            if bytes.is_empty() {
                break;
            }
            self.new.write_at(bytes, at)?;
            at += bytes.len() as u64;
        }
        self.end = self.end.max(end);
        Ok(())
    }

    /// Writes what takes the place of a damaged region.
    fn region(&mut self, region: &RegionPlan, mut payload: impl FnMut(&Fact) -> io::Result<Vec<u8>>) -> io::Result<()> {
        let mut detail = Detail::default();
        loop {
            let bytes = self.batch(region, detail, 0, &mut payload)?;
            let needed = bytes.len() as u64;
            let Some(end) = region.end else {
                return self.put(&bytes, region.start);
            };
            match (end - region.start).checked_sub(needed) {
                Some(left) => return self.fill(region, detail, left, &mut payload),
                None => detail = detail.less().ok_or_else(|| no_room(region))?,
            }
        }
    }

    /// Writes a region, and fills what is left of it.
    fn fill(
        &mut self,
        region: &RegionPlan,
        detail: Detail,
        left: u64,
        payload: &mut impl FnMut(&Fact) -> io::Result<Vec<u8>>,
    ) -> io::Result<()> {
        // What does not fit into one step is filled with batches of their own.
        let steps = left.saturating_sub(STEP) / STEP;
        let bytes = self.batch(region, detail, left - steps * STEP, payload)?;
        self.put(&bytes, region.start)?;
        for step in 0..steps {
            let at = region.start + bytes.len() as u64 + step * STEP;
            let mut buffer = BytesMut::new();
            let mut batch = Encoder::new(&mut buffer, at, self.seed);
            batch.filler((STEP - BATCH_END - LEAST_FRAME) as usize);
            batch.end(at);
            self.put(&buffer, at)?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.new.write_at(bytes, at)?;
        self.end = self.end.max(at + bytes.len() as u64);
        Ok(())
    }

    /// The batch of a region, made longer by `padding`.
    fn batch(
        &self,
        region: &RegionPlan,
        detail: Detail,
        padding: u64,
        payload: &mut impl FnMut(&Fact) -> io::Result<Vec<u8>>,
    ) -> io::Result<BytesMut> {
        let mut buffer = BytesMut::new();
        let mut batch = Encoder::new(&mut buffer, region.start, self.seed);
        let mut padding = usize::try_from(padding).map_err(io::Error::other)?;
        if let Some(snapshot) = &region.snapshot {
            batch.padded_snapshot(std::mem::take(&mut padding));
            encode(snapshot, detail, &mut batch);
        } else if padding >= LEAST_FRAME as usize {
            batch.filler(std::mem::take(&mut padding) - LEAST_FRAME as usize);
        }
        let mut lost: Vec<_> = region.lost.iter().collect();
        let is_of_snapshot = |content: &Content| {
            use Content::{CursorMade, End, Progress, Snapshot};
            matches!(content, Snapshot | End { .. } | CursorMade(_) | Progress { .. })
        };
        let said = match &region.snapshot {
            Some(_) => region.kept.iter().take_while(|fact| is_of_snapshot(&fact.content)).count(),
            None => 0,
        };
        for fact in &region.kept[said..] {
            let before = |(place, offsets): &&(Place, Range<u64>)| match &fact.content {
                Content::Record { place: own, offset, .. } => place == own && offsets.start < *offset,
                _ => false,
            };
            for (place, offsets) in lost.extract_if(.., |lost| before(lost)) {
                put_lost(place, offsets, std::mem::take(&mut padding), &mut batch)?;
            }
            batch.copied(&payload(fact)?);
        }
        for (place, offsets) in lost {
            put_lost(place, offsets, std::mem::take(&mut padding), &mut batch)?;
        }
        batch.end(region.start);
        if padding > 0 {
            return Err(no_room(region));
        }
        Ok(buffer)
    }

    /// Says behind everything else which offsets nobody may be given again.
    fn tail(&mut self, lost: &[(Place, Range<u64>)]) -> io::Result<()> {
        if lost.is_empty() {
            return Ok(());
        }
        let mut buffer = BytesMut::new();
        let mut batch = Encoder::new(&mut buffer, self.end, self.seed);
        for (place, offsets) in lost {
            put_lost(place, offsets, 0, &mut batch)?;
        }
        batch.end(self.end);
        self.put(&buffer, self.end)
    }
}

fn put_lost(
    (topic, partition): &Place,
    offsets: &Range<u64>,
    padding: usize,
    batch: &mut Encoder<'_>,
) -> io::Result<()> {
    let topic = TopicName::new(&**topic).map_err(io::Error::other)?;
    batch.lost(&topic, *partition, offsets.clone(), padding);
    Ok(())
}

/// How much of a snapshot is said where there is little room.
#[derive(Debug, Clone, Copy, Default)]
enum Detail {
    #[default]
    Everything,
    /// Of every cursor only the watermark: what it has done above is done again.
    Watermarks,
}

impl Detail {
    fn less(self) -> Option<Self> {
        match self {
            Self::Everything => Some(Self::Watermarks),
            Self::Watermarks => None,
        }
    }
}

fn encode(snapshot: &Snapshot, detail: Detail, batch: &mut Encoder<'_>) {
    for ((topic, partition), end) in &snapshot.ends {
        if let Ok(topic) = TopicName::new(&**topic) {
            batch.partition_end(&topic, *partition, *end);
        }
    }
    for (name, places) in &snapshot.cursors {
        let Ok(name) = CursorName::new(&**name) else { continue };
        batch.cursor_made(&name);
        for ((topic, partition), progress) in places {
            let Ok(topic) = TopicName::new(&**topic) else { continue };
            match detail {
                Detail::Everything => batch.progress(&name, &topic, *partition, progress),
                Detail::Watermarks => {
                    batch.progress(&name, &topic, *partition, &Progress::at(progress.watermark()));
                }
            }
        }
    }
}

fn no_room(region: &RegionPlan) -> io::Error {
    io::Error::other(format!("at byte {}, there is no room to say what is lost", region.start))
}
