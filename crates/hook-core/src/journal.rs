//! What happened to an event or a request, as records of a topic of their own, so that a question about an event
//! needs no second store.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    envelope::{DecodeError, to_json},
    event::{EventId, RequestId},
    names::{EventType, SourceName, TopicName},
    outcome::FailureClass,
    ports::log::{NewRecord, Record},
};

/// One line of an event's story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When it happened.
    pub at: Timestamp,
    /// The event; `None` for a request that never became one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// The request; `None` for what happened after ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// What happened.
    #[serde(flatten)]
    pub step: Step,
}

/// What can happen to an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// A request was refused before it became an event.
    Refused {
        /// The source it addressed, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<SourceName>,
        /// The code of the answer, such as `signature_mismatch`.
        code: String,
        /// Which rule failed.
        reason: String,
    },
    /// A copy of an event that is already stored; `event_id` names the first.
    Duplicate {
        /// The source.
        source: SourceName,
    },
    /// Verified, and taken by no route.
    NotRouted {
        /// The source.
        source: SourceName,
        /// The event's type.
        event_type: EventType,
    },
    /// One attempt failed.
    AttemptFailed {
        /// `route/adapter`.
        destination: String,
        /// Counts from 1.
        attempt: u32,
        /// What the failure means.
        class: FailureClass,
        /// The error.
        error: String,
        /// How long the attempt took, in milliseconds.
        took_ms: u64,
    },
    /// The destination has it.
    Delivered {
        /// `route/adapter`.
        destination: String,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// What the destination answered.
        answer: String,
        /// How long the attempt took, in milliseconds.
        took_ms: u64,
    },
    /// Written to the dead letters for one destination.
    DeadLettered {
        /// `route/adapter`.
        destination: String,
        /// How many attempts were made.
        attempts: u32,
        /// The last error.
        error: String,
    },
    /// Given up for a destination that is not required.
    Dropped {
        /// `route/adapter`.
        destination: String,
        /// Why.
        reason: String,
    },
}

impl JournalEntry {
    /// The record of this entry.
    pub fn to_record(&self, topic: TopicName) -> NewRecord {
        let key = match (self.event_id, self.request_id) {
            (Some(id), _) => Some(id.to_bytes()),
            (None, Some(id)) => Some(id.to_bytes()),
            (None, None) => None,
        };
        NewRecord {
            topic,
            key: key.map(|id| Bytes::copy_from_slice(&id)),
            time: self.at,
            header: to_json(self).into(),
            body: Bytes::new(),
        }
    }

    /// Reads an entry back from its record.
    pub fn from_record(record: &Record) -> Result<Self, DecodeError> {
        Ok(serde_json::from_slice(&record.header)?)
    }
}
