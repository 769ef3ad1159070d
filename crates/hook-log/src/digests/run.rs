//! One run: the keys of some segments in one file, sorted by digest, with a filter in memory. Never changed.

use std::{
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use hook_core::ports::log::LogError;
use thiserror::Error;

use super::{Entry, filter::Filter, keys::First, name::run_name};
use crate::{
    disk::{Disk, DiskFile},
    error::Damage,
    format::{ChainKind, Fields, unfinished_name},
};

const VERSION: u16 = 1;
const MAGIC: &[u8; 8] = b"HOOKDIG\n";
/// The header takes a page too.
const PAGE_BYTES: usize = 4096;
const ENTRY_BYTES: usize = 40;
/// A page ends in the number of its entries and its checksum.
const ENTRIES: usize = (PAGE_BYTES - 8) / ENTRY_BYTES;
/// After so many bytes a run that is being written is synced, so that nobody else's sync has to wait for all of it.
const SYNC_EVERY: u64 = 1 << 20;

/// A run.
pub(crate) struct Run {
    /// The segments whose keys it has.
    pub(super) segments: RangeInclusive<u64>,
    pub(super) count: u64,
    /// The time at which its first segment was made.
    pub(super) since_us: i64,
    /// The latest time at which a key of it expires.
    pub(super) until_us: i64,
    pub(super) path: PathBuf,
    file: Arc<dyn DiskFile>,
    filter: Filter,
}

/// Why a run could not be read.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("could not read {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl From<RunError> for LogError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Damaged(damage) => damage.into(),
            RunError::Io { path, source } => Self::Unavailable(format!("could not read {}: {source}", path.display())),
        }
    }
}

