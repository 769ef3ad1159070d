//! What words mean together: a verb, what it is about, and what stands near.
//!
//! Every rule begins at a word of its own, looks a bounded number of words around, and adds up points; a hundred are a finding.
//! What stands in quotes in a text about attacks counts less, and so does what nobody is told to do. What a person does not see
//! counts more.

mod address;
mod appeal;
mod orders;
mod override_;
mod prompt;
mod role;
mod secrets;
mod tools;

use std::ops::Range;

use crate::{
    class::{Class, Flags},
    lexicon::concept::*,
    scan::{CLAUSE_START, Hit, LEET, PHRASE, QUOTED, Scan},
};

/// So many words of a hidden place are looked at.
const LONGEST_UNSEEN: usize = 64;
/// So many points are a finding.
const ENOUGH: i32 = 80;

/// What the rules have found in a text.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Findings {
    pub(crate) flags: Flags,
    /// Whether what was found stands where a person sees nothing.
    pub(crate) is_hidden: bool,
    /// Whether digits stood in place of letters.
    pub(crate) is_leet: bool,
}

/// A text while the rules look at it.
pub(crate) struct Text<'t> {
    pub(crate) text: &'t str,
    pub(crate) scan: &'t Scan,
    /// Where a person sees nothing, in order.
    pub(crate) hidden: &'t [Range<usize>],
    /// Whether it had to be decoded first: nobody writes so to people.
    pub(crate) is_decoded: bool,
    /// Counts the words that were looked at.
    pub(crate) steps: u64,
    findings: Findings,
}

/// Words that any rule begins at.
const HEADS: Mask = IGNORE
    | WEAKEN
    | FOLLOW
    | REVEAL
    | SEND
    | SAY
    | APPEND
    | RUN
    | ACT
    | BECOME
    | PERSONA
    | ROLE
    | ADDRESS
    | COND
    | CLAIM
    | CONCEAL
    | SECRET
    | KEYS
    | DECODE
    | INSTR
    | RULES
    | QUIETLY
    | AGENT
    | MACHINE
    | BOT
    | UNCHECKED
    | TASK
    | VOID
    | REGARDLESS
    | GIVEN
    | READ
    | END;

/// Words that follow a command to forget: what is to be done instead.
const NEXT: Mask = NOW | NEW | RESPOND | REVEAL | ACT | BECOME | SEND | RUN | PERSONA | UNBOUND | DESTROY;

impl<'t> Text<'t> {
    pub(crate) fn new(text: &'t str, scan: &'t Scan, hidden: &'t [Range<usize>], is_decoded: bool) -> Self {
        Self { text, scan, hidden, is_decoded, steps: 0, findings: Findings::default() }
    }

