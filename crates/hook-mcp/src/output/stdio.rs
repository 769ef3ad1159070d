//! A server that is a process of ours, spoken to over its standard streams: one message a line.
//!
//! It is told to end by the end of its input, as MCP wants it, then by SIGTERM, then it is killed. Where `hook` itself is
//! killed, its input ends all the same.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    process::{ExitStatus, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use hook_core::{
    names::EnvName,
    outcome::{Failure, FailureClass},
    secret::{Secret, Secrets},
};
use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    time::timeout,
};
use tracing::{debug, info, warn};

use super::{
    LARGEST_MESSAGE,
    chatter::Chatter,
    lines::{Line, Lines},
    message,
    outcome::failure,
};

/// What a process is given of our own environment, beside what the contract names: what the SDKs give theirs.
const INHERITED: [&str; 10] = ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];
/// A line of its log that is longer is cut.
const LONGEST_LOG_LINE: usize = 2000;
/// So long each way to tell it to end is given.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// After the end of its output its end is waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// A process that was killed is waited for so long: the kernel may still hold it.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// How a server is started.
pub(super) struct Program {
    pub(super) command: String,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) pass_env: Vec<EnvName>,
    /// So long each way to tell it to end is given.
    pub(super) grace: Duration,
}

/// The environment of a process. What the contract does not write is secret.
pub(super) type Environment = BTreeMap<String, Secret>;

impl Program {
    /// What it is started with now; the name of what is missing.
    pub(super) fn environment(&self, secrets: &Secrets) -> Result<Environment, EnvName> {
        let inherited = INHERITED.into_iter().filter_map(|name| EnvName::new(name).ok());
        let mut environment: Environment =
            inherited.filter_map(|name| Some((name.to_string(), secrets.get(&name)?))).collect();
        environment.extend(self.env.iter().map(|(name, value)| (name.clone(), Secret::new(value.as_bytes()))));
        for name in &self.pass_env {
            let secret = secrets.get(name).ok_or_else(|| name.clone())?;
            environment.insert(name.to_string(), secret);
        }
        Ok(environment)
    }

    /// What of its environment nobody may see.
    pub(super) fn hidden<'e>(&self, environment: &'e Environment) -> Vec<&'e Secret> {
        self.pass_env.iter().filter_map(|name| environment.get(name.as_str())).collect()
    }

    /// Starts it.
    pub(super) fn start(&self, environment: &Environment) -> Result<Process, Failure> {
        let variables = environment.iter().map(|(name, value)| (name, OsStr::from_bytes(value.expose())));
        let mut command = Command::new(&self.command);
        command.args(&self.args).env_clear().envs(variables).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let gone = || failure(FailureClass::Unreachable, "the server's streams could not be opened");
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (stdin, stdout, stderr) = (stdin.ok_or_else(gone)?, stdout.ok_or_else(gone)?, stderr.ok_or_else(gone)?);
        info!(command = self.command, process = child.id(), "the server is started");
        let hidden: Vec<Secret> = self.hidden(environment).into_iter().cloned().collect();
        Ok(Process {
            stdin: Arc::new(Mutex::new(Some(stdin))),
            stdout: Lines::new(stdout, LARGEST_MESSAGE),
            stderr: Some(Lines::new(stderr, LONGEST_LOG_LINE)),
            chatter: Chatter::new(self.command.clone(), &hidden),
            grace: self.grace,
            is_told_to_end: false,
            ended: Arc::default(),
            child: Group { child },
            has_broken_line: false,
        })
    }

    fn not_started(&self, error: &io::Error) -> Failure {
        let what = format!("`{}` could not be started: {}", self.command, error.kind());
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => failure(FailureClass::Unreachable, what),
            _ => failure(FailureClass::Misconfigured, what),
        }
    }
}

