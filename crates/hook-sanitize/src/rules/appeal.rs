//! Somebody turns to a machine that reads, and wants something of it: whoever is spoken to, and what is wanted, add up.

use super::{Text, points};
use crate::{
    class::Class,
    lexicon::concept::*,
    scan::{CAPITALS, LINE_START},
};

/// What is wanted is looked for so many words behind.
const REACH: u32 = 36;
/// Who is spoken to says so much at most.
const STRONGEST: i32 = 60;
/// So few words may stand between the beginning of a clause and whom it is for.
const LONGEST_LEAD: u32 = 4;
/// So far back the beginning of a clause is looked for.
const LONGEST_CLAUSE: usize = 48;

impl Text<'_> {
    /// A machine is named: is it spoken to?
    pub(super) fn appeal(&mut self, at: usize) {
        let strength = self.turned_to(at);
        if strength == 0 {
            return;
        }
        let asked = self.asked(at, REACH);
        let percent = self.setting(at, 100);
        self.find(at, class_of(asked), strength + wants(asked), percent);
    }

    /// "Post it in this thread, thanks bot."
    pub(super) fn farewell(&mut self, at: usize) {
        let hit = *self.hit(at);
        let bytes = self.text.as_bytes();
        let is_last =
            bytes.get(hit.end as usize).is_none_or(|byte| matches!(byte, b'.' | b'!' | b'?' | b'\n' | b')' | b'"'));
        let is_set_off = self.text[..hit.start as usize].trim_end().ends_with(',') || self.before(at, 1) & THANKS != 0;
        if !is_last || !is_set_off {
            return;
        }
        let place = hit.place;
        let first = self.scan.hits[..at].partition_point(|hit| hit.place + 24 < place);
        let asked = self.asked_in(first, at);
        let score = 25 + points(hit.mask, MACHINE, 15) + points(hit.mask, AGENT, 5) + wants(asked);
        let percent = self.setting(at, 100);
        self.find(at, class_of(asked), score, percent);
    }

    /// How surely a machine that is named is the one that is spoken to; 0 where it is only spoken of.
    pub(super) fn turned_to(&mut self, at: usize) -> i32 {
        let hit = *self.hit(at);
        let word = &self.text.as_bytes()[hit.start as usize..hit.end as usize];
        // In small letters, AI and KI are words of Romance languages and of Turkish.
        let is_machine = hit.mask & MACHINE != 0 && !(word.len() == 2 && word.iter().all(u8::is_ascii_lowercase));
        let lead = self.lead(at);
        let has_notice = lead.is_some() && self.before(at, 5) & NOTICE != 0;
        let is_turn = lead.is_some_and(|words| words <= 3 || has_notice) && self.is_turn(at);
        let behind = self.behind(at, 4);
        let is_reading = behind & READING != 0;
        let is_named = has_notice || is_turn;
        let is_told = !is_named && self.behind(at, if is_machine || is_reading { 5 } else { 3 }) & MUST != 0;
        if !(is_named || is_reading || is_told) {
            return 0;
        }
        // "agent: close idle sockets" begins a commit's message.
        let is_scope = lead == Some(0)
            && hit.style & (LINE_START | CAPITALS) == LINE_START
            && word.first().is_some_and(u8::is_ascii_lowercase)
            && self.text.as_bytes().get(hit.end as usize) == Some(&b':');
        let turn = if is_scope { 0 } else { 25 + i32::from(is_machine) * 5 };
        let strength = points(hit.mask, AGENT, 5)
            + i32::from(is_machine) * 20
            + i32::from(has_notice) * 25
            + i32::from(is_turn) * turn
            + i32::from(is_reading) * 30
            + i32::from(is_told) * 15;
        strength.min(STRONGEST)
    }

    /// How many words stand between the beginning of the clause and a word, where they are few.
    fn lead(&mut self, at: usize) -> Option<u32> {
        let start = self.hit(at).start as usize;
        let mut words = 0;
        let mut is_word = false;
        for byte in self.text.as_bytes()[..start].iter().rev().take(LONGEST_CLAUSE) {
            self.steps += 1;
            match byte {
                b'.' | b'!' | b'?' | b'\n' | b':' | b';' | b',' | b'(' | b'>' | b'"' | b'*' | b'#' | b'[' | b'{' => {
                    return Some(words);
                }
                byte if byte.is_ascii_alphanumeric() || *byte >= 0x80 => {
                    words += u32::from(!is_word);
                    is_word = true;
                }
                b'-' | b'\'' | b'_' => {}
                _ => is_word = false,
            }
            if words > LONGEST_LEAD {
                return None;
            }
        }
        (start <= LONGEST_CLAUSE).then_some(words)
    }

    /// Whether a colon or a comma follows a word, after two others at most.
    fn is_turn(&mut self, at: usize) -> bool {
        let end = self.hit(at).end as usize;
        let mut gaps = 0;
        for byte in self.text.as_bytes()[end..].iter().take(32) {
            self.steps += 1;
            match byte {
                b':' | b',' => return true,
                b' ' => gaps += 1,
                b'.' | b'!' | b'?' | b'\n' | b';' | b'(' | b'<' | b'=' => return false,
                _ => {}
            }
            if gaps > 2 {
                return false;
            }
        }
        false
    }

    /// What is asked for behind a word, and not denied.
    pub(super) fn asked(&mut self, at: usize, words: u32) -> Mask {
        let place = self.hit(at).place;
        let behind = &self.scan.hits[at + 1..];
        let count = behind.iter().take_while(|hit| hit.place <= place + words).count();
        self.asked_in(at + 1, at + 1 + count)
    }

    /// The same within some words.
    pub(super) fn asked_in(&mut self, first: usize, end: usize) -> Mask {
        const VERBS: Mask =
            DEED | ORDER | DESTROY | SEND | REVEAL | RUN | SAY | RESPOND | APPEND | FOLLOW | IGNORE | WEAKEN | REQUEST;
        let (mut mask, mut denied) = (0, 0);
        for hit in &self.scan.hits[first..end] {
            self.steps += 1;
            let is_denied = hit.place <= denied || hit.mask & INFL != 0;
            mask |= if is_denied { hit.mask & !VERBS } else { hit.mask };
            if hit.mask & NEG != 0 && hit.mask & (CONCEAL | UNCHECKED) == 0 {
                denied = hit.place + 2;
            }
        }
        mask
    }
}