    /// Applies all rules.
    pub(crate) fn judge(mut self) -> (Findings, u64) {
        let seen = self.scan.seen;
        if seen & HEADS == 0 || self.scan.hits.len() < 2 {
            return (self.findings, 0);
        }
        self.climate();
        let blocks = Blocks::of(&self.scan.hits);
        for at in 0..self.scan.hits.len() {
            let mask = self.scan.hits[at].mask;
            if mask & HEADS == 0 {
                continue;
            }
            // All that stands near enough to matter, and some more: most rules end here.
            let seen = blocks.near(at);
            let is_object = seen & (INSTR | RULES | SAFETY | SYSP | EVERYTHING | PREV) != 0;
            let is_weak = mask & (IGNORE | FOLLOW) == 0 && seen & (YOUR | SAFETY | AUTH | AGENT | ALL) == 0;
            let is_verb = mask & (IGNORE | WEAKEN) != 0 || (mask & FOLLOW != 0 && seen & NEG != 0);
            if is_verb && is_object && !is_weak {
                self.override_(at);
            }
            if mask & (INSTR | RULES) != 0 && seen & NEW != 0 {
                self.new_instructions(at);
            }
            if mask & (BECOME | ACT | PERSONA) != 0 {
                self.role(at);
            }
            if mask & ROLE != 0 {
                self.speaker(at);
            }
            let is_ours = seen & (INSTR | RULES) != 0 && seen & (YOUR | VERBATIM) != 0;
            let is_told = mask & REVEAL != 0 || mask & (SEND | SAY) != 0 && seen & VERBATIM != 0;
            if is_told && (seen & SYSP != 0 || is_ours) {
                self.prompt_request(at);
            }
            if mask & (SECRET | KEYS) != 0 && seen & (SEND | REVEAL | REQUEST) != 0 {
                self.secret_request(at);
            }
            if mask & (CLAIM | CONCEAL | QUIETLY | UNCHECKED) != 0 {
                self.pressure(at);
            }
            if mask & (SEND | SAY | APPEND) != 0 && seen & (SECRET | KEYS | CONVO | CHAT | SYSP | RECORDS) != 0 {
                self.carry_off(at);
            }
            if mask & RUN != 0 && seen & (TOOL | FETCH) != 0 {
                self.tool(at);
            }
            if mask & DECODE != 0 && seen & ENCODING != 0 {
                self.decode(at);
            }
            if mask & (COND | ADDRESS) != 0 {
                self.address(at);
            }
            if mask & (AGENT | MACHINE | BOT) != 0 {
                self.appeal(at);
                self.farewell(at);
                if seen & NEG != 0 && seen & (YOU | BECOME | ACT) != 0 {
                    self.denied(at);
                }
            }
            self.orders(at, mask);
        }
        self.unseen();
        (self.findings, self.steps)
    }

    /// What nobody sees, and what had to be decoded, is not written for people: who is meant need not be said.
    fn unseen(&mut self) {
        let scan = self.scan;
        let hits = &scan.hits;
        let all = 0..self.text.len();
        let places = if self.is_decoded { std::slice::from_ref(&all) } else { self.hidden };
        for place in places {
            let first = hits.partition_point(|hit| (hit.start as usize) < place.start);
            let inside = hits[first..].iter().take_while(|hit| (hit.start as usize) < place.end).take(LONGEST_UNSEEN);
            let count = inside.clone().count();
            if count < 2 {
                continue;
            }
            let asked = self.asked_in(first, first + count);
            let machines = hits[first..first + count].iter().position(|hit| hit.mask & (AGENT | MACHINE | BOT) != 0);
            let is_meant = machines.is_some_and(|place| self.turned_to(first + place) > 0);
            let score = 35
                + appeal::wants(asked)
                + if is_meant { 40 } else { points(asked, AGENT | MACHINE | BOT, 25) }
                + points(asked, COND | ADDRESS | BECOME | ACT, 25);
            // Comments of programs and previews of mails tell people things, too.
            const MEANT: Mask =
                AGENT | MACHINE | BOT | COND | ADDRESS | CONCEAL | QUIETLY | UNCHECKED | IGNORE | SYSP | KEYS;
            let score = if self.is_decoded || asked & MEANT != 0 { score } else { score.min(ENOUGH - 5) };
            let about = [100, 85, 55, 40][self.scan.about.min(3)];
            self.find(first, appeal::class_of(asked), score, about);
        }
    }

    fn orders(&mut self, at: usize, mask: Mask) {
        if mask & TASK != 0 {
            self.new_task(at);
        }
        if mask & VOID != 0 {
            self.voided(at);
        }
        if mask & REGARDLESS != 0 {
            self.whatever(at);
        }
        if mask & GIVEN != 0 {
            self.given(at);
        }
        if mask & READ != 0 {
            self.read_aloud(at);
        }
        if mask & END != 0 {
            self.border(at);
        }
    }

