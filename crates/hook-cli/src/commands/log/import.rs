//! `hook log import`: records of an export into a log, none of them twice.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use hook_admin::{
    query::OwnTopics,
    socket::Client,
    transfer::{self, Identity, StoredCount, TransferQuery},
};
use hook_contract::plan::Plan;
use hook_core::{
    Timestamp,
    clock::{SharedClock, SystemClock},
    names::CursorName,
    ports::log::{Append, Commit, Log, LogError, Position, Record},
};
use serde::Serialize;

use super::file::{FORMAT, First, Last, VERSION};
use crate::{
    commands::events::with_query,
    context::Context,
    data_directory::Flag,
    exit::Exit,
    kafka::{self, Purpose},
    owner::{self, Located, fail, failed},
    pipeline, readers,
};

/// So many records, or so many bytes, are stored at once.
const PART_RECORDS: usize = 256;
const PART_BYTES: usize = 2 << 20;
/// No line is longer: the largest record, in base64.
const MAX_LINE: u64 = 128 << 20;

/// Store the records of an export; those that are in the log already are passed over
///
/// A record is the same where topic, time, key, header and body are: the same file twice, an import that was interrupted, or
/// an export into its own log stores nothing twice. Offsets are new. To every cursor the records are new events, and so
/// destinations get them, and the relay bridges those in source topics; --as-delivered keeps what was delivered.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file that `hook log export` has written, or `-` for stdin
    file: PathBuf,
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// What a cursor had behind it when the file was written counts as done; for moving a log. No pipeline may run
    #[arg(long)]
    as_delivered: bool,
}

/// What was done, for programs.
#[derive(Debug, Default, Serialize)]
struct Imported {
    /// Records in the file.
    records: u64,
    /// Stored now; with `--dry-run`, would be.
    stored: u64,
    /// Passed over: they are in the log.
    known: u64,
    dry_run: bool,
}

/// Whoever takes records.
enum Target {
    Running(Client),
    Own { log: Arc<dyn Log>, own: OwnTopics },
}

/// Reads, compares and stores.
pub async fn run(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    let is_stdin = arguments.file == Path::new("-");
    if !is_stdin {
        // Looked through before anything is stored: a file that is cut off, or was edited by mistake, changes nothing.
        let mut lines = Lines::open(context, &arguments.file)?;
        lines.first()?;
        while lines.next_record()?.is_some() {}
    }
    let Located { client, plan, directory, secrets } = owner::locate(context, flag)?;
    let is_running = client.is_running().await;
    if is_running && arguments.as_delivered {
        return Err(fail(context, "--as-delivered needs a log that no pipeline runs on: it would deliver at once"));
    }
    let target = match is_running {
        true => Target::Running(client),
        false => {
            let clock: SharedClock = Arc::new(SystemClock);
            if arguments.dry_run && kafka::of(&plan).is_none() {
                owner::must_exist(context, &directory)?;
            }
            let purpose = Purpose::Run { roles: &[], instance: None };
            let log = pipeline::open_log((&plan, &directory), purpose, &secrets, &clock).await;
            Target::Own {
                log: log.map_err(|problem| context.refuse(&[*problem], None))?,
                own: owner::own_topics(&plan),
            }
        }
    };
    let mut lines = Lines::open(context, &arguments.file)?;
    let first = lines.first()?;
    let imported = import(context, arguments, &target, &plan, &first, &mut lines).await;
    context.output.progress("");
    if let Target::Own { log, .. } = &target {
        log.close().await.map_err(|error| fail(context, &error.to_string()))?;
    }
    say(context, &imported?)
}

