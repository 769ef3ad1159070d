//! Which events and dead letters a job is about.

use std::collections::HashSet;

use hook_core::{
    Timestamp,
    envelope::{DeadLetter, Envelope, EventHeader},
    event::EventId,
    job::{DeadLetterClass, Selection},
    names::Glob,
};

use super::TravelError;

/// A selection, ready to be asked.
pub(super) struct Selector {
    ids: HashSet<EventId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// What came after the job was asked for is not part of it.
    asked_at: Timestamp,
    sources: Vec<Glob>,
    event_types: Vec<Glob>,
    destination: Option<Glob>,
    classes: Vec<DeadLetterClass>,
    error: Option<Glob>,
}

impl Selector {
    pub(super) fn new(selection: &Selection, asked_at: Timestamp) -> Result<Self, TravelError> {
        let Selection { ids, since, until, sources, event_types, destination, classes, error, .. } = selection;
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let message = format!("nothing is both since {since} and until {until}: exchange the two");
            return Err(TravelError::Refused(message));
        }
        let globs = |patterns: &[String]| patterns.iter().map(|pattern| Glob::new(pattern)).collect();
        Ok(Self {
            ids: ids.iter().copied().collect(),
            since: *since,
            until: *until,
            asked_at,
            sources: globs(sources),
            event_types: globs(event_types),
            destination: destination.as_deref().map(Glob::new),
            classes: classes.clone(),
            error: error.as_deref().map(Glob::new),
        })
    }

    /// Whether single events are asked for.
    pub(super) fn names_events(&self) -> bool {
        !self.ids.is_empty()
    }

    pub(super) fn takes_event(&self, event: &Envelope) -> bool {
        self.is_in_time(event.header.received_at) && self.takes(&event.header)
    }

    pub(super) fn takes_letter(&self, letter: &DeadLetter) -> bool {
        let header = &letter.header;
        self.is_in_time(header.failed_at)
            && self.takes(&header.event)
            && self.destination.as_ref().is_none_or(|glob| glob.matches(&header.destination))
            && (self.classes.is_empty() || self.classes.contains(&header.class()))
            && self.error.as_ref().is_none_or(|glob| glob.matches(&header.error))
    }

    fn is_in_time(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until) && at <= self.asked_at
    }

    fn takes(&self, header: &EventHeader) -> bool {
        let matches_any = |globs: &[Glob], text: &str| globs.is_empty() || globs.iter().any(|glob| glob.matches(text));
        (self.ids.is_empty() || self.ids.contains(&header.id))
            && matches_any(&self.sources, header.source.as_str())
            && matches_any(&self.event_types, header.event_type.as_str())
    }
}
