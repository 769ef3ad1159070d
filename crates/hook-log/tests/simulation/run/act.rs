//! What callers, time and the weather do to a log.

use std::{sync::Arc, time::Duration};

use hook_core::ports::log::{Append, Cursor, From, Log, LogError};
use hook_testkit::log_conformance::positions;

use super::{
    World,
    answer::{Answer, Asked, InFlight, Open},
    look::{count_open, patient},
    send::id,
};
use crate::{
    machine::Weather,
    model::{Checked, Fate, When, cursor, cursors},
};

impl World {
    /// One thing that callers, time or the weather do.
    pub(super) async fn act(&mut self, open: &mut Open) -> Checked {
        match self.rng.u8(..100) {
            0..35 if self.scenario.is_read => self.read(open).await,
            0..45 => (0..self.rng.u32(1..5)).try_for_each(|_| self.append(open)),
            45..57 => self.commit(open).await,
            57..63 => self.change_cursor(open),
            63..70 => self.write_note(open),
            70..73 => self.flush(open),
            73..85 => self.pass(open),
            85..88 => self.check_running(open).await,
            88..90 => self.abandon(open),
            90..95 if self.scenario.is_storm() => {
                if self.is_storm {
                    self.calm()
                } else {
                    self.storm()
                }
                Ok(())
            }
            95..99 if self.scenario.fills => {
                self.fill();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn storm(&mut self) {
        self.is_storm = true;
        self.note(|| "a storm begins".to_owned());
        self.disk.machine().weather = self.scenario.storm;
    }

    pub(super) fn fill(&mut self) {
        let mut machine = self.disk.machine();
        let room = self.rng.u64(..4 * self.scenario.segment_bytes.min(2000));
        machine.capacity = if machine.capacity == u64::MAX { machine.used() + room } else { u64::MAX };
        let capacity = machine.capacity;
        machine.note(|| format!("room: {capacity}"));
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        self.is_storm = false;
        let mut machine = self.disk.machine();
        machine.note(|| "all is calm".to_owned());
        machine.weather = Weather::default();
        machine.capacity = u64::MAX;
    }

    pub(super) async fn commit(&mut self, open: &mut Open) -> Checked {
        let index = self.rng.usize(cursors());
        let state = open.log.state();
        let cursor = cursor(index);
        let (true, Ok(mut subscription)) = (count_open(index, &state) > 0, open.log.subscribe(&cursor)) else {
            return Ok(());
        };
        let most = self.rng.usize(1..6);
        let records = patient(subscription.next(most)).await?;
        let records = records.map_err(|error| format!("cursor {index} cannot read: {error}"))?;
        let mut done = positions(&records);
        done.retain(|_| self.rng.u8(..4) > 0);
        self.note(|| format!("commit {index}: {done:?}"));
        self.model.committed(index, &done);
        match subscription.commit(done) {
            Ok(()) | Err(LogError::NoCursor(_)) => Ok(()),
            Err(error) => Err(format!("cursor {index} cannot commit: {error}")),
        }
    }

    /// A reader makes progress, which is written without a sync when nobody appends.
    pub(super) async fn read(&mut self, open: &mut Open) -> Checked {
        if open.log.state().cursors.is_empty() {
            return self.change_cursor(open);
        }
        for _ in 0..self.rng.u32(1..6) {
            self.commit(open).await?;
            let wait = Duration::from_millis(60);
            open.steps.pass(wait);
            self.clock.advance(wait);
            self.step(open)?;
            if self.disk.machine().is_down {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn change_cursor(&mut self, open: &mut Open) -> Checked {
        let index = self.rng.usize(cursors());
        let alone = self.model.changes_cursor(index);
        let log = Arc::clone(&open.log);
        if self.rng.u8(..4) > 0 {
            let from = if self.rng.u8(..3) == 0 { From::Now } else { From::Earliest };
            self.note(|| format!("make cursor {index}, from {from:?}"));
            self.model.cursors[index].may_begin_now |= from == From::Now;
            let cursor = Cursor { from, ..cursor(index) };
            open.ask(Asked::Make { cursor: index, from, alone }, async move {
                Answer::Made(log.create_cursor(&cursor).await)
            });
        } else {
            self.note(|| format!("forget cursor {index}"));
            open.ask(Asked::Forget { cursor: index, alone }, async move {
                Answer::Done(log.delete_cursor(&cursor(index).name).await)
            });
        }
        self.poll(open)
    }

    pub(super) fn write_note(&mut self, open: &Open) -> Checked {
        self.events += 1;
        let number = self.model.requests.len() as u32;
        let record = self.record(3, &format!("{number}.0"), 0);
        let append = Append { records: vec![record.clone()], id: id(number), ..Append::default() };
        self.model.send(append, self.events, true);
        self.note(|| format!("note {number}"));
        open.log.note(record);
        Ok(())
    }

    pub(super) fn flush(&mut self, open: &mut Open) -> Checked {
        let notes = self.model.requests.len() as u32;
        let log = Arc::clone(&open.log);
        self.note(|| "flush".to_owned());
        open.ask(Asked::Flush { notes }, async move { Answer::Done(log.flush().await) });
        self.poll(open)
    }

    pub(super) fn pass(&mut self, open: &Open) -> Checked {
        let time = match self.rng.u8(..8) {
            0..5 => Duration::from_millis(self.rng.u64(1..700)),
            5..7 => Duration::from_secs(self.rng.u64(1..120)),
            _ => Duration::from_secs(self.rng.u64(600..20_000)),
        };
        self.note(|| format!("{time:?} pass"));
        open.steps.pass(time);
        self.clock.advance(time);
        Ok(())
    }

    pub(super) async fn check_running(&mut self, open: &mut Open) -> Checked {
        self.note(|| "look".to_owned());
        self.poll(open)?;
        self.check(open, When::Running).await
    }

    /// Somebody does not wait for the answer any more.
    pub(super) fn abandon(&mut self, open: &mut Open) -> Checked {
        let appends = |flight: &InFlight| matches!(flight.asked, Asked::Append(_));
        let Some(at) = open.flight.iter().position(appends) else { return Ok(()) };
        if let Asked::Append(number) = open.flight.remove(at).asked {
            self.note(|| format!("nobody waits for {number}"));
            self.model.requests[number as usize].fate = Fate::Unanswered;
            // Whether its commit comes before or after what happens to the cursor is not known any more.
            if let Some(commit) = &self.model.requests[number as usize].append.commit {
                let index = cursors().find(|index| cursor(*index).name == commit.cursor).expect("one of them");
                self.model.changes_cursor(index);
            }
        }
        Ok(())
    }
}
