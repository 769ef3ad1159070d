//! What every log promises, each promise a check. `log_conformance!` makes tests of them for one log.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use hook_core::{
    BoxFuture, Timestamp,
    clock::Clock,
    names::{CursorName, Glob, TopicName},
    ports::log::{
        Append, Appended, Commit, Cursor, CursorProgress, DedupKey, From, Log, LogError, NewRecord, PartitionState,
        Position, Record, Scan, Subscription, TopicFilter,
    },
};

use crate::ManualClock;

/// A log under test.
pub trait LogFixture: Send + Sync {
    /// Opens the log; after it was closed, opens it again.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Log>>;

    /// Whether what was stored is still there when the log was closed and is opened again.
    fn is_durable(&self) -> bool;

    /// Whether `append` recognises copies. On Kafka it stores them, and the relay removes them.
    fn removes_duplicates(&self) -> bool {
        true
    }

    /// The clock that the log asks.
    fn clock(&self) -> &ManualClock;
}

/// Makes a test of each promise. The argument is an expression that makes a new [`LogFixture`]; where the log needs
/// something that is not always there, `ignore = "needs a broker", ` stands before it.
#[macro_export]
macro_rules! log_conformance {
    (ignore = $reason:literal, $fixture:expr) => {
        $crate::log_conformance! { @all [#[ignore = $reason]] $fixture }
    };
    ($fixture:expr) => {
        $crate::log_conformance! { @all [] $fixture }
    };
    (@all $attributes:tt $fixture:expr) => {
        $crate::log_conformance! { @each $attributes $fixture =>
            an_append_gives_offsets_without_gaps,
            a_record_is_read_as_it_was_appended,
            a_batch_answers_in_the_order_of_its_records,
            of_equal_appends_at_once_exactly_one_is_stored,
            a_copy_is_told_the_first_until_the_key_expires,
            any_of_several_keys_makes_a_copy,
            a_copy_leaves_no_mark,
            a_cursor_is_made_once,
            a_cursor_from_now_sees_only_what_comes_after,
            a_cursor_from_a_time_begins_at_its_first_record,
            a_topic_that_appears_later_is_read_from_its_beginning,
            a_subscriber_sees_each_record_once_and_in_order,
            a_subscriber_waits_for_records,
            a_dropped_next_loses_nothing,
            a_subscriber_never_gets_what_is_done,
            a_subscription_reads_only_its_topics,
            what_does_not_exist_yet_cannot_be_done,
            an_append_moves_the_cursor_that_it_commits,
            an_append_that_commits_for_nobody_stores_nothing,
            cursors_do_not_disturb_each_other,
            a_cursor_that_was_deleted_begins_anew,
            without_a_cursor_there_is_no_subscription,
            a_scan_ends_at_what_was_durable_when_it_began,
            a_scan_begins_at_a_time,
            a_scan_begins_where_each_partition_was_left,
            a_scan_of_several_topics_goes_by_age,
            single_records_are_read_by_their_positions,
            a_note_is_stored_some_time,
            appended_waits_for_a_topic_of_its_filter,
            after_close_everything_is_refused,
            everything_is_there_after_a_restart,
        }
    };
    (@each $attributes:tt $fixture:expr => $($promise:ident),* $(,)?) => {
        $($crate::log_conformance! { @test $attributes $fixture, $promise })*
    };
    (@test [$(#[$attribute:meta])*] $fixture:expr, $promise:ident) => {
            #[tokio::test]
            $(#[$attribute])*
            async fn $promise() {
                let check = async { $crate::log_conformance::$promise(&$fixture).await };
                let limit = std::time::Duration::from_secs(60);
                assert!(tokio::time::timeout(limit, check).await.is_ok(), "the check has not ended in {limit:?}");
            }
    };
}

/// The topic that is none of the log's own.
pub const EVENTS: &str = "webhooks.core";
/// The topic of the fixture's dead letters.
pub const DEAD_LETTERS: &str = "webhooks.dlq";
/// The topic of the fixture's journal.
pub const JOURNAL: &str = "hook.journal";

/// A topic.
pub fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("a test's topic")
}

/// A cursor name.
pub fn cursor_name(name: &str) -> CursorName {
    CursorName::new(name).expect("a test's cursor")
}

/// A cursor that reads one topic from its beginning.
pub fn cursor(name: &str, of: &str) -> Cursor {
    Cursor { name: cursor_name(name), topics: TopicFilter::only(&topic(of)), from: From::Earliest }
}

/// A record with that text as its body.
pub fn record(to: &str, body: impl Into<String>) -> NewRecord {
    NewRecord {
        topic: topic(to),
        key: Some(Bytes::from_static(b"key")),
        time: Timestamp::from_second(1_767_268_800).expect("a time within range"),
        header: Bytes::from_static(b"{}"),
        body: Bytes::from(body.into()),
    }
}

/// Appends records and says where they are.
pub async fn append(log: &dyn Log, records: Vec<NewRecord>) -> Vec<Position> {
    match log.append(Append { records, ..Append::default() }).await {
        Ok(Appended::Stored(positions)) => positions,
        other => panic!("the records are stored, but: {other:?}"),
    }
}

/// Appends one record for each text to [`EVENTS`].
pub async fn append_events(log: &dyn Log, bodies: impl IntoIterator<Item = String>) -> Vec<Position> {
    append(log, bodies.into_iter().map(|body| record(EVENTS, body)).collect()).await
}

/// The bodies as texts.
pub fn bodies(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.body).into_owned()).collect()
}

/// The next `count` records.
pub async fn take(subscription: &mut dyn Subscription, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(subscription.next(count - records.len()).await.expect("the next records"));
    }
    records
}

/// All records of a scan.
pub async fn drain(scan: &mut dyn Scan) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let more = scan.next(7).await.expect("a scan goes on");
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}

