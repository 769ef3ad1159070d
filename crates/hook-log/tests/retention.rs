//! The oldest segments go, and nothing that a pinning cursor needs.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::time::Duration;

use common::{Fixture, until};
use hook_core::{
    clock::Clock,
    ports::log::{Append, Appended, Commit, From, Log, LogError, NewRecord, TopicFilter},
};
use hook_log::{EmbeddedLog, Options, Retention, WhenPinned};
use hook_testkit::log_conformance::{
    EVENTS, append_events, bodies, cursor, cursor_name, drain, keyed, positions, record, take, topic,
};

const DAY: Duration = Duration::from_secs(86_400);

fn by_bytes(fixture: &Fixture, max_bytes: u64) -> Options {
    Options { events: Retention { max_age: 7 * DAY, max_bytes: Some(max_bytes) }, ..fixture.options() }
}

fn start(log: &EmbeddedLog) -> u64 {
    log.state().partitions.iter().find(|partition| partition.topic == topic(EVENTS)).map_or(0, |found| found.start)
}

/// Appends one record a segment, at the time of the clock.
async fn append_segments(fixture: &Fixture, log: &dyn Log, count: u32) {
    for number in 0..count {
        let time = fixture.clock.now();
        log.append(Append::one(NewRecord { time, ..record(EVENTS, number.to_string()) })).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_over_the_bytes_goes_and_cursors_stay() {
    let fixture = Fixture::with_segments_of(300);
    let log = EmbeddedLog::open(by_bytes(&fixture, 4096)).unwrap();
    log.set_pinning(Vec::new());
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    append_segments(&fixture, &log, 5).await;
    let done = positions(&take(&mut *subscription, 5).await);
    subscription.commit(done.clone()).unwrap();
    append_segments(&fixture, &log, 45).await;
    until(|| start(&log) > 10).await;
    let kept = start(&log);
    let oldest = fixture.segments()[0].file_name().unwrap().to_owned();
    assert_ne!(oldest, "000000000001.log");
    log.close().await.unwrap();

    let log = EmbeddedLog::open(by_bytes(&fixture, 4096)).unwrap();
    log.set_pinning(Vec::new());
    assert!(start(&log) >= kept);
    let progress = &log.state().cursors[0].partitions[0];
    assert!(progress.watermark >= 5, "{progress:?}");
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).unwrap();
    assert_eq!(drain(&mut *scan).await[0].position.offset, start(&log));
    // The cursor goes on at the oldest record that there is.
    let mut again = log.subscribe(&cursor("c", EVENTS)).unwrap();
    assert_eq!(take(&mut *again, 1).await[0].position.offset, start(&log));
    assert_eq!(log.read(vec![done[0].clone()]).await.unwrap().len(), 1);
    assert!(log.read(vec![done[0].clone()]).await.unwrap()[0].is_none());
    assert_eq!(append_events(&log, ["next".to_owned()]).await[0].offset, 50);
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let fixture = Fixture::with_segments_of(300);
    let log = fixture.log();
    log.set_pinning(Vec::new());
    append_segments(&fixture, &log, 5).await;
    fixture.clock.advance(8 * DAY);
    append_segments(&fixture, &log, 3).await;
    until(|| start(&log) == 5).await;
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).unwrap();
    assert_eq!(bodies(&drain(&mut *scan).await), ["0", "1", "2"]);
}

#[tokio::test]
async fn what_a_pinning_cursor_needs_stays() {
    let fixture = Fixture::with_segments_of(300);
    let log = EmbeddedLog::open(by_bytes(&fixture, 1024)).unwrap();
    log.create_cursor(&cursor("pinning", EVENTS)).await.unwrap();
    log.create_cursor(&cursor("optional", EVENTS)).await.unwrap();
    log.set_pinning(vec![cursor_name("pinning"), cursor_name("unknown")]);
    let mut subscription = log.subscribe(&cursor("pinning", EVENTS)).unwrap();
    append_segments(&fixture, &log, 20).await;
    let records = take(&mut *subscription, 20).await;
    subscription.commit(positions(&records[..5])).unwrap();
    append_segments(&fixture, &log, 1).await;
    until(|| start(&log) == 5).await;
    // Retention has looked again, and again.
    append_segments(&fixture, &log, 5).await;
    assert_eq!(start(&log), 5);
    subscription.commit(positions(&records)).unwrap();
    append_segments(&fixture, &log, 1).await;
    until(|| start(&log) >= 20).await;
}