    fn hit(&self, at: usize) -> &'t Hit {
        &self.scan.hits[at]
    }

    /// What stands before and behind a word, so many words away at most.
    fn around(&mut self, at: usize, before: u32, behind: u32) -> (Mask, Mask) {
        (self.before(at, before), self.behind(at, behind))
    }

    fn before(&mut self, at: usize, words: u32) -> Mask {
        let place = self.hit(at).place;
        let hits = self.scan.hits[..at].iter().rev().take_while(|hit| hit.place + words >= place);
        let (mask, steps) = hits.fold((0, 1), |(mask, steps), hit| (mask | hit.mask, steps + 1));
        self.steps += steps;
        mask
    }

    fn behind(&mut self, at: usize, words: u32) -> Mask {
        let place = self.hit(at).place;
        let hits = self.scan.hits[at + 1..].iter().take_while(|hit| hit.place <= place + words);
        let (mask, steps) = hits.fold((0, 1), |(mask, steps), hit| (mask | hit.mask, steps + 1));
        self.steps += steps;
        mask
    }

    /// How much of the points a verb keeps, in percent, by how it is said.
    fn mood(&mut self, at: usize) -> i32 {
        let hit = *self.hit(at);
        // A phrase such as "pay no attention" has its own.
        let is_phrase = hit.style & PHRASE != 0;
        if !is_phrase && (self.before(at, 2) & NEG != 0 || self.behind(at, 2) & POSTNEG != 0) {
            return 0;
        }
        let is_told = self.before(at, 5) & (YOU | YOUR | MUST | COND | ADDRESS) != 0;
        let mut percent = 100;
        if hit.style & CLAUSE_START == 0 && !is_told {
            let last = self.before(at, 1);
            if hit.mask & INFL != 0 || last & DESCR != 0 {
                percent = 45;
            }
        } else if hit.mask & INFL != 0 && !is_told {
            percent = 50;
        }
        self.setting(at, percent)
    }

    /// The same for where it is said.
    fn setting(&self, at: usize, percent: i32) -> i32 {
        let hit = self.hit(at);
        let is_quoted = hit.style & QUOTED != 0;
        let percent = match self.scan.about {
            0 => percent,
            1 if is_quoted => percent * 45 / 100,
            1 => percent * 9 / 10,
            2 if !is_quoted => percent * 65 / 100,
            _ if is_quoted => percent * 35 / 100,
            _ => percent * 55 / 100,
        };
        match self.is_decoded || self.is_hidden(at) {
            true => percent * 3 / 2,
            false => percent,
        }
    }

    fn is_hidden(&self, at: usize) -> bool {
        let start = self.hit(at).start as usize;
        let before = self.hidden.partition_point(|range| range.end <= start);
        self.hidden.get(before).is_some_and(|range| range.contains(&start))
    }

    fn find(&mut self, at: usize, class: Class, points: i32, percent: i32) {
        if points * percent / 100 >= ENOUGH {
            self.findings.flags.set(class);
            self.findings.is_hidden |= self.is_hidden(at);
            let place = self.hit(at).place;
            let near = self.scan.hits[at.saturating_sub(6)..].iter().take(14);
            let near = near.filter(|hit| hit.place.abs_diff(place) <= 8);
            self.findings.is_leet |= near.filter(|hit| hit.style & LEET != 0).count() >= 2;
        }
    }
}

/// What blocks of words mean together.
struct Blocks(Vec<Mask>);

/// A rule looks no further away than two of these are long.
const BLOCK: usize = 16;

impl Blocks {
    fn of(hits: &[Hit]) -> Self {
        Self(hits.chunks(BLOCK).map(|block| block.iter().fold(0, |mask, hit| mask | hit.mask)).collect())
    }

    /// What stands in the block of a word, and in two blocks on each side.
    fn near(&self, at: usize) -> Mask {
        let block = at / BLOCK;
        self.0[block.saturating_sub(2)..self.0.len().min(block + 3)].iter().fold(0, |mask, block| mask | block)
    }
}

/// Points where any of the meanings is there.
fn points(mask: Mask, meanings: Mask, points: i32) -> i32 {
    if mask & meanings != 0 { points } else { 0 }
}

/// How many of the meanings are there.
fn count(mask: Mask, meanings: Mask) -> u32 {
    (mask & meanings).count_ones()
}
