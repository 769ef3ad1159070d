//! Records as JSON lines, out of a log and into one, so that not a byte of them changes and none is stored twice.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hook_core::{
    SignedDuration, Timestamp,
    names::{Glob, TopicName},
    ports::log::{Append, Appended, DedupKey, From, Log, LogError, NewRecord, Position, Record, Scan, TopicFilter},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::query::OwnTopics;

/// So many records are read at once.
const READ: usize = 256;
/// Two imports of one file at the same time are told apart from one for so long.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// What tells a record from every other: the first half of a SHA-256 over topic, time, key, header and body.
pub type Identity = [u8; 16];

/// Which records are meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TransferQuery {
    /// Only in topics that match this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Only of this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl TransferQuery {
    /// Begins to read.
    pub fn scan(&self, log: &Arc<dyn Log>) -> Result<Reading, LogError> {
        let topics =
            TopicFilter { include: vec![Glob::new(self.topic.as_deref().unwrap_or("*"))], unless_literal: Vec::new() };
        let scan = log.scan(topics, self.since.map_or(From::Earliest, From::Time))?;
        Ok(Reading { scan, since: self.since })
    }
}

/// Records that are read one part after the other.
pub struct Reading {
    scan: Box<dyn Scan>,
    since: Option<Timestamp>,
}

impl Reading {
    /// The next records; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, LogError> {
        let mut records = self.scan.next(READ).await?;
        if records.is_empty() {
            return Ok(None);
        }
        records.retain(|record| self.since.is_none_or(|since| record.time >= since));
        Ok(Some(records))
    }
}

/// A record as a line says it. Key, header and body stand there as they are where they are text, or JSON that is read back
/// byte for byte; otherwise in base64.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    topic: TopicName,
    partition: u32,
    offset: u64,
    time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    header: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header_base64: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The line of a record, with its line feed.
pub fn to_line(record: &Record) -> Vec<u8> {
    let key = record.key.as_deref();
    let text = key.and_then(|key| std::str::from_utf8(key).ok());
    let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let (header, body) = (verbatim(&record.header), verbatim(&record.body));
    let line = Line {
        topic: record.position.topic.clone(),
        partition: record.position.partition,
        offset: record.position.offset,
        time: record.time,
        key: text.map(str::to_owned),
        key_base64: key.filter(|_| text.is_none()).map(base64),
        header,
        header_base64: header.is_none().then(|| base64(&record.header)),
        body,
        body_base64: body.is_none().then(|| base64(&record.body)),
    };
    // Strings, numbers and checked JSON: there is nothing in it that could fail.
    let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// JSON that a reader of the line gets back as it stands here.
fn verbatim(bytes: &[u8]) -> Option<&RawValue> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains(['\n', '\r']))?;
    serde_json::from_str::<&RawValue>(text).ok().filter(|raw| raw.get() == text && raw.get() != "null")
}

/// Reads a line, or says what is wrong with it.
pub fn from_line(line: &[u8]) -> Result<Record, String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| format!("not a record: {error}"))?;
    let bytes = |name: &str, json: Option<&RawValue>, base64: Option<&String>| match (json, base64) {
        (Some(json), None) => Ok(Bytes::copy_from_slice(json.get().as_bytes())),
        (None, Some(base64)) => decode(name, base64),
        _ => Err(format!("expected either `{name}` or `{name}_base64`")),
    };
    let header = bytes("header", line.header, line.header_base64.as_ref())?;
    let body = bytes("body", line.body, line.body_base64.as_ref())?;
    let key = match (line.key, line.key_base64) {
        (Some(key), None) => Some(key.into()),
        (None, Some(base64)) => Some(decode("key", &base64)?),
        (None, None) => None,
        (Some(_), Some(_)) => return Err("expected `key` or `key_base64`, not both".to_owned()),
    };
    let position = Position { topic: line.topic, partition: line.partition, offset: line.offset };
    Ok(Record { position, key, time: line.time, header, body })
}

fn decode(name: &str, base64: &str) -> Result<Bytes, String> {
    BASE64_STANDARD.decode(base64).map(Bytes::from).map_err(|error| format!("`{name}_base64` is no base64: {error}"))
}

/// What tells this record from every other.
pub fn identity(record: &Record) -> Identity {
    let mut hash = Sha256::new();
    hash.update(record.time.as_microsecond().to_le_bytes());
    let mut part = |bytes: Option<&[u8]>| {
        hash.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
        hash.update(bytes.unwrap_or_default());
    };
    part(Some(record.position.topic.as_str().as_bytes()));
    part(record.key.as_deref());
    part(Some(&record.header));
    part(Some(&record.body));
    let mut identity = [0; 16];
    identity.copy_from_slice(&hash.finalize()[..16]);
    identity
}

