//! A machine that reads is spoken to, past the person.

use super::{Text, appeal::wants, points};
use crate::{class::Class, lexicon::concept::*};

impl Text<'_> {
    pub(super) fn address(&mut self, at: usize) {
        let hit = *self.hit(at);
        let (before, behind) = self.around(at, 8, 24);
        let verbs = points(behind, RUN, 15)
            + points(behind, SEND | LEAK, 20)
            + points(behind, DESTROY, 20)
            + points(behind, RESPOND | REVEAL, 15)
            + points(behind, ACT | BECOME, 15);
        let is_override = behind & IGNORE != 0 && behind & (INSTR | RULES | PREV) != 0;
        let score = if hit.mask & COND != 0 { 65 } else { 35 }
            + verbs.min(35)
            + points(behind, MUST, 15)
            + points(behind, CONCEAL, 35)
            + points(behind, KEYS | SECRET, 15)
            + points(behind, SYSP, 20)
            + points(behind | before, SUSPECT | URGENT, 10)
            + if is_override { 50 } else { 0 };
        let asked = self.asked(at, 30);
        let is_dictated = asked & SAY != 0 && hit.mask & ADDRESS != 0;
        let base = if hit.mask & COND != 0 { 55 } else { 45 };
        let score = score.max(base + i32::from(is_dictated) * 15 + wants(asked));
        let class = match behind & (TOOL | FETCH) != 0 && behind & RUN != 0 {
            true => Class::ToolCall,
            false => Class::InstructionOverride,
        };
        let percent = self.setting(at, 100);
        self.find(at, class, score, percent);
    }
}
