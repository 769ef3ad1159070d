//! Words of many languages and what they mean, looked up by their first letters.
//!
//! A list has a line for each meaning: `IGNORE ignore, disregard, forg*`. A term that ends in `*` stands for every word that
//! begins so; a term of several words is a phrase. Terms are kept as [`fold`](crate::fold) leaves text, so that accents in the
//! lists do not matter.

pub(crate) mod concept;

use std::{collections::HashMap, sync::LazyLock};

use concept::Mask;

use crate::{fold, scan};

/// The lists of words.
const LISTS: &[&str] = &[
    include_str!("en.txt"),
    include_str!("de.txt"),
    include_str!("romance.txt"),
    include_str!("slavic.txt"),
    include_str!("asia.txt"),
    include_str!("others.txt"),
];

/// English words whose mirror image and whose rot13 are looked for.
const KEYS: &[&str] = &[
    "ignore",
    "disregard",
    "forget",
    "previous",
    "prior",
    "instructions",
    "instruction",
    "system",
    "prompt",
    "reveal",
    "password",
    "assistant",
    "override",
    "execute",
    "secret",
    "approve",
    "merge",
    "reviewer",
    "delete",
    "forward",
    "refund",
    "agent",
    "model",
    "admin",
    "token",
    "tokens",
    "transfer",
    "reveal",
    "rules",
    "repository",
    "please",
];

/// Words of other languages, and small words, whose mirror image is looked for.
const MIRRORED: &[&str] = &[
    "your",
    "this",
    "with",
    "und",
    "alle",
    "anweisungen",
    "passwort",
    "ignoriere",
    "instrucciones",
    "instrucoes",
    "istruzioni",
    "ignora",
    "ignorez",
    "contrasena",
    "todas",
    "toutes",
];

/// English words that are known also where the letters between their first and last stand in another order.
const JUMBLED: &[&str] = &[
    "ignore",
    "disregard",
    "forget",
    "previous",
    "instructions",
    "instruction",
    "system",
    "prompt",
    "reveal",
    "password",
    "assistant",
    "override",
    "everything",
    "developer",
    "guidelines",
    "unrestricted",
    "restrictions",
];

/// Bits of the filter that says quickly that a word is in no list.
const FILTER_BITS: usize = 1 << 16;
/// The most words of a phrase.
pub(crate) const LONGEST_PHRASE: usize = 4;
/// The first letters by which words are found: so many bytes where they are ASCII, ...
const HEAD_ASCII: usize = 4;
/// ... and so many elsewhere: two syllables, two characters, three letters.
const HEAD_OTHER: usize = 6;

/// The meaning of a word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning {
    pub(crate) mask: Mask,
    pub(crate) id: u16,
    /// Whether a phrase ends with it.
    pub(crate) ends_phrase: bool,
    /// How many bytes of the word it covers.
    pub(crate) length: u8,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    is_stem: bool,
    /// The last of its first bytes, and which of them it has: most entries differ there.
    tail: u64,
    mask: u64,
    meaning: Meaning,
}

/// Where the tail of a word begins.
const TAIL: usize = 4;

/// Eight bytes of a word, behind the first ones.
#[inline]
fn tail(word: &[u8]) -> u64 {
    match word.get(TAIL..TAIL + 8) {
        Some(bytes) => u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
        None => word.iter().skip(TAIL).enumerate().fold(0, |tail, (at, byte)| tail | u64::from(*byte) << (8 * at)),
    }
}

/// Which bits of a tail a word of so many bytes has.
fn tail_mask(length: usize) -> u64 {
    match length.saturating_sub(TAIL) {
        0 => 0,
        bytes @ 1..8 => (1 << (8 * bytes)) - 1,
        _ => u64::MAX,
    }
}

/// All lists together.
pub(crate) struct Lexicon {
    filter: Filter,
    /// Open addressing: where the entries of a head begin, and how many there are.
    table: Box<[(u64, u32, u32)]>,
    entries: Vec<Entry>,
    /// Where the entries of short words stand, by their letters as a number.
    short: Sparse<u16>,
    shorts: Filter,
    /// The heads of stems.
    stems: Filter,
    /// What phrases mean, by the ids of their words, sixteen bits each.
    phrases: Sparse<Mask>,
    /// The last two words of every phrase: most words that could end one do not.
    pairs: Filter,
    /// Words whose letters may be jumbled, by what stays when they are.
    jumbled: Sparse<Meaning>,
    jumbles: Filter,
    /// With which letters such words end, by those that they begin with: most words end otherwise.
    jumbled_ends: [u32; 32],
}

