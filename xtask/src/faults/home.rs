//! `hook` as processes of its own, on a contract, a data directory and an environment of its own.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use hook_bench::{connection::Connection, process::Process};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use super::Setup;

/// What webhooks are signed with.
pub(super) const SECRET: &str = "a secret of the faults";
/// A start that takes longer has failed.
const START: Duration = Duration::from_secs(60);
/// An answer to a request beside the load that takes longer has failed.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two looks at something that has no event to wait for.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// A directory that is a pipeline's whole world.
pub(super) struct Home {
    directory: TempDir,
    /// The program and its first arguments.
    hook: Vec<OsString>,
    /// Before the program, such as a shell that lowers a limit and then becomes the program.
    pub(super) wrapped_in: Vec<OsString>,
    /// Beside the secret.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Where the log is kept.
    pub(super) data: PathBuf,
}

impl Home {
    /// A directory with this contract.
    pub(super) fn new(setup: &Setup, contract: &str) -> Result<Self, String> {
        let directory =
            tempfile::Builder::new().prefix("hook-faults-").disable_cleanup(setup.keeps_directories).tempdir();
        let directory = directory.map_err(|error| format!("no directory for the run: {error}"))?;
        if setup.keeps_directories {
            crate::say(&format!("faults: kept in {}\n", directory.path().display()));
        }
        let data = directory.path().join("data");
        let home = Self { directory, hook: setup.hook.clone(), wrapped_in: Vec::new(), environment: Vec::new(), data };
        home.contract(contract)?;
        Ok(home)
    }

    /// Writes another contract, for whatever starts from now on.
    pub(super) fn contract(&self, contract: &str) -> Result<(), String> {
        std::fs::write(self.path("contract.toml"), contract).map_err(|error| format!("no contract written: {error}"))
    }

    /// A path in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts every role, and waits until it is ready.
    pub(super) async fn up(&self) -> Result<Pipeline, String> {
        let running = self.start(&["up"]).await?;
        let ingress = *running.listeners.first().ok_or("the pipeline listens nowhere")?;
        Ok(Pipeline { ingress, took: running.took, running })
    }

    /// Starts what a command runs, such as one role, and waits until it is ready.
    pub(super) async fn start(&self, arguments: &[&str]) -> Result<Running, String> {
        let (began, stderr) = (Instant::now(), self.path("stderr"));
        let log = File::options().create(true).append(true).open(&stderr);
        let log = log.map_err(|error| format!("no file for the logs: {error}"))?;
        let mut command = self.command(arguments);
        let child = command.arg("--json").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        let child = child.map_err(|error| format!("hook could not be run: {error}"))?;
        let mut starting = Starting { child: Some(child) };
        let line = starting.first_line().await.map_err(|error| format!("{error}: {}", last_lines(&stderr)))?;
        let ready: Ready = serde_json::from_str(&line).map_err(|_| format!("hook did not become ready: {line}"))?;
        let child = starting.child.take().ok_or("the child is gone")?;
        let listeners = ready.listeners.into_iter().map(|listener| listener.address).collect();
        Ok(Running { child, listeners, admin: ready.admin, took: began.elapsed() })
    }

