//! The beginning of a segment file, read or, where it is hurt, found out.

use std::{io, path::Path};

use super::window::Window;
use crate::{
    disk::Disk,
    error::OpenError,
    format::{
        ChainKind, HEADER_BYTES, Header, HeaderError, PREFIX, VERSION, check, checksum_seed, parse, segment_name,
    },
};

/// What stands at the beginning of a segment file.
pub(super) enum Head {
    /// A header.
    Good(Header),
    /// A header that is wrong, with the salt that the batches behind it confirm.
    Hurt { what: &'static str, salt: u64, made_at_us: i64 },
    /// Nothing that helps to read what follows, or no file at all.
    Lost(&'static str),
}

impl Head {
    /// What the next segment's header says of the one before it.
    pub(super) fn previous_end(&self) -> Option<u64> {
        match self {
            Self::Good(header) => Some(header.previous_end),
            Self::Hurt { .. } | Self::Lost(_) => None,
        }
    }
}

/// Reads the beginning of a segment.
pub(super) fn read(disk: &dyn Disk, dir: &Path, kind: ChainKind, number: u64) -> Result<Head, OpenError> {
    let path = dir.join(segment_name(number));
    let file = match disk.open_read_only(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Head::Lost("the segment is missing")),
        Err(error) => return Err(OpenError::io("open", &path)(error)),
    };
    let read = || -> io::Result<Result<Head, u16>> {
        let mut window = Window::new(&*file)?;
        let bytes = window.bytes(0, HEADER_BYTES as usize)?.to_vec();
        match Header::decode(&bytes, kind, number) {
            Ok(header) => Ok(Ok(Head::Good(header))),
            Err(HeaderError::Damaged(what)) => find_out(&mut window, &bytes, what).map(Ok),
            // A later version, or an own one in which a bit has flipped.
            Err(HeaderError::Version(found)) => {
                let head = find_out(&mut window, &bytes, "the header's version is wrong")?;
                Ok(if matches!(head, Head::Hurt { .. }) { Ok(head) } else { Err(found) })
            }
        }
    };
    let head = read().map_err(OpenError::io("read", &path))?;
    head.map_err(|found| OpenError::Version { file: path, found, known: VERSION })
}

/// Looks for the salt: as it stands there, and with any one bit flipped. The first frame says whether it is right.
fn find_out(window: &mut Window<'_>, bytes: &[u8], what: &'static str) -> io::Result<Head> {
    let Some(header) = bytes.first_chunk::<{ HEADER_BYTES as usize }>() else { return Ok(Head::Lost(what)) };
    let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let salt = number(40);
    let candidates = std::iter::once(salt).chain((0..64).map(|bit| salt ^ (1 << bit)));
    let Some(length) = window.bytes(HEADER_BYTES, 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else {
        return Ok(Head::Lost(what));
    };
    let size = (length as usize).saturating_add(PREFIX).min(1 << 20);
    let first = window.bytes(HEADER_BYTES, size)?;
    let is_right = |salt: &u64| {
        let frame = check(first, checksum_seed(*salt));
        frame.and_then(|frame| parse(frame.payload)).is_some_and(|(start, _)| start == HEADER_BYTES)
    };
    let found = candidates.into_iter().find(is_right);
    Ok(found.map_or(Head::Lost(what), |salt| Head::Hurt { what, salt, made_at_us: number(32).cast_signed() }))
}
