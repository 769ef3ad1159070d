//! Opens a chain: reads the indexes of its sealed segments and the newest segment, cuts a torn tail, refuses damage.

use std::{collections::HashSet, io, path::Path, sync::Arc};

use tracing::{debug, warn};

use crate::{
    digests::{Keys, Opened},
    disk::{Disk, DiskFile},
    error::{Damage, OpenError},
    format::{
        BatchStream, ChainKind, HEADER_BYTES, Header, HeaderError, Index, NEW_SUFFIX, Place, VERSION, checksum_seed,
        index_name, indexed_number, proves_damage, segment_name, segment_number,
    },
    state::{Segment, State},
};

/// A chain as it stands on disk.
pub(crate) struct Recovered {
    pub(crate) state: State,
    purpose: Purpose,
    /// The runs of the keys of sealed segments.
    pub(crate) digests: Opened,
    /// The keys of sealed segments that no run has: the segment, when it was made, and its keys.
    pub(crate) sealed: Vec<(u64, i64, Keys)>,
    /// The keys of the newest segment.
    pub(crate) active: Keys,
    /// The newest segment; `None` in a chain that is new.
    pub(crate) last: Option<Last>,
}

/// The newest segment.
pub(crate) struct Last {
    pub(crate) number: u64,
    pub(crate) seed: u32,
    pub(crate) made_at_us: i64,
    /// The position behind its last whole batch.
    pub(crate) end: u64,
    /// From here on, nothing proves that the disk has what the system shows.
    pub(crate) unproven_from: u64,
}

/// What a chain is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be written, by its owner.
    Owner,
    /// To be read. Writes nothing, and needs no deduplication keys.
    Reader,
}

/// Reads a chain. For its owner, it removes what a crash has left of files that were being made, or replaced.
pub(crate) fn recover(disk: &dyn Disk, dir: &Path, kind: ChainKind, purpose: Purpose) -> Result<Recovered, OpenError> {
    if purpose == Purpose::Owner {
        remove_leftovers(disk, dir)?;
    }
    let headers = headers(disk, dir, kind)?;
    let digests = match purpose {
        Purpose::Owner => Opened::open(disk, dir, kind, headers.first().map_or(0, |oldest| oldest.number))?,
        Purpose::Reader => Opened::default(),
    };
    let (state, active) = (State::default(), Keys::default());
    let mut recovered = Recovered { state, purpose, digests, sealed: Vec::new(), active, last: None };
    for (index, header) in headers.iter().enumerate() {
        match headers.get(index + 1) {
            Some(next) => recovered.sealed(disk, dir, header, next.previous_end)?,
            None => recovered.newest(disk, dir, header)?,
        }
    }
    Ok(recovered)
}

/// Removes what was left of files that were being made, and indexes of segments that are gone.
fn remove_leftovers(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
    let segments: HashSet<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    let is_orphan = |name: &str| indexed_number(name).is_some_and(|number| !segments.contains(&number));
    for name in names.iter().filter(|name| name.ends_with(NEW_SUFFIX) || is_orphan(name)) {
        let path = dir.join(name);
        disk.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    Ok(())
}

/// The headers of all segments, by number.
fn headers(disk: &dyn Disk, dir: &Path, kind: ChainKind) -> Result<Vec<Header>, OpenError> {
    let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    if let Some(gap) = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1) {
        let file = dir.join(segment_name(gap[0] + 1));
        return Err(Damage { file, position: 0, what: "the segment is missing" }.into());
    }
    numbers.into_iter().map(|number| header(disk, dir, kind, number)).collect()
}

fn header(disk: &dyn Disk, dir: &Path, kind: ChainKind, number: u64) -> Result<Header, OpenError> {
    let path = dir.join(segment_name(number));
    let file = disk.open_read_only(&path).map_err(OpenError::io("open", &path))?;
    let mut bytes = [0; HEADER_BYTES as usize];
    let read = file.read_at(&mut bytes, 0).map_err(OpenError::io("read", &path))?;
    Header::decode(&bytes[..read], kind, number).map_err(|error| match error {
        HeaderError::Damaged(what) => Damage { file: path, position: 0, what }.into(),
        HeaderError::Version(found) => OpenError::Version { file: path, found, known: VERSION },
    })
}

/// The index of a sealed segment, where there is a right one. Without it, the segment itself is read.
fn index(disk: &dyn Disk, dir: &Path, header: &Header, valid: u64) -> Option<Index> {
    let file = disk.open_read_only(&dir.join(index_name(header.number))).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok()?];
    file.read_at(&mut bytes, 0).ok()?;
    let index = Index::decode(&bytes, header.chain)?;
    (index.number == header.number && index.salt == header.salt && index.end == valid).then_some(index)
}

