//! What an append costs until it is durable, alone and among others: `cargo bench -p hook-log`. It is the disk's time, mostly.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hook_core::{
    clock::{Clock, SystemClock},
    names::TopicName,
    ports::log::{Append, Appended, DedupKey, Log, LogError, NewRecord},
};
use hook_log::{EmbeddedLog, Options};
use tokio::{runtime::Runtime, task::JoinSet};

const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A log, and what makes each event another.
struct Appender {
    log: Arc<dyn Log>,
    body: Bytes,
    number: AtomicU64,
}

impl Appender {
    async fn append(&self) -> Result<Appended, LogError> {
        let (number, now) = (self.number.fetch_add(1, Ordering::Relaxed), SystemClock.now());
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let record = NewRecord {
            topic: topic("webhooks.core"),
            key: Some(Bytes::from(format!("github:octo/repo#{}", number % 10_000))),
            time: now,
            header: Bytes::from_static(&[b'h'; 256]),
            body: self.body.clone(),
        };
        let dedup = vec![DedupKey { digest: id, expires_at: now + WEEK }];
        self.log.append(Append { records: vec![record], id, dedup, commit: None }).await
    }
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("this is a topic")
}

fn append(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("append");
    for bytes in [1024, 20 * 1024] {
        let directory = tempfile::tempdir().expect("a directory");
        let options =
            Options::new(directory.path(), topic("webhooks.dlq"), topic("hook.journal"), Arc::new(SystemClock));
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(options).expect("a log"));
        let appender = Arc::new(Appender { log, body: vec![b'x'; bytes].into(), number: AtomicU64::new(0) });
        for at_once in [1, 64] {
            let id = BenchmarkId::new(format!("{} KiB", bytes / 1024), format!("{at_once} at once"));
            group.throughput(Throughput::Elements(at_once));
            group.bench_function(id, |bencher| bencher.iter(|| runtime.block_on(append_at_once(&appender, at_once))));
        }
        runtime.block_on(appender.log.close()).expect("the log closes");
    }
    group.finish();
}

async fn append_at_once(appender: &Arc<Appender>, events: u64) {
    let mut appends = JoinSet::new();
    for _ in 0..events {
        let appender = Arc::clone(appender);
        appends.spawn(async move { appender.append().await });
    }
    while let Some(done) = appends.join_next().await {
        let stored = done.expect("an append does not panic").expect("the log takes it");
        assert!(matches!(stored, Appended::Stored(_)), "every event is another");
    }
}

criterion_group!(benches, append);
criterion_main!(benches);
