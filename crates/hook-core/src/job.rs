//! A job: what an operator has asked for when stored events are to go out again, and how far it has come. The journal keeps it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{event::EventId, outcome::FailureClass, ports::log::Position};

/// What was asked for. Nothing in it is relative: it means the same whenever it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Names the job, and the replay of each event that it sends.
    pub id: Uuid,
    /// What it reads.
    pub kind: JobKind,
    /// Who asked: `user@host`.
    pub by: String,
    /// The command as it was typed.
    pub command: String,
    /// Which events.
    pub selection: Selection,
    /// Where they go.
    pub target: Target,
    /// The destinations (`route/adapter`) that it could reach when it began: a dead letter of another one is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<String>,
    /// How many events were counted before it began.
    pub counted: u64,
    /// When it was asked for. What came later is not part of it.
    pub at: Timestamp,
}

/// What a job reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Events.
    Replay,
    /// Dead letters.
    Redrive,
}

impl JobKind {
    /// The name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Redrive => "redrive",
        }
    }
}

/// Which events or dead letters. What is not set selects nothing away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<EventId>,
    /// Received (of dead letters: failed) at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Received (of dead letters: failed) before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Of sources that match any of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Of types that match any of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// Stored in topics that match this pattern; otherwise in those that destinations read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// For which this expression is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Dead letters of destinations that match this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Dead letters of any of these classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<DeadLetterClass>,
    /// Dead letters whose error matches this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Also dead letters that were redriven before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// Why an event is in the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterClass {
    /// A plugin refused it.
    Plugin,
    /// No route took it.
    Unrouted,
    /// It never was an event: a message that cannot be read.
    Unreadable,
    /// It was written before classes were.
    Unknown,
    /// Its last attempt failed so.
    #[serde(untagged)]
    Failed(FailureClass),
}

impl DeadLetterClass {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::Failed(FailureClass::Unreachable),
        Self::Failed(FailureClass::Misconfigured),
        Self::Failed(FailureClass::Throttled),
        Self::Failed(FailureClass::Transient),
        Self::Failed(FailureClass::Rejected),
        Self::Plugin,
        Self::Unrouted,
        Self::Unreadable,
        Self::Unknown,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed(class) => class.as_str(),
            Self::Plugin => "plugin",
            Self::Unrouted => "unrouted",
            Self::Unreadable => "unreadable",
            Self::Unknown => "unknown",
        }
    }
}

impl std::str::FromStr for DeadLetterClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.into_iter().map(Self::as_str).collect();
            format!("expected a class of error ({}), found `{text}`", names.join(", "))
        })
    }
}

/// Where the events of a job go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Where they went: an event to every destination that takes it, a dead letter to the one that did not.
    #[default]
    Same,
    /// To this destination (`route/adapter`) alone, whatever its route takes.
    Destination(String),
    /// To a URL that is no part of the contract.
    Url(UrlTarget),
}

/// A URL that is no part of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlTarget {
    /// Where to post.
    pub url: String,
    /// The environment variable of a secret to sign with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret_env: Option<String>,
    /// Networks that are not public and may be reached all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_networks: Vec<String>,
}

impl UrlTarget {
    /// The URL without what may be secret in it: user, query and fragment.
    pub fn shown(&self) -> String {
        let end = self.url.find(['?', '#']).unwrap_or(self.url.len());
        let url = &self.url[..end];
        let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
        let host = rest.find('/').unwrap_or(rest.len());
        let from = rest[..host].rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}://{}", &rest[from..])
    }
}

/// How far a job has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// What was done.
    pub tally: Tally,
    /// In each partition that it reads, the first place that it has not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<Position>,
    /// Where the partitions that it writes to ended. What of it stands behind was sent after this was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tails: Vec<Position>,
}

/// What a job has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events that it has sent.
    pub sent: u64,
    /// Events that it had sent before it was interrupted, and did not send again.
    #[serde(default, skip_serializing_if = "is_none")]
    pub known: u64,
    /// Events that a URL has refused for good.
    #[serde(default, skip_serializing_if = "is_none")]
    pub refused: u64,
    /// Selected, but no destination of the contract takes them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub without_destination: u64,
    /// The expression of the selection has no answer for them, such as one about a field that is not there.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unanswered: u64,
    /// Dead letters that were redriven before.
    #[serde(default, skip_serializing_if = "is_none")]
    pub redriven_before: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Tally {
    /// Adds what was done since.
    pub fn add(&mut self, more: Self) {
        self.sent += more.sent;
        self.known += more.known;
        self.refused += more.refused;
        self.without_destination += more.without_destination;
        self.unanswered += more.unanswered;
        self.redriven_before += more.redriven_before;
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEnd {
    /// It has done everything.
    Finished,
    /// It could not go on. It can be resumed.
    Stopped {
        /// Why.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_written_as_it_is_typed() {
        for class in DeadLetterClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert_eq!(serde_json::from_value::<DeadLetterClass>(class.as_str().into()).unwrap(), class);
            assert_eq!(class.as_str().parse(), Ok(class));
        }
        assert!("5xx".parse::<DeadLetterClass>().unwrap_err().contains("transient"));
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        let shown =
            |url: &str| UrlTarget { url: url.into(), signing_secret_env: None, allow_networks: Vec::new() }.shown();
        assert_eq!(shown("https://user:secret@example.com/a@b?token=secret#x"), "https://example.com/a@b");
        assert_eq!(shown("http://127.0.0.1:1/x"), "http://127.0.0.1:1/x");
        assert_eq!(shown("http://host?secret"), "http://host");
    }

    #[test]
    fn what_a_selection_does_not_set_is_not_written() {
        let text = serde_json::to_string(&Selection::default()).unwrap();
        assert_eq!(text, "{}");
        assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), Selection::default());
    }
}