    /// Starts, and kills after so long, wherever the start has come to.
    pub(super) async fn start_and_kill(&self, after: Duration) -> Result<(), String> {
        let mut command = self.command(&["up", "--json"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut starting = Starting { child: Some(child.map_err(|error| format!("hook could not be run: {error}"))?) };
        sleep(after).await;
        starting.kill();
        Ok(())
    }

    /// Runs a command to its end; the JSON values on its stdout.
    pub(super) async fn ask(&self, arguments: &[&str]) -> Result<Vec<Value>, String> {
        let mut command = self.command(arguments);
        let name = arguments.join(" ");
        let ran = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output()).await;
        let ran = ran.map_err(|error| error.to_string())?.map_err(|error| format!("`hook {name}`: {error}"))?;
        if !ran.status.success() {
            return Err(format!("`hook {name}` failed: {}", String::from_utf8_lossy(&ran.stderr)));
        }
        let lines = String::from_utf8_lossy(&ran.stdout).into_owned();
        let parse = |line| serde_json::from_str(line).map_err(|error| format!("`hook {name}`: {error} in {line}"));
        lines.lines().map(parse).collect()
    }

    /// Everything that was logged, by all starts.
    pub(super) fn logs(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.wrapped_in.iter().chain(&self.hook);
        let mut command = Command::new(words.next().map_or("hook".as_ref(), OsString::as_os_str));
        command.args(words).args(arguments);
        command.arg("--contract").arg(self.path("contract.toml")).arg("--data-dir").arg(&self.data);
        command.current_dir(self.directory.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.directory.path());
        command.env("HMAC_SECRET_GITHUB", SECRET).env("RUST_LOG", "warn");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A child that is not ready. Dropped, it is killed.
struct Starting {
    child: Option<Child>,
}

impl Starting {
    async fn first_line(&mut self) -> Result<String, String> {
        let pipe = self.child.as_mut().and_then(|child| child.stdout.take()).ok_or("the child has no stdout")?;
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(pipe).read_line(&mut line).map(|_| line)
        });
        match tokio::time::timeout(START, read).await {
            Ok(Ok(Ok(line))) if !line.is_empty() => Ok(line),
            Ok(_) => Err("hook ended before it was ready".to_owned()),
            Err(_) => {
                // Ends the thread that reads, too.
                self.kill();
                Err(format!("hook was not ready after {START:?}"))
            }
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Deserialize)]
struct Ready {
    listeners: Vec<Listener>,
    admin: SocketAddr,
}

#[derive(Deserialize)]
struct Listener {
    address: SocketAddr,
}

/// A process that is ready. Dropped, it is killed.
pub(super) struct Running {
    child: Child,
    /// Where its adapters listen.
    pub(super) listeners: Vec<SocketAddr>,
    admin: SocketAddr,
    /// From the start of the process to its ready line.
    pub(super) took: Duration,
}

impl Running {
    /// SIGKILL: no destructor, no flush.
    pub(super) fn kill(mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(format!("the process had ended by itself: {status}"));
        }
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(|error| error.to_string())
    }

    /// SIGTERM, and waits for the end; how it ended, and after how long.
    pub(super) async fn terminate(mut self, within: Duration) -> Result<(ExitStatus, Duration), String> {
        let (began, id) = (Instant::now(), self.child.id().to_string());
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        sent.map_err(|error| format!("no signal was sent: {error}"))?;
        while began.elapsed() < within {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Ok((status, began.elapsed()));
            }
            sleep(LOOK).await;
        }
        Err(format!("the process had not ended {within:?} after SIGTERM"))
    }

    /// Whether it lives.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What `/ready` answers: its status, and the whole state.
    pub(super) async fn status(&self) -> Result<(u16, Value), String> {
        exchange(self.admin, b"GET /ready HTTP/1.1\r\nhost: admin\r\n\r\n").await
    }

    /// The sum of a metric, over all its labels.
    pub(super) async fn metric(&self, name: &str) -> Result<u64, String> {
        let (_, page) = fetch(self.admin, b"GET /metrics HTTP/1.1\r\nhost: admin\r\n\r\n").await?;
        let of_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        let sum: f64 = String::from_utf8_lossy(&page).lines().filter(of_it).filter_map(value).sum();
        Ok(sum as u64)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that takes webhooks.
pub(super) struct Pipeline {
    running: Running,
    /// Where webhooks are taken.
    pub(super) ingress: SocketAddr,
    /// From the start of the process to its ready line.
    pub(super) took: Duration,
}

impl Pipeline {
    /// As [`Running::kill`].
    pub(super) fn kill(self) -> Result<(), String> {
        self.running.kill()
    }

    /// As [`Running::terminate`].
    pub(super) async fn terminate(self, within: Duration) -> Result<(ExitStatus, Duration), String> {
        self.running.terminate(within).await
    }

    /// As [`Running::is_alive`].
    pub(super) fn is_alive(&mut self) -> bool {
        self.running.is_alive()
    }

    /// As [`Running::status`].
    pub(super) async fn status(&self) -> Result<(u16, Value), String> {
        self.running.status().await
    }

    /// Posts an event beside the load; the status and the body of the answer.
    pub(super) async fn post(&self, request: &[u8]) -> Result<(u16, Value), String> {
        exchange(self.ingress, request).await
    }

    /// The process, to be looked at.
    pub(super) fn process(&self) -> Process {
        Process::new(self.running.child.id())
    }
}

/// One request on a connection of its own; the status and the JSON of the answer.
async fn exchange(address: SocketAddr, request: &[u8]) -> Result<(u16, Value), String> {
    let (status, body) = fetch(address, request).await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// The same; the status and the body of the answer.
async fn fetch(address: SocketAddr, request: &[u8]) -> Result<(u16, Vec<u8>), String> {
    let exchanged = async {
        let mut connection = Connection::open(address).await?;
        let answer = connection.exchange(request).await?;
        Ok::<_, std::io::Error>((answer.status, answer.body.to_vec()))
    };
    let answer = tokio::time::timeout(ANSWER, exchanged).await.map_err(|_| format!("no answer within {ANSWER:?}"))?;
    answer.map_err(|error| format!("a request had no answer: {error}"))
}

/// The end of a log, for a message.
fn last_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
