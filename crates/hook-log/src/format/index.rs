//! The file beside a sealed segment that says what is in it, so that nobody has to read it when the log opens.

use bytes::{BufMut, BytesMut};

use super::{ChainKind, fields::Fields};

/// The version that this program writes and reads. A file of another version is made anew from its segment.
const VERSION: u16 = 1;
const MAGIC: &[u8; 8] = b"HOOKIDX\n";

/// What a sealed segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) chain: ChainKind,
    pub(crate) number: u64,
    /// The salt of the segment: an index belongs to one file, not to one number.
    pub(crate) salt: u64,
    /// So many bytes of the segment are valid.
    pub(crate) end: u64,
    /// The latest time of its records.
    pub(crate) latest_us: i64,
    /// How many deduplication keys stand in it.
    pub(crate) keys: u64,
    pub(crate) partitions: Vec<IndexPartition>,
}

/// The records of one partition in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexPartition {
    pub(crate) topic: String,
    pub(crate) number: u32,
    /// The first offset in the segment.
    pub(crate) first: u64,
    /// The last one.
    pub(crate) last: u64,
    /// The latest time of all records of the partition up to the end of the segment.
    pub(crate) latest_us: i64,
    /// Some of the records, the first of them always: offset, position, and the latest time of all records before.
    pub(crate) entries: Vec<(u64, u64, i64)>,
}

impl Index {
    pub(crate) fn encode(&self) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_slice(MAGIC);
        bytes.put_u16_le(VERSION);
        bytes.put_u8(self.chain.code());
        bytes.put_u64_le(self.number);
        bytes.put_u64_le(self.salt);
        bytes.put_u64_le(self.end);
        bytes.put_i64_le(self.latest_us);
        bytes.put_u64_le(self.keys);
        bytes.put_u32_le(u32::try_from(self.partitions.len()).unwrap_or(u32::MAX));
        for partition in &self.partitions {
            bytes.put_u8(u8::try_from(partition.topic.len()).unwrap_or(u8::MAX));
            bytes.put_slice(partition.topic.as_bytes());
            bytes.put_u32_le(partition.number);
            bytes.put_u64_le(partition.first);
            bytes.put_u64_le(partition.last);
            bytes.put_i64_le(partition.latest_us);
            bytes.put_u32_le(u32::try_from(partition.entries.len()).unwrap_or(u32::MAX));
            for &(offset, position, latest_before_us) in &partition.entries {
                bytes.put_u64_le(offset);
                bytes.put_u64_le(position);
                bytes.put_i64_le(latest_before_us);
            }
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32_le(crc);
        bytes
    }

    /// Reads an index; `None` where the bytes are none, whole and of this version.
    pub(crate) fn decode(bytes: &[u8], chain: ChainKind) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk()?;
        if crc32c::crc32c(content).to_le_bytes() != *crc {
            return None;
        }
        let mut fields = Fields::of(content);
        let is_known = fields.array()? == MAGIC && fields.u16()? == VERSION && fields.u8()? == chain.code();
        if !is_known {
            return None;
        }
        let (number, salt, end) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (latest_us, keys) = (fields.i64()?, fields.u64()?);
        let count = fields.u32()?;
        let partitions = (0..count).map(|_| IndexPartition::decode(&mut fields)).collect::<Option<_>>()?;
        fields.rest().is_empty().then_some(Self { chain, number, salt, end, latest_us, keys, partitions })
    }
}

impl IndexPartition {
    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let (topic, number) = (fields.topic()?.to_owned(), fields.u32()?);
        let (first, last, latest_us) = (fields.u64()?, fields.u64()?, fields.i64()?);
        let count = fields.u32()?;
        let entries = (0..count).map(|_| Some((fields.u64()?, fields.u64()?, fields.i64()?))).collect::<Option<_>>()?;
        Some(Self { topic, number, first, last, latest_us, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let partition = IndexPartition {
            topic: "webhooks.core".to_owned(),
            number: 0,
            first: 7,
            last: 90,
            latest_us: 12,
            entries: vec![(7, 64, i64::MIN), (60, 70_000, 9)],
        };
        let chain = ChainKind::Events;
        Index { chain, number: 3, salt: 5, end: 90_000, latest_us: 12, keys: 4, partitions: vec![partition] }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let bytes = index().encode();
        assert_eq!(Index::decode(&bytes, ChainKind::Events), Some(index()));
        assert_eq!(Index::decode(&bytes, ChainKind::Journal), None);
    }

    #[test]
    fn a_flipped_or_missing_byte_makes_it_none() {
        let bytes = index().encode();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(Index::decode(&flipped, ChainKind::Events), None, "byte {at}");
            assert_eq!(Index::decode(&bytes[..at], ChainKind::Events), None, "cut at {at}");
        }
    }
}
