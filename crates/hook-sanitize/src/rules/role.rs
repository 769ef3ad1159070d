//! An agent is given another role, or somebody claims to be the system.

use super::{Text, points};
use crate::{
    class::Class,
    lexicon::concept::*,
    scan::{CAPITALS, LINE_START},
};

/// So many words are read together for what they describe.
const CLIMATE: u32 = 120;

/// What only somebody with a say hands out.
fn powers(behind: Mask) -> i32 {
    points(behind, DEED, 20)
        + points(behind, UNCHECKED, 25)
        + points(behind, VERIFIED | RECORDS, 15)
        + points(behind, PRIV | MONEY, 15)
}

fn weight(mask: Mask) -> i32 {
    points(mask, UNBOUND, 24)
        + points(mask, PERSONA, 18)
        + points(mask, SAFETY, 8)
        + points(mask, ACT | BECOME, 8)
        + points(mask, AGENT, 4)
}

impl Text<'_> {
    pub(super) fn role(&mut self, at: usize) {
        let hit = *self.hit(at);
        let (before, behind) = self.around(at, 5, 17);
        // A name of three letters is one only in capitals.
        let is_name = hit.end - hit.start == 3 && hit.style & CAPITALS == 0;
        let score = match () {
            () if hit.mask & BECOME != 0 => self.becoming(at, behind),
            () if hit.mask & ACT != 0 => {
                45 + points(behind, PERSONA, 45)
                    + points(behind, UNBOUND, 60)
                    + points(behind, AGENT, 25)
                    + points(behind, REGARDLESS, 25)
                    + points(behind, SECRET | KEYS, 25)
                    + points(behind, PRIV, 5)
                    + points(behind, DEED | MONEY, 15)
                    + if behind & (SECRET | KEYS) != 0 { points(behind, REVEAL, 10) } else { 0 }
                    + points(before | behind, THREAT, 15)
                    + points(before | behind, NOW, 5)
                    + points(before, IGNORE, 20)
                    + points(behind, SAFETY, 20)
                    + if behind & SAFETY != 0 { points(behind, WEAKEN, 35) } else { 0 }
                    + points(behind, RESPOND, 5)
            }
            () if hit.mask & PERSONA != 0 && !is_name => {
                let near = before | behind;
                25 + points(near, MODE, 20)
                    + points(near, YOU | YOUR, 20)
                    + points(near, AGENT, 20)
                    + points(near, UNBOUND, 40)
                    + points(near, SAFETY, 25)
                    + points(near, ACT | BECOME, 30)
                    + points(near, RESPOND, 10)
            }
            () => return,
        };
        let percent = match hit.mask & BECOME {
            0 => self.mood(at),
            _ => self.setting(at, 100),
        };
        self.find(at, Class::RoleHijack, score, percent);
    }

    /// Words that alone say little, and much where they are many: a role without scruples, described at length.
    pub(super) fn climate(&mut self) {
        if self.scan.seen & (PERSONA | UNBOUND) == 0 || self.scan.seen & (ACT | BECOME | AGENT | RESPOND) == 0 {
            return;
        }
        let (mut first, mut sum) = (0, 0);
        for at in 0..self.scan.hits.len() {
            let hit = *self.hit(at);
            sum += weight(hit.mask);
            while self.hit(first).place + CLIMATE < hit.place {
                sum -= weight(self.hit(first).mask);
                first += 1;
            }
            if weight(hit.mask) > 0 {
                let percent = self.setting(at, 100);
                self.find(at, Class::RoleHijack, sum, percent);
            }
        }
        self.steps += self.scan.hits.len() as u64;
    }

    fn becoming(&mut self, at: usize, behind: Mask) -> i32 {
        let next = self.behind(at, 2);
        let begins = points(next, ARTICLE, 20);
        // "You are now a member of".
        let harmless = if self.behind(at, 3) & MEMBER != 0 { 45 } else { 0 };
        55 - harmless
            + begins
            + points(behind, AGENT, 40)
            + points(behind, PERSONA, 50)
            + points(behind, UNBOUND, 50)
            + points(behind, ACT, 25)
            + points(behind, FOLLOW | RESPOND, 20)
            + points(behind, SAFETY | INSTR, 15)
    }

    /// "SYSTEM: you are", "[admin] ignore".
    pub(super) fn speaker(&mut self, at: usize) {
        let hit = *self.hit(at);
        if hit.style & LINE_START == 0 {
            return;
        }
        let rest = &self.text[hit.end as usize..];
        let start = hit.start as usize;
        let mark = self.text[..start].trim_end_matches(' ').bytes().next_back();
        // "System message:", "SYSTEM OVERRIDE:"
        let rest_of_line = rest.split('\n').next().unwrap_or_default();
        let label = rest_of_line.split_once([':', ']', '>', '=', '#', '*']).map(|(label, _)| label);
        if !label.is_some_and(|label| label.split_whitespace().count() <= 4 && label.len() <= 40) {
            return;
        }
        let behind = self.asked(at, 18);
        let whom = YOU | YOUR | AGENT;
        let what = IGNORE
            | WEAKEN
            | INSTR
            | SYSP
            | BECOME
            | PERSONA
            | UNBOUND
            | CONCEAL
            | DESTROY
            | SEND
            | REVEAL
            | KEYS
            | FOLLOW
            | DEED
            | PRIV
            | VERIFIED
            | UNCHECKED;
        if behind & what == 0 {
            return;
        }
        let is_marked = mark.is_some_and(|mark| matches!(mark, b'[' | b'<' | b'#' | b'*' | b'{' | b'=' | b'-'))
            || hit.style & CAPITALS != 0;
        // These speak in every transcript, and have no say.
        let is_user = ["user", "assistant", "ai"]
            .iter()
            .any(|name| self.text[start..hit.end as usize].eq_ignore_ascii_case(name));
        if is_user && !is_marked {
            return;
        }
        let score = 30
            + points(behind, whom, 25)
            + i32::from(is_marked) * 15
            + points(behind, IGNORE | WEAKEN, 25)
            + points(behind, INSTR | SYSP | RULES, 15)
            + points(behind, BECOME | ACT | PERSONA | UNBOUND, 30)
            + points(behind, CONCEAL | KEYS | SECRET, 20)
            + if is_user { 0 } else { powers(behind) }
            + points(behind, MUST, 10)
            + points(behind, REVEAL | SEND | DESTROY | RUN, 10);
        let percent = self.setting(at, 100);
        self.find(at, Class::RoleHijack, score, percent);
    }
}
