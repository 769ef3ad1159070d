//! Turns of the log, and what it answers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use hook_core::{
    clock::Clock,
    ports::log::{Appended, From, Log, LogError, LogState, NewRecord},
};
use hook_log::{EmbeddedLog, Steps};

use super::{World, send::chains_of};
use crate::model::{Change, Checked, Fate, chain_of, cursor, cursors, must, topic_index};

/// A log that is open.
pub(super) struct Open {
    pub(super) log: Arc<EmbeddedLog>,
    pub(super) steps: Steps,
    pub(super) flight: Vec<InFlight>,
}

pub(super) struct InFlight {
    pub(super) asked: Asked,
    pub(super) future: Pin<Box<dyn Future<Output = Answer>>>,
}

#[derive(Clone, Copy)]
pub(super) enum Asked {
    Append(u32),
    Make { cursor: usize, from: From, alone: Option<u32> },
    Forget { cursor: usize, alone: Option<u32> },
    Flush { notes: u32 },
}

pub(super) enum Answer {
    Append(Result<Appended, LogError>),
    Made(Result<bool, LogError>),
    Done(Result<(), LogError>),
}

impl Answer {
    pub(super) fn is_ok(&self) -> bool {
        match self {
            Self::Append(answer) => answer.is_ok(),
            Self::Made(answer) => answer.is_ok(),
            Self::Done(answer) => answer.is_ok(),
        }
    }
}

impl World {
    /// Gives the log a turn, and takes its answers.
    pub(super) fn step(&mut self, open: &mut Open) -> Checked {
        self.note(|| "step".to_owned());
        self.model.step += 1;
        open.steps.step();
        if self.rng.u8(..3) == 0 {
            self.note(|| "keep".to_owned());
            open.steps.keep();
        }
        self.poll(open)?;
        self.model.watch(&open.log.state());
        Ok(())
    }

    pub(super) fn poll(&mut self, open: &mut Open) -> Checked {
        let answers = answers(&mut open.flight);
        let state = open.log.state();
        answers.into_iter().try_for_each(|(asked, answer)| self.answered(asked, answer, &state))
    }

    pub(super) fn answered(&mut self, asked: Asked, answer: Answer, state: &LogState) -> Checked {
        let is_down = self.disk.machine().is_down;
        let now = self.clock.now();
        match (asked, answer) {
            (Asked::Append(number), Answer::Append(answer)) => {
                self.note(|| format!("  {number} is answered: {answer:?}"));
                self.model.answered(number);
                match answer {
                    Ok(Appended::Stored(positions)) => self.model.stored(number, positions, now)?,
                    Ok(Appended::DuplicateOf(id)) => self.model.copied(number, id, now)?,
                    // Of a machine that is down nobody hears.
                    Err(_) if is_down => self.model.requests[number as usize].fate = Fate::Unanswered,
                    Err(LogError::Unavailable(_)) => {
                        self.report.refused += 1;
                        let request = &mut self.model.requests[number as usize];
                        // What went to another chain first may have been stored there.
                        let spans = chains_of(&request.append) > 1;
                        request.fate = if spans { Fate::Unanswered } else { Fate::Refused(self.model.generation) };
                    }
                    Err(LogError::NoCursor(_)) => self.refused_for_cursor(number)?,
                    Err(error) => return Err(format!("request {number} is answered with {error}")),
                }
            }
            (Asked::Make { cursor, from, alone }, Answer::Made(answer)) => {
                self.note(|| format!("  cursor {cursor} is made: {answer:?}"));
                let change = answer.ok().map(|is_made| if is_made { Change::Made } else { Change::None });
                self.model.changed_cursor(cursor, change, alone, state);
                if from == From::Now && change == Some(Change::Made) {
                    self.model.begins_now(cursor, state);
                }
            }
            (Asked::Forget { cursor, alone }, Answer::Done(answer)) => {
                self.note(|| format!("  cursor {cursor} is forgotten: {answer:?}"));
                self.model.changed_cursor(cursor, answer.ok().map(|()| Change::Gone), alone, state);
            }
            (Asked::Flush { notes }, Answer::Done(answer)) => {
                self.note(|| format!("  flushed: {answer:?}"));
                if answer.is_ok() && state.dropped_notes == 0 {
                    self.model.flushed(notes);
                }
            }
            _ => unreachable!("each is answered with its own"),
        }
        Ok(())
    }

    /// Nothing of it was stored. In other chains than that of events, which do not know what cursors there are, it may be:
    /// the cursor was forgotten meanwhile.
    pub(super) fn refused_for_cursor(&mut self, number: u32) -> Checked {
        let request = &mut self.model.requests[number as usize];
        let commit = request.append.commit.as_ref().ok_or("a request without a commit was refused for its cursor")?;
        let index = cursors().find(|index| cursor(*index).name == commit.cursor).expect("one of them");
        let is_elsewhere = |record: &NewRecord| chain_of(topic_index(record.topic.as_str())) > 0;
        let may_exist = request.append.records.iter().any(is_elsewhere);
        request.fate = if may_exist { Fate::Unanswered } else { Fate::Never };
        let model = &self.model.cursors[index];
        let exists = model.exists == Some(true) && model.changes == 0;
        must!(!exists, "request {number} was told that cursor {index} does not exist");
        Ok(())
    }
}

impl Open {
    pub(super) fn ask(&mut self, asked: Asked, future: impl Future<Output = Answer> + 'static) {
        // It is polled by hand: what the runtime counts between two of its own turns must not matter.
        self.flight.push(InFlight { asked, future: Box::pin(tokio::task::unconstrained(future)) });
    }
}

/// Polls what is on its way, and takes the answers that have come.
pub(super) fn answers(flight: &mut Vec<InFlight>) -> Vec<(Asked, Answer)> {
    let mut context = Context::from_waker(Waker::noop());
    let mut answers = Vec::new();
    flight.retain_mut(|flight| match flight.future.as_mut().poll(&mut context) {
        Poll::Ready(answer) => {
            answers.push((flight.asked, answer));
            false
        }
        Poll::Pending => true,
    });
    // What a copy is a copy of may have been answered in the same turn.
    answers.sort_by_key(|(_, answer)| !matches!(answer, Answer::Append(Ok(Appended::Stored(_))) | Answer::Made(_)));
    answers
}