async fn import(
    context: &Context,
    arguments: &Arguments,
    target: &Target,
    plan: &Plan,
    first: &First,
    lines: &mut Lines<'_>,
) -> Result<Imported, Exit> {
    let query = TransferQuery { topic: first.topic.clone(), since: first.since };
    let mut known = target.identities(context, &query).await?;
    let mut delivered = Delivered::default();
    if let (true, Target::Own { log, .. }) = (arguments.as_delivered && !arguments.dry_run, target) {
        let made = Delivered::of(first, plan, log).await;
        delivered = made.map_err(|error| fail(context, &error.to_string()))?;
    }
    let mut imported = Imported { dry_run: arguments.dry_run, ..Imported::default() };
    let (mut part, mut bytes) = (Vec::new(), 0);
    loop {
        let record = lines.next_record()?;
        let is_end = record.is_none();
        if let Some(record) = record {
            imported.records += 1;
            if known.insert(transfer::identity(&record)) {
                bytes += record.header.len() + record.body.len();
                part.push(record);
            } else {
                imported.known += 1;
            }
        }
        if part.len() < PART_RECORDS && bytes < PART_BYTES && !is_end {
            continue;
        }
        if arguments.dry_run {
            imported.stored += part.len() as u64;
        } else if !part.is_empty() {
            let count = target.store(&part, &delivered).await.map_err(|error| {
                let stored = imported.stored;
                fail(
                    context,
                    &format!("{error}; {stored} records were stored: run it again, and it goes on from there"),
                )
            })?;
            imported.stored += count.stored;
            imported.known += count.known;
        }
        part.clear();
        bytes = 0;
        context.output.progress(&format!("{} records, {} of them new", imported.records, imported.stored));
        if is_end {
            return Ok(imported);
        }
    }
}

impl Target {
    /// What tells the records that are there from all others.
    async fn identities(&self, context: &Context, query: &TransferQuery) -> Result<HashSet<Identity>, Exit> {
        let mut known = HashSet::new();
        match self {
            Self::Running(client) => {
                let path = with_query("/log/identities", query);
                let read = client.each_line(&path, |line| {
                    let hex = std::str::from_utf8(line).ok().and_then(|hex| u128::from_str_radix(hex, 16).ok());
                    known.extend(hex.map(u128::to_be_bytes));
                    hex.is_some()
                });
                read.await.map_err(|error| failed(context, &error))?;
            }
            Self::Own { log, .. } => {
                let error = |error: LogError| fail(context, &error.to_string());
                let mut reading = query.scan(log).map_err(error)?;
                while let Some(records) = reading.next().await.map_err(error)? {
                    known.extend(records.iter().map(transfer::identity));
                }
            }
        }
        Ok(known)
    }

    async fn store(&self, records: &[Record], delivered: &Delivered) -> Result<StoredCount, String> {
        match self {
            Self::Running(client) => {
                let lines: Vec<u8> = records.iter().flat_map(transfer::to_line).collect();
                let answer = client.post_body("/log/import", lines.into()).await.map_err(|error| error.to_string())?;
                serde_json::from_slice(&answer).map_err(|error| error.to_string())
            }
            Self::Own { log, own } => {
                let places = transfer::store(log, own, records, Timestamp::now()).await;
                let places = places.map_err(|error| error.to_string())?;
                delivered.commit(log, records, &places).await.map_err(|error| error.to_string())?;
                Ok(StoredCount::of(&places))
            }
        }
    }
}

/// How far cursors had come in the log that was exported.
#[derive(Default)]
struct Delivered {
    cursors: Vec<(CursorName, Watermarks)>,
}

/// By topic and partition: everything below was done.
type Watermarks = HashMap<(String, u32), u64>;

impl Delivered {
    /// Of the cursors that the contract reads with. Those that the log does not have are made.
    async fn of(first: &First, plan: &Plan, log: &Arc<dyn Log>) -> Result<Self, LogError> {
        let mut cursors = Vec::new();
        for cursor in readers::active(plan) {
            let Some(exported) = first.cursors.iter().find(|exported| exported.name == cursor.name) else { continue };
            log.create_cursor(&cursor).await?;
            let watermark = |place: &hook_core::ports::log::CursorProgress| {
                ((place.topic.to_string(), place.partition), place.watermark)
            };
            cursors.push((cursor.name, exported.partitions.iter().map(watermark).collect()));
        }
        Ok(Self { cursors })
    }

