//! Opening what a crash, a bad disk or another owner left behind.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use common::{Fixture, until};
use hook_core::ports::log::{Append, From, Log, LogError, TopicFilter};
use hook_log::{EmbeddedLog, OpenError};
use hook_testkit::log_conformance::{
    EVENTS, append_events, bodies, cursor, drain, keyed, positions, record, take, topic,
};

async fn everything(log: &dyn Log) -> Vec<String> {
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).unwrap();
    bodies(&drain(&mut *scan).await)
}

/// A log that was killed after three appends: there is no batch that proves the last one.
async fn killed(fixture: &Fixture) -> Fixture {
    let log = fixture.log();
    for body in ["first", "second", "third"] {
        append_events(&log, [body.to_owned()]).await;
    }
    let killed = fixture.copy();
    log.close().await.unwrap();
    killed
}

/// Where the bytes of `text` stand in a file.
fn find(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

fn damage(fixture: &Fixture) -> (String, u64) {
    match EmbeddedLog::open(fixture.options()) {
        Err(OpenError::Damaged(damage)) => (damage.file.file_name().unwrap().to_string_lossy().into(), damage.position),
        Err(error) => panic!("another error: {error}"),
        Ok(log) => panic!("it opens, with {:?}", log.state()),
    }
}

#[tokio::test]
async fn a_last_batch_that_is_cut_anywhere_is_cut_back() {
    let fixture = Fixture::new();
    let killed = killed(&fixture).await;
    let file = killed.segments().remove(0);
    let bytes = fs::read(&file).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The last batch begins behind the end of the second one: its last 29 bytes are its own batch end.
    let begin = find(&bytes, "third") - 64;
    let second = find(&bytes, "second") + "second".len() + 29;
    assert!(begin >= second - 29 && second < written);
    for length in second..written {
        for fills_with_zeros in [false, true] {
            let mut torn = bytes[..length].to_vec();
            if fills_with_zeros {
                torn.resize(bytes.len(), 0);
            }
            // A length that ends in zeros by itself is still whole.
            if torn.iter().chain(std::iter::repeat(&0)).take(written).eq(&bytes[..written]) {
                continue;
            }
            fs::write(&file, torn).unwrap();
            let log = EmbeddedLog::open(killed.options()).unwrap();
            assert_eq!(everything(&log).await, ["first", "second"], "cut at {length}");
            assert_eq!(append_events(&log, ["again".to_owned()]).await[0].offset, 2);
            drop(log);
            assert_eq!(everything(&killed.log()).await, ["first", "second", "again"], "cut at {length}");
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_in_what_was_durable_is_damage_that_names_file_and_position() {
    let fixture = Fixture::new();
    killed(&fixture).await;
    let file = fixture.segments().remove(0);
    let bytes = fs::read(&file).unwrap();
    // The log was closed: its last batch proves all the others. A flip in that one alone proves nothing.
    let proven = bytes.len() - 29;
    for at in 0..proven {
        fs::write(&file, &bytes).unwrap();
        change(&file, |bytes| bytes[at] ^= 0x40);
        match EmbeddedLog::open(fixture.options()) {
            Err(OpenError::Damaged(damage)) => {
                assert_eq!(damage.file, file);
                assert!(damage.position <= at as u64, "byte {at} is reported at {}", damage.position);
            }
            Err(OpenError::Version { .. }) => assert!((8..10).contains(&at)),
            Err(error) => panic!("byte {at}: another error: {error}"),
            Ok(_) => panic!("byte {at} was flipped, and the log opens"),
        }
    }
    let third = find(&bytes, "third") as u64;
    fs::write(&file, &bytes).unwrap();
    change(&file, |bytes| bytes[third as usize] ^= 1);
    let (name, position) = damage(&fixture);
    assert_eq!(name, "000000000001.log");
    assert!(position < third && third - position < 100);
}

#[tokio::test]
async fn damage_is_found_where_only_the_middle_was_lost() {
    let fixture = Fixture::new();
    killed(&fixture).await;
    let file = fixture.segments().remove(0);
    change(&file, |bytes| {
        let second = find(bytes, "second");
        bytes[second - 60..second + 20].fill(0);
    });
    assert_eq!(damage(&fixture).0, "000000000001.log");
}

#[tokio::test]
async fn a_missing_segment_is_damage() {
    let fixture = Fixture::with_segments_of(200);
    killed(&fixture).await;
    fs::remove_file(&fixture.segments()[1]).unwrap();
    assert_eq!(damage(&fixture), ("000000000002.log".to_owned(), 0));
}

#[tokio::test]
async fn an_unsynced_tail_that_was_lost_is_no_damage() {
    // Progress is written without a sync. The disk loses it, and keeps the batch behind it that was not acknowledged either.
    let fixture = Fixture::new();
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    append_events(&log, ["first".to_owned(), "second".to_owned()]).await;
    let before = fs::read(&fixture.segments()[0]).unwrap();
    let synced = before.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    let done = positions(&take(&mut *subscription, 1).await);
    subscription.commit(done).unwrap();
    common::until(|| fs::read(&fixture.segments()[0]).unwrap()[synced..].iter().any(|byte| *byte != 0)).await;
    let with_commit = fs::read(&fixture.segments()[0]).unwrap();
    let commit_end = with_commit.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    append_events(&log, ["third".to_owned()]).await;
    let killed = fixture.copy();
    change(&killed.segments()[0], |bytes| bytes[synced..commit_end].fill(0));
    let log = killed.log();
    assert_eq!(everything(&log).await, ["first", "second"]);
    let mut again = log.subscribe(&cursor("c", EVENTS)).unwrap();
    assert_eq!(bodies(&take(&mut *again, 2).await), ["first", "second"]);
}

#[tokio::test]
async fn a_body_that_looks_like_a_batch_proves_nothing() {
    // Whoever writes bodies writes a whole batch of another segment into one, which says that everything was synced.
    let fixture = Fixture::new();
    let log = fixture.log();
    append_events(&log, ["first".to_owned()]).await;
    let other = Fixture::new();
    killed(&other).await;
    let forged = fs::read(&other.segments()[0]).unwrap();
    let mut evil = record(EVENTS, "");
    evil.body = forged.into();
    log.append(Append::one(evil)).await.unwrap();
    let killed = fixture.copy();
    change(&killed.segments()[0], |bytes| {
        let body = 8 + find(&bytes[8..], "HOOKLOG");
        bytes[body - 4] ^= 0xff;
    });
    assert_eq!(everything(&killed.log()).await, ["first"]);
}

#[tokio::test]
async fn a_segment_that_was_being_made_is_removed() {
    let fixture = Fixture::new();
    let killed = killed(&fixture).await;
    let unfinished = killed.options().dir.join("events/000000000002.new");
    fs::write(&unfinished, b"HOOKLOG").unwrap();
    assert_eq!(everything(&killed.log()).await, ["first", "second", "third"]);
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_later_version_is_refused_by_its_number() {
    let fixture = Fixture::new();
    killed(&fixture).await;
    change(&fixture.segments()[0], |bytes| bytes[8] = 2);
    let error = EmbeddedLog::open(fixture.options()).err().unwrap();
    assert!(matches!(error, OpenError::Version { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("format version 2"), "{error}");
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_who_is_the_first() {
    let fixture = Fixture::new();
    let log = fixture.log();
    match EmbeddedLog::open(fixture.options()) {
        Err(OpenError::Locked { dir, process }) => {
            assert_eq!((dir, process), (fixture.options().dir, Some(std::process::id())));
        }
        other => panic!("it is locked, but: {:?}", other.err()),
    }
    log.close().await.unwrap();
    assert!(EmbeddedLog::open(fixture.options()).is_ok(), "close gives the directory back");
}

#[tokio::test]
async fn it_is_read_while_its_owner_writes_and_nothing_of_it_changes() {
    let fixture = Fixture::with_segments_of(400);
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    append_events(&log, (0..20).map(|number| number.to_string())).await;
    let before: Vec<_> = fixture.segments().iter().map(|file| fs::read(file).unwrap()).collect();
    let reader = EmbeddedLog::open_read_only(fixture.options()).unwrap();
    assert_eq!(everything(&reader).await, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(reader.state().cursors.len(), 1);
    assert_eq!(reader.state().unavailable, None);
    let refused = reader.append(Append::one(record(EVENTS, "a"))).await;
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
    reader.close().await.unwrap();
    drop(reader);
    let after: Vec<_> = fixture.segments().iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(before == after, "a reader has changed a file");
    append_events(&log, ["20".to_owned()]).await;
}

#[tokio::test]
async fn reading_where_there_is_no_log_finds_nothing_and_makes_nothing() {
    let fixture = Fixture::new();
    let log = EmbeddedLog::open_read_only(fixture.options()).unwrap();
    assert!(everything(&log).await.is_empty());
    assert!(!fixture.options().dir.exists());
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    let fixture = Fixture::new();
    killed(&fixture).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = fixture.options().dir;
    assert_eq!((mode(&dir), mode(&dir.join("events"))), (0o700, 0o700));
    assert_eq!((mode(&dir.join("LOCK")), mode(&fixture.segments()[0])), (0o600, 0o600));
}

#[tokio::test]
async fn close_gives_back_what_was_allocated() {
    let fixture = Fixture::new();
    killed(&fixture).await;
    assert!(fs::metadata(&fixture.segments()[0]).unwrap().len() < 4096);
}

#[tokio::test]
async fn damage_that_comes_while_the_log_is_open_is_told_to_the_reader() {
    let fixture = Fixture::with_segments_of(200);
    killed(&fixture).await;
    let log = fixture.log();
    change(&fixture.segments()[0], |bytes| {
        let first = find(bytes, "first");
        bytes[first] ^= 1;
    });
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).unwrap();
    let error = scan.next(10).await.unwrap_err();
    assert!(matches!(&error, LogError::Damaged(text) if text.contains("000000000001.log")), "{error}");
    let known = log.state().damage;
    assert!(known.len() == 1 && known[0].contains("000000000001.log"), "the operator knows it too: {known:?}");
}

#[tokio::test]
async fn damage_in_a_digest_run_refuses_what_cannot_be_told_from_a_copy_and_is_told() {
    let fixture = Fixture::with_segments_of(200);
    let log = fixture.log();
    for id in 1..4 {
        log.append(keyed(&fixture, id, &[id])).await.unwrap();
    }
    until(|| fixture.files("digests").len() == 2).await;
    // The header and its filter are in memory; what is damaged is the page that has the key.
    change(&fixture.files("digests")[0], |bytes| bytes[4096 + 20] ^= 1);
    for _ in 0..2 {
        let error = log.append(keyed(&fixture, 9, &[1])).await.unwrap_err();
        assert!(matches!(&error, LogError::Damaged(text) if text.contains(".digests")), "{error}");
    }
    let known = log.state().damage;
    assert!(known.len() == 1 && known[0].contains(".digests"), "{known:?}");
    log.append(keyed(&fixture, 9, &[9])).await.unwrap();
}