/// The positions of records.
pub fn positions(records: &[Record]) -> Vec<Position> {
    records.iter().map(|record| record.position.clone()).collect()
}

fn position(of: &str, offset: u64) -> Position {
    Position { topic: topic(of), partition: 0, offset }
}

/// A time of the day at which a [`ManualClock`] stands: what is older is not kept.
fn second_of_day(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("a time within range")
}

fn numbers(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

/// An append with one key, which expires in an hour of the fixture's clock.
pub fn keyed(fixture: &dyn LogFixture, id: u8, digests: &[u8]) -> Append {
    let expires_at = fixture.clock().now() + Duration::from_secs(3600);
    let key = |digest: &u8| DedupKey { digest: [*digest; 16], expires_at };
    Append {
        records: vec![record(EVENTS, format!("event {id}"))],
        id: [id; 16],
        dedup: digests.iter().map(key).collect(),
        commit: None,
    }
}

async fn subscribed(log: &Arc<dyn Log>, cursor: &Cursor) -> Box<dyn Subscription> {
    log.create_cursor(cursor).await.expect("a cursor is made");
    log.subscribe(cursor).expect("a cursor is subscribed to")
}

fn progress_of(log: &dyn Log, cursor: &str) -> Vec<CursorProgress> {
    let cursors = log.state().cursors;
    cursors.into_iter().find(|state| state.name.as_str() == cursor).expect("the cursor is listed").partitions
}

/// Offsets of a partition count from 0 without gaps.
pub async fn an_append_gives_offsets_without_gaps(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    assert_eq!(append_events(&*log, numbers(0..3)).await, (0..3).map(|at| position(EVENTS, at)).collect::<Vec<_>>());
    assert_eq!(append(&*log, vec![record("other", "a")]).await, [position("other", 0)]);
    assert_eq!(append_events(&*log, numbers(3..4)).await, [position(EVENTS, 3)]);
    let state = log.state();
    let partition = |name: &str, end| PartitionState { topic: topic(name), partition: 0, start: 0, end };
    assert_eq!(state.partitions, [partition("other", 1), partition(EVENTS, 4)]);
    assert_eq!(state.unavailable, None);
}

/// Key, time, header and body come back as they were, empty and absent ones told apart.
pub async fn a_record_is_read_as_it_was_appended(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let time = Timestamp::from_millisecond(1_767_268_800_123).expect("a time within range");
    let keys = [None, Some(Bytes::new()), Some(Bytes::from_static(b"github:octo/repo#7"))];
    let body = Bytes::from((0..=255).cycle().take(100_000).collect::<Vec<u8>>());
    let records: Vec<_> = keys
        .iter()
        .map(|key| NewRecord { key: key.clone(), time, body: body.clone(), ..record(EVENTS, "") })
        .chain([NewRecord { header: Bytes::new(), ..record(EVENTS, "") }])
        .collect();
    append(&*log, records.clone()).await;
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).expect("a scan");
    let found = drain(&mut *scan).await;
    assert_eq!(found.len(), records.len());
    for (found, appended) in found.iter().zip(&records) {
        assert_eq!(found.key, appended.key);
        assert_eq!(found.time, appended.time);
        assert_eq!(found.header, appended.header);
        assert!(found.body == appended.body, "a body of {} bytes is another one", appended.body.len());
    }
}

