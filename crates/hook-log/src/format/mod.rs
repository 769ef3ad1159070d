//! Segments as bytes. `docs/reference/log-format.md` is the specification.

mod batch;
mod encode;
mod fields;
mod frame;
mod header;
mod index;
mod name;
mod stream;

pub(crate) use batch::proves_damage;
pub(crate) use encode::Encoder;
pub(crate) use fields::Fields;
pub(crate) use frame::{
    COMMON, Data, EMPTY_BATCH_BYTES, END_LENGTH, Frame, Keys, PREFIX, Pairs, check, frames, parse, split,
};
pub(crate) use header::{HEADER_BYTES, Header, HeaderError, VERSION, checksum_seed};
pub(crate) use index::{Index, IndexPartition};
pub(crate) use name::{NEW_SUFFIX, index_name, indexed_number, segment_name, segment_number, unfinished_name};
pub(crate) use stream::BatchStream;

/// The chains that a log consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ChainKind {
    /// Every topic that has no chain of its own.
    Events,
    /// The dead-letter topic.
    DeadLetters,
    /// The journal topic.
    Journal,
}

impl ChainKind {
    /// All of them, in the order in which the log holds them.
    pub(crate) const ALL: [Self; 3] = [Self::Events, Self::DeadLetters, Self::Journal];

    /// The name of its folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::DeadLetters => "dead_letters",
            Self::Journal => "journal",
        }
    }

    pub(crate) fn code(self) -> u8 {
        self as u8 + 1
    }
}

/// A place in a chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// The position in its file.
    pub(crate) position: u64,
}
