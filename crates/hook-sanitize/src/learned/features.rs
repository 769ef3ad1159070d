//! What weights are of: meanings within a window, pairs of them, and where the window stands.

use std::{collections::HashMap, ops::Range};

use crate::{
    lexicon::concept::*,
    scan::{CLAUSE_START, Hit, QUOTED, Scan},
};

/// A window is two halves, each of so many words.
const HALF: u32 = 10;
/// Halves that are further apart than this are not read together.
const FURTHEST: u32 = 2 * HALF + 4;
/// What denies a word stands so many words before it, at most.
const DENIES: u32 = 2;

/// Something that has a weight. Meanings are the numbers of their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    /// The window has a word that means it.
    Alone(u8),
    /// A clause of the window begins with such a word, in the form of a command.
    First(u8),
    /// Such a word is denied.
    Denied(u8),
    /// The text has it somewhere.
    Anywhere(u8),
    /// The window has both.
    Pair(u8, u8),
    /// The window has a clause that begins with the one, and has the other.
    Opens(u8, u8),
    /// Where the window stands, and what kind of text it is in: an index of the names of settings.
    Setting(u8),
}

/// Names of what is known of a window beside its words.
const SETTINGS: [&str; 10] = [
    "@hidden",
    "@quoted",
    "@partly_quoted",
    "@about_0",
    "@about_1",
    "@about_2",
    "@about_3",
    "@dense_4",
    "@dense_8",
    "@dense_more",
];

impl Feature {
    /// How it is written.
    pub fn name(self) -> String {
        let name = |bit: u8| NAMES[usize::from(bit)].0;
        match self {
            Self::Alone(bit) => name(bit).to_owned(),
            Self::First(bit) => format!("^{}", name(bit)),
            Self::Denied(bit) => format!("!{}", name(bit)),
            Self::Anywhere(bit) => format!("~{}", name(bit)),
            Self::Pair(one, other) if name(one) > name(other) => format!("{} {}", name(other), name(one)),
            Self::Pair(one, other) => format!("{} {}", name(one), name(other)),
            Self::Opens(first, other) => format!("^{} {}", name(first), name(other)),
            Self::Setting(index) => SETTINGS[usize::from(index)].to_owned(),
        }
    }

    /// What is written so.
    pub(super) fn named(text: &str, bits: &HashMap<&str, u8>) -> Option<Self> {
        let bit = |name: &str| bits.get(name).copied();
        if text.starts_with('@') {
            return SETTINGS.iter().zip(0u8..).find(|(name, _)| **name == text).map(|(_, index)| Self::Setting(index));
        }
        match (text.strip_prefix('^'), text.split_once(' ')) {
            (Some(text), Some(_)) => {
                text.split_once(' ').and_then(|(first, other)| Some(Self::Opens(bit(first)?, bit(other)?)))
            }
            (Some(text), None) => bit(text).map(Self::First),
            (None, Some((one, other))) => Some(Self::pair(bit(one)?, bit(other)?)),
            (None, None) => match text.as_bytes().first() {
                Some(b'!') => bit(&text[1..]).map(Self::Denied),
                Some(b'~') => bit(&text[1..]).map(Self::Anywhere),
                _ => bit(text).map(Self::Alone),
            },
        }
    }

    fn pair(one: u8, other: u8) -> Self {
        Self::Pair(one.min(other), one.max(other))
    }

    /// Where its weight is kept among those of so many meanings.
    #[inline]
    pub(super) fn place(self, size: usize) -> (usize, usize) {
        match self {
            Self::Alone(bit) => (0, bit.into()),
            Self::First(bit) => (1, bit.into()),
            Self::Denied(bit) => (2, bit.into()),
            Self::Anywhere(bit) => (3, bit.into()),
            Self::Setting(index) => (4, index.into()),
            Self::Pair(one, other) => (5, usize::from(one) * size + usize::from(other)),
            Self::Opens(first, other) => (6, usize::from(first) * size + usize::from(other)),
        }
    }
}

/// Weights of nothing, for so many meanings.
pub(super) fn empty_kinds(size: usize) -> Vec<Vec<i16>> {
    [size, size, size, size, SETTINGS.len(), size * size, size * size].map(|length| vec![0; length]).into()
}

