//! `file_output`: appends each event to a file, and answers when it is on the disk.
//!
//! ```text
//! deliver ─ line ─▶ waiting ◀─ takes all ─ whoever holds the file ── one write, one sync ──▶ every waiter answered
//! ```

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    envelope::{Envelope, Layout},
    outcome::{FailureClass, Outcome},
    ports::egress::{CheckError, Delivery, EgressDriver},
    secret::Secrets,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    task::spawn_blocking,
};

use super::{appender::Appender, rotation::Rotation};

/// The settings of `file_output`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The file. It and its directories are created where they are missing. A relative path is taken from the working
    /// directory.
    pub path: PathBuf,
    /// When the file is moved away and a new one begun. Left out, it grows without end, or whoever moves it away decides: it is
    /// then opened anew with the next event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotation>,
}

/// The driver `file_output`.
pub struct FileOutput {
    file: Arc<AsyncMutex<Appender>>,
    waiting: Mutex<Vec<Waiter>>,
}

/// A line, and where its delivery waits for the answer.
struct Waiter {
    line: Vec<u8>,
    answer: oneshot::Sender<Outcome>,
}

impl Kind for FileOutput {
    const NAME: &'static str = "file_output";
    const ABOUT: &'static str = "Appends events to a file, one envelope a line, each synced to the disk.";
    type Settings = Settings;
    type Driver = dyn EgressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let Settings { path, rotate } = settings;
        let mut faults = rotate.iter().flat_map(Rotation::faults).collect::<Vec<_>>();
        let is_directory = path.as_os_str().as_encoded_bytes().last().is_none_or(|&byte| byte == b'/');
        if is_directory || path.file_name().is_none() {
            let help = "write the path of a file, such as `/var/log/hook/events.jsonl`";
            faults.push(Fault::at("/path", "this names no file", help));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Arc::new(Self { file: Arc::new(AsyncMutex::new(Appender::new(path, rotate))), waiting: Mutex::default() }))
    }
}

impl EgressDriver for FileOutput {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        let mut line = delivery.envelope.to_json(Layout::OneLine);
        line.push(b'\n');
        Box::pin(self.append(line))
    }

    fn render(&self, envelope: &Envelope, _: &Secrets) -> Result<Option<Bytes>, String> {
        Ok(Some(envelope.to_json(Layout::OneLine).into()))
    }

    fn check<'a>(&'a self, _secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            let mut file = Arc::clone(&self.file).lock_owned().await;
            let probed = spawn_blocking(move || file.probe()).await.map_err(io::Error::other);
            probed.flatten().map_err(|error| CheckError::Unreachable(explain(&error)))
        })
    }
}

