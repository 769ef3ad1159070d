//! The mark that a migration leaves in the data directory: how far it has come, and which cluster the events are on.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use hook_core::{
    Timestamp,
    ports::log::LogState,
    problem::{Problem, codes},
};
use serde::{Deserialize, Serialize};

/// The name of the file.
const FILE: &str = "MIGRATION";
const VERSION: u32 = 1;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    version: u32,
    /// Stands for the embedded log on the cluster.
    pub log: String,
    /// Where the events go.
    pub to: Destination,
    /// When the migration began.
    pub began_at: Timestamp,
    /// How far it has come.
    pub step: Step,
    /// Where each partition of the embedded log ended when everything was over there.
    #[serde(default)]
    ends: BTreeMap<String, u64>,
}

/// The part of a cluster that holds a pipeline's topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The cluster's id, where it says one; otherwise the brokers.
    pub cluster: String,
    /// The namespace; empty where there is none.
    pub namespace: String,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "cluster {} without a namespace", self.cluster),
            namespace => write!(f, "cluster {} with namespace `{namespace}`", self.cluster),
        }
    }
}

/// How far a migration has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Records are being carried over. Nothing on the cluster reads them yet.
    Carrying,
    /// All records are there, and cursors are being made.
    Cursors,
    /// All is there, and was read back.
    Done,
}

impl Mark {
    /// Begins a migration.
    pub fn begin(to: Destination, now: Timestamp) -> Self {
        let log = uuid::Uuid::new_v4().simple().to_string();
        Self { version: VERSION, log, to, began_at: now, step: Step::Carrying, ends: BTreeMap::new() }
    }

    /// Reads the mark of a data directory, where there is one.
    pub fn read(directory: &Path) -> Result<Option<Self>, Box<Problem>> {
        Self::read_file(&directory.join(FILE)).map_err(|error| {
            let message = format!("{} cannot be read: {error}", directory.join(FILE).display());
            let help = "it says how far `hook log migrate` has come: put it back from a backup";
            Box::new(Problem::error(&codes::LOG_NOT_OPENED, message, help))
        })
    }

    fn read_file(path: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mark: Self = serde_json::from_slice(&bytes)?;
        if mark.version != VERSION {
            let text = format!("version {}, and this program reads version {VERSION}", mark.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Some(mark))
    }

    /// Writes the mark in place of the one before: after a crash there is the one or the other.
    pub fn write(&self, directory: &Path) -> Result<(), Box<Problem>> {
        self.write_file(directory).map_err(|error| not_written(directory, &error))
    }

    fn write_file(&self, directory: &Path) -> io::Result<()> {
        let (path, partial) = (directory.join(FILE), directory.join(format!("{FILE}.part")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(directory)?.sync_all()
    }

    /// Takes the mark away: the embedded log is one as any other again.
    pub fn remove(directory: &Path) -> Result<(), Box<Problem>> {
        let removed = fs::remove_file(directory.join(FILE)).and_then(|()| File::open(directory)?.sync_all());
        removed.map_err(|error| not_written(directory, &error))
    }

    /// The next step.
    pub fn reach(&mut self, step: Step, log: &LogState) {
        self.step = step;
        if step == Step::Done {
            self.ends = ends(log);
        }
    }

    /// Whether everything was carried over, and the log has got nothing since.
    pub fn covers(&self, log: &LogState) -> bool {
        self.step == Step::Done && self.ends == ends(log)
    }
}

/// Says so where the embedded log of a data directory was carried over: nobody may go on with it by mistake.
pub fn carried_away(directory: &Path) -> Result<(), Box<Problem>> {
    let Some(mark) = Mark::read(directory)?.filter(|mark| mark.step != Step::Carrying) else { return Ok(()) };
    let message = format!("the embedded log in {} was carried over to Kafka, to {}", directory.display(), mark.to);
    let help = "choose Kafka under [backbone] or with KAFKA_BROKERS, or give another --data-dir; `hook up --force` runs on the \
                embedded log again, and delivers once more what it had not delivered when it was left";
    Err(Box::new(Problem::error(&codes::OTHER_LOG, message, help)))
}

fn not_written(directory: &Path, error: &io::Error) -> Box<Problem> {
    let message = format!("could not write {}: {error}", directory.join(FILE).display());
    let help = "make room in the data directory, or give it back to this user, and run it again";
    Box::new(Problem::error(&codes::LOG_NOT_OPENED, message, help))
}

fn ends(log: &LogState) -> BTreeMap<String, u64> {
    let end = |partition: &hook_core::ports::log::PartitionState| {
        (format!("{}/{}", partition.topic, partition.partition), partition.end)
    };
    log.partitions.iter().map(end).collect()
}

#[cfg(test)]
mod tests {
    use hook_core::{names::TopicName, ports::log::PartitionState};

    use super::*;

    fn log(end: u64) -> LogState {
        let topic = TopicName::new("webhooks.core").unwrap();
        LogState { partitions: vec![PartitionState { topic, partition: 0, start: 0, end }], ..LogState::default() }
    }

    #[test]
    fn a_mark_is_read_back_and_covers_only_what_the_log_had() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Mark::read(directory.path()).unwrap(), None);
        let to = Destination { cluster: "c".into(), namespace: String::new() };
        let mut mark = Mark::begin(to, Timestamp::UNIX_EPOCH);
        assert!(!mark.covers(&log(7)));
        mark.write(directory.path()).unwrap();
        assert!(carried_away(directory.path()).is_ok(), "it may still be delivered here");
        mark.reach(Step::Done, &log(7));
        mark.write(directory.path()).unwrap();
        let read = Mark::read(directory.path()).unwrap().unwrap();
        assert_eq!(read, mark);
        assert!(read.covers(&log(7)) && !read.covers(&log(8)));
        assert!(carried_away(directory.path()).is_err());
        Mark::remove(directory.path()).unwrap();
        assert_eq!(Mark::read(directory.path()).unwrap(), None);
    }

    #[test]
    fn a_mark_that_is_bent_is_an_error_and_not_none() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "{}", "{\"version\":2}"] {
            fs::write(directory.path().join(FILE), text).unwrap();
            assert!(Mark::read(directory.path()).is_err(), "{text}");
        }
    }
}
