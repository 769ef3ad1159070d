//! Acknowledged means durable: nothing is answered before its sync, and nothing is left of what failed.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::sync::Arc;

use common::{Fixture, TestDisk, end, until};
use hook_core::{
    ports::log::{Append, Appended, Commit, From, Log, LogError, Position, TopicFilter},
    progress::Progress,
};
use hook_testkit::log_conformance::{
    DEAD_LETTERS, EVENTS, append_events, bodies, cursor, drain, keyed, positions, record, take, topic,
};

async fn everything(log: &dyn Log) -> Vec<String> {
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).unwrap();
    bodies(&drain(&mut *scan).await)
}

fn one(body: &str) -> Append {
    Append::one(record(EVENTS, body))
}

#[tokio::test]
async fn an_append_does_not_resolve_before_its_sync() {
    let (fixture, disk) = (Fixture::new(), TestDisk::default());
    let log = Arc::new(fixture.log_on(disk.clone()));
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    let seen = tokio::spawn(async move { bodies(&take(&mut *subscription, 1).await) });

    disk.hold_syncs();
    let appended = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.append(one("a")).await })
    };
    until(|| disk.held() == 1).await;
    assert!(!appended.is_finished(), "an append was answered before its sync");
    assert!(!seen.is_finished(), "a subscriber saw what is not durable");
    assert_eq!(end(&*log), 0);
    assert_eq!(everything(&*log).await, [""; 0]);

    disk.release_syncs();
    assert!(matches!(appended.await.unwrap(), Ok(Appended::Stored(_))));
    assert_eq!(seen.await.unwrap(), ["a"]);
}

#[tokio::test]
async fn whoever_comes_during_a_sync_shares_the_next_one() {
    let (fixture, disk) = (Fixture::new(), TestDisk::default());
    let log = Arc::new(fixture.log_on(disk.clone()));
    append_events(&*log, ["first".to_owned()]).await;
    disk.hold_syncs();
    let append = |body: String| {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.append(one(&body)).await })
    };
    let during = append("during".to_owned());
    until(|| disk.held() == 1).await;
    let after: Vec<_> = (0..200).map(|number| append(number.to_string())).collect();
    tokio::task::yield_now().await;
    let before = disk.syncs();
    disk.release_syncs();
    during.await.unwrap().unwrap();
    for task in after {
        task.await.unwrap().unwrap();
    }
    assert!(disk.syncs() - before <= 3, "200 appends took {} syncs", disk.syncs() - before);
}

#[tokio::test]
async fn an_append_whose_sync_failed_leaves_nothing() {
    for fails in [TestDisk::fail_syncs, TestDisk::fail_writes] {
        let (fixture, disk) = (Fixture::new(), TestDisk::default());
        let log = fixture.log_on(disk.clone());
        log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
        append_events(&log, ["before".to_owned()]).await;

        fails(&disk, true);
        let refused = log.append(keyed(&fixture, 1, &[1])).await;
        assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
        assert!(matches!(log.create_cursor(&cursor("other", EVENTS)).await, Err(LogError::Unavailable(_))));
        assert_eq!(end(&log), 1);
        assert!(log.state().unavailable.is_some());
        let killed = fixture.copy();

        fails(&disk, false);
        assert!(matches!(log.append(keyed(&fixture, 2, &[1])).await, Ok(Appended::Stored(_))), "the key has a mark");
        assert_eq!(log.state().unavailable, None);
        assert_eq!(log.state().cursors.len(), 1);
        let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
        assert_eq!(bodies(&take(&mut *subscription, 2).await), ["before", "event 2"]);
        log.close().await.unwrap();
        assert_eq!(everything(&fixture.log()).await, ["before", "event 2"]);
        assert_eq!(fixture.segments().len(), 2, "the pages of a sync that failed are not used again");
        // Killed in between, it may have the one that failed, whole or not at all; it must open.
        assert_eq!(everything(&killed.log()).await[0], "before");
    }
}

#[tokio::test]
async fn a_copy_takes_the_place_of_a_first_that_failed() {
    let (fixture, disk) = (Fixture::new(), TestDisk::default());
    let log = Arc::new(fixture.log_on(disk.clone()));
    append_events(&*log, ["before".to_owned()]).await;
    // The writer is kept busy, so that both copies meet in one batch.
    disk.hold_syncs();
    let append = |append: Append| {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.append(append).await })
    };
    let busy = append(one("busy"));
    until(|| disk.held() == 1).await;
    let (first, second) = (append(keyed(&fixture, 1, &[1])), append(keyed(&fixture, 2, &[1])));
    tokio::task::yield_now().await;
    disk.fail_syncs(true);
    disk.release_syncs();
    assert!(busy.await.unwrap().is_err());
    // Both have failed by then, each as its own; what matters is that neither left a mark.
    assert!(first.await.unwrap().is_err());
    assert!(second.await.unwrap().is_err());
    disk.fail_syncs(false);
    let stored = append(keyed(&fixture, 3, &[1])).await.unwrap();
    assert!(matches!(stored, Ok(Appended::Stored(_))), "{stored:?}");
    let copy = append(keyed(&fixture, 4, &[1])).await.unwrap();
    assert_eq!(copy.unwrap(), Appended::DuplicateOf([3; 16]));
}