impl FileOutput {
    /// Leaves the line where whoever holds the file next finds it, and is that one where nobody else was.
    async fn append(&self, line: Vec<u8>) -> Outcome {
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push(Waiter { line, answer });
        let mut file = Arc::clone(&self.file).lock_owned().await;
        if let Ok(outcome) = answered.try_recv() {
            return outcome;
        }
        let batch = std::mem::take(&mut *self.waiting());
        // The lock moves into the write: where this delivery is dropped meanwhile, the others still get their answers.
        drop(spawn_blocking(move || write(&mut file, batch)));
        answered.await.unwrap_or_else(|_| Outcome::failed(FailureClass::Transient, "the write was abandoned"))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One write and one sync, unless a file is full in between.
fn write(file: &mut Appender, mut batch: Vec<Waiter>) {
    // A delivery that was dropped counts as not made.
    batch.retain(|waiter| !waiter.answer.is_closed());
    while !batch.is_empty() {
        let room = file.make_room(batch.iter().map(|waiter| waiter.line.len() as u64));
        let count = room.as_ref().map_or(batch.len(), |&room| room.min(batch.len()));
        let part: Vec<Waiter> = batch.drain(..count).collect();
        let lines: Vec<u8> = part.iter().flat_map(|waiter| &waiter.line).copied().collect();
        let outcome = match room.and_then(|_| file.append(&lines)) {
            Ok(()) => Outcome::delivered("appended and synced"),
            Err(error) => Outcome::failed(class_of(&error), explain(&error)),
        };
        for waiter in part {
            let _ = waiter.answer.send(outcome.clone());
        }
    }
}

/// A full or failing disk may be well again by itself; a wrong path or right waits for the operator.
fn class_of(error: &io::Error) -> FailureClass {
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename
        | ErrorKind::ReadOnlyFilesystem => FailureClass::Misconfigured,
        _ => FailureClass::Transient,
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk of the file is full".to_owned(),
        _ => format!("could not append to the file: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use futures_util::{FutureExt, future::join_all};
    use hook_core::{
        Timestamp,
        catalog::{BuildError, Built, Entry},
        envelope::{Envelope, EventHeader, Meta},
        event::EventId,
        names::{EventType, SourceName},
        payload::Payload,
    };
    use serde_json::{Value, json};

    use super::*;

    fn driver(path: &Path) -> Arc<dyn EgressDriver> {
        build(json!({ "path": path }))
    }

    fn build(settings: Value) -> Arc<dyn EgressDriver> {
        let Built { driver, .. } = Entry::of::<FileOutput>().build(settings).ok().unwrap();
        driver
    }

    fn event(number: usize) -> Envelope {
        Envelope {
            header: EventHeader {
                id: EventId::generate(),
                source: SourceName::new("test").unwrap(),
                event_type: EventType::unknown(),
                received_at: Timestamp::UNIX_EPOCH,
                meta: Meta::default(),
            },
            payload: Payload::parse(format!("{{\n  \"number\": {number},\n  \"text\": \"a\\nb\"\n}}").into()).unwrap(),
        }
    }

    fn secrets() -> Secrets {
        Arc::new(BTreeMap::new())
    }

    async fn deliver(driver: &dyn EgressDriver, envelope: &Envelope) -> Outcome {
        driver.deliver(Delivery { envelope, attempt: 1, secrets: &secrets(), place: None }).await
    }

    fn numbers(path: &Path) -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["payload"]["number"].as_u64().unwrap())
            .collect()
    }

    fn class(outcome: &Outcome) -> FailureClass {
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        failure.class
    }

    #[tokio::test]
    async fn concurrent_deliveries_are_one_line_each() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let driver = driver(&path);
        let events: Vec<_> = (0..200).map(event).collect();
        let outcomes = join_all(events.iter().map(|event| deliver(&*driver, event))).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered { .. })));
        let mut written = numbers(&path);
        written.sort_unstable();
        assert_eq!(written, (0..200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn whoever_holds_the_file_writes_for_all_that_wait() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let output = FileOutput {
            file: Arc::new(AsyncMutex::new(Appender::new(path.clone(), None))),
            waiting: Mutex::default(),
        };
        let held = Arc::clone(&output.file).lock_owned().await;
        let events: Vec<_> = (0..3).map(event).collect();
        let mut deliveries: Vec<_> = events.iter().map(|event| Box::pin(deliver(&output, event))).collect();
        assert!(deliveries.iter_mut().all(|delivery| delivery.now_or_never().is_none()));
        drop(held);
        let mut rest = deliveries.split_off(1);
        assert!(matches!(deliveries.remove(0).await, Outcome::Delivered { .. }));
        assert_eq!(numbers(&path), [0, 1, 2]);
        for delivery in rest.drain(..) {
            assert!(matches!(delivery.await, Outcome::Delivered { .. }));
        }
        assert_eq!(numbers(&path), [0, 1, 2]);
    }

    /// Follows a file by its inode, as programs do that ship logs: to the end of the one that it has, then the next newer one.
    struct Follower {
        path: std::path::PathBuf,
        file: Option<(u64, std::io::BufReader<fs::File>)>,
        read: Vec<u64>,
    }

    impl Follower {
        fn catch_up(&mut self) {
            use std::{io::BufRead, os::unix::fs::MetadataExt};
            // The newest first: the path itself, `.1`, `.2`, …
            let names = std::iter::once(self.path.clone())
                .chain((1..).map(|number| format!("{}.{number}", self.path.display()).into()))
                .take_while(|name| name.exists());
            let there: Vec<_> = names.map(|name| (fs::metadata(&name).unwrap().ino(), name)).collect();
            let ours = self.file.as_ref().and_then(|(ours, _)| there.iter().position(|(inode, _)| inode == ours));
            for at in (0..=ours.unwrap_or(there.len() - 1)).rev() {
                let (inode, name) = &there[at];
                let same = self.file.take().filter(|(ours, _)| ours == inode);
                let (_, mut file) =
                    same.unwrap_or_else(|| (*inode, std::io::BufReader::new(fs::File::open(name).unwrap())));
                let mut line = String::new();
                while file.read_line(&mut line).unwrap() > 0 {
                    let event: Value = serde_json::from_str(&line).unwrap();
                    self.read.push(event["payload"]["number"].as_u64().unwrap());
                    line.clear();
                }
                self.file = Some((*inode, file));
            }
        }
    }

    #[tokio::test]
    async fn a_full_file_is_moved_away_and_whoever_follows_it_misses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let driver = build(json!({ "path": path, "rotate": { "max_bytes": 2048, "keep": 100 } }));
        let mut follower = Follower { path: path.clone(), file: None, read: Vec::new() };
        for round in 0..20 {
            // Some come together, and share a write over the end of a file.
            let events: Vec<_> = (round * 7..round * 7 + 7).map(event).collect();
            let outcomes = join_all(events.iter().map(|event| deliver(&*driver, event))).await;
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered { .. })));
            if round % 3 == 0 {
                follower.catch_up();
            }
        }
        follower.catch_up();
        assert_eq!(follower.read, (0..140).collect::<Vec<_>>());
        let sizes: Vec<u64> =
            fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.len() > 5 && sizes.iter().all(|&size| size <= 2048), "{sizes:?}");
    }

    #[tokio::test]
    async fn an_event_that_is_larger_than_a_file_has_one_to_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let driver = build(json!({ "path": path, "rotate": { "max_bytes": 1024, "keep": 9 } }));
        let mut large = event(1);
        large.payload = Payload::parse(format!("{{\"number\":1,\"text\":\"{}\"}}", "a".repeat(5000)).into()).unwrap();
        for event in [event(0), large, event(2)] {
            assert!(matches!(deliver(&*driver, &event).await, Outcome::Delivered { .. }));
        }
        let file = |number: u32| directory.path().join(format!("events.jsonl.{number}"));
        assert_eq!((numbers(&file(2)), numbers(&file(1)), numbers(&path)), (vec![0], vec![1], vec![2]));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_moved_away_loses_nothing_and_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let driver = build(json!({ "path": path, "rotate": { "max_bytes": 1024, "keep": 1 } }));
        fs::create_dir_all(directory.path().join("events.jsonl.1/in-the-way")).unwrap();
        let mut number = 0;
        let failed = loop {
            match deliver(&*driver, &event(number)).await {
                Outcome::Delivered { .. } => number += 1,
                Outcome::Failed(failure) => break failure,
            }
        };
        assert!(failed.error.contains("could not move the full file away"), "{}", failed.error);
        fs::remove_dir_all(directory.path().join("events.jsonl.1")).unwrap();
        assert!(matches!(deliver(&*driver, &event(number)).await, Outcome::Delivered { .. }));
        let all = [numbers(&directory.path().join("events.jsonl.1")), numbers(&path)].concat();
        assert_eq!(all, (0..=number as u64).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_delivery_that_is_dropped_holds_up_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let driver = driver(&path);
        let (dropped, kept) = (event(1), event(2));
        assert!(deliver(&*driver, &dropped).now_or_never().is_none());
        assert!(matches!(deliver(&*driver, &kept).await, Outcome::Delivered { .. }));
        assert_eq!(numbers(&path).last(), Some(&2));
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_written_waits_for_the_operator() {
        let directory = tempfile::tempdir().unwrap();
        let outcome = deliver(&*driver(directory.path()), &event(1)).await;
        assert_eq!(class(&outcome), FailureClass::Misconfigured);
        let below_a_file = directory.path().join("file");
        fs::write(&below_a_file, "").unwrap();
        let outcome = deliver(&*driver(&below_a_file.join("events.jsonl")), &event(1)).await;
        assert_eq!(class(&outcome), FailureClass::Misconfigured);
        assert!(driver(directory.path()).check(&secrets()).await.is_err());
    }

    #[tokio::test]
    async fn a_check_finds_the_file_writable_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/events.jsonl");
        let driver = driver(&path);
        driver.check(&secrets()).await.unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        deliver(&*driver, &event(1)).await;
        driver.check(&secrets()).await.unwrap();
        assert_eq!(numbers(&path), [1]);
    }

    #[test]
    fn a_full_disk_is_tried_again() {
        let full = io::Error::from(ErrorKind::StorageFull);
        assert_eq!(class_of(&full), FailureClass::Transient);
        assert_eq!(explain(&full), "the disk of the file is full");
    }

    #[test]
    fn a_rotation_that_cannot_be_is_a_fault_at_its_place() {
        let settings = json!({ "path": "events.jsonl", "rotate": { "max_bytes": 1 } });
        let Err(BuildError::Faulty(faults)) = Entry::of::<FileOutput>().build(settings) else { panic!() };
        assert_eq!(faults[0].pointer, "/rotate/max_bytes");
    }

    #[test]
    fn a_path_that_names_no_file_is_a_fault() {
        for path in ["", "/", "logs/", ".."] {
            let Err(BuildError::Faulty(faults)) = Entry::of::<FileOutput>().build(json!({ "path": path })) else {
                panic!("{path}")
            };
            assert_eq!(faults[0].pointer, "/path");
        }
    }
}
