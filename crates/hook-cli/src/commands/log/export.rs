//! `hook log export`: records as JSON lines.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use hook_admin::transfer::{self, TransferQuery};
use hook_core::{Timestamp, names::TopicName, ports::log::LogState};
use serde::Deserialize;

use super::file::{FORMAT, First, Last, VERSION};
use crate::{
    commands::events::with_query,
    context::Context,
    data_directory::Flag,
    exit::Exit,
    owner::{self, Owner, fail, failed},
    since::Since,
};

/// Write records as JSON lines, such as to move them to another machine
///
/// Without options, everything: events, dead letters, journal. The first line names format, version and how far each cursor
/// has come, the last one counts. Header and body stand in a line as they are where they are JSON that is read back
/// byte for byte; otherwise in base64, as `header_base64` and `body_base64`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only records in topics that match this pattern
    #[arg(long, value_name = "PATTERN")]
    topic: Option<String>,
    /// Only records of that time or later: a time (RFC 3339), or a duration back from now, such as `1h`
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Write to this file, which gets its name when it is complete [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Running {
    log: LogState,
}

/// Where lines go, and what was counted.
struct Sink {
    out: BufWriter<Box<dyn Write>>,
    last: Last,
    error: Option<io::Error>,
}

/// Reads and writes.
pub async fn run(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    let partial = arguments.output.as_deref().map(partial);
    let sink = Sink::new(partial.as_deref()).map_err(|error| fail(context, &not_written(arguments, &error)))?;
    let exported = export(context, flag, arguments, sink).await;
    if let (Some(partial), Err(_)) = (&partial, &exported) {
        // What is there is of no use.
        let _ = fs::remove_file(partial);
    }
    let records = exported?;
    context.output.progress("");
    if let (Some(partial), Some(path)) = (partial, &arguments.output) {
        let finished = File::open(&partial).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&partial, path));
        finished.map_err(|error| fail(context, &not_written(arguments, &error)))?;
        context.output.note(&format!("{records} records in {}", path.display()));
    }
    Ok(())
}

async fn export(context: &Context, flag: &Flag, arguments: &Arguments, mut sink: Sink) -> Result<u64, Exit> {
    let query = TransferQuery { topic: arguments.topic.clone(), since: arguments.since.map(|since| since.0) };
    let app = owner::locate(context, flag)?.plan.app.id;
    let first = |state: LogState| First {
        format: FORMAT.to_owned(),
        version: VERSION,
        app: app.clone(),
        exported_at: Timestamp::now(),
        topic: query.topic.clone(),
        since: query.since,
        cursors: state.cursors,
    };
    match Owner::find(context, flag).await? {
        Owner::Running(client) => {
            let running: Running = client.get_json("/status").await.map_err(|error| failed(context, &error))?;
            sink.json(&first(running.log));
            let path = with_query("/log/export", &query);
            let read = client.each_line(&path, |line| {
                sink.line(line);
                sink.show(context);
                sink.error.is_none()
            });
            read.await.map_err(|error| failed(context, &error))?;
        }
        Owner::Resting { log, .. } => {
            sink.json(&first(log.state()));
            let mut reading = query.scan(&log).map_err(|error| fail(context, &error.to_string()))?;
            while let Some(records) = reading.next().await.map_err(|error| fail(context, &error.to_string()))? {
                for record in &records {
                    sink.last.count(&record.position.topic);
                    sink.write(&transfer::to_line(record));
                }
                sink.show(context);
                if sink.error.is_some() {
                    break;
                }
            }
        }
    }
    let records = sink.last.records;
    match sink.finish() {
        Ok(()) => Ok(records),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Exit::OutputClosed),
        Err(error) => Err(fail(context, &not_written(arguments, &error))),
    }
}

impl Sink {
    fn new(path: Option<&Path>) -> io::Result<Self> {
        let out: Box<dyn Write> = match path {
            // Payloads are nobody else's business.
            Some(path) => Box::new(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?),
            None => Box::new(io::stdout()),
        };
        Ok(Self { out: BufWriter::new(out), last: Last { end: true, ..Last::default() }, error: None })
    }

    /// Takes a line of the running pipeline, without its line feed.
    fn line(&mut self, line: &[u8]) {
        #[derive(Deserialize)]
        struct Topic {
            topic: TopicName,
        }
        match serde_json::from_slice::<Topic>(line) {
            Ok(Topic { topic }) => self.last.count(&topic),
            Err(error) => self.error = Some(error.into()),
        }
        self.write(line);
        self.write(b"\n");
    }

    fn json(&mut self, value: &impl serde::Serialize) {
        match serde_json::to_vec(value) {
            Ok(mut line) => {
                line.push(b'\n');
                self.write(&line);
            }
            Err(error) => self.error = Some(error.into()),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.out.write_all(bytes).err();
        }
    }

    fn show(&self, context: &Context) {
        if self.last.records.is_multiple_of(1024) {
            context.output.progress(&format!("{} records", self.last.records));
        }
    }

    fn finish(mut self) -> io::Result<()> {
        let last = std::mem::take(&mut self.last);
        self.json(&last);
        self.error.map_or(Ok(()), Err)?;
        self.out.flush()
    }
}

/// The name of a file that is not complete.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn not_written(arguments: &Arguments, error: &io::Error) -> String {
    let to = arguments.output.as_ref().map_or("stdout".to_owned(), |path| path.display().to_string());
    format!("could not write to {to}: {error}")
}
