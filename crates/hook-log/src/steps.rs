//! A log without threads: it works when it is told to, so that a simulation can decide what happens when.

use std::time::Duration;

use crate::{chain::Writer, keeper::Keeper, timer::Timer};

/// The turns of a log that was opened with [`EmbeddedLog::open_stepped`](crate::EmbeddedLog::open_stepped). Dropped, the log
/// ends as in a crash: nothing more is written.
pub struct Steps {
    writers: Vec<Writer>,
    keeper: Keeper,
    timer: Timer,
}

impl Steps {
    pub(crate) fn new(writers: Vec<Writer>, keeper: Keeper, timer: Timer) -> Self {
        Self { writers, keeper, timer }
    }

    /// Lets so much time pass: what waits for a moment may then be due.
    pub fn pass(&self, time: Duration) {
        self.timer.turn(time);
    }

    /// Lets every writer do what there is to do now.
    pub fn step(&mut self) {
        self.writers.iter_mut().for_each(Writer::step);
    }

    /// Lets the keeper do what is due now: indexes, retention, a look at what is sealed.
    pub fn keep(&mut self) {
        self.keeper.step();
    }

    /// Ends the log in order, after everything that waits.
    pub fn close(self) {
        for mut writer in self.writers {
            writer.close();
            writer.step();
            writer.end();
        }
    }
}