/// Makes what is made at first use.
pub(crate) fn prepare() {
    lexicon();
}

/// The one that is used, made at first use.
pub(crate) fn lexicon() -> &'static Lexicon {
    static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::build(LISTS));
    &LEXICON
}

/// The first letters of a word that is already folded.
#[inline]
pub(crate) fn head(word: &[u8]) -> u64 {
    let longest = if word.first().is_some_and(u8::is_ascii) { HEAD_ASCII } else { HEAD_OTHER };
    word.iter().take(longest).enumerate().fold(0, |head, (at, byte)| head | u64::from(*byte) << (8 * at))
}

#[inline]
fn slot(head: u64) -> usize {
    usize::try_from(head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48).unwrap_or(0) & (FILTER_BITS - 1)
}

/// A line of a list, read.
struct Term {
    words: Vec<(String, bool)>,
    mask: Mask,
}

impl Lexicon {
    fn build(lists: &[&str]) -> Self {
        let mut terms: Vec<Term> = lists.iter().flat_map(|list| list.lines()).flat_map(terms_of).collect();
        for key in KEYS {
            terms.push(Term {
                words: vec![(key.bytes().map(rot13).map(char::from).collect(), false)],
                mask: concept::ROT,
            });
            terms.push(Term { words: vec![(key.chars().rev().collect(), false)], mask: concept::BACKWARDS });
        }
        for word in MIRRORED {
            terms.push(Term { words: vec![(word.chars().rev().collect(), false)], mask: concept::BACKWARDS });
        }
        let mut words: HashMap<(String, bool), (Mask, bool)> = HashMap::new();
        for term in &terms {
            for (at, word) in term.words.iter().enumerate() {
                let entry = words.entry(word.clone()).or_default();
                entry.0 |= if term.words.len() == 1 { term.mask } else { 0 };
                entry.1 |= term.words.len() > 1 && at + 1 == term.words.len();
            }
        }
        let mut sorted: Vec<_> = words.into_iter().collect();
        // Of one head the longest first, and what is whole before what is a stem.
        sorted.sort_by(|((a, a_stem), _), ((b, b_stem), _)| {
            (head(a.as_bytes()), b.len(), a_stem, a).cmp(&(head(b.as_bytes()), a.len(), b_stem, b))
        });
        let mut entries = Vec::with_capacity(sorted.len());
        for (at, ((text, is_stem), (mask, ends_phrase))) in sorted.into_iter().enumerate() {
            let id = u16::try_from(at + 1).expect("the lists are short");
            let length = u8::try_from(text.len()).expect("words are short");
            let (tail, mask_of_tail) = (tail(text.as_bytes()), tail_mask(text.len()));
            let meaning = Meaning { mask, id, ends_phrase, length };
            entries.push(Entry { text: text.into(), is_stem, tail, mask: mask_of_tail, meaning });
        }
        inherit(&mut entries);
        let groups = groups(&entries);
        let mut phrases: HashMap<u64, Mask> = HashMap::new();
        for term in terms.iter().filter(|term| term.words.len() > 1) {
            for key in keys(&groups, &term.words) {
                *phrases.entry(key).or_default() |= term.mask;
            }
        }
        let pairs = Filter::of(phrases.keys().map(|key| key & PAIR));
        let (filter, table) = index(&entries);
        let short = short_words(&entries);
        let shorts = Filter::of(short.keys().copied());
        let stems = entries.iter().filter(|entry| entry.is_stem);
        let stems = Filter::of(stems.map(|entry| head(entry.text.as_bytes())));
        let mut lexicon = Self {
            filter,
            table,
            entries,
            short: Sparse::of(short),
            shorts,
            stems,
            phrases: Sparse::of(phrases),
            pairs,
            jumbled: Sparse::of(HashMap::new()),
            jumbles: Filter::of(JUMBLED.iter().map(|word| unordered(word.as_bytes()))),
            jumbled_ends: jumbled_ends(),
        };
        let meaning = |word: &&str| lexicon.find(word.as_bytes()).expect("the word is in a list");
        lexicon.jumbled = Sparse::of(JUMBLED.iter().map(|word| (unordered(word.as_bytes()), meaning(word))).collect());
        lexicon
    }