/// Also where the records go to topics that the log keeps apart.
pub async fn a_batch_answers_in_the_order_of_its_records(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let topics = [EVENTS, DEAD_LETTERS, "other", EVENTS, JOURNAL];
    let stored = append(&*log, topics.iter().map(|topic| record(topic, *topic)).collect()).await;
    assert_eq!(stored.iter().map(|position| position.topic.as_str()).collect::<Vec<_>>(), topics);
    for (record, topic) in log.read(stored).await.expect("records are read").iter().zip(topics) {
        assert_eq!(record.as_ref().expect("it is stored").body, topic.as_bytes());
    }
}

/// Sixteen copies at once: one is stored, all others are told of it.
pub async fn of_equal_appends_at_once_exactly_one_is_stored(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    if !fixture.removes_duplicates() {
        return copies_are_stored(fixture, &*log).await;
    }
    let tasks: Vec<_> = (0..16)
        .map(|id| {
            let (log, append) = (Arc::clone(&log), keyed(fixture, id, &[1]));
            tokio::spawn(async move { (id, log.append(append).await.expect("an append")) })
        })
        .collect();
    let (mut stored, mut duplicates) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.expect("the task ends") {
            (id, Appended::Stored(_)) => stored.push([id; 16]),
            (_, Appended::DuplicateOf(first)) => duplicates.push(first),
        }
    }
    assert_eq!(stored.len(), 1);
    assert_eq!(duplicates, vec![stored[0]; 15]);
    assert_eq!(log.state().partitions[0].end, 1);
}

/// What a log promises whose copies are removed later: each is answered as stored, and is.
async fn copies_are_stored(fixture: &dyn LogFixture, log: &dyn Log) {
    for id in 1..=2 {
        assert!(matches!(log.append(keyed(fixture, id, &[1])).await, Ok(Appended::Stored(_))));
    }
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).expect("a scan");
    assert_eq!(bodies(&drain(&mut *scan).await), ["event 1", "event 2"]);
}

/// After that it is an event of its own.
pub async fn a_copy_is_told_the_first_until_the_key_expires(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    if !fixture.removes_duplicates() {
        return copies_are_stored(fixture, &*log).await;
    }
    assert!(matches!(log.append(keyed(fixture, 1, &[1])).await, Ok(Appended::Stored(_))));
    fixture.clock().advance(Duration::from_secs(3599));
    assert_eq!(log.append(keyed(fixture, 2, &[1])).await.expect("an append"), Appended::DuplicateOf([1; 16]));
    fixture.clock().advance(Duration::from_secs(2));
    assert!(matches!(log.append(keyed(fixture, 3, &[1])).await, Ok(Appended::Stored(_))));
    assert_eq!(log.append(keyed(fixture, 4, &[1])).await.expect("an append"), Appended::DuplicateOf([3; 16]));
}

/// A captured body under a new delivery id is a copy.
pub async fn any_of_several_keys_makes_a_copy(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    if !fixture.removes_duplicates() {
        return copies_are_stored(fixture, &*log).await;
    }
    assert!(matches!(log.append(keyed(fixture, 1, &[1, 2])).await, Ok(Appended::Stored(_))));
    for digests in [&[1, 9][..], &[9, 2]] {
        let copy = log.append(keyed(fixture, 2, digests)).await.expect("an append");
        assert_eq!(copy, Appended::DuplicateOf([1; 16]), "{digests:?}");
    }
}

