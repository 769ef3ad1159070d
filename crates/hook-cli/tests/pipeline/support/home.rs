//! A directory that is a pipeline's whole world: its contract, its log, its environment, what it has written.

use std::{
    fs::File,
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Contract, Pipeline, poll};

/// The secrets that every home has. Throw-away, and not to be found anywhere else.
pub(crate) mod secrets {
    pub(crate) const GITHUB: &str = "github-secret-5d1c";
    pub(crate) const LINEAR: &str = "linear-secret-90ab";
    pub(crate) const STRIPE: &str = "stripe-secret-77e2";
    /// `whsec_` and base64, as the Standard Webhooks specification writes secrets.
    pub(crate) const SIGNING: &str = "whsec_c2lnbmluZy1zZWNyZXQtb2YtdGhlLXRlc3Rz";
}

/// The directory, and what a process in it sees.
pub(crate) struct Home {
    directory: TempDir,
    environment: Vec<(String, String)>,
    starts: AtomicUsize,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The one JSON value on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.into_iter().next().unwrap()
    }

    /// The JSON values on stdout, one a line.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self:?}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The same, of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

impl Home {
    pub(crate) fn new(contract: &Contract) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let environment = [
            ("HMAC_SECRET_GITHUB", secrets::GITHUB),
            ("HMAC_SECRET_LINEAR", secrets::LINEAR),
            ("HMAC_SECRET_STRIPE", secrets::STRIPE),
            ("SIGNING_SECRET", secrets::SIGNING),
        ];
        let mut environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        environment.extend(crate::LOG.environment());
        let home = Self { directory, environment, starts: AtomicUsize::new(0) };
        home.contract(contract);
        home
    }

    /// Sets a variable for whatever starts from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(set, _)| set != name);
        self.environment.push((name.into(), value.into()));
    }

    /// Writes another contract, for whatever starts from now on.
    pub(crate) fn contract(&self, contract: &Contract) {
        std::fs::write(self.path("contract.toml"), contract.text()).unwrap();
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The lines of a file that `file_output` writes; none where it does not exist yet, and not the one that is being written.
    pub(crate) fn lines_of(&self, name: &str) -> Vec<Value> {
        self.whole_lines_of(name).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The same where the process that wrote them was killed: what that has torn is a line of its own, and its event comes again.
    pub(crate) fn untorn_lines_of(&self, name: &str) -> Vec<Value> {
        self.whole_lines_of(name).iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The same of a file that is moved away when it is full: the oldest first.
    pub(crate) fn rotated_lines_of(&self, name: &str) -> Vec<Value> {
        let numbered = (1..).map(|number| format!("{name}.{number}")).take_while(|name| self.path(name).exists());
        let mut names: Vec<_> = std::iter::once(name.to_owned()).chain(numbered).collect();
        names.reverse();
        names.iter().flat_map(|name| self.untorn_lines_of(name)).collect()
    }

    fn whole_lines_of(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
    }

    /// Starts every role, and waits until it is ready.
    #[track_caller]
    pub(crate) fn up(&self) -> Pipeline {
        self.start("up")
    }

    /// Starts every role as a supervisor does: again, where it refuses. What a killed process has left on a busy Kafka may
    /// hold a start up for longer than it waits.
    #[track_caller]
    #[expect(clippy::print_stderr, reason = "says why there was more than one start")]
    pub(crate) fn up_supervised(&self) -> Pipeline {
        poll("it has started", || {
            let pipeline = self.up();
            if !pipeline.is_ready() {
                eprintln!("it did not start: {}", pipeline.ready);
                return None;
            }
            Some(pipeline)
        })
    }

    /// Starts `up` or one role, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(&self, role: &str) -> Pipeline {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        Pipeline::start(self.command(&format!("{role} --json")), &self.path(&format!("stderr-{start}")))
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        run(self.command(arguments), arguments)
    }

    /// A command with this contract, this log and this environment, and nothing else.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = self.bare(arguments);
        command.args(["--contract", "contract.toml"]);
        // They read a file, or nothing, and have no log of their own.
        if !["replay kafka", "replay webhook", "sources"].iter().any(|command| arguments.starts_with(command)) {
            command.args(["--data-dir", "data"]);
        }
        let runs = ["up", "serve", "relay", "smash"].iter().any(|role| arguments.split(' ').next() == Some(role));
        if runs && !arguments.contains("--instance-id") {
            command.args(crate::LOG.flags());
        }
        command
    }

    /// A command that is told nothing but its arguments.
    pub(crate) fn bare(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hook"));
        command.args(arguments.split_whitespace()).current_dir(self.directory.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.directory.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Runs a command to its end, which must come.
#[track_caller]
pub(crate) fn run(mut command: Command, name: &str) -> Ran {
    let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let status = poll(&format!("`hook {name}` ends"), || child.try_wait().unwrap());
    let code = status.code().unwrap_or(-1);
    Ran { code, stdout: read_all(&mut stdout), stderr: read_all(&mut stderr) }
}

fn read_all(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Everything below a directory, for searches.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let paths = entries.flat_map(|entry| match entry.file_type().unwrap().is_dir() {
        true => files_below(&entry.path()),
        false => vec![entry.path()],
    });
    paths.collect()
}
