//! Whatever is done to it, the embedded log looks like the log in memory.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::sync::Arc;

use common::Fixture;
use hook_core::{
    names::Glob,
    ports::log::{Append, Appended, Commit, Cursor, From, Log, LogState, Position, TopicFilter},
};
use hook_testkit::{
    MemoryLog,
    log_conformance::{DEAD_LETTERS, EVENTS, bodies, cursor, cursor_name, drain, keyed, record, topic},
};
use proptest::prelude::*;

const TOPICS: [&str; 3] = [EVENTS, "webhooks.github", DEAD_LETTERS];

#[derive(Debug, Clone)]
enum Step {
    Append { topics: Vec<usize> },
    AppendKeyed { digest: u8 },
    Commit { cursor: usize, topic: usize, offset: u64 },
    AppendWithCommit { cursor: usize, offset: u64 },
    MakeCursor { cursor: usize, from_now: bool },
    DropCursor { cursor: usize },
    CloseAndOpen,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(0..TOPICS.len(), 1..4).prop_map(|topics| Step::Append { topics }),
        3 => (0..6_u8).prop_map(|digest| Step::AppendKeyed { digest }),
        8 => (0..3_usize, 0..TOPICS.len(), 0..12_u64)
            .prop_map(|(cursor, topic, offset)| Step::Commit { cursor, topic, offset }),
        3 => (0..3_usize, 0..12_u64).prop_map(|(cursor, offset)| Step::AppendWithCommit { cursor, offset }),
        3 => (0..3_usize, any::<bool>()).prop_map(|(cursor, from_now)| Step::MakeCursor { cursor, from_now }),
        1 => (0..3_usize).prop_map(|cursor| Step::DropCursor { cursor }),
        2 => Just(Step::CloseAndOpen),
        1 => Just(Step::Drop),
    ]
}

fn of_number(number: usize) -> Cursor {
    let name = format!("app.route.{number}");
    match number {
        0 => cursor(&name, EVENTS),
        _ => Cursor {
            name: cursor_name(&name),
            topics: TopicFilter { include: vec![Glob::new("webhooks.*")], unless_literal: Vec::new() },
            from: From::Earliest,
        },
    }
}

/// What one step answers, as text: that must be equal too.
async fn apply(log: &dyn Log, fixture: &Fixture, step: &Step) -> String {
    match step {
        Step::Append { topics } => {
            let records = topics.iter().map(|index| record(TOPICS[*index], format!("to {index}"))).collect();
            format!("{:?}", log.append(Append { records, ..Append::default() }).await)
        }
        Step::AppendKeyed { digest } => match log.append(keyed(fixture, *digest, &[*digest])).await {
            Ok(Appended::Stored(positions)) => format!("{positions:?}"),
            other => format!("{other:?}"),
        },
        Step::Commit { cursor, topic: index, offset } => match log.subscribe(&of_number(*cursor)) {
            Ok(mut subscription) => {
                let position = Position { topic: topic(TOPICS[*index]), partition: 0, offset: *offset };
                format!("{:?}", subscription.commit(vec![position]))
            }
            Err(error) => error.to_string(),
        },
        Step::AppendWithCommit { cursor, offset } => {
            let done = vec![Position { topic: topic(EVENTS), partition: 0, offset: *offset }];
            let commit = Some(Commit { cursor: of_number(*cursor).name, done });
            let records = vec![record(TOPICS[1], "relayed")];
            format!("{:?}", log.append(Append { records, commit, ..Append::default() }).await)
        }
        Step::MakeCursor { cursor, from_now } => {
            let from = if *from_now { From::Now } else { From::Earliest };
            format!("{:?}", log.create_cursor(&Cursor { from, ..of_number(*cursor) }).await)
        }
        Step::DropCursor { cursor } => format!("{:?}", log.delete_cursor(&of_number(*cursor).name).await),
        Step::CloseAndOpen | Step::Drop => String::new(),
    }
}

/// Bounds and progress. A cursor that has done nothing in a partition may be listed there or not.
fn comparable(state: LogState) -> String {
    let mut cursors = state.cursors;
    for cursor in &mut cursors {
        cursor.partitions.retain(|progress| progress.watermark + progress.done_above > 0);
    }
    format!("{:?} {cursors:?}", state.partitions)
}

/// What a subscriber still gets, without waiting for more.
async fn open_records(log: &dyn Log, cursor: &Cursor) -> Vec<String> {
    let Ok(mut subscription) = log.subscribe(cursor) else { return vec!["no cursor".to_owned()] };
    let mut records: Vec<String> = Vec::new();
    let state = log.state();
    let progress = &state.cursors.iter().find(|known| known.name == cursor.name).unwrap().partitions;
    let total: u64 = state.partitions.iter().filter(|known| cursor.topics.matches(&known.topic)).map(|p| p.end).sum();
    let done: u64 = progress
        .iter()
        .filter(|known| cursor.topics.matches(&known.topic))
        .map(|known| known.watermark + known.done_above)
        .sum();
    while (records.len() as u64) < total - done {
        let more = subscription.next(5).await.unwrap();
        records.extend(more.iter().map(|record| format!("{:?} {:?}", record.position, record.body)));
    }
    // Between topics that the log keeps apart there is no order.
    records.sort();
    records
}

async fn run(segment_bytes: u64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let fixture = Fixture::with_segments_of(segment_bytes);
    let model = MemoryLog::new(fixture.clock.clone());
    let mut log = Arc::new(fixture.log());
    for step in &steps {
        match step {
            Step::CloseAndOpen | Step::Drop => {
                if matches!(step, Step::CloseAndOpen) {
                    log.close().await.unwrap();
                }
                drop(log);
                log = Arc::new(fixture.log());
            }
            _ => prop_assert_eq!(apply(&*log, &fixture, step).await, apply(&model, &fixture, step).await, "{:?}", step),
        }
        prop_assert_eq!(comparable(log.state()), comparable(model.state()), "after {:?}", step);
    }
    for number in 0..3 {
        let cursor = of_number(number);
        prop_assert_eq!(open_records(&*log, &cursor).await, open_records(&model, &cursor).await);
    }
    let everything = || TopicFilter { include: vec![Glob::new("*")], unless_literal: Vec::new() };
    let mut here = log.scan(everything(), From::Earliest).unwrap();
    let mut there = model.scan(everything(), From::Earliest).unwrap();
    let (mut here, mut there) = (bodies(&drain(&mut *here).await), bodies(&drain(&mut *there).await));
    here.sort();
    there.sort();
    prop_assert_eq!(here, there);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_looks_like_the_log_in_memory(
        segment_bytes in prop_oneof![Just(300_u64), Just(64 << 20)],
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(segment_bytes, steps))?;
    }
}