/// Neither a record, nor a key of its own.
pub async fn a_copy_leaves_no_mark(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    if !fixture.removes_duplicates() {
        return copies_are_stored(fixture, &*log).await;
    }
    assert!(matches!(log.append(keyed(fixture, 1, &[1])).await, Ok(Appended::Stored(_))));
    assert!(matches!(log.append(keyed(fixture, 2, &[1, 2])).await, Ok(Appended::DuplicateOf(_))));
    assert!(matches!(log.append(keyed(fixture, 3, &[2])).await, Ok(Appended::Stored(_))));
    assert_eq!(log.state().partitions[0].end, 2);
}

/// The second time it is left as it is.
pub async fn a_cursor_is_made_once(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let cursor = cursor("app.route.out", EVENTS);
    assert!(log.create_cursor(&cursor).await.expect("a cursor"));
    append_events(&*log, numbers(0..1)).await;
    assert!(!log.create_cursor(&Cursor { from: From::Now, ..cursor.clone() }).await.expect("a cursor"));
    let mut subscription = log.subscribe(&cursor).expect("a subscription");
    assert_eq!(bodies(&take(&mut *subscription, 1).await), ["0"]);
}

/// Nothing of what was there.
pub async fn a_cursor_from_now_sees_only_what_comes_after(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    append_events(&*log, numbers(0..5)).await;
    append(&*log, vec![record(DEAD_LETTERS, "old")]).await;
    let topics = TopicFilter { include: vec![Glob::new("*")], unless_literal: Vec::new() };
    let cursor = Cursor { topics, from: From::Now, ..cursor("app.route.out", EVENTS) };
    let mut subscription = subscribed(&log, &cursor).await;
    append_events(&*log, numbers(5..6)).await;
    append(&*log, vec![record(DEAD_LETTERS, "new")]).await;
    let found: BTreeSet<_> = bodies(&take(&mut *subscription, 2).await).into_iter().collect();
    assert_eq!(found, BTreeSet::from(["5".to_owned(), "new".to_owned()]));
}

/// The first record of that time or a later one, also where times step back.
pub async fn a_cursor_from_a_time_begins_at_its_first_record(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let at = second_of_day;
    let records = [10, 30, 20, 40].map(|second| NewRecord { time: at(second), ..record(EVENTS, second.to_string()) });
    append(&*log, records.to_vec()).await;
    let mut subscriptions = Vec::new();
    for second in [0, 20, 30, 35] {
        let name = format!("from.{second}");
        subscriptions.push(subscribed(&log, &Cursor { from: From::Time(at(second)), ..cursor(&name, EVENTS) }).await);
    }
    let mut late = subscribed(&log, &Cursor { from: From::Time(at(50)), ..cursor("late", EVENTS) }).await;
    append_events(&*log, ["after".to_owned()]).await;
    let expected = [&["10", "30", "20", "40"][..], &["30", "20", "40"], &["30", "20", "40"], &["40"]];
    for (subscription, expected) in subscriptions.iter_mut().zip(expected) {
        assert_eq!(bodies(&take(&mut **subscription, expected.len()).await), expected);
    }
    assert_eq!(bodies(&take(&mut *late, 1).await), ["after"]);
}

/// Whatever the cursor's `from` said.
pub async fn a_topic_that_appears_later_is_read_from_its_beginning(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    append_events(&*log, numbers(0..1)).await;
    let topics = TopicFilter { include: vec![Glob::new("webhooks.*")], unless_literal: vec![topic(DEAD_LETTERS)] };
    let cursor = Cursor { name: cursor_name("c"), topics, from: From::Now };
    let mut subscription = subscribed(&log, &cursor).await;
    append(&*log, vec![record("webhooks.new", "first"), record("webhooks.new", "second")]).await;
    assert_eq!(bodies(&take(&mut *subscription, 2).await), ["first", "second"]);
}