    /// Whether a word with this head may be in a list.
    #[inline]
    pub(crate) fn may_have(&self, head: u64) -> bool {
        self.filter.may_have(head)
    }

    /// The meaning of a folded word: the whole word, or the longest stem that it begins with.
    pub(crate) fn find(&self, word: &[u8]) -> Option<Meaning> {
        self.find_with(word, false)
    }

    /// The meaning of a word of eight small letters or fewer, which a number holds.
    #[inline]
    pub(crate) fn find_short(&self, word: u64) -> Option<Meaning> {
        if self.shorts.may_have(word)
            && let Some(at) = self.short.get(word)
        {
            return Some(self.entries[usize::from(at)].meaning);
        }
        if word >> 24 == 0 || !self.stems.may_have(word & 0xffff_ffff) {
            return None;
        }
        let length = 8 - word.leading_zeros() as usize / 8;
        self.find(&word.to_le_bytes()[..length])
    }

    /// The longest term that the text begins with, whatever follows.
    pub(crate) fn find_prefix(&self, text: &[u8]) -> Option<Meaning> {
        self.find_with(text, true)
    }

    /// The meaning of a word whose inner letters stand in another order.
    #[inline]
    pub(crate) fn find_jumbled(&self, word: &[u8]) -> Option<Meaning> {
        let (first, last) = (word.first()?, word.last()?);
        if self.jumbled_ends[usize::from(first & 31)] >> (last & 31) & 1 == 0 {
            return None;
        }
        let key = unordered(word);
        self.jumbles.may_have(key).then(|| self.jumbled.get(key)).flatten()
    }

    fn find_with(&self, word: &[u8], is_open: bool) -> Option<Meaning> {
        let head = head(word);
        let (start, count) = self.bucket(head)?;
        let entries = &self.entries[start..start + count];
        let tail = tail(word);
        let fits = |entry: &&Entry| {
            if tail & entry.mask != entry.tail {
                return false;
            }
            match entry.is_stem || is_open {
                true => word.starts_with(entry.text.as_bytes()),
                false => word == entry.text.as_bytes(),
            }
        };
        entries.iter().find(fits).map(|entry| entry.meaning)
    }

    fn bucket(&self, head: u64) -> Option<(usize, usize)> {
        let mut at = slot(head) & (self.table.len() - 1);
        loop {
            let (found, start, count) = self.table[at];
            if count == 0 {
                return None;
            }
            if found == head {
                return Some((start as usize, count as usize));
            }
            at = (at + 1) & (self.table.len() - 1);
        }
    }

    /// The meaning of the phrases that end with the last of these words: their ids, the last in the lowest sixteen bits.
    #[inline]
    pub(crate) fn phrases(&self, recent: u64) -> Mask {
        if recent & PAIR <= 0xffff || !self.pairs.may_have(recent & PAIR) {
            return 0;
        }
        let mut mask = 0;
        for length in 2..=LONGEST_PHRASE {
            let key = recent & (u64::MAX >> (64 - 16 * length));
            // The first of its words has to be one of a list.
            if key >> (16 * (length - 1)) == 0 {
                break;
            }
            mask |= self.phrases.get(key).unwrap_or_default();
        }
        mask
    }
}

/// The two last words of a phrase.
const PAIR: u64 = 0xffff_ffff;

/// Says quickly that a key is not there.
struct Filter(Box<[u64]>);

impl Filter {
    fn of(keys: impl Iterator<Item = u64>) -> Self {
        let mut bits = vec![0; FILTER_BITS / 64].into_boxed_slice();
        for key in keys {
            bits[slot(key) / 64] |= 1 << (slot(key) % 64);
        }
        Self(bits)
    }

    #[inline]
    fn may_have(&self, key: u64) -> bool {
        let slot = slot(key);
        self.0[slot / 64] >> (slot % 64) & 1 != 0
    }
}

/// A map that is asked often and filled once.
struct Sparse<V>(Box<[(u64, Option<V>)]>);