/// Stores records in their order, each with its time, key, header and body, at new offsets. Returns their places, with
/// `None` for one that another import has stored in the meantime.
pub async fn store(
    log: &Arc<dyn Log>,
    own: &OwnTopics,
    records: &[Record],
    now: Timestamp,
) -> Result<Vec<Option<Position>>, LogError> {
    let mut places = vec![None; records.len()];
    // A part for each chain: what is stored together must be in one.
    let chain = |record: &Record| {
        let topic = &record.position.topic;
        (*topic == own.dead_letters, *topic == own.journal)
    };
    for kind in [(false, false), (true, false), (false, true)] {
        let (indices, part): (Vec<_>, Vec<_>) =
            records.iter().enumerate().filter(|(_, record)| chain(record) == kind).unzip();
        if part.is_empty() {
            continue;
        }
        match log.append(append(&part, now)).await? {
            Appended::Stored(stored) => {
                for (index, place) in indices.into_iter().zip(stored) {
                    places[index] = Some(place);
                }
            }
            // One of them was: the others come one by one.
            Appended::DuplicateOf(_) => {
                for (index, record) in indices.into_iter().zip(part) {
                    if let Appended::Stored(mut stored) = log.append(append(&[record], now)).await? {
                        places[index] = stored.pop();
                    }
                }
            }
        }
    }
    Ok(places)
}

fn append(records: &[&Record], now: Timestamp) -> Append {
    let new = |record: &&Record| NewRecord {
        topic: record.position.topic.clone(),
        key: record.key.clone(),
        time: record.time,
        header: record.header.clone(),
        body: record.body.clone(),
    };
    let expires_at = now.saturating_add(REMEMBERED).unwrap_or(Timestamp::MAX);
    let key = |record: &&Record| DedupKey { digest: identity(record), expires_at };
    let id = records.first().map(|record| identity(record)).unwrap_or_default();
    Append { records: records.iter().map(new).collect(), id, dedup: records.iter().map(key).collect(), commit: None }
}

/// How many records of a part were stored, and how many were there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCount {
    /// Stored now.
    pub stored: u64,
    /// Stored before.
    pub known: u64,
}

impl StoredCount {
    /// Counts places.
    pub fn of(places: &[Option<Position>]) -> Self {
        let stored = places.iter().flatten().count() as u64;
        Self { stored, known: places.len() as u64 - stored }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&'static [u8]>, header: &'static [u8], body: &'static [u8]) -> Record {
        Record {
            position: Position { topic: TopicName::new("webhooks.core").unwrap(), partition: 0, offset: 7 },
            key: key.map(Bytes::from_static),
            time: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
            header: Bytes::from_static(header),
            body: Bytes::from_static(body),
        }
    }

    #[track_caller]
    fn check(record: &Record) -> String {
        let line = to_line(record);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let back = from_line(&line).unwrap();
        assert_eq!((&back.position, back.time), (&record.position, record.time));
        assert_eq!((&back.key, &back.header, &back.body), (&record.key, &record.header, &record.body));
        assert_eq!(identity(&back), identity(record));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn every_byte_of_a_record_comes_back() {
        let bodies: [&[u8]; 12] = [
            b"",
            b"null",
            b" {\"a\":1}",
            b"{\"a\":1}\n",
            b"{\n\"a\": 1.00e5, \"a\": 2}",
            b"{\"a\": 1.00e5,  \"a\":2}",
            b"\xff\xfe\x00",
            b"\"\\ud800\"",
            b"{\"a\":",
            b"123456789012345678901234567890",
            "\"\u{2028}\u{feff}\"".as_bytes(),
            b"{} {}",
        ];
        for body in bodies {
            for key in [None, Some(b"".as_slice()), Some(b"github:a/b#1"), Some(b"\xf0\x01")] {
                check(&record(key, body, b"{}"));
                check(&record(key, b"{}", body));
            }
        }
    }

    #[test]
    fn json_stands_in_a_line_as_it_is() {
        let line = check(&record(Some(b"k"), b"{\"id\":1}", b"{ \"n\": 1.0 }"));
        assert!(line.contains(r#""key":"k","header":{"id":1},"body":{ "n": 1.0 }}"#), "{line}");
    }

    #[test]
    fn what_is_no_record_is_refused_with_a_reason() {
        for line in ["{}", "[]", "{\"topic\":\"a b\"}", "not json"] {
            assert!(from_line(line.as_bytes()).unwrap_err().contains("not a record"), "{line}");
        }
        let line = String::from_utf8(to_line(&record(None, b"{}", b"{}"))).unwrap();
        assert!(from_line(line.replace("\"body\":{}", "\"x\":1").as_bytes()).is_err());
        let without = line.replace(",\"body\":{}", "");
        assert!(from_line(without.as_bytes()).unwrap_err().contains("body_base64"));
    }

    #[test]
    fn the_offset_is_no_part_of_what_a_record_is_and_everything_else_is() {
        let first = record(Some(b"k"), b"{}", b"1");
        let mut moved = first.clone();
        moved.position.offset = 9;
        assert_eq!(identity(&first), identity(&moved));
        for other in [record(None, b"{}", b"1"), record(Some(b"k"), b"{}1", b""), record(Some(b"k{"), b"}", b"1")] {
            assert_ne!(identity(&first), identity(&other));
        }
    }
}