/// However many are asked for at once.
pub async fn a_subscriber_sees_each_record_once_and_in_order(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let mut subscription = subscribed(&log, &cursor("c", EVENTS)).await;
    for start in (0..200).step_by(10) {
        append_events(&*log, numbers(start..start + 10)).await;
    }
    let mut found = Vec::new();
    for max in [1, 7, 64].into_iter().cycle() {
        if found.len() == 200 {
            break;
        }
        let records = subscription.next(max).await.expect("the next records");
        assert!((1..=max).contains(&records.len()), "{} records where at most {max} were asked for", records.len());
        found.extend(bodies(&records));
    }
    assert_eq!(found, numbers(0..200).collect::<Vec<_>>());
}

/// And is woken by them.
pub async fn a_subscriber_waits_for_records(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let mut subscription = subscribed(&log, &cursor("c", EVENTS)).await;
    let waiting = tokio::spawn(async move { bodies(&take(&mut *subscription, 1).await) });
    append(&*log, vec![record("other", "not this one")]).await;
    assert!(!waiting.is_finished());
    append_events(&*log, ["this one".to_owned()]).await;
    assert_eq!(waiting.await.expect("the subscriber ends"), ["this one"]);
}

/// A subscriber may be one branch of a select.
pub async fn a_dropped_next_loses_nothing(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let mut subscription = subscribed(&log, &cursor("c", EVENTS)).await;
    let mut found = Vec::new();
    let appender = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for number in 0..100 {
                append_events(&*log, numbers(number..number + 1)).await;
            }
        })
    };
    while found.len() < 100 {
        tokio::select! {
            biased;
            records = subscription.next(3) => found.extend(bodies(&records.expect("the next records"))),
            () = tokio::task::yield_now() => {}
        }
    }
    appender.await.expect("the appender ends");
    assert_eq!(found, numbers(0..100).collect::<Vec<_>>());
}

/// Not in this subscription, not in the next one.
pub async fn a_subscriber_never_gets_what_is_done(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let cursor = cursor("c", EVENTS);
    let mut subscription = subscribed(&log, &cursor).await;
    append_events(&*log, numbers(0..10)).await;
    take(&mut *subscription, 10).await;
    subscription.commit([0, 1, 4, 7, 5].map(|offset| position(EVENTS, offset)).to_vec()).expect("a commit");
    drop(subscription);
    let expected = CursorProgress { topic: topic(EVENTS), partition: 0, watermark: 2, done_above: 3 };
    assert_eq!(progress_of(&*log, "c"), [expected]);
    let mut again = log.subscribe(&cursor).expect("a subscription");
    assert_eq!(bodies(&take(&mut *again, 5).await), ["2", "3", "6", "8", "9"]);
    again.commit(vec![position(EVENTS, 2), position(EVENTS, 3)]).expect("a commit");
    let expected = CursorProgress { topic: topic(EVENTS), partition: 0, watermark: 6, done_above: 1 };
    assert_eq!(progress_of(&*log, "c"), [expected]);
}

/// Dead letters only where they are named.
pub async fn a_subscription_reads_only_its_topics(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let topics = TopicFilter { include: vec![Glob::new("webhooks.*")], unless_literal: vec![topic(DEAD_LETTERS)] };
    let mut all = subscribed(&log, &Cursor { topics, ..cursor("all", EVENTS) }).await;
    let mut dead = subscribed(&log, &cursor("dead", DEAD_LETTERS)).await;
    append(&*log, vec![record(DEAD_LETTERS, "dead")]).await;
    append(&*log, vec![record("other", "other")]).await;
    append_events(&*log, ["event".to_owned()]).await;
    assert_eq!(bodies(&take(&mut *all, 1).await), ["event"]);
    let found = take(&mut *dead, 1).await;
    assert_eq!(bodies(&found), ["dead"]);
    dead.commit(positions(&found)).expect("a commit");
    append(&*log, vec![record(DEAD_LETTERS, "more")]).await;
    drop(dead);
    let mut again = log.subscribe(&cursor("dead", DEAD_LETTERS)).expect("a subscription");
    assert_eq!(bodies(&take(&mut *again, 1).await), ["more"]);
}

