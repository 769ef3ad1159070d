//! Which events and dead letters a job is about.

use std::collections::HashSet;

use hook_contract::plan::Taking;
use hook_core::{
    Timestamp,
    envelope::{DeadLetter, Envelope, EventHeader},
    event::EventId,
    job::{DeadLetterClass, Selection},
    names::Glob,
};
use hook_expressions::cel::{EventView, Expression};

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
    condition: Option<Expression>,
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
        let compiled = selection.condition.as_deref().map(Expression::compile).transpose();
        let condition = compiled.map_err(|error| TravelError::Refused(format!("--where: {error}")))?;
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
            condition,
        })
    }

    /// Whether single events are asked for.
    pub(super) fn names_events(&self) -> bool {
        !self.ids.is_empty()
    }

    pub(super) fn look_at_event(&self, event: &Envelope) -> Taking {
        match self.is_in_time(event.header.received_at) && self.takes(&event.header) {
            true => self.answer(event.into()),
            false => Taking::Left,
        }
    }

    pub(super) fn look_at_letter(&self, letter: &DeadLetter) -> Taking {
        let header = &letter.header;
        let is_taken = self.is_in_time(header.failed_at)
            && self.takes(&header.event)
            && self.destination.as_ref().is_none_or(|glob| glob.matches(&header.destination))
            && (self.classes.is_empty() || self.classes.contains(&header.class()))
            && self.error.as_ref().is_none_or(|glob| glob.matches(&header.error));
        let (source, event_type) = (header.event.source.as_str(), header.event.event_type.as_str());
        let event = EventView { source, event_type, payload: &letter.payload, meta: &header.event.meta };
        if is_taken { self.answer(event) } else { Taking::Left }
    }

    /// What the expression says, where there is one.
    fn answer(&self, event: EventView<'_>) -> Taking {
        match self.condition.as_ref().map(|condition| condition.matches(event)) {
            None | Some(Ok(true)) => Taking::Taken,
            Some(Ok(false)) => Taking::Left,
            Some(Err(_)) => Taking::Unanswered,
        }
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