/// Calls with the number of every bit.
#[inline]
pub(super) fn each_meaning(mut mask: Mask, mut each: impl FnMut(u8)) {
    while mask != 0 {
        #[allow(clippy::cast_possible_truncation, reason = "a mask has at most 128 bits")]
        each(mask.trailing_zeros() as u8);
        mask &= mask - 1;
    }
}

/// What a stretch of text means.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stretch {
    first_place: u32,
    start: u32,
    end: u32,
    pub(super) all: Mask,
    /// With which clauses begin.
    firsts: Mask,
    denied: Mask,
    quoted: u32,
    hits: u32,
}

impl Stretch {
    #[inline]
    fn add(&mut self, hit: &Hit, is_denied: bool) {
        self.all |= hit.mask;
        self.firsts |= if hit.style & CLAUSE_START != 0 && hit.mask & INFL == 0 { hit.mask } else { 0 };
        self.denied |= if is_denied { hit.mask } else { 0 };
        self.quoted += u32::from(hit.style & QUOTED != 0);
        self.hits += 1;
        self.end = hit.end;
    }

    fn with(self, next: Self) -> Self {
        Self {
            first_place: self.first_place,
            start: self.start,
            end: next.end,
            all: self.all | next.all,
            firsts: self.firsts | next.firsts,
            denied: self.denied | next.denied,
            quoted: self.quoted + next.quoted,
            hits: self.hits + next.hits,
        }
    }

    /// What it means, word by word.
    #[inline]
    pub(super) fn alone(&self, mut each: impl FnMut(Feature)) {
        each_meaning(self.all, |bit| each(Feature::Alone(bit)));
        each_meaning(self.firsts, |bit| each(Feature::First(bit)));
        each_meaning(self.denied, |bit| each(Feature::Denied(bit)));
    }

    /// What stands together in it.
    #[inline]
    pub(super) fn together(&self, mut each: impl FnMut(Feature)) {
        let mut rest = self.all;
        each_meaning(self.all, |one| {
            rest &= rest - 1;
            each_meaning(rest, |other| each(Feature::Pair(one, other)));
        });
        each_meaning(self.firsts, |first| {
            each_meaning(self.all & !(1 << first), |other| each(Feature::Opens(first, other)));
        });
    }
}

/// A text with its hits.
pub(super) struct Reading<'t> {
    scan: &'t Scan,
    /// Where a person sees nothing, in order.
    hidden: &'t [Range<usize>],
}

impl<'t> Reading<'t> {
    pub(super) fn new(scan: &'t Scan, hidden: &'t [Range<usize>]) -> Self {
        Self { scan, hidden }
    }

    /// What the text means somewhere.
    pub(super) fn anywhere(&self, mut each: impl FnMut(Feature)) {
        each_meaning(self.scan.seen, |bit| each(Feature::Anywhere(bit)));
    }

    /// Every half with the one before it: a hit is in two windows.
    pub(super) fn each_window(&self, mut each: impl FnMut(&Stretch)) {
        let hits = &self.scan.hits;
        let mut before: Option<Stretch> = None;
        let mut at = 0;
        let mut denied_to = 0;
        while let Some(first) = hits.get(at) {
            let mut now = Stretch { first_place: first.place, start: first.start, ..Stretch::default() };
            while let Some(hit) = hits.get(at).filter(|hit| hit.place < now.first_place + HALF) {
                now.add(hit, hit.place <= denied_to);
                if hit.mask & NEG != 0 {
                    denied_to = hit.place + DENIES;
                }
                at += 1;
            }
            let joined = before.filter(|before| now.first_place < before.first_place + FURTHEST);
            each(&joined.map_or(now, |before| before.with(now)));
            before = Some(now);
        }
    }

    /// Where a window stands.
    pub(super) fn settings(&self, window: &Stretch, mut each: impl FnMut(Feature)) {
        let mut say = |index: u8| each(Feature::Setting(index));
        let passed = self.hidden.partition_point(|range| range.end <= window.start as usize);
        if self.hidden.get(passed).is_some_and(|range| range.start < window.end as usize) {
            say(0);
        }
        match window.quoted * 2 {
            0 => {}
            twice if twice > window.hits => say(1),
            _ => say(2),
        }
        say(match self.scan.about {
            0 => 3,
            1 => 4,
            2 => 5,
            _ => 6,
        });
        say(match window.hits {
            0..=4 => 7,
            5..=8 => 8,
            _ => 9,
        });
    }
}