impl Recovered {
    /// Takes a sealed segment in, of which the next one says that `valid` bytes are valid.
    fn sealed(&mut self, disk: &dyn Disk, dir: &Path, header: &Header, valid: u64) -> Result<(), OpenError> {
        let path = dir.join(segment_name(header.number));
        let file = disk.open_read_only(&path).map_err(OpenError::io("open", &path))?;
        let length = file.len().map_err(OpenError::io("read", &path))?;
        let damage = |position, what| Damage { file: path.clone(), position, what };
        if length < valid {
            return Err(damage(length, "the segment is too short").into());
        }
        let has_run = self.purpose == Purpose::Reader || self.digests.cover(header.number);
        let is_enough = |index: &Index| (has_run || index.keys == 0) && self.state.agrees_with(index);
        if let Some(index) = index(disk, dir, header, valid).filter(is_enough) {
            let applied = self.state.apply_index(header, &index);
            return applied.map_err(|what| damage(0, what).into());
        }
        debug!(file = %path.display(), "sealed segment without an index or a digest run is read");
        let mut keys = Keys::default();
        self.state.segments.push_back(Segment::new(header, HEADER_BYTES));
        let mut batches = BatchStream::new(file, checksum_seed(header.salt), HEADER_BYTES, valid);
        while !batches.is_at_limit() {
            let place = Place { segment: header.number, position: batches.position() };
            let (_, batch) =
                batches.next().map_err(OpenError::io("read", &path))?.map_err(|bad| damage(bad.position, bad.what))?;
            let applied = self.state.apply(&mut keys, place, batch);
            applied.map_err(|wrong| damage(place.position + wrong.at, wrong.what))?;
        }
        let is_settled = has_run || keys.len() == 0;
        if let Some(segment) = self.state.segments.back_mut() {
            segment.has_run = is_settled;
        }
        if !is_settled {
            self.sealed.push((header.number, header.made_at_us, keys));
        }
        Ok(())
    }

    /// Takes the newest segment in, which may end in a batch that was never whole.
    fn newest(&mut self, disk: &dyn Disk, dir: &Path, header: &Header) -> Result<(), OpenError> {
        let path = dir.join(segment_name(header.number));
        let io = |error: io::Error| OpenError::io("read", &path)(error);
        let damage = |position, what| Damage { file: path.clone(), position, what };
        let seed = checksum_seed(header.salt);
        let file = disk.open_read_only(&path).map_err(OpenError::io("open", &path))?;
        let length = file.len().map_err(io)?;
        self.state.segments.push_back(Segment::new(header, HEADER_BYTES));
        let mut batches = BatchStream::new(file, seed, HEADER_BYTES, length);
        let mut synced = 0;
        loop {
            let start = batches.position();
            let is_snapshot = start == HEADER_BYTES;
            if batches.is_at_limit() && !is_snapshot {
                break;
            }
            match batches.next().map_err(io)? {
                Ok((extent, batch)) => {
                    let place = Place { segment: header.number, position: start };
                    let applied = self.state.apply(&mut self.active, place, batch);
                    applied.map_err(|wrong| damage(start + wrong.at, wrong.what))?;
                    synced = extent.synced;
                }
                // The snapshot was durable before the segment had its name.
                Err(bad) if is_snapshot => return Err(damage(bad.position, bad.what).into()),
                Err(bad) => {
                    let rest = batches.rest().map_err(io)?;
                    let is_empty = rest.iter().all(|&byte| byte == 0);
                    if !is_empty && proves_damage(rest, start, bad.position, seed) {
                        return Err(damage(bad.position, bad.what).into());
                    }
                    if !is_empty {
                        let bytes = rest.len();
                        warn!(file = %path.display(), position = start, bytes, "torn tail: it was never acknowledged");
                    }
                    break;
                }
            }
        }
        let end = batches.position();
        let &Header { number, made_at_us, .. } = header;
        self.last = Some(Last { number, seed, made_at_us, end, unproven_from: synced.min(end) });
        Ok(())
    }
}

impl Last {
    /// Cuts what is behind the last whole batch, and makes certain that the disk has the rest: after a sync that failed,
    /// the system may show bytes that it will never write.
    pub(crate) fn settle(&self, disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>, OpenError> {
        let path = dir.join(segment_name(self.number));
        let file = disk.open(&path).map_err(OpenError::io("open", &path))?;
        let settled = || {
            file.set_len(self.end)?;
            let length = usize::try_from(self.end - self.unproven_from).map_err(io::Error::other)?;
            let mut unproven = vec![0; length];
            if file.read_at(&mut unproven, self.unproven_from)? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.write_at(&unproven, self.unproven_from)?;
            file.sync_data()?;
            // Whoever gave the file its name may have ended before that was durable.
            disk.sync_dir(dir)
        };
        settled().map_err(OpenError::io("settle", &path))?;
        Ok(file)
    }
}
