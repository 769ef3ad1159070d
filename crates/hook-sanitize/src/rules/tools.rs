//! An agent is to call a tool, run a command, or decode and obey.

use super::{Text, points};
use crate::{class::Class, lexicon::concept::*, scan::CLAUSE_START};

/// What a tool may do for its owner alone.
const WANTED: Mask = DEED | MONEY | KEYS | RECORDS;

impl Text<'_> {
    pub(super) fn tool(&mut self, at: usize) {
        let hit = *self.hit(at);
        let (before, behind) = self.around(at, 8, 14);
        let near = before | behind | self.behind(at, 30) & (UNCHECKED | CONCEAL | QUIETLY);
        if near & (TOOL | FETCH) == 0 {
            return;
        }
        let is_command = hit.style & CLAUSE_START != 0 || before & (MUST | YOU) != 0;
        let is_written = self.is_written_out(at);
        // "and answer only with done"
        let asked = self.asked(at, 30);
        let is_short = asked & ONLY != 0 && asked & (RESPOND | SAY) != 0 && asked & (DEED | MONEY) != 0;
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
            + points(before, IGNORE, 25)
            + points(behind, DEED | MONEY, 20)
            + points(behind, RECORDS, 15)
            + points(near, UNCHECKED, 35)
            + i32::from(is_written) * 30
            + i32::from(is_short) * 30;
        let is_meant = near & (COND | ADDRESS | CONCEAL | SUSPECT) != 0
            || (near & UNCHECKED != 0 && behind & (DEED | MONEY) != 0)
            || (is_command && (is_written || is_short || near & (AGENT | MACHINE | BOT) != 0) && behind & WANTED != 0)
            || (before & IGNORE != 0 && near & INSTR != 0)
            || (near & AGENT != 0 && is_command && behind & (KEYS | DESTROY | FETCH) != 0 && near & YOUR != 0)
            || (behind & TOOL != 0 && behind & KEYS != 0 && behind & SEND != 0 && is_command);
        let percent = self.mood(at);
        self.find(at, Class::ToolCall, if is_meant { score } else { score.min(75) }, percent);
    }

    /// "call tool: update_customer(id=1)"
    fn is_written_out(&mut self, at: usize) -> bool {
        let end = self.hit(at).end as usize;
        let rest = &self.text.as_bytes()[end..self.text.len().min(end + 64)];
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        self.steps += line.len() as u64;
        let open = line.iter().position(|byte| *byte == b'(');
        open.is_some_and(|open| open > 0 && line[open - 1].is_ascii_alphanumeric() && line[open..].contains(&b'='))
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
