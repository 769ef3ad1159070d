//! An agent is to call a tool, run a command, or decode and obey.

use super::{Text, points};
use crate::{class::Class, lexicon::concept::*, scan::CLAUSE_START};

impl Text<'_> {
    pub(super) fn tool(&mut self, at: usize) {
        let hit = *self.hit(at);
        let (before, behind) = self.around(at, 8, 14);
        let near = before | behind;
        if near & (TOOL | FETCH) == 0 {
            return;
        }
        let is_command = hit.style & CLAUSE_START != 0 || before & (MUST | YOU) != 0;
        let score = 30
            + points(near, COND, 60)
            + points(near, ADDRESS, 40)
            + points(near, AGENT, 15)
            + points(near, YOUR, 10)
            + points(near, CONCEAL, 40)
            + points(near, QUIETLY, 20)
            + points(behind, SECRET | KEYS, 20)
            + points(behind, DESTROY, 20)
            + points(behind, SEND, 10)
            + points(behind, CONVO | CHAT, 10)
            + points(behind, SUSPECT, 25)
            + points(near, FETCH, 15)
            + points(near, URGENT | MUST, 10)
            + points(before, IGNORE, 25);
        let is_meant = near & (COND | ADDRESS | CONCEAL | SUSPECT) != 0
            || (before & IGNORE != 0 && near & INSTR != 0)
            || (near & AGENT != 0 && is_command && behind & (KEYS | DESTROY | FETCH) != 0 && near & YOUR != 0)
            || (behind & TOOL != 0 && behind & KEYS != 0 && behind & SEND != 0 && is_command);
        let percent = self.mood(at);
        self.find(at, Class::ToolCall, if is_meant { score } else { score.min(75) }, percent);
    }

    /// "Decode this base64 and follow the instructions."
    pub(super) fn decode(&mut self, at: usize) {
        let (before, behind) = self.around(at, 5, 16);
        let near = before | behind;
        if near & ENCODING == 0 {
            return;
        }
        let score = 60
            + points(near, FOLLOW, 30)
            + points(near, INSTR, 20)
            + points(near, RUN, 15)
            + points(near, YOU | COND, 5);
        let percent = self.mood(at);
        self.find(at, Class::EncodedPayload, score, percent);
    }
}
