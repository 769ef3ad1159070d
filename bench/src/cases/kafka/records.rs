//! The records that are written: events as ingress makes them of signed webhooks.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hook_bench::{
    contract::{PATH, SECRET},
    error::Error,
    mark::{Mark, new_run},
    template::{Shape, Template},
};
use hook_core::{
    Timestamp,
    envelope::{Envelope, EventHeader, Layout, Meta},
    event::EventId,
    names::{AdapterId, EventType, SourceName, TopicName},
    payload::Payload,
    ports::log::{DedupKey, NewRecord},
};
use rdkafka::message::{Header, OwnedHeaders};

/// So many different ones, over and over.
const POOL: u32 = 4096;
/// The topic, behind the namespace of a run.
pub(super) const TOPIC: &str = "webhooks.core";

/// An event, as the log's port takes it.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) record: NewRecord,
    pub(super) dedup: Vec<DedupKey>,
    envelope: Envelope,
}

/// The same event as it stands on Kafka.
pub(super) struct Laid {
    pub(super) key: Bytes,
    pub(super) value: Vec<u8>,
    pub(super) headers: OwnedHeaders,
    pub(super) timestamp_ms: i64,
}

/// Events of 1 KiB.
pub(super) fn pool(body_bytes: usize) -> Result<Vec<Event>, Error> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
    let mut template = Template::new(&Shape { address, path: PATH, secret: SECRET, body_bytes });
    let run = new_run();
    (0..POOL).map(|number| event(&mut template, run, number)).collect()
}

fn event(template: &mut Template, run: u32, number: u32) -> Result<Event, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::Unexpected(format!("an event could not be made: {error}"));
    let mark = Mark { run, key: number, number: u64::from(number), sent: Instant::now() };
    let body = Bytes::copy_from_slice(template.body(&mark));
    let now = Timestamp::now();
    let header = EventHeader {
        id: EventId::generate(),
        source: SourceName::new("github").map_err(|error| wrong(&error))?,
        event_type: EventType::new("issues.opened").map_err(|error| wrong(&error))?,
        received_at: now,
        meta: Meta {
            ingress_adapter: Some(AdapterId::new("in").map_err(|error| wrong(&error))?),
            route_key: Some(format!("github:octo/measured#{}", 1_000_000 + number)),
            delivery_id: Some(format!("{run:08x}-0000-4000-8000-{number:012x}")),
            body_sha256: Some("0123456789abcdef".repeat(4)),
            ..Meta::default()
        },
    };
    let payload = Payload::parse(body).map_err(|error| wrong(&error))?;
    let envelope = Envelope { header, payload };
    let topic = TopicName::new(TOPIC).map_err(|error| wrong(&error))?;
    // By the id of the delivery, and by the body.
    let key = |kind: u8| {
        let mut digest = [kind; 16];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        DedupKey { digest, expires_at: now + Duration::from_secs(24 * 3600) }
    };
    Ok(Event { record: envelope.to_record(topic), dedup: vec![key(1), key(2)], envelope })
}

impl Event {
    /// What the log makes of it, made beforehand.
    pub(super) fn lay_out(&self) -> Laid {
        let value = self.envelope.to_json(Layout::Verbatim);
        let body = &self.record.body;
        let start = value.windows(body.len()).position(|window| window == body).unwrap_or_default();
        let dedup: Vec<u8> = self
            .dedup
            .iter()
            .flat_map(|key| [&key.digest[..], &key.expires_at.as_millisecond().to_be_bytes()].concat())
            .collect();
        let headers = OwnedHeaders::new_with_capacity(3)
            .insert(Header { key: "hook.header", value: Some(&self.record.header[..]) })
            .insert(Header { key: "hook.body", value: Some(&format!("{start}+{}", body.len())) })
            .insert(Header { key: "hook.dedup", value: Some(&dedup) });
        let key = self.record.key.clone().unwrap_or_default();
        Laid { key, value, headers, timestamp_ms: self.record.time.as_millisecond() }
    }
}