#[tokio::test]
async fn a_full_disk_is_met_before_anything_changes() {
    let (fixture, disk) = (Fixture::new(), TestDisk::default());
    let log = fixture.log_on(disk.clone());
    append_events(&log, ["before".to_owned()]).await;
    disk.fill(true);
    // What was allocated ahead is still used; then it ends.
    let large = "x".repeat(1 << 20);
    let mut stored = 1;
    let error = loop {
        match log.append(one(&large)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10, "a full disk takes everything");
    };
    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
    assert_eq!(end(&log), stored);
    let small = append_events(&log, ["a small one still fits".to_owned()]).await;
    assert_eq!(small[0].offset, stored);
    assert_eq!(log.state().unavailable, None);
    assert!(log.append(one(&"x".repeat(4 << 20))).await.is_err());
    disk.fill(false);
    until(|| log.state().unavailable.is_none()).await;
    append_events(&log, ["after".to_owned()]).await;
    log.close().await.unwrap();
    assert_eq!(fixture.segments().len(), 1, "nothing was written that could not be trusted");
    let texts = everything(&fixture.log()).await;
    assert_eq!(texts.len() as u64, stored + 2);
    assert_eq!(texts.last().unwrap(), "after");
}

#[tokio::test]
async fn progress_is_written_without_waiting_for_an_append_or_a_sync() {
    let (fixture, disk) = (Fixture::new(), TestDisk::default());
    let log = fixture.log_on(disk.clone());
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    append_events(&log, ["a".to_owned(), "b".to_owned()]).await;
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    let done = positions(&take(&mut *subscription, 2).await);
    let (before, bytes) = (disk.syncs(), log.state().bytes);
    subscription.commit(vec![done[0].clone()]).unwrap();
    until(|| {
        let killed = fixture.copy();
        let watermark = killed.log().state().cursors[0].partitions.first().map(|progress| progress.watermark);
        watermark == Some(1)
    })
    .await;
    assert_eq!(disk.syncs(), before, "a commit waits for no sync of its own");
    assert_eq!(log.state().bytes, bytes);
}

#[tokio::test]
async fn whoever_moves_on_learns_what_a_cursor_has_done_and_where_dead_letters_stand() {
    let fixture = Fixture::new();
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    append_events(&log, ["a", "b", "c", "d"].map(String::from)).await;
    log.append(Append::one(record(DEAD_LETTERS, "dead"))).await.unwrap();
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    let done = positions(&take(&mut *subscription, 4).await);
    subscription.commit(vec![done[0].clone(), done[2].clone()]).unwrap();
    log.close().await.unwrap();

    let log = fixture.log();
    let mut expected = Progress::at(1);
    expected.finish(2..3);
    let name = cursor("c", EVENTS).name;
    assert_eq!(log.progress(&name), Some([((topic(EVENTS), 0), expected)].into()));
    assert_eq!(log.progress(&cursor("none", EVENTS).name), None);
    assert_eq!(log.dead_letter_topics(), [(topic(DEAD_LETTERS), 1)].into());
    assert_eq!(log.event_topics(), [(topic(EVENTS), 4)].into());
}

#[tokio::test]
async fn a_log_that_was_dropped_without_close_has_everything() {
    let fixture = Fixture::new();
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    append_events(&log, ["a".to_owned(), "b".to_owned()]).await;
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    let done = positions(&take(&mut *subscription, 1).await);
    subscription.commit(done).unwrap();
    drop(log);
    let log = fixture.log();
    let mut again = log.subscribe(&cursor("c", EVENTS)).unwrap();
    assert_eq!(bodies(&take(&mut *again, 1).await), ["b"]);
}

#[tokio::test]
async fn an_append_whose_future_was_dropped_is_stored_all_the_same() {
    let (fixture, disk) = (Fixture::new(), TestDisk::default());
    let log = fixture.log_on(disk.clone());
    disk.hold_syncs();
    tokio::select! {
        _ = log.append(one("a")) => panic!("it was answered before its sync"),
        () = until(|| disk.held() == 1) => {}
    }
    disk.release_syncs();
    until(|| end(&log) == 1).await;
    assert_eq!(everything(&log).await, ["a"]);
}

#[tokio::test]
async fn a_dead_letter_is_durable_before_its_cursor_moves() {
    let (fixture, disk) = (Fixture::new(), TestDisk::default());
    let log = fixture.log_on(disk.clone());
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    append_events(&log, ["a".to_owned()]).await;
    let done = vec![Position { topic: topic(EVENTS), partition: 0, offset: 0 }];
    let dead = Append {
        records: vec![record(DEAD_LETTERS, "a")],
        commit: Some(Commit { cursor: cursor("c", EVENTS).name, done }),
        ..Append::default()
    };
    disk.fail_syncs(true);
    assert!(log.append(dead.clone()).await.is_err());
    assert!(log.state().cursors[0].partitions.is_empty(), "the cursor has moved, and the dead letter is not stored");
    disk.fail_syncs(false);
    log.append(dead).await.unwrap();
    assert_eq!(log.state().cursors[0].partitions[0].watermark, 1);
}
