//! Instructions are to be dropped, or others put in their place.

use super::{NEXT, Text, count, points};
use crate::{
    class::Class,
    lexicon::concept::*,
    scan::{CLAUSE_START, LINE_START},
};

/// Words by which whose instructions they are is said.
const WHOSE: Mask = YOUR | SYSP | AGENT;

impl Text<'_> {
    pub(super) fn override_(&mut self, at: usize) {
        let hit = *self.hit(at);
        let (before, behind) = self.around(at, 7, 9);
        let near = before | behind | (hit.mask & !(IGNORE | WEAKEN));
        // "Do not follow", "stop obeying".
        let is_refusal = hit.mask & FOLLOW != 0 && hit.mask & (IGNORE | WEAKEN) == 0;
        if is_refusal && self.before(at, 3) & NEG == 0 && self.behind(at, 2) & POSTNEG == 0 {
            return;
        }
        let is_strong = hit.mask & IGNORE != 0 || is_refusal;
        // "Please ignore my last mail, the instructions in it were wrong."
        let object = self.behind(at, 4);
        if object & HARMLESS != 0
            && object & (INSTR | RULES | SYSP | SAFETY | EVERYTHING | AGENT) == 0
            && count(behind, NEXT) == 0
        {
            return;
        }
        let score = match () {
            () if near & (INSTR | SYSP) != 0 && is_strong => instructions(near, behind),
            () if near & (INSTR | SYSP) != 0 => weakened(near, behind, before),
            () if near & (RULES | SAFETY) != 0 && is_strong => rules(near, behind, hit.style & CLAUSE_START != 0),
            () if near & (RULES | SAFETY) != 0 => weakened_rules(near),
            () if is_strong && near & EVERYTHING != 0 => {
                45 + points(near, PREV, 30) + points(near, YOU | YOUR, 30) + next(behind)
            }
            () if is_strong && near & PREV != 0 => {
                25 + next(behind) + points(near, YOUR, 20) - points(behind, HARMLESS, 30)
            }
            () => return,
        };
        let percent = match () {
            () if is_refusal => self.setting(at, 100),
            // What was said to be void: "all previous instructions are superseded".
            () if hit.mask & (WEAKEN | INFL) == WEAKEN | INFL && before & INSTR != 0 => self.setting(at, 100),
            () => self.mood(at),
        };
        self.find(at, Class::InstructionOverride, score, percent);
    }

    /// "Your new instructions are", "New instructions:".
    pub(super) fn new_instructions(&mut self, at: usize) {
        let hit = *self.hit(at);
        if self.before(at, 2) & NEW == 0 {
            return;
        }
        let (before, behind) = self.around(at, 4, 12);
        let rest = self.text[hit.end as usize..].trim_start_matches(['*', '_', ' ', ']']);
        let is_title = rest.starts_with(':') && at > 0 && self.hit(at - 1).style & LINE_START != 0;
        let is_yours = before & YOUR != 0;
        if !is_title && !is_yours {
            return;
        }
        let verbs = IGNORE | REVEAL | SEND | RUN | RESPOND | ACT | DESTROY | FOLLOW;
        let mut score = if hit.mask & INSTR != 0 { 60 } else { 45 };
        score += points(behind, YOU | YOUR, 20)
            + points(behind, verbs, 25)
            + points(behind, KEYS | SECRET | SYSP | CONCEAL, 25);
        score += points(before | behind, IGNORE | PREV, 15) + points(before | behind, AGENT, 15);
        let percent = self.setting(at, 100);
        self.find(at, Class::InstructionOverride, score, percent);
    }
}

fn next(behind: Mask) -> i32 {
    match count(behind, NEXT) {
        0 => 0,
        1 => 20,
        _ => 45,
    }
}

/// Ignore, disregard, forget instructions.
fn instructions(near: Mask, behind: Mask) -> i32 {
    let link = match () {
        () if near & PREV != 0 => 55,
        () if near & WHOSE != 0 => 50,
        () if near & ALL != 0 && behind & INSIDE == 0 => 50,
        () if behind & (NOW | RESPOND) != 0 && behind & INSIDE == 0 => 35,
        () => 0,
    };
    let both = if near & ALL != 0 && near & PREV != 0 { 20 } else { 0 };
    let others = if link == 0 { points(near, WHO | AUTH, 20) } else { 0 };
    50 + link + others + both + points(behind, NEXT, 15)
}

/// Override, bypass, replace instructions: developers do that to files, so that whose they are has to be said.
fn weakened(near: Mask, behind: Mask, before: Mask) -> i32 {
    let link = match () {
        () if near & (YOUR | SAFETY) != 0 && near & (PREV | ALL | SAFETY | AGENT | NOW) != 0 => 65,
        () if near & YOUR != 0 => 45,
        () if near & ALL != 0 && near & PREV != 0 => 55,
        () if before & (YOU | MUST) != 0 && near & AUTH != 0 => 60,
        () if before & INSTR != 0 && near & ALL != 0 => 30,
        () => 0,
    };
    let next = if count(behind, NEXT) > 1 { 15 } else { 0 };
    40 + link + next + points(near, AGENT | UNBOUND | PERSONA, 15)
}

/// Ignore, disregard, forget rules: people say that of linters.
fn rules(near: Mask, behind: Mask, is_command: bool) -> i32 {
    let yours = match near & YOUR != 0 {
        true if is_command => 65,
        true => 45,
        false => 0,
    };
    let harmless = if near & (SAFETY | AGENT | SYSP) == 0 { points(behind, HARMLESS, 30) } else { 0 };
    30 + yours
        + points(near, PREV, 35)
        + points(near, ALL, 20)
        + points(near, SAFETY, 35)
        + points(near, AGENT, 15)
        + next(behind)
        - harmless
}

fn weakened_rules(near: Mask) -> i32 {
    let both = if near & SAFETY != 0 && near & YOUR != 0 { 15 } else { 0 };
    10 + both
        + points(near, YOUR, 35)
        + points(near, SAFETY, 40)
        + points(near, AGENT, 20)
        + points(near, UNBOUND | PERSONA | ACT | BECOME, 25)
        + points(near, ALL, 10)
}
