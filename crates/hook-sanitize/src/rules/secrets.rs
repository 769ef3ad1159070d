//! Secrets are asked for, under pressure or in secret, or carried off.

use super::{Text, points};
use crate::{class::Class, lexicon::concept::*, scan::CLAUSE_START};

impl Text<'_> {
    /// Somebody asks for a secret.
    pub(super) fn secret_request(&mut self, at: usize) {
        let (before, behind) = self.around(at, 10, 8);
        let near = before | behind;
        if self.asked(at.saturating_sub(12), 34) & (SEND | REVEAL | REQUEST) == 0 {
            return;
        }
        let (wide_before, wide_behind) = self.around(at, 26, 20);
        let wide = wide_before | wide_behind;
        // "Never send your password to anybody."
        let denied = points(before, NEG, 50) - points(wide, CONCEAL, 50).min(points(before, NEG, 50));
        let score = 35 - denied
            + points(near, YOUR, 15)
            + points(near, LEAK, 20)
            + points(near, AGENT, 15)
            + points(wide, URGENT, 25)
            + points(wide, AUTH, 15)
            + points(wide, CLAIM, 40)
            + points(wide, THREAT, 25)
            + if near & KEYS != 0 && near & REQUEST != 0 { points(near, REVEAL | SEND, 15) } else { 0 }
            + points(wide, CONCEAL, 45)
            + points(wide, COND, 45)
            + points(wide, SAFETY | IGNORE, 5);
        let percent = self.setting(at, 100);
        self.find(at, Class::SocialEngineering, score, percent);
    }

    /// Somebody claims a right, or wants silence.
    pub(super) fn pressure(&mut self, at: usize) {
        let hit = *self.hit(at);
        let (before, behind) = self.around(at, 16, 20);
        let near = before | behind;
        let asked = self.asked(at.saturating_sub(12), 36);
        let has_verb = asked & (DEED | SEND | REVEAL | REQUEST | RUN | SAY) != 0;
        let near = if has_verb { near } else { near & !(SECRET | KEYS) };
        let wanted = points(near, SECRET | KEYS, 30)
            + points(near, SYSP | SAFETY, 30)
            + if near & (SAFETY | INSTR) != 0 { points(near, IGNORE | WEAKEN, 15) } else { 0 }
            + points(near, SEND, 15)
            + points(near, DESTROY, 20)
            + points(near, TOOL | FETCH, 15)
            + points(near, LEAK, 15);
        let score = match () {
            () if hit.mask & CLAIM != 0 => 50 + wanted.min(50) + points(near, URGENT | MUST | REQUEST, 10),
            () if hit.mask & CONCEAL != 0 => {
                50 + wanted.min(50)
                    + points(near, DESTROY, 15)
                    + points(near, SECRET | KEYS, 10)
                    + points(near, AGENT, 10)
                    + points(near, COND | ADDRESS, 35)
                    + points(behind, REQUEST | SEND | DESTROY, 10)
            }
            () if hit.mask & UNCHECKED != 0 => 0,
            () => {
                15 + wanted.min(40)
                    + points(near, AGENT, 15)
                    + points(near, COND, 50)
                    + points(near, ADDRESS, 25)
                    + points(near, CONCEAL, 20)
            }
        };
        let score = score.max(alone(hit.mask | near, near));
        let percent = self.setting(at, 100);
        self.find(at, Class::SocialEngineering, score, percent);
    }

    /// What is kept secret is to be read, and told where all can read it.
    pub(super) fn read_aloud(&mut self, at: usize) {
        let hit = *self.hit(at);
        let is_told = hit.style & CLAUSE_START != 0 || self.before(at, 4) & (MUST | YOU) != 0;
        let behind = self.behind(at, 8);
        if !is_told || behind & (SECRET | KEYS) == 0 {
            return;
        }
        let asked = self.asked(at, 20);
        if asked & (SEND | REVEAL | SAY) == 0 {
            return;
        }
        let score = 50
            + points(asked, SINK, 20)
            + points(asked, LEAK, 20)
            + points(behind, KEYS, 10)
            + points(asked, AGENT, 10);
        let percent = self.setting(at, 100);
        self.find(at, Class::Exfiltration, score, percent);
    }

    /// Data is to be sent somewhere.
    pub(super) fn carry_off(&mut self, at: usize) {
        let hit = *self.hit(at);
        let (before, behind) = self.around(at, 6, 16);
        let near = before | behind;
        let score = 25
            + points(near, SECRET | KEYS, 30)
            + points(behind, CONVO | CHAT, 20)
            + points(near, SYSP, 40)
            + points(behind, URL | SUSPECT, 30)
            + points(near, AGENT, 10)
            + points(near, CONCEAL, 35)
            + points(near, COND | ADDRESS, 35)
            + points(near, YOUR | ALL, 10)
            + points(near, SUSPECT, 15)
            + points(near, YOU | MUST, 5)
            + i32::from(hit.style & CLAUSE_START != 0) * 10;
        let is_told = hit.style & CLAUSE_START != 0 || before & (MUST | YOU) != 0;
        let is_turned = near & (AGENT | MACHINE | BOT | COND | ADDRESS | CONCEAL | UNCHECKED | URL) != 0;
        let is_sink = behind & SINK != 0 && (near & KEYS != 0 || behind & (SECRET | RECORDS) != 0 && is_turned);
        let is_meant_for =
            near & (ANSWER | SINK | AGENT | MACHINE | BOT | YOU | YOUR | MUST | COND | ADDRESS | CONCEAL) != 0;
        let is_away = is_meant_for && behind & (URL | SUSPECT) != 0 && behind & (KEYS | RECORDS) != 0;
        if hit.mask & SEND == 0 && !(is_told && is_sink) && !is_away {
            return;
        }
        let score = score + points(behind, RECORDS, 20) + if is_told && is_sink { 20 } else { 0 };
        let is_meant = near & (COND | ADDRESS | CONCEAL | SYSP | SUSPECT) != 0
            || behind & CHAT != 0
            || is_told && is_sink
            || (behind & (KEYS | RECORDS) != 0 && behind & URL != 0);
        let percent = self.mood(at);
        self.find(at, Class::Exfiltration, if is_meant { score } else { score.min(75) }, percent);
    }
}

/// Somebody is to act alone and in silence: each kind of pressure weighs little, and three of them much.
fn alone(pressure: Mask, near: Mask) -> i32 {
    let is_pressed = pressure & CONCEAL != 0
        || near & (URGENT | CLAIM | AGENT | MACHINE | BOT | THREAT) != 0
        || near & VERIFIED != 0 && near & (MUST | ONLY) != 0;
    let wanted =
        points(near, MONEY, 20) + points(near, DEED, 20) + points(near, SECRET | KEYS, 15) + points(near, RECORDS, 10);
    if wanted == 0 || !is_pressed {
        return 0;
    }
    let silence = if pressure & CONCEAL != 0 { 35 } else { points(pressure, QUIETLY, 20) };
    silence
        + points(pressure, UNCHECKED, 25)
        + wanted.min(45)
        + points(near, AUTH | CLAIM, 15)
        + points(near, VERIFIED, 15)
        + points(near, URGENT, 15)
        + points(near, AGENT | MACHINE | BOT, 15)
        + points(near, THREAT, 10)
        + points(near, PRIV, 10)
}
