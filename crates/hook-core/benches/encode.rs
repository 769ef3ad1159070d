//! What an envelope costs, into the log, out of it and to a destination: `cargo bench -p hook-core`.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hook_core::{
    Timestamp,
    envelope::{Envelope, EventHeader, Layout, Meta},
    event::EventId,
    names::{AdapterId, EventType, SourceName, TopicName},
    payload::Payload,
    ports::log::Record,
};

/// A payload as providers send them: labels, and what they belong to.
fn payload(bytes: usize) -> Payload {
    let label =
        r#"{"id":208045946,"name":"bug","color":"d73a4a","default":true,"description":"Something is not working"}"#;
    let labels = vec![label; bytes.div_ceil(label.len() + 1)].join(",");
    let text = format!(r#"{{"action":"opened","labels":[{labels}],"issue":{{"number":1}}}}"#);
    Payload::parse(Bytes::from(text)).expect("this is JSON")
}

fn envelope(bytes: usize) -> Envelope {
    let meta = Meta {
        ingress_adapter: AdapterId::new("in").ok(),
        route_key: Some("github:octo/repo#1".to_owned()),
        delivery_id: Some("00000000-0000-4000-8000-000000000000".to_owned()),
        body_sha256: Some("0".repeat(64)),
        received_body: None,
        ..Meta::default()
    };
    let header = EventHeader {
        id: EventId::generate(),
        source: SourceName::new("github").expect("this is a name"),
        event_type: EventType::new("issues.opened").expect("this is a type"),
        received_at: Timestamp::now(),
        meta,
    };
    Envelope { header, payload: payload(bytes) }
}

fn encode(criterion: &mut Criterion) {
    let topic = TopicName::new("webhooks.core").expect("this is a topic");
    let mut group = criterion.benchmark_group("envelope");
    for bytes in [1024, 20 * 1024] {
        let envelope = envelope(bytes);
        let size = format!("{} KiB", bytes / 1024);
        group.throughput(Throughput::Bytes(envelope.payload.bytes().len() as u64));
        group.bench_function(BenchmarkId::new("to record", &size), |bencher| {
            bencher.iter(|| black_box(&envelope).to_record(topic.clone()));
        });
        let record = Record::of(envelope.to_record(topic.clone()), 0, 1);
        group.bench_function(BenchmarkId::new("from record", &size), |bencher| {
            bencher.iter(|| Envelope::from_record(black_box(&record)));
        });
        for (name, layout) in [("to JSON", Layout::Verbatim), ("to one line of JSON", Layout::OneLine)] {
            group.bench_function(BenchmarkId::new(name, &size), |bencher| {
                bencher.iter(|| black_box(&envelope).to_json(layout));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
