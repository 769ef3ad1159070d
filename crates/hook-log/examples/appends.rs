//! How many durable appends a second does this machine make? `cargo run --release -p hook-log --example appends [DIR]`
//!
//! 64 tasks append records of 1 KiB, one after the other each, for five seconds, while one subscriber reads and commits.
#![expect(clippy::print_stdout, reason = "a program for a person")]
#![allow(clippy::unwrap_used, reason = "it measures; what is wrong may end it")]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hook_core::{
    clock::{Clock, SystemClock},
    names::{CursorName, TopicName},
    ports::log::{Append, Cursor, DedupKey, From, Log, NewRecord, TopicFilter},
};
use hook_log::{EmbeddedLog, Options};

const TASKS: u64 = 64;
const SECONDS: u64 = 5;

#[tokio::main]
async fn main() {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let dir = given.unwrap_or_else(|| temporary.path().to_owned());
    let topic = |name| TopicName::new(name).unwrap();
    let options = Options::new(dir, topic("webhooks.dlq"), topic("hook.journal"), Arc::new(SystemClock));
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(options).unwrap());

    let cursor = Cursor {
        name: CursorName::new("measure.route.out").unwrap(),
        topics: TopicFilter::only(&topic("webhooks.core")),
        from: From::Now,
    };
    log.create_cursor(&cursor).await.unwrap();
    let mut subscription = log.subscribe(&cursor).unwrap();
    let reader = tokio::spawn(async move {
        let mut read = 0;
        while let Ok(records) = subscription.next(256).await {
            read += records.len();
            let done = records.into_iter().map(|record| record.position).collect();
            if subscription.commit(done).is_err() {
                break;
            }
        }
        read
    });

    let body = Bytes::from(vec![b'x'; 1024]);
    let begin = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (log, body) = (Arc::clone(&log), body.clone());
            tokio::spawn(async move { append_until(&*log, task, &body, begin + Duration::from_secs(SECONDS)).await })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let elapsed = begin.elapsed();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let rate = latencies.len() as f64 / elapsed.as_secs_f64();
    println!("{} appends in {elapsed:.2?}: {rate:.0} a second", latencies.len());
    println!("p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}", at(0.5), at(0.99), at(0.999), at(1.0));
    log.close().await.unwrap();
    println!("read by the subscriber: {}", reader.await.unwrap());
}

async fn append_until(log: &dyn Log, task: u64, body: &Bytes, end: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let topic = TopicName::new("webhooks.core").unwrap();
    let mut number = 0_u64;
    while Instant::now() < end {
        let now = SystemClock.now();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&task.to_le_bytes());
        id[8..].copy_from_slice(&number.to_le_bytes());
        let record = NewRecord {
            topic: topic.clone(),
            key: Some(Bytes::from_static(b"github:octo/repo")),
            time: now,
            header: Bytes::from_static(b"{\"source\":\"github\"}"),
            body: body.clone(),
        };
        let key = DedupKey { digest: id, expires_at: now + Duration::from_secs(7 * 86_400) };
        let batch = Append { records: vec![record], id, dedup: vec![key], commit: None };
        let begin = Instant::now();
        log.append(batch).await.unwrap();
        latencies.push(begin.elapsed());
        number += 1;
    }
    latencies
}
