//! Verify and repair: what a damage has cost is known exactly, and nothing else is lost.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use common::{Fixture, until};
use hook_core::{
    names::TopicName,
    ports::log::{Append, Appended, Commit, From, Log, NewRecord, Position, Record, TopicFilter},
};
use hook_log::{
    EmbeddedLog, OpenError,
    check::{Finding, Lost, Repair, Repaired, Report, verify},
};
use hook_testkit::log_conformance::{DEAD_LETTERS, EVENTS, append_events, cursor, drain, keyed, record, take, topic};

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

/// Where the bytes of `text` stand in a file.
#[track_caller]
fn find(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

/// The file that holds a text.
#[track_caller]
fn file_with(fixture: &Fixture, text: &str) -> PathBuf {
    let has = |file: &PathBuf| {
        let bytes = fs::read(file).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    fixture.segments().into_iter().find(has).unwrap()
}

fn flip(file: &Path, text: &str) {
    change(file, |bytes| {
        let at = find(bytes, text);
        bytes[at] ^= 1;
    });
}

fn look(fixture: &Fixture) -> Report {
    verify(&fixture.options().dir, &mut |_, _| {}).unwrap()
}

#[track_caller]
fn repair(fixture: &Fixture) -> Repaired {
    let repaired = Repair::prepare(&fixture.options().dir, &mut |_, _| {}).unwrap().apply(&mut |_, _| {}).unwrap();
    assert!(!repaired.report.is_damaged(), "{:#?}", repaired.report);
    repaired
}

/// What is lost, as `topic first..end`, with a question mark where it is a bound.
fn lost(report: &Report) -> Vec<String> {
    let text =
        |lost: &Lost| format!("{} {}..{}{}", lost.topic, lost.first, lost.end, if lost.is_exact { "" } else { "?" });
    report.damages().flat_map(|finding: &Finding| finding.lost.iter().map(text)).collect()
}

async fn records(log: &dyn Log, name: &str) -> Vec<(u64, String)> {
    let mut scan = log.scan(TopicFilter::only(&topic(name)), From::Earliest).unwrap();
    let text = |record: &Record| (record.position.offset, String::from_utf8_lossy(&record.body).into_owned());
    drain(&mut *scan).await.iter().map(text).collect()
}

/// Ten events, each in a batch of its own, over several segments.
async fn ten(fixture: &Fixture) {
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    for number in 0..10 {
        append_events(&log, [format!("event-{number}-{}", "x".repeat(40))]).await;
    }
    log.close().await.unwrap();
}

#[track_caller]
fn offsets(records: &[(u64, String)]) -> Vec<u64> {
    for (offset, body) in records {
        assert!(body.starts_with(&format!("event-{offset}-")), "{records:?}");
    }
    records.iter().map(|(offset, _)| *offset).collect()
}

/// After a repair the log opens with these offsets, and goes on behind all that were ever given.
async fn holds(fixture: &Fixture, expected: &[u64], next: u64) {
    let log = fixture.log();
    assert_eq!(offsets(&records(&log, EVENTS).await), expected);
    let stored = append_events(&log, [format!("event-{next}-new")]).await;
    assert_eq!(stored[0].offset, next);
    let mut all = expected.to_vec();
    all.push(next);
    // A reader gets every record that is left, and then its watermark is at the end: it waits for none that was lost.
    let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
    let read = take(&mut *subscription, all.len()).await;
    assert_eq!(read.iter().map(|record| record.position.offset).collect::<Vec<_>>(), all);
    subscription.commit(read.iter().map(|record| record.position.clone()).collect()).unwrap();
    let state = log.state();
    let progress = &state.cursors[0].partitions[0];
    assert_eq!((progress.watermark, progress.done_above), (next + 1, 0));
    log.close().await.unwrap();
    assert!(!look(fixture).is_damaged());
    assert_eq!(fixture.log().state().partitions[0].end, next + 1);
}

#[tokio::test]
async fn a_sound_log_is_clean_and_a_repair_leaves_it_as_it_is() {
    let fixture = Fixture::with_segments_of(400);
    assert!(!look(&fixture).is_damaged(), "a log that was never written");
    ten(&fixture).await;
    let before: Vec<_> = fixture.segments().iter().map(|file| fs::read(file).unwrap()).collect();
    let report = look(&fixture);
    assert!(!report.is_damaged());
    let events = &report.chains[0];
    assert_eq!((events.records, events.segments as usize), (10, before.len()));
    assert!(events.torn_tail.is_none());
    let repaired = repair(&fixture);
    assert!(repaired.files.is_empty() && repaired.kept.is_empty());
    assert_eq!(fixture.segments().iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>(), before);
}

#[tokio::test]
async fn an_owner_at_work_is_no_damage_and_a_repair_refuses_beside_it() {
    let fixture = Fixture::with_segments_of(400);
    let log = fixture.log();
    for number in 0..50 {
        append_events(&log, [format!("event-{number}")]).await;
        assert!(!look(&fixture).is_damaged());
    }
    let refused = Repair::prepare(&fixture.options().dir, &mut |_, _| {});
    assert!(matches!(refused.err(), Some(OpenError::Locked { .. })));
}

#[tokio::test]
async fn a_flipped_byte_of_a_sealed_segment_costs_its_record_and_no_other() {
    for number in [0, 3, 6] {
        let fixture = Fixture::with_segments_of(400);
        ten(&fixture).await;
        let file = file_with(&fixture, &format!("event-{number}-"));
        let damaged = {
            flip(&file, &format!("event-{number}-"));
            fs::read(&file).unwrap()
        };
        let report = look(&fixture);
        let found: Vec<_> = report.damages().collect();
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!((&found[0].file, found[0].can_be_repaired), (&file, true));
        assert_eq!(lost(&report), [format!("{EVENTS} {number}..{}", number + 1)]);
        assert_eq!(fs::read(&file).unwrap(), damaged, "looking changes nothing");

        let repaired = repair(&fixture);
        assert_eq!(repaired.files, std::slice::from_ref(&file));
        assert_eq!(fs::read(&repaired.kept[0]).unwrap(), damaged, "the original is kept");
        let left: Vec<u64> = (0..10).filter(|offset| *offset != number).collect();
        holds(&fixture, &left, 10).await;
    }
}

#[tokio::test]
async fn the_other_records_of_a_damaged_batch_are_kept() {
    let fixture = Fixture::new();
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    let append = |bodies: Vec<String>| Append {
        records: bodies.iter().map(|body| record(EVENTS, body)).collect(),
        ..Append::default()
    };
    log.append(append((0..5).map(|number| format!("event-{number}-")).collect())).await.unwrap();
    log.append(append((5..10).map(|number| format!("event-{number}-")).collect())).await.unwrap();
    log.close().await.unwrap();
    let file = fixture.segments().remove(0);
    flip(&file, "event-2-");
    flip(&file, "event-8-");
    let report = look(&fixture);
    assert_eq!(lost(&report), [format!("{EVENTS} 2..3"), format!("{EVENTS} 8..9")]);
    assert_eq!(report.damages().map(|finding| finding.kept_records).sum::<u64>(), 8);
    assert!(report.damages().all(|finding| !finding.other_lost), "only records stood there");
    repair(&fixture);
    holds(&fixture, &[0, 1, 3, 4, 5, 6, 7, 9], 10).await;
}

#[tokio::test]
async fn a_sealed_segment_that_was_cut_costs_what_was_behind_the_cut() {
    let fixture = Fixture::with_segments_of(600);
    ten(&fixture).await;
    let file = file_with(&fixture, "event-4-");
    let second = fixture.segments().iter().position(|other| *other == file).unwrap();
    assert!(second + 1 < fixture.segments().len());
    change(&file, |bytes| {
        let at = find(bytes, "event-4-");
        bytes.truncate(at);
    });
    let report = look(&fixture);
    let lost = lost(&report);
    assert_eq!(lost.len(), 1);
    let end: u64 = lost[0].strip_prefix(&format!("{EVENTS} 4..")).unwrap().parse().unwrap();
    repair(&fixture);
    holds(&fixture, &(0..4).chain(end..10).collect::<Vec<_>>(), 10).await;
}

#[tokio::test]
async fn missing_segments_cost_what_was_in_them_and_the_others_stay() {
    for count in [1, 2] {
        let fixture = Fixture::with_segments_of(300);
        ten(&fixture).await;
        let files = fixture.segments();
        assert!(files.len() >= 5, "{files:?}");
        let mut gone = BTreeSet::new();
        for file in &files[1..=count] {
            let bytes = fs::read(file).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            gone.extend((0..10_u64).filter(|number| text.contains(&format!("event-{number}-"))));
            fs::remove_file(file).unwrap();
        }
        let report = look(&fixture);
        assert_eq!(
            report.damages().map(|finding| finding.what).collect::<Vec<_>>(),
            vec!["the segment is missing"; count]
        );
        repair(&fixture);
        holds(&fixture, &(0..10).filter(|offset| !gone.contains(offset)).collect::<Vec<_>>(), 10).await;
    }
}

#[tokio::test]
async fn a_damaged_header_costs_nothing_where_the_salt_can_be_found() {
    for at in [0, 9, 12, 16, 24, 33, 41, 47, 62] {
        let fixture = Fixture::with_segments_of(400);
        ten(&fixture).await;
        change(&fixture.segments()[1], |bytes| bytes[at] ^= 0x10);
        let report = look(&fixture);
        assert_eq!((report.damages().count(), lost(&report).len()), (1, 0), "byte {at}: {report:#?}");
        repair(&fixture);
        holds(&fixture, &(0..10).collect::<Vec<_>>(), 10).await;
    }
}

#[tokio::test]
async fn a_header_of_zeros_costs_the_segment() {
    let fixture = Fixture::with_segments_of(400);
    ten(&fixture).await;
    let file = fixture.segments().remove(1);
    change(&file, |bytes| bytes[..64].fill(0));
    let report = look(&fixture);
    assert!(!lost(&report).is_empty());
    let repaired = repair(&fixture);
    assert_eq!(repaired.kept.len(), 1);
    let log = fixture.log();
    assert_eq!(log.state().partitions[0].end, 10);
}

#[tokio::test]
async fn the_newest_segment_gives_no_offset_twice_where_nobody_knows_how_many_were_lost() {
    let fixture = Fixture::new();
    ten(&fixture).await;
    let file = fixture.segments().remove(0);
    // The last event and a part of the one before; only the empty batch of the close proves that they were there.
    change(&file, |bytes| {
        let begin = find(bytes, "event-8-") - 20;
        let end = bytes.len() - 29;
        bytes[begin..end].fill(0);
    });
    let report = look(&fixture);
    let lost = lost(&report);
    assert_eq!(lost.len(), 1);
    assert!(lost[0].starts_with(&format!("{EVENTS} 8..")) && lost[0].ends_with('?'), "{lost:?}");
    repair(&fixture);
    let log = fixture.log();
    assert_eq!(offsets(&records(&log, EVENTS).await), (0..8).collect::<Vec<_>>());
    let next = append_events(&log, ["new".to_owned()]).await[0].offset;
    assert!((10..20).contains(&next), "{next}");
}

#[tokio::test]
async fn a_snapshot_that_is_hurt_is_said_anew() {
    let fixture = Fixture::with_segments_of(400);
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    for number in 0..5 {
        append_events(&log, [format!("event-{number}-{}", "x".repeat(40))]).await;
        let mut subscription = log.subscribe(&cursor("c", EVENTS)).unwrap();
        let read = take(&mut *subscription, 1).await;
        subscription.commit(vec![read[0].position.clone()]).unwrap();
    }
    log.close().await.unwrap();
    let files = fixture.segments();
    assert!(files.len() > 2);
    for at in [70, 90, 120, 150] {
        let fixture = fixture.copy();
        let newest = fixture.segments().pop().unwrap();
        change(&newest, |bytes| bytes[at] ^= 1);
        assert!(look(&fixture).is_damaged(), "byte {at}");
        repair(&fixture);
        let log = fixture.log();
        assert_eq!(offsets(&records(&log, EVENTS).await), [0, 1, 2, 3, 4]);
        let state = log.state();
        let progress = &state.cursors[0].partitions[0];
        assert_eq!(progress.watermark, 5, "byte {at}: {state:?}");
    }
}

#[tokio::test]
async fn a_torn_tail_is_told_apart_from_damage_and_a_repair_does_not_need_it() {
    let fixture = Fixture::new();
    let log = fixture.log();
    for number in 0..3 {
        append_events(&log, [format!("event-{number}-")]).await;
    }
    let killed = fixture.copy();
    log.close().await.unwrap();
    let file = killed.segments().remove(0);
    change(&file, |bytes| {
        let at = find(bytes, "event-2-");
        bytes.truncate(at);
    });
    let report = look(&killed);
    assert!(!report.is_damaged(), "{report:#?}");
    let torn = report.chains[0].torn_tail.as_ref().unwrap();
    assert_eq!((&torn.file, torn.position + torn.bytes), (&file, fs::metadata(&file).unwrap().len()));
    assert!(repair(&killed).files.is_empty());
    assert_eq!(offsets(&records(&killed.log(), EVENTS).await), [0, 1]);
}

#[tokio::test]
async fn dead_letters_and_events_are_repaired_at_once() {
    let fixture = Fixture::with_segments_of(400);
    ten(&fixture).await;
    let log = fixture.log();
    for number in 0..6 {
        log.append(Append::one(record(DEAD_LETTERS, format!("letter-{number}-{}", "y".repeat(60))))).await.unwrap();
    }
    log.close().await.unwrap();
    flip(&file_with(&fixture, "event-1-"), "event-1-");
    flip(&fixture.options().dir.join("dead_letters/000000000001.log"), "letter-0-");
    let mut expected = vec![format!("{EVENTS} 1..2"), format!("{DEAD_LETTERS} 0..1")];
    let mut found = lost(&look(&fixture));
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(repair(&fixture).files.len(), 2);
    let log = fixture.log();
    assert_eq!(records(&log, DEAD_LETTERS).await.len(), 5);
    assert_eq!(records(&log, EVENTS).await.len(), 9);
}

#[tokio::test]
async fn a_repair_that_was_killed_anywhere_is_finished_by_the_next() {
    let fixture = Fixture::with_segments_of(400);
    ten(&fixture).await;
    let file = file_with(&fixture, "event-3-");
    flip(&file, "event-3-");
    // Killed before the file had its name: what it has written is there, and the original is kept once.
    fs::hard_link(&file, file.with_extension("log.damaged")).unwrap();
    fs::write(file.with_extension("log.new"), b"half of it").unwrap();
    let repaired = repair(&fixture);
    assert_eq!(repaired.kept, [file.with_extension("log.damaged")]);
    assert!(!file.with_extension("log.new").exists());
    // A second damage of the same file does not cost the first original.
    flip(&file_with(&fixture, "event-4-"), "event-4-");
    let again = repair(&fixture);
    assert!(again.kept.iter().all(|kept| kept.exists()) && repaired.kept[0].exists());
    assert!(!again.kept.contains(&repaired.kept[0]) || again.files != repaired.files);
    holds(&fixture, &[0, 1, 2, 5, 6, 7, 8, 9], 10).await;
}

#[tokio::test]
async fn keys_and_progress_of_an_append_that_is_lost_are_not_kept() {
    let fixture = Fixture::new();
    let log = fixture.log();
    log.create_cursor(&cursor("c", EVENTS)).await.unwrap();
    let other = TopicName::new("other.topic").unwrap();
    append_events(&log, ["event-0-".to_owned()]).await;
    // As the relay does: a record in another topic, together with the progress in the first one.
    let bridged = NewRecord { topic: other.clone(), ..record(EVENTS, "bridged") };
    let done = vec![Position { topic: topic(EVENTS), partition: 0, offset: 0 }];
    let commit = Some(Commit { cursor: cursor("c", EVENTS).name, done });
    log.append(Append { commit, ..Append::one(bridged) }).await.unwrap();
    log.append(Append::one(NewRecord { topic: other.clone(), ..record(EVENTS, "later") })).await.unwrap();
    log.close().await.unwrap();
    flip(&fixture.segments()[0], "bridged");
    let report = look(&fixture);
    assert!(report.damages().all(|finding| finding.dropped_progress == [cursor("c", EVENTS).name]), "{report:#?}");
    repair(&fixture);
    let log = fixture.log();
    let state = log.state();
    let progress = state.cursors[0].partitions.iter().find(|progress| progress.topic == topic(EVENTS));
    assert_eq!(progress.map_or(0, |progress| progress.watermark), 0, "it is bridged again: {state:?}");
}

#[tokio::test]
async fn a_damaged_digest_run_is_found_and_made_anew_where_its_segments_are_left() {
    let fixture = Fixture::with_segments_of(400);
    let log = fixture.log();
    for number in 0..4 {
        log.append(keyed(&fixture, number, &[number])).await.unwrap();
        append_events(&log, ["x".repeat(300)]).await;
    }
    until(|| fixture.files("digests").len() >= 3).await;
    log.close().await.unwrap();
    let run = fixture.files("digests").remove(1);
    change(&run, |bytes| bytes[5000] ^= 1);
    let report = look(&fixture);
    let found: Vec<_> = report.damages().collect();
    assert_eq!((found.len(), &found[0].file, found[0].lost.len()), (1, &run, 0), "{found:#?}");
    let repaired = repair(&fixture);
    assert_eq!(repaired.kept.len(), 1);
    assert!(!repaired.report.is_damaged() && repaired.kept[0].exists() && !run.exists());
    let log = fixture.log();
    for number in 0..4 {
        let again = log.append(keyed(&fixture, 9, &[number])).await.unwrap();
        assert_eq!(again, Appended::DuplicateOf([number; 16]));
    }
    until(|| run.exists()).await;
}

/// Any byte of any sealed segment may be flipped: exactly what is reported is lost, and everything else is there.
#[tokio::test]
async fn whatever_byte_is_flipped_only_what_is_reported_is_lost() {
    let whole = Fixture::with_segments_of(500);
    ten(&whole).await;
    for file in whole.segments() {
        let length = fs::metadata(&file).unwrap().len() as usize;
        for at in (0..length).step_by(19) {
            let fixture = whole.copy();
            // A log with indexes opens without reading what they tell of.
            fixture.files("index").into_iter().for_each(|index| fs::remove_file(index).unwrap());
            let file = fixture.options().dir.join("events").join(file.file_name().unwrap());
            change(&file, |bytes| bytes[at] ^= 0x20);
            let report = match verify(&fixture.options().dir, &mut |_, _| {}) {
                Ok(report) => report,
                Err(error) => panic!("{} byte {at}: {error}", file.display()),
            };
            let opens = EmbeddedLog::open_read_only(fixture.options()).is_ok();
            assert_eq!(report.is_damaged(), !opens, "{} byte {at}", file.display());
            if opens {
                continue;
            }
            repair(&fixture);
            let gone: BTreeSet<u64> =
                report.damages().flat_map(|finding| &finding.lost).flat_map(|lost| lost.first..lost.end).collect();
            assert!(gone.len() <= 1, "{} byte {at}: {report:#?}", file.display());
            let log = fixture.log();
            let left: Vec<_> = (0..10).filter(|offset| !gone.contains(offset)).collect();
            assert_eq!(offsets(&records(&log, EVENTS).await), left, "{} byte {at}", file.display());
            assert_eq!(append_events(&log, ["n".to_owned()]).await[0].offset, 10, "{} byte {at}", file.display());
        }
    }
}
