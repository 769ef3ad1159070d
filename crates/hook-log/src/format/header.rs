//! The first 64 bytes of a segment.

use super::ChainKind;

/// The version that this program writes and reads.
pub(crate) const VERSION: u16 = 1;
/// Where the first batch begins.
pub(crate) const HEADER_BYTES: u64 = 64;

const MAGIC: &[u8; 8] = b"HOOKLOG\n";

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) chain: ChainKind,
    pub(crate) number: u64,
    /// So many bytes of the segment before are valid.
    pub(crate) previous_end: u64,
    pub(crate) made_at_us: i64,
    pub(crate) salt: u64,
}

/// Why 64 bytes are not the header that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Damaged(&'static str),
    Version(u16),
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.chain.code();
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.made_at_us.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of segment `number` of `chain`.
    pub(crate) fn decode(bytes: &[u8], chain: ChainKind, number: u64) -> Result<Self, HeaderError> {
        let bytes = bytes.first_chunk::<{ HEADER_BYTES as usize }>().ok_or(HeaderError::Damaged("no whole header"))?;
        let number_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if &bytes[0..8] != MAGIC {
            return Err(HeaderError::Damaged("not a segment of a log"));
        }
        // Asked before the checksum: a later version may compute it otherwise.
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Err(HeaderError::Version(version));
        }
        if crc32c::crc32c(&bytes[..60]).to_le_bytes() != bytes[60..64] {
            return Err(HeaderError::Damaged("the header's checksum is wrong"));
        }
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        if bytes[10] != chain.code() {
            return Err(HeaderError::Damaged("a segment of another chain"));
        }
        if number_at(16) != number {
            return Err(HeaderError::Damaged("a segment with another number"));
        }
        Ok(Self {
            chain,
            number,
            previous_end: number_at(24),
            made_at_us: number_at(32).cast_signed(),
            salt: number_at(40),
        })
    }
}

/// What every checksum of a segment with that salt begins with.
pub(crate) fn checksum_seed(salt: u64) -> u32 {
    crc32c::crc32c(&salt.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { chain: ChainKind::Journal, number: 7, previous_end: 4711, made_at_us: -5, salt: u64::MAX };

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(Header::decode(&HEADER.encode(), ChainKind::Journal, 7), Ok(HEADER));
    }

    #[test]
    fn a_header_with_any_byte_flipped_is_refused() {
        for at in 0..HEADER_BYTES as usize {
            let mut bytes = HEADER.encode();
            bytes[at] ^= 0x10;
            assert!(Header::decode(&bytes, ChainKind::Journal, 7).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut bytes = HEADER.encode();
        bytes[8] = 9;
        assert_eq!(Header::decode(&bytes, ChainKind::Journal, 7), Err(HeaderError::Version(9)));
    }
}
