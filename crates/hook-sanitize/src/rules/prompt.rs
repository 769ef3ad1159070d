//! The system prompt is asked for.

use super::{Text, points};
use crate::{class::Class, lexicon::concept::*, scan::CLAUSE_START};

impl Text<'_> {
    pub(super) fn prompt_request(&mut self, at: usize) {
        let hit = *self.hit(at);
        let (before, behind) = self.around(at, 7, 10);
        let near = before | behind;
        let is_command = i32::from(hit.style & CLAUSE_START != 0) * 15;
        let extra = points(near, IGNORE, 30) + points(near, AGENT, 15) + points(hit.mask, LEAK, 30);
        let score = match () {
            () if near & SYSP != 0 => {
                55 + points(near, YOUR, 45) + points(near, VERBATIM, 45) + points(before, YOU, 10) + is_command + extra
            }
            () if near & INSTR != 0 && near & YOUR != 0 => {
                55 + points(near, PREV, 40)
                    + points(near, VERBATIM, 30)
                    + points(near, ALL | EVERYTHING, 15)
                    + points(hit.mask, WHAT, 35)
                    + is_command
                    + extra
            }
            () if near & INSTR != 0 && near & PREV != 0 && near & VERBATIM != 0 => 60 + is_command + extra,
            () if near & RULES != 0 && near & YOUR != 0 => {
                25 + points(near, PREV, 30) + points(near, VERBATIM, 25) + points(near, SAFETY, 15) + is_command + extra
            }
            () => return,
        };
        let percent = self.mood(at);
        self.find(at, Class::PromptRequest, score, percent);
    }
}