/// Otherwise it would be skipped when it comes.
pub async fn what_does_not_exist_yet_cannot_be_done(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let cursor = cursor("c", EVENTS);
    let mut subscription = subscribed(&log, &cursor).await;
    append_events(&*log, numbers(0..1)).await;
    take(&mut *subscription, 1).await;
    subscription.commit(vec![position(EVENTS, 0), position(EVENTS, 1), position("other", 0)]).expect("a commit");
    let commit = Commit { cursor: cursor.name.clone(), done: vec![position(EVENTS, 1)] };
    log.append(Append { commit: Some(commit), ..Append::default() }).await.expect("an append");
    append_events(&*log, numbers(1..2)).await;
    drop(subscription);
    let mut again = log.subscribe(&cursor).expect("a subscription");
    assert_eq!(bodies(&take(&mut *again, 1).await), ["1"]);
}

/// The relay's promise: no gap and no double.
pub async fn an_append_moves_the_cursor_that_it_commits(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let cursor = cursor("app.relay", "webhooks.github");
    let mut subscription = subscribed(&log, &cursor).await;
    append(&*log, vec![record("webhooks.github", "a"), record("webhooks.github", "b")]).await;
    let records = take(&mut *subscription, 1).await;
    let bridged = Append {
        records: records.iter().map(|old| record(EVENTS, bodies(std::slice::from_ref(old)).concat())).collect(),
        commit: Some(Commit { cursor: cursor.name.clone(), done: positions(&records) }),
        ..Append::default()
    };
    assert_eq!(log.append(bridged).await.expect("an append"), Appended::Stored(vec![position(EVENTS, 0)]));
    drop(subscription);
    let mut again = log.subscribe(&cursor).expect("a subscription");
    assert_eq!(bodies(&take(&mut *again, 1).await), ["b"]);
    // A dead letter stands in another chain than the event that it is about.
    let dead = Append {
        records: vec![record(DEAD_LETTERS, "b")],
        commit: Some(Commit { cursor: cursor.name.clone(), done: vec![position("webhooks.github", 1)] }),
        ..Append::default()
    };
    assert!(matches!(log.append(dead).await, Ok(Appended::Stored(_))));
    assert_eq!(progress_of(&*log, "app.relay")[0].watermark, 2);
}

/// It is refused as a whole.
pub async fn an_append_that_commits_for_nobody_stores_nothing(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    for topic in [EVENTS, DEAD_LETTERS] {
        let batch = Append {
            records: vec![record(topic, "a")],
            commit: Some(Commit { cursor: cursor_name("nobody"), done: Vec::new() }),
            ..Append::default()
        };
        assert!(matches!(log.append(batch).await, Err(LogError::NoCursor(_))), "{topic}");
    }
    assert_eq!(log.state().partitions, []);
}

/// Each is a group of its own.
pub async fn cursors_do_not_disturb_each_other(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let mut fast = subscribed(&log, &cursor("fast", EVENTS)).await;
    let mut slow = subscribed(&log, &cursor("slow", EVENTS)).await;
    append_events(&*log, numbers(0..3)).await;
    let done = positions(&take(&mut *fast, 3).await);
    fast.commit(done).expect("a commit");
    assert_eq!(bodies(&take(&mut *slow, 3).await), ["0", "1", "2"]);
}

/// And is not listed before that.
pub async fn a_cursor_that_was_deleted_begins_anew(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let cursor = cursor("c", EVENTS);
    let mut subscription = subscribed(&log, &cursor).await;
    append_events(&*log, numbers(0..1)).await;
    let done = positions(&take(&mut *subscription, 1).await);
    subscription.commit(done).expect("a commit");
    drop(subscription);
    log.delete_cursor(&cursor.name).await.expect("a cursor is deleted");
    assert!(log.state().cursors.is_empty());
    let mut again = subscribed(&log, &cursor).await;
    assert_eq!(bodies(&take(&mut *again, 1).await), ["0"]);
}

/// The cursor must exist first.
pub async fn without_a_cursor_there_is_no_subscription(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let refused = log.subscribe(&cursor("nobody", EVENTS)).err();
    assert!(matches!(refused, Some(LogError::NoCursor(name)) if name.as_str() == "nobody"));
}

