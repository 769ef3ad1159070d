//! Small, pure steps between verification and routing, and between the log and a destination.

use crate::{
    envelope::Meta,
    names::{EventType, SourceName},
    payload::Payload,
};

/// The part of an event that a plugin may look at and change.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where the event came from. Plugins cannot change it.
    pub source: SourceName,
    /// What happened.
    pub event_type: EventType,
    /// What is known beside. A plugin adds to `flags`, in the order in which they are set; whatever else it changes here is
    /// not taken over.
    pub meta: Meta,
    /// The body.
    pub payload: Payload,
}

/// What becomes of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, changed or not.
    Keep,
    /// It is left out on purpose: at ingress it is answered as one that no route takes, at a destination it is counted and is
    /// no dead letter.
    Drop {
        /// Names the rule, never the payload.
        reason: String,
    },
    /// It is refused: at ingress with 422, at a destination as a dead letter of that destination.
    Refuse {
        /// Names the rule that failed, never the payload.
        reason: String,
    },
}

/// A step of the chain that the contract declares.
///
/// Implementors are pure: the same draft gives the same verdict. Whatever does I/O is a hook, not a plugin.
pub trait Plugin: Send + Sync + 'static {
    /// Looks at the draft, may change it, and decides.
    fn apply(&self, draft: &mut Draft) -> Verdict;

    /// Whether every value that it leaves in the payload stays where it was. Where one does not promise that, nobody knows behind
    /// it which values users have written, and all of them count as such.
    fn keeps_places(&self) -> bool {
        false
    }
}
