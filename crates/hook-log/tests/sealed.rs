//! Sealed segments: their indexes are as good as reading them, and somebody looks at them now and then.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::{
    fs,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{Fixture, until};
use hook_core::{
    clock::Clock,
    names::Glob,
    ports::log::{Append, Cursor, From, Log, LogError, NewRecord, TopicFilter},
};
use hook_log::{EmbeddedLog, OpenError, Options, Steps, disk::RealDisk};
use hook_testkit::log_conformance::{EVENTS, bodies, cursor, drain, record, take, topic};

const SECOND: Duration = Duration::from_secs(1);

/// Thirty records in two topics, one a second, about three in a segment, the log then closed.
async fn filled() -> Fixture {
    let fixture = Fixture::with_segments_of(400);
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    for number in 0..30 {
        let name = if number % 5 == 4 { "other" } else { EVENTS };
        let record = NewRecord { time: fixture.clock.now(), ..record(name, format!("event {number}")) };
        log.append(Append::one(record)).await.unwrap();
        fixture.clock.advance(SECOND);
    }
    let sealed = fixture.segments().len() - 1;
    until(|| fixture.files("index").len() == sealed).await;
    log.close().await.unwrap();
    assert!(sealed > 5);
    fixture
}

async fn everything(log: &dyn Log, from: From) -> Result<Vec<String>, LogError> {
    let all = TopicFilter { include: vec![Glob::new("*")], unless_literal: Vec::new() };
    let mut scan = log.scan(all, from)?;
    let mut found = Vec::new();
    loop {
        let records = scan.next(100).await?;
        if records.is_empty() {
            return Ok(found);
        }
        found.extend(bodies(&records));
    }
}

fn flip(file: &std::path::Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn what_is_known_from_indexes_is_what_reading_everything_says() {
    let fixture = filled().await;
    let without = fixture.copy();
    without.files("index").iter().for_each(|file| fs::remove_file(file).unwrap());
    let (indexed, read) = (fixture.log(), without.log());
    assert_eq!(format!("{:?}", indexed.state().partitions), format!("{:?}", read.state().partitions));
    for second in 0..=30 {
        let time = fixture.clock.now() - SECOND * second;
        let from = From::Time(time);
        assert_eq!(everything(&indexed, from).await.unwrap(), everything(&read, from).await.unwrap(), "{second} s ago");
        let late = Cursor { from, ..cursor(&format!("at.{second}"), EVENTS) };
        for log in [&indexed, &read] {
            log.create_cursor(&late).await.unwrap();
        }
    }
    assert_eq!(format!("{:?}", indexed.state().cursors), format!("{:?}", read.state().cursors));
    let mut subscription = indexed.subscribe(&cursor("c", EVENTS)).unwrap();
    let records = take(&mut *subscription, 24).await;
    let positions: Vec<_> = records.iter().map(|record| record.position.clone()).collect();
    let singles = indexed.read(positions).await.unwrap();
    assert_eq!(bodies(&singles.into_iter().map(Option::unwrap).collect::<Vec<_>>()), bodies(&records));
}

#[tokio::test]
async fn an_index_that_is_damaged_or_belongs_to_another_file_is_made_anew() {
    let fixture = filled().await;
    let indexes = fixture.files("index");
    let before: Vec<_> = indexes.iter().map(|file| fs::read(file).unwrap()).collect();
    flip(&indexes[1], 30);
    fs::write(&indexes[2], &before[3]).unwrap();
    fs::write(&indexes[3], "").unwrap();
    fs::write(fixture.options().dir.join("events/000000009999.index"), &before[0]).unwrap();
    let log = fixture.log();
    assert_eq!(everything(&log, From::Earliest).await.unwrap().len(), 30);
    until(|| indexes.iter().zip(&before).all(|(file, bytes)| fs::read(file).unwrap() == *bytes)).await;
    assert_eq!(fixture.files("index").len(), fixture.segments().len() - 1, "the index of no segment stays");
}

#[tokio::test]
async fn damage_in_a_sealed_segment_is_told_to_whoever_reads_it_and_not_to_others() {
    let fixture = filled().await;
    let first = &fixture.segments()[0];
    let length = fs::read(first).unwrap().len();
    flip(first, length - 1);
    let log = fixture.log();
    assert_eq!(log.state().partitions.len(), 2);
    let error = everything(&log, From::Earliest).await.unwrap_err();
    assert!(matches!(&error, LogError::Damaged(text) if text.contains("000000000001.log")), "{error}");
    let late = From::Time(fixture.clock.now() - SECOND * 3);
    assert_eq!(everything(&log, late).await.unwrap(), ["event 27", "event 28", "event 29"]);
    log.close().await.unwrap();

    // Without its index the segment must be read, and then it is refused.
    fs::remove_file(&fixture.files("index")[0]).unwrap();
    let Err(OpenError::Damaged(damage)) = EmbeddedLog::open(fixture.options()) else { panic!("it opens") };
    assert_eq!(damage.file, *first);
}

#[tokio::test]
async fn a_sealed_segment_that_is_too_short_is_damage() {
    let fixture = filled().await;
    let first = &fixture.segments()[0];
    let bytes = fs::read(first).unwrap();
    fs::write(first, &bytes[..bytes.len() - 1]).unwrap();
    let Err(OpenError::Damaged(damage)) = EmbeddedLog::open(fixture.options()) else { panic!("it opens") };
    assert_eq!((&damage.file, damage.position), (first, bytes.len() as u64 - 1));
}

#[tokio::test]
async fn damage_that_nobody_reads_is_found_all_the_same() {
    let fixture = filled().await;
    let file = &fixture.segments()[3];
    let middle = fs::read(file).unwrap().len() / 2;
    flip(file, middle);
    // Slow enough that a segment takes more than one look.
    let options = Options { scrub_bytes_per_second: 400, ..fixture.options() };
    let (log, mut steps) = EmbeddedLog::open_stepped(options, RealDisk, 1).unwrap();
    for _ in 0..120 {
        steps.pass(SECOND);
        steps.keep();
    }
    let damage = log.state().damage;
    assert!(matches!(&damage[..], [found] if found.contains("000000000004.log")), "{damage:?}");
}

#[tokio::test]
async fn retention_takes_the_index_along() {
    let fixture = filled().await;
    let options = fixture.options();
    let events = hook_log::Retention { max_age: SECOND * 10, max_bytes: None };
    let (log, mut steps) = EmbeddedLog::open_stepped(Options { events, ..options }, RealDisk, 2).unwrap();
    log.set_pinning(Vec::new());
    let before = fixture.segments().len();
    for _ in 0..100 {
        steps.pass(SECOND);
        steps.keep();
    }
    let after = fixture.segments().len();
    assert!(after < before, "{before} {after}");
    assert_eq!(fixture.files("index").len(), after - 1);
    append(&log, &mut steps, "on it goes");
    steps.close();
    assert_eq!(
        bodies(&drain(&mut *fixture.log().scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).unwrap()).await)
            .pop()
            .unwrap(),
        "on it goes"
    );
}

/// Appends to a log that works when it is told to.
fn append(log: &EmbeddedLog, steps: &mut Steps, body: &str) {
    let mut appended = pin!(log.append(Append::one(record(EVENTS, body))));
    let mut context = Context::from_waker(Waker::noop());
    assert!(appended.as_mut().poll(&mut context).is_pending());
    steps.step();
    assert!(matches!(appended.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
}
