//! `hook` as a process of its own, on a contract and a directory of its own.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

use crate::{error::Error, process::Process};

/// How long a pipeline may take until it is ready. Long, so that a slow start is measured and not cut off.
const READY: Duration = Duration::from_secs(300);

/// How `hook` is called: a program, and what comes before `hook`'s own arguments.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    before: Vec<OsString>,
}

impl Program {
    /// A program that is `hook`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), before: Vec::new() }
    }

    /// This very program, where its subcommand of this name is `hook`.
    pub fn this(subcommand: &str) -> Result<Self, Error> {
        let path = std::env::current_exe().map_err(Error::io("find this program"))?;
        Ok(Self { path, before: vec![subcommand.into()] })
    }

    /// A call with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.before).args(arguments);
        command
    }
}

/// What a process runs of its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Every role.
    Up,
    /// Only taking events in.
    Serve,
    /// Only delivering.
    Smash,
}

impl Role {
    fn command(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Serve => "serve",
            Self::Smash => "smash",
        }
    }
}

/// A contract, its environment and its data directory: what stays when a process ends.
#[derive(Debug)]
pub struct Home {
    program: Program,
    environment: Vec<(String, String)>,
    directory: TempDir,
}

impl Home {
    /// Makes a directory below this one, and writes the contract there. It is removed when this is dropped.
    pub fn new(program: Program, below: &Path, contract: &str, environment: &[(&str, &str)]) -> Result<Self, Error> {
        let directory = tempfile::Builder::new().prefix("hook-bench-").tempdir_in(below);
        let directory = directory.map_err(Error::io("make a directory for the pipeline"))?;
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let home = Self { program, environment, directory };
        home.change_contract(contract)?;
        Ok(home)
    }

    /// Writes another contract, for the next start.
    pub fn change_contract(&self, contract: &str) -> Result<(), Error> {
        std::fs::write(self.contract(), contract).map_err(Error::io("write the contract"))
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// How much the files of the data directory take on the disk.
    pub fn data_bytes(&self) -> u64 {
        bytes_below(&self.data())
    }

    /// The file of the contract.
    pub fn contract(&self) -> PathBuf {
        self.directory.path().join("contract.toml")
    }

    /// A call of `hook` with this contract and data directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program.command(arguments);
        command.arg("--contract").arg(self.contract()).arg("--data-dir").arg(self.data());
        command.env("RUST_LOG", "error");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the process, and waits until it is ready.
    pub async fn start(&self, role: Role) -> Result<Pipeline, Error> {
        let mut command = self.command(&[role.command(), "--json"]);
        let begin = Instant::now();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = spawned.map_err(Error::io("start hook"))?;
        let stdout = child.stdout.take().ok_or_else(|| Error::NotReady("it has no standard output".to_owned()))?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = tokio::time::timeout(READY, stdout.read_line(&mut line)).await;
        let ready_after = begin.elapsed();
        read.map_err(|_| Error::NotReady(format!("it said nothing in {READY:?}")))?
            .map_err(Error::io("read what hook says"))?;
        let ready: Ready =
            serde_json::from_str(&line).map_err(|_| Error::NotReady(format!("it said `{}`", line.trim())))?;
        let id = child.id().ok_or_else(|| Error::NotReady("it has ended".to_owned()))?;
        Ok(Pipeline {
            listeners: ready.listeners,
            admin: ready.admin,
            ready_after,
            process: Process::new(id),
            child,
            stdout,
        })
    }
}

fn bytes_below(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// The ready line.
#[derive(Deserialize)]
struct Ready {
    listeners: Vec<Listener>,
    admin: SocketAddr,
}

#[derive(Debug, Deserialize)]
struct Listener {
    adapter: String,
    address: SocketAddr,
}

/// A running `hook`. Killed when it is dropped.
#[derive(Debug)]
pub struct Pipeline {
    listeners: Vec<Listener>,
    /// The admin address.
    pub admin: SocketAddr,
    /// From the start of the process to its ready line.
    pub ready_after: Duration,
    /// The process.
    pub process: Process,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Pipeline {
    /// Where webhooks are posted to.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        let first = self.listeners.first().map(|listener| listener.address);
        first.ok_or_else(|| Error::Unexpected("a pipeline that takes nothing in was sent something".to_owned()))
    }

    /// Where that adapter listens.
    pub fn address_of(&self, adapter: &str) -> Result<SocketAddr, Error> {
        let found = self.listeners.iter().find(|listener| listener.adapter == adapter);
        let address = found.map(|listener| listener.address);
        address.ok_or_else(|| Error::Unexpected(format!("{adapter} listens nowhere")))
    }

    /// Ends it as a failing machine would: SIGKILL.
    pub async fn kill(mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::io("kill hook"))
    }

    /// Asks it to end, and waits for that.
    pub async fn stop(mut self) -> Result<ExitStatus, Error> {
        let id = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw);
        let id = id.ok_or_else(|| Error::Unexpected("a process id is out of range".to_owned()))?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)
            .map_err(|error| Error::io("ask hook to end")(error.into()))?;
        let mut rest = String::new();
        // Read to its end, so that it never waits for us to read.
        while self.stdout.read_line(&mut rest).await.is_ok_and(|bytes| bytes > 0) {
            rest.clear();
        }
        self.child.wait().await.map_err(Error::io("wait for hook to end"))
    }
}