impl<V: Copy> Sparse<V> {
    fn of(map: HashMap<u64, V>) -> Self {
        let mut table = vec![(0, None); (map.len() * 2).next_power_of_two().max(2)].into_boxed_slice();
        for (key, value) in map {
            let mut at = slot(key) & (table.len() - 1);
            while table[at].1.is_some() {
                at = (at + 1) & (table.len() - 1);
            }
            table[at] = (key, Some(value));
        }
        Self(table)
    }

    fn get(&self, key: u64) -> Option<V> {
        let mut at = slot(key) & (self.0.len() - 1);
        while let (found, Some(value)) = self.0[at] {
            if found == key {
                return Some(value);
            }
            at = (at + 1) & (self.0.len() - 1);
        }
        None
    }
}

/// A word means what the stems mean that it begins with.
fn inherit(entries: &mut [Entry]) {
    for group in entries.chunk_by_mut(|a, b| head(a.text.as_bytes()) == head(b.text.as_bytes())) {
        for at in 0..group.len() {
            let (mut mask, mut ends_phrase) = (0, false);
            for stem in group.iter().filter(|entry| entry.is_stem && group[at].text.starts_with(&*entry.text)) {
                mask |= stem.meaning.mask;
                ends_phrase |= stem.meaning.ends_phrase;
            }
            group[at].meaning.mask |= mask;
            group[at].meaning.ends_phrase |= ends_phrase;
        }
    }
}

/// The entries by their heads.
fn groups(entries: &[Entry]) -> HashMap<u64, &[Entry]> {
    let same = |a: &Entry, b: &Entry| head(a.text.as_bytes()) == head(b.text.as_bytes());
    entries.chunk_by(same).map(|group| (head(group[0].text.as_bytes()), group)).collect()
}

/// The ids of a phrase's words: of a stem also those of the words that begin with it.
fn keys(groups: &HashMap<u64, &[Entry]>, words: &[(String, bool)]) -> Vec<u64> {
    let mut keys = vec![0];
    for (text, is_stem) in words {
        let fits = |entry: &&Entry| match is_stem {
            true => entry.text.starts_with(text.as_str()),
            false => *entry.text == **text && !entry.is_stem,
        };
        // What begins with a stem begins with its head.
        let group = groups.get(&head(text.as_bytes())).copied().unwrap_or_default();
        let ids: Vec<u64> = group.iter().filter(fits).map(|entry| u64::from(entry.meaning.id)).collect();
        keys = keys.iter().flat_map(|key| ids.iter().map(move |id| key << 16 | id)).collect();
    }
    keys
}

/// The entries of words that a number holds. A word that is both whole and a stem is found as whole.
fn short_words(entries: &[Entry]) -> HashMap<u64, u16> {
    let mut short = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        let bytes = entry.text.as_bytes();
        if bytes.len() <= 8 && bytes.iter().all(u8::is_ascii_lowercase) {
            let key = bytes.iter().rev().fold(0, |key, byte| key << 8 | u64::from(*byte));
            let at = u16::try_from(at).expect("the lists are short");
            if !entry.is_stem {
                short.insert(key, at);
            } else {
                short.entry(key).or_insert(at);
            }
        }
    }
    short
}

fn jumbled_ends() -> [u32; 32] {
    let mut ends = [0; 32];
    for word in JUMBLED {
        let bytes = word.as_bytes();
        ends[usize::from(bytes[0] & 31)] |= 1 << (bytes[bytes.len() - 1] & 31);
    }
    ends
}

/// What stays of a word in small letters when the letters between its first and last are jumbled.
fn unordered(word: &[u8]) -> u64 {
    let (mut sum, mut squares) = (0u64, 0u64);
    for byte in word {
        let letter = u64::from(byte | 0x20);
        sum += letter;
        squares += letter * letter * letter;
    }
    let end = |byte: Option<&u8>| u64::from(byte.map_or(0, |byte| byte | 0x20));
    sum ^ squares << 16 ^ end(word.first()) << 48 ^ end(word.last()) << 56
}

type Index = (Filter, Box<[(u64, u32, u32)]>);

