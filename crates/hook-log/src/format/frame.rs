//! A frame, read where it stands: nothing is copied.

use std::ops::Range;

use super::fields::Fields;

/// Length and checksum.
pub(crate) const PREFIX: usize = 8;
/// Kind and batch start.
pub(crate) const COMMON: usize = 9;
/// The length of a batch end.
pub(crate) const END_LENGTH: u32 = (COMMON + 4 + 8) as u32;
/// The bytes of a batch that has no other frame than its end.
pub(crate) const EMPTY_BATCH_BYTES: u64 = PREFIX as u64 + END_LENGTH as u64;

pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 1;
    pub(in super::super) const SEEN: u8 = 2;
    pub(in super::super) const DONE: u8 = 3;
    pub(in super::super) const CURSOR_MADE: u8 = 4;
    pub(in super::super) const CURSOR_GONE: u8 = 5;
    pub(in super::super) const PROGRESS: u8 = 6;
    pub(in super::super) const PARTITION_END: u8 = 7;
    pub(in super::super) const SNAPSHOT: u8 = 8;
    pub(in super::super) const BATCH_END: u8 = 9;
    pub(in super::super) const LOST: u8 = 10;
    pub(in super::super) const FILLER: u8 = 11;
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Data(Data<'a>),
    Seen { id: [u8; 16], keys: Keys<'a> },
    Done { cursor: &'a str, topic: &'a str, partition: u32, ranges: Pairs<'a> },
    CursorMade { cursor: &'a str },
    CursorGone { cursor: &'a str },
    Progress { cursor: &'a str, topic: &'a str, partition: u32, watermark: u64, above: Pairs<'a> },
    PartitionEnd { topic: &'a str, partition: u32, end: u64 },
    Snapshot,
    BatchEnd { frames: u32, synced: u64 },
    Lost { topic: &'a str, partition: u32, first: u64, end: u64 },
    Filler,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) time_us: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) header: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Deduplication keys, each a digest and the time at which it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keys<'a>(&'a [u8]);

impl<'a> Keys<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = ([u8; 16], i64)> + 'a {
        self.0.as_chunks::<24>().0.iter().map(|chunk| {
            let (digest, expires) = chunk.split_at(16);
            (digest.try_into().expect("16 bytes"), i64::from_le_bytes(expires.try_into().expect("8 bytes")))
        })
    }
}

/// Ranges of offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = Range<u64>> + 'a {
        self.0.as_chunks::<16>().0.iter().map(|chunk| {
            let (start, end) = chunk.split_at(8);
            let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
            number(start)..number(end)
        })
    }
}

/// A frame whose checksum was right.
pub(crate) struct Checked<'a> {
    /// Everything behind length and checksum.
    pub(crate) payload: &'a [u8],
    /// The bytes of the whole frame.
    pub(crate) size: usize,
}

/// The payload of the frame at the start of `bytes`, unchecked; `None` where no whole frame stands there.
pub(crate) fn split(bytes: &[u8]) -> Option<Checked<'_>> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let size = PREFIX.checked_add(length)?;
    let payload = bytes.get(PREFIX..size)?;
    (length >= COMMON).then_some(Checked { payload, size })
}

/// The frame at the start of `bytes`, its checksum checked.
pub(crate) fn check(bytes: &[u8], seed: u32) -> Option<Checked<'_>> {
    let frame = split(bytes)?;
    (checksum(seed, &bytes[..4], frame.payload).to_le_bytes() == bytes[4..PREFIX]).then_some(frame)
}

pub(super) fn checksum(seed: u32, length: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, length), payload)
}

/// The frames of a valid batch, each with its position from the start of `batch`.
pub(crate) fn frames(batch: &[u8]) -> impl Iterator<Item = (u64, Frame<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let frame = split(&batch[at..])?;
        let here = at as u64;
        at += frame.size;
        Some((here, parse(frame.payload)?.1))
    })
}

/// The batch start and the content of a payload; `None` where its fields do not fit into it.
pub(crate) fn parse(payload: &[u8]) -> Option<(u64, Frame<'_>)> {
    let mut fields = Fields::of(payload);
    let kind = fields.u8()?;
    let batch_start = fields.u64()?;
    let frame = match kind {
        kind::DATA => Frame::Data(data(fields)?),
        kind::SEEN => Frame::Seen { id: *fields.array()?, keys: Keys(fields.rest_by(24)?) },
        kind::DONE => Frame::Done {
            cursor: fields.cursor()?,
            topic: fields.topic()?,
            partition: fields.u32()?,
            ranges: Pairs(fields.rest_by(16)?),
        },
        kind::CURSOR_MADE => Frame::CursorMade { cursor: fields.cursor()? },
        kind::CURSOR_GONE => Frame::CursorGone { cursor: fields.cursor()? },
        kind::PROGRESS => Frame::Progress {
            cursor: fields.cursor()?,
            topic: fields.topic()?,
            partition: fields.u32()?,
            watermark: fields.u64()?,
            above: Pairs(fields.rest_by(16)?),
        },
        kind::PARTITION_END => {
            Frame::PartitionEnd { topic: fields.topic()?, partition: fields.u32()?, end: fields.u64()? }
        }
        kind::SNAPSHOT => Frame::Snapshot,
        kind::BATCH_END => Frame::BatchEnd { frames: fields.u32()?, synced: fields.u64()? },
        kind::LOST => {
            Frame::Lost { topic: fields.topic()?, partition: fields.u32()?, first: fields.u64()?, end: fields.u64()? }
        }
        kind::FILLER => Frame::Filler,
        _ => return None,
    };
    Some((batch_start, frame))
}

fn data(mut fields: Fields<'_>) -> Option<Data<'_>> {
    let partition = fields.u32()?;
    let offset = fields.u64()?;
    let time_us = fields.i64()?;
    let topic = usize::from(fields.u8()?);
    let key = fields.u32()?;
    let header = fields.u32()? as usize;
    Some(Data {
        topic: fields.text(topic)?,
        partition,
        offset,
        time_us,
        key: if key == u32::MAX { None } else { Some(fields.take(key as usize)?) },
        header: fields.take(header)?,
        body: fields.rest(),
    })
}