#[tokio::test]
async fn too_much_pinned_blocks_until_there_is_room() {
    let fixture = Fixture::with_segments_of(2000);
    let options = Options { max_pinned: Some(8000), ..by_bytes(&fixture, 1024) };
    let log = EmbeddedLog::open(options).unwrap();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    log.set_pinning(vec![cursor_name("c")]);
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    let refused = loop {
        match log.append(Append::one(record(EVENTS, "x".repeat(500)))).await {
            Ok(_) => assert!(log.state().bytes < 8_000_000, "it is never blocked"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, LogError::Unavailable(text) if text.contains("max_pinned")), "{refused}");
    log.flush().await.expect("what is noted needs no room among the events");
    assert!(log.state().unavailable.is_some());
    // Progress is taken: without it a full relay could never empty itself.
    let records = subscription.next(1).await.unwrap();
    let relayed = Append {
        records: vec![record("other", "relayed")],
        commit: Some(Commit { cursor: cursor_name("c"), done: positions(&records) }),
        ..Append::default()
    };
    assert!(matches!(log.append(relayed).await, Ok(Appended::Stored(_))));
    let end = log.state().partitions.iter().find(|partition| partition.topic == topic(EVENTS)).unwrap().end;
    for offset in 1..end {
        let position = hook_core::ports::log::Position { topic: topic(EVENTS), partition: 0, offset };
        subscription.commit(vec![position]).unwrap();
    }
    append_events(&log, ["there is room".to_owned()]).await;
    assert_eq!(log.state().unavailable, None);
    assert_eq!(log.dropped_records(), 0);
}

#[tokio::test]
async fn too_much_pinned_drops_the_oldest_where_the_contract_says_so() {
    let fixture = Fixture::with_segments_of(2000);
    let options =
        Options { max_pinned: Some(8000), when_pinned: WhenPinned::DropOldest, ..by_bytes(&fixture, 1 << 30) };
    let log = EmbeddedLog::open(options).unwrap();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    log.set_pinning(vec![cursor_name("c")]);
    for _ in 0..60 {
        append_events(&log, ["x".repeat(500)]).await;
    }
    until(|| log.dropped_records() >= 30).await;
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    assert!(take(&mut *subscription, 1).await[0].position.offset >= 30);
}

#[tokio::test]
async fn a_key_outlives_the_segment_that_it_came_in() {
    let fixture = Fixture::with_segments_of(2000);
    let log = EmbeddedLog::open(by_bytes(&fixture, 4000)).unwrap();
    log.set_pinning(Vec::new());
    assert!(matches!(log.append(keyed(&fixture, 1, &[1])).await, Ok(Appended::Stored(_))));
    while fixture.segments()[0].ends_with("000000000001.log") {
        append_events(&log, ["x".repeat(500)]).await;
    }
    log.close().await.unwrap();
    let log = EmbeddedLog::open(by_bytes(&fixture, 4000)).unwrap();
    log.set_pinning(Vec::new());
    assert_eq!(log.append(keyed(&fixture, 2, &[1])).await.unwrap(), Appended::DuplicateOf([1; 16]));
}

#[tokio::test]
async fn nothing_goes_before_the_owner_has_said_what_pins() {
    let fixture = Fixture::with_segments_of(300);
    append_segments(&fixture, &fixture.log(), 5).await;
    fixture.clock.advance(8 * DAY);
    let (log, mut steps) = EmbeddedLog::open_stepped(fixture.options(), hook_log::disk::RealDisk, 1).unwrap();
    let mut keep = || {
        for _ in 0..10 {
            steps.pass(Duration::from_secs(61));
            steps.keep();
        }
        start(&log)
    };
    assert_eq!(keep(), 0);
    log.set_pinning(Vec::new());
    assert_eq!(keep(), 4);
}
