//! Writes the story of events: into the journal topic, and refusals also into two rings of bounded memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hook_core::{
    Timestamp,
    clock::SharedClock,
    event::{EventId, RequestId},
    journal::{JournalEntry, Step},
    names::TopicName,
    ports::log::Log,
};

/// So many refusals of each kind are remembered.
const REFUSALS: usize = 10_000;
/// So many refusals of verified events a minute reach the journal on disk, so that they cannot push out the story of
/// the events that were taken.
const STORED_A_MINUTE: usize = 600;

/// A handle to the journal.
pub struct Journal {
    log: Arc<dyn Log>,
    topic: TopicName,
    clock: SharedClock,
    refusals: Mutex<Refusals>,
}

#[derive(Default)]
struct Refusals {
    /// Refused before the sender was known: in memory only, so that forgeries cost no disk.
    unverified: VecDeque<JournalEntry>,
    verified: VecDeque<JournalEntry>,
    minute: Timestamp,
    stored_this_minute: usize,
}

/// Whether a refused sender had proven itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Unverified,
    Verified,
}

impl Journal {
    pub(crate) fn new(log: Arc<dyn Log>, topic: TopicName, clock: SharedClock) -> Self {
        Self { log, topic, clock, refusals: Mutex::default() }
    }

    /// Notes what happened to an event.
    pub(crate) fn note(&self, event_id: EventId, step: Step) {
        self.store(&JournalEntry {
            at: self.clock.now(),
            event_id: Some(event_id),
            request_id: None,
            job_id: None,
            step,
        });
    }

    /// Notes what happened to a request that became no event.
    pub(crate) fn note_request(&self, sender: Sender, request_id: RequestId, event_id: Option<EventId>, step: Step) {
        let entry = JournalEntry { at: self.clock.now(), event_id, request_id: Some(request_id), job_id: None, step };
        if self.refusals.lock().unwrap_or_else(PoisonError::into_inner).remember(sender, entry.clone()) {
            self.store(&entry);
        }
    }

    /// The refusal of a request, as far as it is still remembered.
    pub fn refusal(&self, request_id: RequestId) -> Option<JournalEntry> {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = refusals.verified.iter().chain(&refusals.unverified);
        all.find(|entry| entry.request_id == Some(request_id)).cloned()
    }

    fn store(&self, entry: &JournalEntry) {
        self.log.note(entry.to_record(self.topic.clone()));
    }
}

impl Refusals {
    /// Remembers a refusal, and says whether it may be stored.
    fn remember(&mut self, sender: Sender, entry: JournalEntry) -> bool {
        let at = entry.at;
        let ring = match sender {
            Sender::Unverified => &mut self.unverified,
            Sender::Verified => &mut self.verified,
        };
        if ring.len() == REFUSALS {
            ring.pop_front();
        }
        ring.push_back(entry);
        if sender == Sender::Unverified {
            return false;
        }
        if at.duration_since(self.minute).unsigned_abs() >= Duration::from_secs(60) {
            (self.minute, self.stored_this_minute) = (at, 0);
        }
        self.stored_this_minute += 1;
        self.stored_this_minute <= STORED_A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> JournalEntry {
        let step = Step::Refused { source: None, code: "signature_mismatch".into(), reason: "no".into() };
        JournalEntry {
            at: Timestamp::now(),
            event_id: None,
            request_id: Some(RequestId::generate()),
            job_id: None,
            step,
        }
    }

    #[test]
    fn forgeries_never_push_out_the_refusals_of_verified_senders() {
        let mut refusals = Refusals::default();
        let kept = entry();
        assert!(refusals.remember(Sender::Verified, kept.clone()));
        for _ in 0..REFUSALS + 10 {
            assert!(!refusals.remember(Sender::Unverified, entry()));
        }
        assert_eq!(refusals.unverified.len(), REFUSALS);
        assert_eq!(refusals.verified, [kept]);
    }

    #[test]
    fn only_so_many_refusals_a_minute_reach_the_disk() {
        let mut refusals = Refusals::default();
        let stored = (0..1000).filter(|_| refusals.remember(Sender::Verified, entry())).count();
        assert_eq!(stored, STORED_A_MINUTE);
    }
}