/// A server that runs.
pub(super) struct Process {
    stdin: Arc<Mutex<Option<ChildStdin>>>,
    stdout: Lines<ChildStdout>,
    /// `None` once it has ended.
    stderr: Option<Lines<ChildStderr>>,
    chatter: Chatter,
    grace: Duration,
    is_told_to_end: bool,
    ended: Arc<OnceLock<String>>,
    /// Whether it has written something else than messages.
    has_broken_line: bool,
    child: Group,
}

/// A process with all that it started. What is left of it when it is dropped is killed.
struct Group {
    child: Child,
}

impl Group {
    fn signal(&self, signal: Signal) {
        // A process that was waited for has no id any more, so that nobody else can be meant.
        let id = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(id) = id {
            let _ = kill_process_group(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Process {
    /// How it ended, once it has.
    pub(super) fn ended(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.ended)
    }

    /// Waits for its end, and says what it still has to say.
    async fn end(&mut self) -> io::Result<ExitStatus> {
        let mut has_output = true;
        loop {
            tokio::select! {
                status = self.child.child.wait() => return status,
                () = log_line(&mut self.stderr, &mut self.chatter) => {}
                // What it writes now is nobody's answer; were it not read, it could wait for us.
                line = self.stdout.next(), if has_output => has_output = matches!(line, Ok(Some(_))),
            }
        }
    }

    fn note_end(&mut self, status: ExitStatus) {
        if self.ended.set(status.to_string()).is_ok() {
            match self.is_told_to_end {
                true => info!(command = self.chatter.name(), %status, "the server has ended"),
                false => warn!(command = self.chatter.name(), %status, "the server has ended by itself"),
            }
        }
    }
}

/// Logs the next line of its log; never ready once that has ended.
async fn log_line(stderr: &mut Option<Lines<ChildStderr>>, chatter: &mut Chatter) {
    let Some(lines) = stderr else { return std::future::pending().await };
    match lines.next().await {
        Ok(Some(line)) => chatter.say(&line),
        Ok(None) | Err(_) => *stderr = None,
    }
}

impl Transport<RoleClient> for Process {
    type Error = io::Error;

    fn send(&mut self, message: TxJsonRpcMessage<RoleClient>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let stdin = Arc::clone(&self.stdin);
        async move {
            let mut line = message::to_json(&message)?;
            line.push(b'\n');
            let mut stdin = stdin.lock().await;
            let stdin = stdin.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            stdin.write_all(&line).await?;
            stdin.flush().await
        }
    }

    /// Dropping the future loses nothing.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            tokio::select! {
                line = self.stdout.next() => match line {
                    Ok(Some(Line::Whole(line))) => match serde_json::from_slice(&line) {
                        Ok(message) => return Some(message),
                        Err(_) if line.trim_ascii().is_empty() => {}
                        Err(_) => self.on_broken_line("something else than a message"),
                    },
                    Ok(Some(Line::TooLong(_))) => self.on_broken_line("a line that is too long"),
                    Ok(None) | Err(_) => break,
                },
                () = log_line(&mut self.stderr, &mut self.chatter) => {}
            }
        }
        if let Ok(Ok(status)) = timeout(LAST_WORDS, self.end()).await {
            // Its last words may still be in the pipe.
            let rest = async {
                while self.stderr.is_some() {
                    log_line(&mut self.stderr, &mut self.chatter).await;
                }
            };
            let _ = timeout(LAST_WORDS, rest).await;
            self.note_end(status);
        }
        None
    }

    async fn close(&mut self) -> io::Result<()> {
        self.is_told_to_end = true;
        // Whoever writes just now holds the lock until the server reads.
        if let Ok(mut stdin) = timeout(self.grace, Arc::clone(&self.stdin).lock_owned()).await {
            drop(stdin.take());
        }
        let mut status = timeout(self.grace, self.end()).await;
        for (signal, patience) in [(Signal::TERM, self.grace), (Signal::KILL, AFTER_KILL)] {
            if status.is_err() {
                debug!(command = self.chatter.name(), ?signal, "the server does not end");
                self.child.signal(signal);
                status = timeout(patience, self.end()).await;
            }
        }
        if let Ok(Ok(status)) = status {
            self.note_end(status);
        }
        Ok(())
    }
}

