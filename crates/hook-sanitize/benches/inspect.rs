//! What an inspection costs beside what has to be done anyway: `cargo bench -p hook-sanitize`.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hook_sanitize::inspect;
use serde::de::IgnoredAny;

/// Labels, and what they belong to: most of what providers send are names, ids and addresses.
fn names(bytes: usize) -> String {
    let label = r#"{"id":208045946,"node_id":"MDU6TGFiZWwyMDgwNDU5NDY=","url":"https://api.example.com/repos/octo/repo/labels/bug","name":"bug","color":"d73a4a","default":true,"description":"Something is not working"}"#;
    let labels = vec![label; bytes.div_ceil(label.len() + 1)].join(",");
    format!(r#"{{"action":"opened","labels":[{labels}]}}"#)
}

/// A long description.
fn prose(bytes: usize) -> String {
    let text = "The importer reads every row twice when the file has a byte order mark. Steps: start the service, post the \
                file from the report, and look at the counters. We expected 1200 rows and found 2400.\\n\\n";
    format!(r#"{{"issue":{{"title":"Rows are read twice","body":"{}"}}}}"#, text.repeat(bytes.div_ceil(text.len())))
}

/// The same in a script that has to be folded.
fn accents(bytes: usize) -> String {
    let text = "Der Importeur liest jede Zeile zweimal, wenn die Datei eine Bytereihenfolge-Markierung enthält. Änderung \
                geprüft, Zähler stimmen überein. Это сообщение об ошибке при загрузке файла.\\n";
    format!(r#"{{"issue":{{"body":"{}"}}}}"#, text.repeat(bytes.div_ceil(text.len())))
}

fn inspection(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inspect");
    for (name, json) in [("names", names(64 << 10)), ("prose", prose(64 << 10)), ("accents", accents(64 << 10))] {
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_with_input(BenchmarkId::new("text", name), &json, |bencher, json| {
            bencher.iter(|| black_box(inspect(json, None).flags));
        });
        // What every body passes before: the check that it is JSON.
        group.bench_with_input(BenchmarkId::new("validate", name), &json, |bencher, json| {
            bencher.iter(|| serde_json::from_str::<IgnoredAny>(black_box(json)).expect("it is JSON"));
        });
    }
    group.finish();
}

criterion_group!(benches, inspection);
criterion_main!(benches);