    async fn commit(
        &self,
        log: &Arc<dyn Log>,
        records: &[Record],
        places: &[Option<Position>],
    ) -> Result<(), LogError> {
        for (cursor, watermarks) in &self.cursors {
            let is_done = |record: &Record| {
                let Position { topic, partition, offset } = &record.position;
                watermarks.get(&(topic.to_string(), *partition)).is_some_and(|watermark| offset < watermark)
            };
            let stored = records.iter().zip(places).filter_map(|(record, place)| Some((record, place.as_ref()?)));
            let done: Vec<_> = stored.filter(|(record, _)| is_done(record)).map(|(_, place)| place.clone()).collect();
            if !done.is_empty() {
                let commit = Some(Commit { cursor: cursor.clone(), done });
                log.append(Append { commit, ..Append::default() }).await?;
            }
        }
        Ok(())
    }
}

/// The lines of an export, each with its number.
struct Lines<'a> {
    context: &'a Context,
    name: String,
    reader: Box<dyn BufRead>,
    number: u64,
    counted: Last,
}

impl<'a> Lines<'a> {
    fn open(context: &'a Context, path: &Path) -> Result<Self, Exit> {
        let (name, reader): (_, Box<dyn BufRead>) = if path == Path::new("-") {
            ("stdin".to_owned(), Box::new(BufReader::new(io::stdin())))
        } else {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| fail(context, &format!("could not open {name}: {error}")))?;
            (name, Box::new(BufReader::new(file)))
        };
        Ok(Self { context, name, reader, number: 0, counted: Last { end: true, ..Last::default() } })
    }

    fn first(&mut self) -> Result<First, Exit> {
        let line = self.line()?;
        #[derive(serde::Deserialize)]
        struct Kind {
            format: String,
            version: u32,
        }
        let kind: Option<Kind> = serde_json::from_slice(&line).ok();
        match kind {
            Some(kind) if kind.format == FORMAT && kind.version == VERSION => {
                serde_json::from_slice(&line).map_err(|error| self.wrong(&error.to_string()))
            }
            Some(kind) if kind.format == FORMAT => {
                Err(self.wrong(&format!("version {}, and this program reads version {VERSION}", kind.version)))
            }
            _ => Err(self.wrong("this is no export of a log: expected the line with which `hook log export` begins")),
        }
    }

    /// The next record; `None` behind the last line, which must say how many there were.
    fn next_record(&mut self) -> Result<Option<Record>, Exit> {
        let line = self.line()?;
        if line.is_empty() {
            return Err(self.wrong("the file ends here without the line that counts its records: it was cut off"));
        }
        if line.starts_with(b"{\"end\"") {
            let last: Last = serde_json::from_slice(&line).map_err(|error| self.wrong(&error.to_string()))?;
            if last != self.counted {
                let counted = self.counted.records;
                return Err(self.wrong(&format!("{} records should stand before, and {counted} do", last.records)));
            }
            if !self.line()?.is_empty() {
                return Err(self.wrong("nothing may follow the line that counts the records"));
            }
            return Ok(None);
        }
        let record = transfer::from_line(&line).map_err(|error| self.wrong(&error))?;
        self.counted.count(&record.position.topic);
        Ok(Some(record))
    }

    fn line(&mut self) -> Result<Vec<u8>, Exit> {
        self.number += 1;
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| self.wrong(&error.to_string()))?;
        if line.len() as u64 == MAX_LINE {
            return Err(self.wrong("the line is longer than any record"));
        }
        // A line that does not end was cut off.
        Ok(line.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or_default())
    }

    fn wrong(&self, what: &str) -> Exit {
        fail(self.context, &format!("{}:{}: {what}", self.name, self.number))
    }
}

fn say(context: &Context, imported: &Imported) -> Result<(), Exit> {
    if context.output.is_json() {
        return context.output.json(imported);
    }
    let Imported { records, stored, known, dry_run } = imported;
    let (verb, note) = if *dry_run { ("would be stored", "; nothing was changed") } else { ("stored", "") };
    context.output.line(&format!("{stored} of {records} records {verb}, {known} are in the log already{note}"))
}