impl Run {
    /// Opens a run: its header and its filter are read.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        chain: ChainKind,
        segments: RangeInclusive<u64>,
    ) -> Result<Self, RunError> {
        let path = dir.join(run_name(&segments));
        let io = |source| RunError::Io { path: path.clone(), source };
        let damage = |position, what| Damage { file: path.clone(), position, what };
        let file = disk.open_read_only(&path).map_err(io)?;
        let mut header = [0; PAGE_BYTES];
        let read = file.read_at(&mut header, 0).map_err(io)?;
        if let Some(found) = later_version(&header[..read]) {
            let known = format!("it has format version {found}, and this program reads version {VERSION}");
            return Err(io(io::Error::new(io::ErrorKind::Unsupported, known)));
        }
        let header = (read == PAGE_BYTES).then(|| Header::decode(&header, chain)).flatten();
        let header =
            header.filter(|header| header.segments == segments).ok_or_else(|| damage(0, "not a digest run"))?;
        let length = file.len().map_err(io)?;
        if length != header.filter_at() + header.filter_bytes {
            return Err(damage(length.min(header.filter_at()), "a digest run of another length").into());
        }
        let mut bytes = vec![0; usize::try_from(header.filter_bytes).unwrap_or_default()];
        let read = file.read_at(&mut bytes, header.filter_at()).map_err(io)?;
        let is_whole = read == bytes.len() && crc32c::crc32c(&bytes) == header.filter_crc;
        let filter = is_whole.then(|| Filter::from_bytes(&bytes)).flatten();
        let filter = filter.ok_or_else(|| damage(header.filter_at(), "the filter's checksum is wrong"))?;
        let Header { segments, count, since_us, until_us, .. } = header;
        Ok(Self { segments, count, since_us, until_us, path, file, filter })
    }

    /// Who was the first with this key.
    pub(super) fn find(&self, digest: &[u8; 16]) -> Result<Option<First>, RunError> {
        if self.count == 0 || !self.filter.may_have(digest) {
            return Ok(None);
        }
        let prefix = u64::from_be_bytes(*digest.first_chunk().expect("sixteen bytes have eight first ones"));
        // Digests are evenly spread, so that its place can be guessed; a few pages off at most.
        let guess = ((u128::from(prefix) * u128::from(self.pages())) >> 64) as u64;
        let mut page = guess;
        let mut page_bytes = [0; PAGE_BYTES];
        loop {
            let entries = self.page(page, &mut page_bytes)?;
            match entries.binary_search_by(|entry| entry.digest.cmp(digest)) {
                Ok(at) => return Ok(Some(entries[at].first)),
                Err(0) if page > 0 && page <= guess => page -= 1,
                Err(at) if at == entries.len() && page + 1 < self.pages() && page >= guess => page += 1,
                Err(_) => return Ok(None),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn filter_bytes(&self) -> u64 {
        self.filter.to_bytes().len() as u64
    }

    pub(super) fn pages(&self) -> u64 {
        self.count.div_ceil(ENTRIES as u64)
    }

    /// The entries of a page, checked.
    pub(super) fn page(&self, page: u64, bytes: &mut [u8; PAGE_BYTES]) -> Result<Vec<Entry>, RunError> {
        let position = (page + 1) * PAGE_BYTES as u64;
        let read =
            self.file.read_at(bytes, position).map_err(|source| RunError::Io { path: self.path.clone(), source })?;
        let entries = (read == PAGE_BYTES).then(|| decode_page(bytes)).flatten();
        let what = "no page of digests with a right checksum";
        Ok(entries.ok_or_else(|| Damage { file: self.path.clone(), position, what })?)
    }

    /// All entries, by digest.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<Entry, RunError>> {
        let mut bytes = Box::new([0; PAGE_BYTES]);
        (0..self.pages()).flat_map(move |page| {
            let (entries, error) = match self.page(page, &mut bytes) {
                Ok(entries) => (entries, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            entries.into_iter().map(Ok).chain(error)
        })
    }

    /// Reads every page.
    pub(super) fn check(&self) -> Result<(), RunError> {
        self.entries().try_for_each(|entry| entry.map(drop))
    }
}

/// The first page of a run.
struct Header {
    chain: ChainKind,
    segments: RangeInclusive<u64>,
    count: u64,
    since_us: i64,
    until_us: i64,
    filter_bytes: u64,
    filter_crc: u32,
}

impl Header {
    fn filter_at(&self) -> u64 {
        (self.count.div_ceil(ENTRIES as u64) + 1) * PAGE_BYTES as u64
    }

    fn encode(&self) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        let fields = [
            MAGIC.as_slice(),
            &VERSION.to_le_bytes(),
            &[self.chain.code()],
            &self.segments.start().to_le_bytes(),
            &self.segments.end().to_le_bytes(),
            &self.count.to_le_bytes(),
            &self.since_us.to_le_bytes(),
            &self.until_us.to_le_bytes(),
            &self.filter_bytes.to_le_bytes(),
            &self.filter_crc.to_le_bytes(),
        ];
        let fields = fields.concat();
        page[..fields.len()].copy_from_slice(&fields);
        seal_page(&mut page, 0);
        page
    }

    fn decode(page: &[u8; PAGE_BYTES], chain: ChainKind) -> Option<Self> {
        open_page(page)?;
        let mut fields = Fields::of(page);
        let is_known = fields.array()? == MAGIC && fields.u16()? == VERSION && fields.u8()? == chain.code();
        let segments = fields.u64()?..=fields.u64()?;
        let (count, since_us, until_us) = (fields.u64()?, fields.i64()?, fields.i64()?);
        let (filter_bytes, filter_crc) = (fields.u64()?, fields.u32()?);
        is_known.then_some(Self { chain, segments, count, since_us, until_us, filter_bytes, filter_crc })
    }
}

/// The version of a run that a later program wrote. Such a run is no damage, and must not be made anew in an older format; its
/// checksum may be another. One that is right but for the version is a run of this version with a flipped bit.
fn later_version(header: &[u8]) -> Option<u16> {
    let version = u16::from_le_bytes(*header.strip_prefix(MAGIC)?.first_chunk()?);
    let is_flipped = header.first_chunk().copied().is_some_and(|mut page| {
        page[MAGIC.len()..MAGIC.len() + 2].copy_from_slice(&VERSION.to_le_bytes());
        open_page(&page).is_some()
    });
    (version > VERSION && !is_flipped).then_some(version)
}

/// Writes the number of entries and the checksum.
fn seal_page(page: &mut [u8; PAGE_BYTES], entries: u32) {
    page[PAGE_BYTES - 8..PAGE_BYTES - 4].copy_from_slice(&entries.to_le_bytes());
    let crc = crc32c::crc32c(&page[..PAGE_BYTES - 4]);
    page[PAGE_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
}

/// The number of entries of a page whose checksum is right.
fn open_page(page: &[u8; PAGE_BYTES]) -> Option<usize> {
    let (rest, crc) = page.split_last_chunk()?;
    let (_, entries) = rest.split_last_chunk()?;
    let entries = usize::try_from(u32::from_le_bytes(*entries)).ok()?;
    (crc32c::crc32c(rest).to_le_bytes() == *crc && entries <= ENTRIES).then_some(entries)
}

fn decode_page(page: &[u8; PAGE_BYTES]) -> Option<Vec<Entry>> {
    let count = open_page(page)?;
    let entries = page.as_chunks::<ENTRY_BYTES>().0[..count].iter().map(|bytes| {
        let mut fields = Fields::of(bytes);
        let (digest, id) = (*fields.array()?, *fields.array()?);
        Some(Entry { digest, first: First { id, expires_at_us: fields.i64()? } })
    });
    entries.collect()
}

/// A file that goes when it is not finished: where the disk is full, its space is wanted.
struct Unfinished<'d> {
    disk: &'d dyn Disk,
    path: Option<PathBuf>,
}

impl Unfinished<'_> {
    fn becomes(&mut self, path: &Path) -> io::Result<()> {
        if let Some(unfinished) = &self.path {
            self.disk.rename(unfinished, path)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What is left would be removed when the log opens.
            let _ = self.disk.remove(path);
        }
    }
}

/// A run that is being written, its entries coming by digest.
pub(super) struct RunWriter<'d> {
    unfinished: Unfinished<'d>,
    dir: &'d Path,
    header: Header,
    file: Arc<dyn DiskFile>,
    filter: Filter,
    page: [u8; PAGE_BYTES],
    in_page: usize,
    position: u64,
    unsynced: u64,
}

