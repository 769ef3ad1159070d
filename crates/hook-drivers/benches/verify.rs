//! What a signature costs: `cargo bench -p hook-drivers`.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hook_core::{
    Timestamp,
    payload::Payload,
    ports::verifier::{Address, SignedRequest, SigningRequest, SourceVerifier},
    secret::Secret,
};
use hook_drivers::verify;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn body(bytes: usize) -> Vec<u8> {
    let head = br#"{"action":"opened","repository":{"full_name":"octo/repo"},"issue":{"number":1},"text":""#;
    let mut body = head.to_vec();
    body.resize(bytes.max(head.len() + 2) - 2, b'a');
    body.extend_from_slice(b"\"}");
    body
}

fn verify_signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for name in ["github", "standard-webhooks"] {
        let entry = verify::entries().into_iter().find(|entry| entry.name() == name);
        let entry = entry.expect("the scheme is one of ours");
        let Ok(built) = entry.build(serde_json::json!({})) else { panic!("{name} needs no settings") };
        for bytes in [1024, 20 * 1024] {
            let body = body(bytes);
            group.throughput(Throughput::Bytes(body.len() as u64));
            let id = BenchmarkId::new(name, format!("{} KiB", bytes / 1024));
            group.bench_function(id, |bencher| check(bencher, &*built.driver, &body));
        }
    }
    group.finish();
}

/// One request, verified again and again.
fn check(bencher: &mut criterion::Bencher<'_>, verifier: &dyn SourceVerifier, body: &[u8]) {
    let (secret, now) = (Secret::new(SECRET), Timestamp::now());
    let signing = SigningRequest {
        event_type: "issues",
        delivery_id: "00000000-0000-4000-8000-000000000000",
        address: Address { host: "localhost", url: "/webhook/github" },
        body,
        secret: &secret,
        now,
    };
    let headers = verifier.sign(&signing).expect("the scheme signs").headers;
    let secrets = [(0, secret.clone())];
    let request = SignedRequest { headers: &headers, url: "/webhook/github", body, secrets: &secrets, now };
    assert!(verifier.verify(&request).is_ok());
    bencher.iter(|| verifier.verify(black_box(&request)));
}

fn parse_payloads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for bytes in [1024, 20 * 1024] {
        let body = bytes::Bytes::from(body(bytes));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("{} KiB", bytes / 1024), |bencher| {
            bencher.iter(|| Payload::parse(black_box(body.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, verify_signatures, parse_payloads);
criterion_main!(benches);