fn index(entries: &[Entry]) -> Index {
    let mut table = vec![(0, 0, 0); (entries.len() * 2).next_power_of_two()].into_boxed_slice();
    let mut start = 0;
    for group in entries.chunk_by(|a, b| head(a.text.as_bytes()) == head(b.text.as_bytes())) {
        let head = head(group[0].text.as_bytes());
        let mut at = slot(head) & (table.len() - 1);
        while table[at].2 != 0 {
            at = (at + 1) & (table.len() - 1);
        }
        let count = u32::try_from(group.len()).unwrap_or_default();
        table[at] = (head, start, count);
        start += count;
    }
    (Filter::of(entries.iter().map(|entry| head(entry.text.as_bytes()))), table)
}

/// The terms of one line: `MEANING+MEANING term, other term*`.
fn terms_of(line: &str) -> Vec<Term> {
    let Some((meanings, terms)) = line.split_once(' ').filter(|_| !line.starts_with('#')) else { return Vec::new() };
    let bit = |name: &str| concept::NAMES.iter().find(|(known, _)| *known == name).expect("a list names a meaning").1;
    let mask = meanings.split('+').fold(0, |mask, name| mask | bit(name));
    let term = |term: &str| Term { words: term.split_whitespace().map(word_of).collect(), mask };
    terms.split(',').map(str::trim).filter(|term| !term.is_empty()).map(term).collect()
}

fn word_of(written: &str) -> (String, bool) {
    let (word, is_stem) = written.strip_suffix('*').map_or((written, false), |stem| (stem, true));
    let word = fold::plain(word);
    // Digits within words are read as the letters that they look like.
    let word = match word.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        true => word
            .chars()
            .map(|char| u8::try_from(char).ok().filter(u8::is_ascii).map_or(char, |byte| char::from(scan::plain(byte))))
            .collect(),
        false => word,
    };
    // Where words are not set apart, every term is the beginning of what follows.
    let is_stem = is_stem || word.chars().next().is_some_and(fold::is_unspaced);
    (word, is_stem)
}

/// The letter that stands across in the alphabet.
pub(crate) fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(word: &str) -> Mask {
        lexicon().find(word.as_bytes()).map_or(0, |meaning| meaning.mask)
    }

    #[test]
    fn stems_are_long_enough_to_be_found_by_their_first_letters() {
        let shortest = |text: &str| if text.is_ascii() { HEAD_ASCII } else { HEAD_OTHER };
        let stems = lexicon().entries.iter().filter(|entry| entry.is_stem);
        let short: Vec<_> = stems.map(|entry| &*entry.text).filter(|text| text.len() < shortest(text)).collect();
        assert_eq!(short, [""; 0]);
    }

    #[test]
    fn words_are_found_whole_by_stem_and_in_other_scripts() {
        assert_ne!(mask("ignore") & concept::IGNORE, 0);
        assert_eq!(mask("ignorepatterns"), 0);
        assert_ne!(mask("instructions") & concept::INSTR, 0);
        assert_ne!(mask("anweisungen") & concept::INSTR, 0);
        assert_ne!(mask("инструкциям") & concept::INSTR, 0);
        assert_ne!(mask("지시를") & concept::INSTR, 0);
        assert_ne!(mask("指示を無視") & concept::INSTR, 0);
        assert_ne!(mask("vtaber") & concept::ROT, 0);
        assert_ne!(mask("snoitcurtsni") & concept::BACKWARDS, 0);
        assert_eq!(mask("cheese"), 0);
    }

    #[test]
    fn jumbled_words_are_known() {
        assert!(lexicon().find_jumbled(b"ingroe").is_some_and(|meaning| meaning.mask & concept::IGNORE != 0));
        assert!(lexicon().find_jumbled(b"Prevoius").is_some_and(|meaning| meaning.mask & concept::PREV != 0));
        assert!(lexicon().find_jumbled(b"imports").is_none());
    }

    #[test]
    fn a_phrase_is_known_by_its_last_words() {
        let id = |word: &str| lexicon().find(word.as_bytes()).map_or(0, |meaning| u64::from(meaning.id));
        let words = |words: [&str; 4]| words.into_iter().fold(0, |recent, word| recent << 16 | id(word));
        let mask = lexicon().phrases(words(["ignore", "from", "now", "on"]));
        assert_ne!(mask & concept::NOW, 0);
        assert_eq!(lexicon().phrases(words(["xyz", "xyz", "on", "now"])) & concept::NOW, 0);
    }
}