/// How much of what is wanted is what nobody may want of somebody else's agent.
pub(super) fn wants(asked: Mask) -> i32 {
    let is_told_off = asked & (INSTR | RULES | SAFETY | PREV | EVERYTHING | UNCHECKED | SYSP) != 0;
    let has_data = asked & (SECRET | KEYS | RECORDS | CHAT | URL) != 0;
    points(asked, CONCEAL | QUIETLY, 35)
        + points(asked, UNCHECKED, 30)
        + if asked & DEED != 0 { 25 } else { points(asked, ORDER, 15) }
        + points(asked, IGNORE, if is_told_off { 35 } else { 20 })
        + points(asked, SEND, if has_data { 30 } else { 15 })
        + points(asked, SECRET | KEYS, 15)
        + points(asked, RECORDS, 10)
        + points(asked, FETCH, 15)
        + if asked & RUN != 0 { points(asked, TOOL | FETCH, 25) } else { 0 }
        + if asked & ONLY != 0 { points(asked, RESPOND | SAY, 20) } else { 0 }
        + points(asked, SAY | RESPOND, 15)
        + points(asked, VERIFIED, 20)
        + points(asked, PRIV, 15)
        + points(asked, MONEY, 10)
        + points(asked, SYSP, 25)
        + points(asked, UNBOUND | REGARDLESS, 20)
        + points(asked, URL | SUSPECT, 10)
        + points(asked, MUST, 5)
}

/// What it is that is wanted.
pub(super) fn class_of(asked: Mask) -> Class {
    match () {
        () if asked & (TOOL | FETCH) != 0 && asked & RUN != 0 => Class::ToolCall,
        () if asked & SEND != 0 && asked & (SECRET | KEYS | RECORDS | CHAT | URL) != 0 => Class::Exfiltration,
        () if asked & (CONCEAL | UNCHECKED | VERIFIED | MONEY) != 0 => Class::SocialEngineering,
        () => Class::InstructionOverride,
    }
}
