//! What a client asks for in the query of its opening request: where to begin, and which events.

use hook_core::{
    envelope::Envelope,
    names::Glob,
    ports::{
        history::{Begin, Mark},
        ingress::RejectionKind,
    },
};

use super::accept::TurnedAway;

/// So many patterns of each kind a client may give, each so long.
const MOST_PATTERNS: usize = 32;
const LONGEST_PATTERN: usize = 256;
/// Stands for an event that is older than all that are kept.
const EARLIEST: &str = "earliest";

/// The events that a client wants: those that match any pattern of each kind that it gives.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    sources: Vec<Glob>,
    types: Vec<Glob>,
}

impl Wanted {
    /// Reads a query. Keys that mean nothing are refused: one that is misspelt would otherwise give other events than were
    /// asked for.
    pub(super) fn read(query: &str) -> Result<(Self, Option<Begin>), TurnedAway> {
        let (mut wanted, mut begin) = (Self::default(), None);
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "after" if begin.is_none() => begin = Some(read_begin(&value)?),
                "after" => return Err(malformed("`after` is given more than once")),
                "source" => add(&mut wanted.sources, &value)?,
                "type" => add(&mut wanted.types, &value)?,
                _ => return Err(malformed("the query takes `after`, `source` and `type`")),
            }
        }
        Ok((wanted, begin))
    }

    /// Whether it is one of them.
    pub(super) fn takes(&self, event: &Envelope) -> bool {
        let takes = |globs: &[Glob], text| globs.is_empty() || globs.iter().any(|glob| glob.matches(text));
        takes(&self.sources, event.header.source.as_str()) && takes(&self.types, event.header.event_type.as_str())
    }
}

fn read_begin(value: &str) -> Result<Begin, TurnedAway> {
    if value == EARLIEST {
        return Ok(Begin::Earliest);
    }
    let mark: Result<Mark, _> = value.parse();
    let hint = "`after` has to be the id of an event, or `earliest`; a replay is the event's id, `_`, and the replay's";
    mark.map(Begin::After).map_err(|_| malformed(hint))
}

fn add(globs: &mut Vec<Glob>, pattern: &str) -> Result<(), TurnedAway> {
    if pattern.is_empty() || pattern.len() > LONGEST_PATTERN || globs.len() == MOST_PATTERNS {
        let message =
            format!("at most {MOST_PATTERNS} patterns of 1 to {LONGEST_PATTERN} bytes are taken of each kind");
        return Err(malformed(message));
    }
    globs.push(Glob::new(pattern));
    Ok(())
}

fn malformed(message: impl Into<String>) -> TurnedAway {
    TurnedAway::new(RejectionKind::Malformed, "malformed_query", message)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hook_core::{
        Timestamp,
        envelope::{EventHeader, Meta},
        event::EventId,
        names::{EventType, SourceName},
        payload::Payload,
    };

    use super::*;

    fn takes(query: &str, source: &str, event_type: &str) -> bool {
        let header = EventHeader {
            id: EventId::generate(),
            source: SourceName::new(source).unwrap(),
            event_type: EventType::new(event_type).unwrap(),
            received_at: Timestamp::UNIX_EPOCH,
            meta: Meta::default(),
        };
        let event = Envelope { header, payload: Payload::parse(Bytes::from_static(b"{}")).unwrap() };
        Wanted::read(query).ok().unwrap().0.takes(&event)
    }

    #[test]
    fn patterns_of_one_kind_add_up_and_both_kinds_have_to_match() {
        assert!(takes("", "github", "push"));
        assert!(takes("source=git*&source=linear", "linear", "Issue.create"));
        assert!(!takes("source=git*&source=linear", "stripe", "push"));
        assert!(takes("type=pull_request.*&type=push", "github", "pull_request.review.submitted"));
        assert!(!takes("source=github&type=push", "github", "issues.opened"));
        assert!(takes("type=Issue%2Ecreate", "linear", "Issue.create"));
    }

    #[test]
    fn a_query_begins_behind_an_event_or_before_all() {
        let begin = |query: &str| Wanted::read(query).ok().unwrap().1;
        let id = EventId::generate();
        assert_eq!(begin("source=a"), None);
        assert_eq!(begin("after=earliest"), Some(Begin::Earliest));
        assert_eq!(begin(&format!("after={id}")), Some(Begin::After(Mark { id, replay: None })));
    }

    #[test]
    fn a_query_that_cannot_be_meant_is_refused() {
        let id = EventId::generate();
        let many = "type=a&".repeat(MOST_PATTERNS + 1);
        let long = format!("source={}", "a".repeat(LONGEST_PATTERN + 1));
        let twice = format!("after={id}&after={id}");
        for wrong in ["after=", "after=7", "types=push", "source=", &many, &long, &twice] {
            let away = Wanted::read(wrong).err();
            assert!(away.is_some_and(|away| away.refused.kind == RejectionKind::Malformed), "{wrong}");
        }
    }
}
