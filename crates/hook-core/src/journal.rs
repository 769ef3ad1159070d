//! What happened to an event or a request, as records of a topic of their own, so that a question about an event
//! needs no second store.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    envelope::{DecodeError, to_json},
    event::{EventId, RequestId},
    job::{Job, JobEnd, Reached, Tally},
    names::{EventType, SourceName, TopicName},
    outcome::FailureClass,
    ports::log::{NewRecord, Position, Record},
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
    /// The job; `None` for what no operator has asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
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
        /// When this destination has read it from the log, in milliseconds after it was received: by then it was durable. `None`
        /// where it came behind others of its key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read_ms: Option<u64>,
        /// In how many milliseconds it is tried again; `None` where it was given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
        /// Whether the destination's breaker was open after it: then a probe comes first.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        breaker_open: bool,
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
        /// When this destination has read it from the log, in milliseconds after it was received: by then it was durable. `None`
        /// where it came behind others of its key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read_ms: Option<u64>,
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
    /// Given up, and kept all the same: the events of its key wait, as the contract wants it.
    Held {
        /// `route/adapter`.
        destination: String,
        /// The last error.
        error: String,
    },
    /// Left out by a plugin, or given up for a destination that is not required.
    Dropped {
        /// `route/adapter`.
        destination: String,
        /// Why.
        reason: String,
    },
    /// An operator's job has begun to send events again.
    JobStarted {
        /// What was asked for.
        job: Box<Job>,
        /// Where the partitions that it writes to ended.
        tails: Vec<Position>,
    },
    /// A job that was interrupted goes on.
    JobResumed {
        /// Who asked: `user@host`.
        by: String,
    },
    /// A job has come so far: everything up to there is durable.
    JobReached {
        /// How far.
        #[serde(flatten)]
        reached: Reached,
    },
    /// A job has ended.
    JobEnded {
        /// How.
        end: JobEnd,
        /// What it has done.
        tally: Tally,
    },
    /// A job has sent an event to a URL.
    SentTo {
        /// The URL, without its query.
        url: String,
        /// What was answered.
        answer: String,
        /// How long that took, in milliseconds.
        took_ms: u64,
    },
}

impl JournalEntry {
    /// The record of this entry.
    pub fn to_record(&self, topic: TopicName) -> NewRecord {
        // What happened to an event is found by its id, also where a job did it.
        let key = match (self.event_id, self.request_id, self.job_id) {
            (Some(id), ..) => Some(id.to_bytes().to_vec()),
            (None, Some(id), _) => Some(id.to_bytes().to_vec()),
            (None, None, Some(id)) => Some(job_key(id)),
            (None, None, None) => None,
        };
        NewRecord { topic, key: key.map(Bytes::from), time: self.at, header: to_json(self).into(), body: Bytes::new() }
    }

    /// Reads an entry back from its record.
    pub fn from_record(record: &Record) -> Result<Self, DecodeError> {
        Ok(serde_json::from_slice(&record.header)?)
    }

    /// Whether a record is about a job as a whole. Seen without reading it.
    pub fn is_of_job(record: &Record) -> bool {
        record.key.as_ref().is_some_and(|key| key.len() == JOB_KEY && key.starts_with(JOB))
    }
}

/// What the keys of entries about jobs begin with: those about events are sixteen bytes.
const JOB: &[u8] = b"job:";
const JOB_KEY: usize = JOB.len() + 16;

fn job_key(id: Uuid) -> Vec<u8> {
    [JOB, id.as_bytes()].concat()
}
