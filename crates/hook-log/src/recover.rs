//! Opens a chain: checks every byte of it, cuts a torn tail, refuses damage.

use std::{path::Path, sync::Arc};

use tracing::warn;

use crate::{
    disk::{Disk, DiskFile},
    error::{Damage, OpenError},
    format::{
        ChainKind, HEADER_BYTES, Header, HeaderError, NEW_SUFFIX, Place, VERSION, checksum_seed, next_batch, number_of,
        proves_damage, segment_name,
    },
    state::{Seen, Segment, State},
};

/// A chain as it stands on disk.
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) seen: Seen,
    /// The newest segment; `None` in a chain that is new.
    pub(crate) last: Option<Last>,
}

/// The newest segment.
pub(crate) struct Last {
    pub(crate) number: u64,
    pub(crate) seed: u32,
    /// The position behind its last whole batch.
    pub(crate) end: u64,
    /// From here on, nothing proves that the disk has what the system shows.
    pub(crate) unproven_from: u64,
    /// The bytes from there to the end.
    pub(crate) unproven: Vec<u8>,
}

/// Reads a chain. Writes nothing.
pub(crate) fn recover(disk: &dyn Disk, dir: &Path, kind: ChainKind) -> Result<Recovered, OpenError> {
    let headers = headers(disk, dir, kind)?;
    let mut recovered = Recovered { state: State::default(), seen: Seen::default(), last: None };
    let mut bytes = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        let path = dir.join(segment_name(header.number));
        let file = disk.open_read_only(&path).map_err(OpenError::io("open", &path))?;
        let valid = headers.get(index + 1).map(|next| next.previous_end);
        read_all(&*file, &mut bytes, valid).map_err(OpenError::io("read", &path))?;
        recovered.segment(&path, header, &bytes, valid)?;
    }
    Ok(recovered)
}

/// Removes what was left of a segment that was being made.
pub(crate) fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
    for name in names.iter().filter(|name| name.ends_with(NEW_SUFFIX)) {
        let path = dir.join(name);
        disk.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    Ok(())
}

/// The headers of all segments, by number.
fn headers(disk: &dyn Disk, dir: &Path, kind: ChainKind) -> Result<Vec<Header>, OpenError> {
    let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
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

/// Reads a file up to `valid`, or whole.
fn read_all(file: &dyn DiskFile, bytes: &mut Vec<u8>, valid: Option<u64>) -> std::io::Result<()> {
    let length = file.len()?;
    let length = valid.map_or(length, |valid| valid.min(length));
    bytes.resize(usize::try_from(length).map_err(std::io::Error::other)?, 0);
    let read = file.read_at(bytes, 0)?;
    bytes.truncate(read);
    Ok(())
}

impl Recovered {
    /// Applies a segment. `valid` is what the next segment says of this one; the newest has no next.
    fn segment(&mut self, path: &Path, header: &Header, bytes: &[u8], valid: Option<u64>) -> Result<(), OpenError> {
        let seed = checksum_seed(header.salt);
        let damage = |position, what| Damage { file: path.to_owned(), position, what };
        if let Some(valid) = valid
            && valid > bytes.len() as u64
        {
            return Err(damage(bytes.len() as u64, "the segment is too short").into());
        }
        self.state.segments.push_back(Segment::new(header.number, seed, HEADER_BYTES, header.made_at_us));
        let mut start = HEADER_BYTES;
        let mut synced = 0;
        while valid.is_none_or(|valid| start < valid) {
            match next_batch(bytes, start, seed) {
                Ok(batch) => {
                    let place = Place { segment: header.number, position: start };
                    let applied = self.state.apply(&mut self.seen, place, &bytes[start as usize..batch.end as usize]);
                    applied.map_err(|wrong| damage(start + wrong.at, wrong.what))?;
                    start = batch.end;
                    synced = batch.synced;
                }
                // The snapshot was durable before the segment had its name.
                Err(bad) if valid.is_some() || start == HEADER_BYTES => {
                    return Err(damage(bad.position, bad.what).into());
                }
                Err(_) if bytes[start as usize..].iter().all(|&byte| byte == 0) => break,
                Err(bad) if proves_damage(bytes, start, bad.position, seed) => {
                    return Err(damage(bad.position, bad.what).into());
                }
                Err(_) => {
                    let bytes = bytes.len() as u64 - start;
                    warn!(file = %path.display(), position = start, bytes, "torn tail: it was never acknowledged");
                    break;
                }
            }
        }
        let unproven_from = synced.min(start);
        self.last = Some(Last {
            number: header.number,
            seed,
            end: start,
            unproven_from,
            unproven: bytes[unproven_from as usize..start as usize].to_vec(),
        });
        Ok(())
    }
}

impl Last {
    /// Cuts what is behind the last whole batch, and makes certain that the disk has the rest.
    pub(crate) fn settle(&self, disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>, OpenError> {
        let path = dir.join(segment_name(self.number));
        let file = disk.open(&path).map_err(OpenError::io("open", &path))?;
        let settled = file
            .set_len(self.end)
            .and_then(|()| file.write_at(&self.unproven, self.unproven_from))
            .and_then(|()| file.sync_data());
        settled.map_err(OpenError::io("settle", &path))?;
        Ok(file)
    }
}