/// What comes later is not seen, however late it is read.
pub async fn a_scan_ends_at_what_was_durable_when_it_began(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    append_events(&*log, numbers(0..20)).await;
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Earliest).expect("a scan");
    append_events(&*log, numbers(20..21)).await;
    assert_eq!(bodies(&drain(&mut *scan).await), numbers(0..20).collect::<Vec<_>>());
    assert!(scan.next(1).await.expect("a scan at its end").is_empty());
    let mut nothing = log.scan(TopicFilter::only(&topic(EVENTS)), From::Now).expect("a scan");
    assert!(drain(&mut *nothing).await.is_empty());
}

/// In each topic at the first record of that time or later.
pub async fn a_scan_begins_at_a_time(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let at = second_of_day;
    for second in [10, 30, 20, 40] {
        let record = |topic| NewRecord { time: at(second), ..record(topic, second.to_string()) };
        append(&*log, vec![record(EVENTS), record("other")]).await;
    }
    let mut scan = log.scan(TopicFilter::only(&topic(EVENTS)), From::Time(at(25))).expect("a scan");
    assert_eq!(bodies(&drain(&mut *scan).await), ["30", "20", "40"]);
    let mut late = log.scan(TopicFilter::only(&topic(EVENTS)), From::Time(at(41))).expect("a scan");
    assert!(drain(&mut *late).await.is_empty());
}

/// Each partition from the place that is named, and others from their beginning, whatever the times of their records.
pub async fn a_scan_begins_where_each_partition_was_left(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let everything = TopicFilter { include: vec![Glob::new("*")], unless_literal: Vec::new() };
    let mut left = Vec::new();
    for (number, topic) in [EVENTS, "other", EVENTS].into_iter().enumerate() {
        let time = second_of_day(30);
        let stored = append(&*log, vec![NewRecord { time, ..record(topic, number.to_string()) }]).await;
        left.retain(|other: &Position| {
            stored.iter().all(|new| (&new.topic, new.partition) != (&other.topic, other.partition))
        });
        left.extend(stored.into_iter().map(|position| Position { offset: position.offset + 1, ..position }));
    }
    let mut nothing = log.scan_from(everything.clone(), left.clone()).expect("a scan");
    assert!(drain(&mut *nothing).await.is_empty());
    for (second, topic) in [(10, "other"), (11, "new"), (40, EVENTS)] {
        let time = second_of_day(second);
        append(&*log, vec![NewRecord { time, ..record(topic, second.to_string()) }]).await;
    }
    let mut scan = log.scan_from(everything, left).expect("a scan");
    assert_eq!(bodies(&drain(&mut *scan).await), ["10", "11", "40"]);
}

/// Oldest first, also over topics that the log keeps apart.
pub async fn a_scan_of_several_topics_goes_by_age(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let at = second_of_day;
    for (second, topic) in [EVENTS, DEAD_LETTERS, "other", DEAD_LETTERS, EVENTS].into_iter().enumerate() {
        let time = at(i64::try_from(second).expect("a small number"));
        append(&*log, vec![NewRecord { time, ..record(topic, second.to_string()) }]).await;
    }
    let everything = TopicFilter { include: vec![Glob::new("*")], unless_literal: Vec::new() };
    let mut scan = log.scan(everything, From::Earliest).expect("a scan");
    assert_eq!(bodies(&drain(&mut *scan).await), ["0", "1", "2", "3", "4"]);
}

/// In the order in which they were asked for; `None` for what is not there.
pub async fn single_records_are_read_by_their_positions(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    append_events(&*log, numbers(0..50)).await;
    append(&*log, vec![record(DEAD_LETTERS, "dead")]).await;
    let wanted = vec![
        position(EVENTS, 49),
        position(DEAD_LETTERS, 0),
        position(EVENTS, 3),
        position(EVENTS, 50),
        position("nothing", 0),
        Position { partition: 1, ..position(EVENTS, 0) },
    ];
    let found = log.read(wanted).await.expect("records are read");
    let texts: Vec<_> = found.iter().map(|record| record.as_ref().map(|found| found.body.clone())).collect();
    let text = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    assert_eq!(texts, [text("49"), text("dead"), text("3"), None, None, None]);
}