impl<'d> RunWriter<'d> {
    /// Begins the run of these segments, for at most so many entries.
    pub(super) fn begin(
        disk: &'d dyn Disk,
        dir: &'d Path,
        chain: ChainKind,
        segments: RangeInclusive<u64>,
        at_most: u64,
        since_us: i64,
    ) -> io::Result<Self> {
        let unfinished = Unfinished { disk, path: Some(dir.join(unfinished_name(&run_name(&segments)))) };
        let file = disk.create(&dir.join(unfinished_name(&run_name(&segments))))?;
        let filter = Filter::for_keys(usize::try_from(at_most).unwrap_or(usize::MAX));
        let header = Header { chain, segments, count: 0, since_us, until_us: i64::MIN, filter_bytes: 0, filter_crc: 0 };
        let (page, position) = ([0; PAGE_BYTES], PAGE_BYTES as u64);
        Ok(Self { unfinished, dir, header, file, filter, page, in_page: 0, position, unsynced: 0 })
    }

    pub(super) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let at = self.in_page * ENTRY_BYTES;
        let First { id, expires_at_us } = entry.first;
        self.page[at..at + 16].copy_from_slice(&entry.digest);
        self.page[at + 16..at + 32].copy_from_slice(&id);
        self.page[at + 32..at + 40].copy_from_slice(&expires_at_us.to_le_bytes());
        self.filter.insert(&entry.digest);
        self.header.count += 1;
        self.header.until_us = self.header.until_us.max(expires_at_us);
        self.in_page += 1;
        if self.in_page == ENTRIES {
            self.write_page()?;
        }
        Ok(())
    }

    fn write_page(&mut self) -> io::Result<()> {
        seal_page(&mut self.page, u32::try_from(self.in_page).unwrap_or_default());
        self.file.write_at(&self.page, self.position)?;
        self.position += PAGE_BYTES as u64;
        self.unsynced += PAGE_BYTES as u64;
        self.page = [0; PAGE_BYTES];
        self.in_page = 0;
        if self.unsynced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Gives the run its name.
    pub(super) fn finish(mut self) -> io::Result<Run> {
        if self.in_page > 0 {
            self.write_page()?;
        }
        let filter = self.filter.to_bytes();
        self.header.filter_bytes = filter.len() as u64;
        self.header.filter_crc = crc32c::crc32c(&filter);
        self.file.write_at(&filter, self.position)?;
        self.file.write_at(&self.header.encode(), 0)?;
        self.file.sync_data()?;
        let Header { segments, count, since_us, until_us, .. } = self.header;
        let path = self.dir.join(run_name(&segments));
        self.unfinished.becomes(&path)?;
        self.unfinished.disk.sync_dir(self.dir)?;
        Ok(Run { segments, count, since_us, until_us, path, file: self.file, filter: self.filter })
    }
}
