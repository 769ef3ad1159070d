//! Many meanings that each say little, and much where they stand together.
//!
//! What each one weighs was fitted to the tuning halves of the corpora, a logistic regression over the meanings of a window: it
//! knows no words and no languages, only meanings.

use super::{ENOUGH, Text, appeal::class_of};
use crate::lexicon::concept::*;

/// So many words are read together.
const WINDOW: u32 = 45;
/// A machine is spoken to, as surely as so many points of [`Text::turned_to`] say.
const TURNS: [(i32, i32); 3] = [(20, 15), (40, 12), (55, 0)];
/// What is taken off where a text speaks of attacks, with one word or with two.
const ABOUT_ATTACKS: [i32; 2] = [-18, -16];

const WEIGHTS: &[(Mask, i32)] = &[
    (VERBATIM, 21),
    (GIVEN, 21),
    (YOUR, 20),
    (UNCHECKED, 20),
    (SYSP, 18),
    (CLAIM, 18),
    (RECORDS, 18),
    (UNBOUND, 17),
    (VERIFIED, 17),
    (CONCEAL, 16),
    (URL, 16),
    (DEED, 15),
    (SINK, 15),
    (VOID, 15),
    (KEYS, 13),
    (ALL, 12),
    (MONEY, 12),
    (ACCEPTED, 12),
    (END, 12),
    (BECOME, 11),
    (MACHINE, 11),
    (READING, 11),
    (EVERYTHING, 10),
    (SAY, 10),
    (FOLLOW, 9),
    (RULES, 9),
    (NOW, 9),
    (URGENT, 9),
    (ONLY, 9),
    (IGNORE, 8),
    (REVEAL, 8),
    (ACT, 8),
    (LEAK, 8),
    (PRIV, 8),
    (INSTR, 7),
    (AGENT, 7),
    (SAFETY, 7),
    (COND, 7),
    (SUSPECT, 7),
    (CHECK, 7),
    (TOOL, 6),
    (DESTROY, 6),
    (ADDRESS, 6),
    (THREAT, 6),
    (THANKS, 6),
    (RESPOND, 5),
    (PREV, 4),
    (SECRET, 4),
    (WHAT, 4),
    (BOT, 4),
    (GAVE, 4),
    (SEND, 3),
    (YOU, 3),
    (REGARDLESS, 3),
    (WHO, 3),
    (RUN, 2),
    (AUTH, 2),
    (ENCODING, 2),
    (NEG, -2),
    (CONVO, -2),
    (POSTNEG, -3),
    (ARTICLE, -3),
    (ORDER, -3),
    (ALREADY, -3),
    (UNTOLD, -3),
    (WEAKEN, -4),
    (MUST, -4),
    (INFL, -4),
    (APPEND, -4),
    (INSIDE, -5),
    (ANSWER, -5),
    (ABOUT, -6),
    (MEMBER, -6),
    (DESCR, -7),
    (HARMLESS, -7),
    (CHAT, -7),
];

/// What sets of meanings weigh.
fn weight(mask: Mask) -> i32 {
    WEIGHTS.iter().filter(|(meaning, _)| mask & meaning != 0).map(|(_, weight)| weight).sum()
}

/// The most that a text with these meanings can weigh.
fn potential(seen: Mask) -> i32 {
    let turns =
        if seen & (AGENT | MACHINE | BOT) != 0 { TURNS.iter().map(|(_, weight)| weight.max(&0)).sum() } else { 0 };
    turns
        + WEIGHTS
            .iter()
            .filter(|(meaning, weight)| *weight > 0 && seen & meaning != 0)
            .map(|(_, weight)| weight)
            .sum::<i32>()
}

impl Text<'_> {
    /// Adds up what stands near each word.
    pub(super) fn sum(&mut self) {
        let about: i32 = ABOUT_ATTACKS.iter().take(self.scan.about).sum();
        if potential(self.scan.seen) + about < ENOUGH {
            return;
        }
        let hits = &self.scan.hits;
        let turns: Vec<i32> = (0..hits.len())
            .map(|at| if hits[at].mask & (AGENT | MACHINE | BOT) != 0 { self.turned_to(at) } else { 0 })
            .collect();
        let mut window = Window::default();
        let mut end = 0;
        for first in 0..hits.len() {
            while end < hits.len() && hits[end].place <= hits[first].place + WINDOW {
                window.change(hits[end].mask, turns[end], 1);
                end += 1;
            }
            if window.sum + about >= ENOUGH {
                let mask = hits[first..end].iter().fold(0, |mask, hit| mask | hit.mask);
                self.find(first, class_of(mask), window.sum + about, 100);
                break;
            }
            window.change(hits[first].mask, turns[first], -1);
        }
        self.steps += 2 * hits.len() as u64;
    }
}

/// How often every meaning stands in a window, and what they weigh together.
#[derive(Default)]
struct Window {
    counts: Counts,
    turns: [i32; TURNS.len()],
    sum: i32,
}

struct Counts([i32; Mask::BITS as usize]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Mask::BITS as usize])
    }
}

impl Window {
    /// Takes a word in, or out again.
    fn change(&mut self, mask: Mask, turn: i32, by: i32) {
        let mut rest = mask;
        while rest != 0 {
            let bit = rest.trailing_zeros();
            rest &= rest - 1;
            let count = &mut self.counts.0[bit as usize];
            *count += by;
            if *count == i32::from(by > 0) {
                self.sum += by * weight(1 << bit);
            }
        }
        for ((least, weight), count) in TURNS.iter().zip(&mut self.turns) {
            if turn >= *least {
                *count += by;
                if *count == i32::from(by > 0) {
                    self.sum += by * weight;
                }
            }
        }
    }
}