/// Without an answer.
pub async fn a_note_is_stored_some_time(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let appended = log.appended(TopicFilter::only(&topic(JOURNAL)));
    log.note(record(JOURNAL, "noted"));
    appended.await;
    let mut scan = log.scan(TopicFilter::only(&topic(JOURNAL)), From::Earliest).expect("a scan");
    assert_eq!(bodies(&drain(&mut *scan).await), ["noted"]);
    assert_eq!(log.state().dropped_notes, 0);
}

/// And for nothing that was there before.
pub async fn appended_waits_for_a_topic_of_its_filter(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    append_events(&*log, numbers(0..1)).await;
    let waiting = tokio::spawn(log.appended(TopicFilter::only(&topic(EVENTS))));
    append(&*log, vec![record("other", "a")]).await;
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    append_events(&*log, numbers(1..2)).await;
    waiting.await.expect("the waiter ends");
}

/// With the error that says so.
pub async fn after_close_everything_is_refused(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    let cursor = cursor("c", EVENTS);
    let mut subscription = subscribed(&log, &cursor).await;
    let waiting = tokio::spawn(async move {
        let ended = subscription.next(1).await.err();
        (ended, subscription.commit(vec![position(EVENTS, 0)]).err())
    });
    tokio::task::yield_now().await;
    log.close().await.expect("a log is closed");
    log.close().await.expect("a log that is closed is closed again");
    let ended = waiting.await.expect("the subscriber ends");
    assert!(matches!(ended, (Some(LogError::Closed), Some(LogError::Closed))), "{ended:?}");
    assert!(matches!(log.append(Append::one(record(EVENTS, "a"))).await, Err(LogError::Closed)));
    assert!(matches!(log.create_cursor(&cursor).await, Err(LogError::Closed)));
    assert!(matches!(log.delete_cursor(&cursor.name).await, Err(LogError::Closed)));
    assert!(matches!(log.subscribe(&cursor).err(), Some(LogError::Closed)));
    assert!(matches!(log.scan(cursor.topics.clone(), From::Earliest).err(), Some(LogError::Closed)));
    assert!(matches!(log.read(vec![position(EVENTS, 0)]).await, Err(LogError::Closed)));
    assert!(log.state().unavailable.is_some());
}

/// Records, offsets, cursors, and what was seen.
pub async fn everything_is_there_after_a_restart(fixture: &dyn LogFixture) {
    if !fixture.is_durable() {
        return;
    }
    let log = fixture.open().await;
    let cursor = cursor("c", EVENTS);
    let mut subscription = subscribed(&log, &cursor).await;
    append_events(&*log, numbers(0..5)).await;
    append(&*log, vec![record(DEAD_LETTERS, "dead")]).await;
    assert!(matches!(log.append(keyed(fixture, 1, &[1])).await, Ok(Appended::Stored(_))));
    log.note(record(JOURNAL, "noted"));
    take(&mut *subscription, 6).await;
    subscription.commit([0, 1, 3].map(|offset| position(EVENTS, offset)).to_vec()).expect("a commit");
    drop(subscription);
    log.close().await.expect("a log is closed");
    let before = { log.state() };
    drop(log);

    let log = fixture.open().await;
    let after = log.state();
    assert_eq!((after.partitions, after.cursors), (before.partitions, before.cursors));
    if fixture.removes_duplicates() {
        assert_eq!(log.append(keyed(fixture, 2, &[1])).await.expect("an append"), Appended::DuplicateOf([1; 16]));
    }
    assert!(!log.create_cursor(&cursor).await.expect("a cursor"));
    let mut again = log.subscribe(&cursor).expect("a subscription");
    assert_eq!(bodies(&take(&mut *again, 3).await), ["2", "4", "event 1"]);
    assert_eq!(append_events(&*log, numbers(9..10)).await, [position(EVENTS, 6)]);
    let everything = TopicFilter { include: vec![Glob::new("*")], unless_literal: Vec::new() };
    let mut scan = log.scan(everything, From::Earliest).expect("a scan");
    assert_eq!(drain(&mut *scan).await.len(), 9);
}