impl Process {
    /// Said once: a server that prints into its output does so all the time.
    fn on_broken_line(&mut self, what: &str) {
        if !std::mem::replace(&mut self.has_broken_line, true) {
            warn!(command = self.chatter.name(), "the server writes {what} to its output; it is passed over");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;

    fn shell(script: String) -> Program {
        Program {
            command: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), script],
            env: BTreeMap::from([("MODE".to_owned(), "test".to_owned())]),
            pass_env: vec![EnvName::new("PASSED").unwrap()],
            grace: Duration::from_millis(20),
        }
    }

    fn secrets() -> Secrets {
        let variables = [("PATH", "/usr/bin:/bin"), ("PASSED", "canary"), ("OTHER", "canary")];
        let variables = variables.map(|(name, value)| (EnvName::new(name).unwrap(), Secret::new(value)));
        Arc::new(BTreeMap::from(variables))
    }

    fn start(program: &Program) -> Process {
        program.start(&program.environment(&secrets()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_process_gets_what_the_contract_names_and_little_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("environment");
        let mut process = start(&shell(format!("env > {}", file.display())));
        assert!(process.receive().await.is_none());
        let text = fs::read_to_string(&file).unwrap();
        let mut names: Vec<_> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        // What a shell sets for itself.
        names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["MODE", "PASSED", "PATH"]);
        assert_eq!(process.ended().get().map(String::as_str), Some("exit status: 0"));
    }

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_named() {
        let nothing: Secrets = Arc::new(BTreeMap::new());
        assert_eq!(shell(String::new()).environment(&nothing), Err(EnvName::new("PASSED").unwrap()));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_the_contracts_fault() {
        let program = Program { command: "/nowhere/server".to_owned(), ..shell(String::new()) };
        let environment = program.environment(&secrets()).unwrap();
        let failure = program.start(&environment).err().unwrap();
        assert_eq!(failure.class, FailureClass::Misconfigured);
        assert_eq!(failure.error, "`/nowhere/server` could not be started: entity not found");
    }

    #[tokio::test]
    async fn the_end_of_its_input_ends_a_process() {
        let program = Program { grace: Duration::from_secs(60), ..shell("cat".to_owned()) };
        let mut process = start(&program);
        process.close().await.unwrap();
        assert_eq!(process.ended().get().map(String::as_str), Some("exit status: 0"));
    }

    #[tokio::test]
    async fn a_process_that_does_not_listen_is_killed_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("child");
        let script = format!(
            "trap '' TERM; sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; echo ready; while :; do sleep 1000; done",
            file.display()
        );
        let mut process = start(&shell(script));
        // What it prints is no message, so that there is nothing to receive until it ends.
        tokio::time::timeout(Duration::from_secs(60), wait_for(&file, &mut process)).await.unwrap();
        process.close().await.unwrap();
        assert_eq!(process.ended().get().map(String::as_str), Some("signal: 9 (SIGKILL)"));
        let child = fs::read_to_string(&file).unwrap();
        tokio::time::timeout(Duration::from_secs(60), gone(child.trim())).await.unwrap();
    }

    #[tokio::test]
    async fn a_process_that_is_dropped_does_not_stay() {
        let process = start(&shell("cat; sleep 1000".to_owned()));
        let id = process.child.child.id().unwrap().to_string();
        drop(process);
        tokio::time::timeout(Duration::from_secs(60), gone(&id)).await.unwrap();
    }

    async fn wait_for(file: &Path, process: &mut Process) {
        while !file.exists() {
            tokio::select! {
                _ = process.receive() => panic!("it has ended"),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// Waits until a process has ended; that nobody asked for its end yet does not matter.
    async fn gone(id: &str) {
        let runs = || {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
        };
        while runs() {
            tokio::task::yield_now().await;
        }
    }
}
