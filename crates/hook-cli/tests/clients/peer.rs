//! A program of [`peers/`](peers), in a process of its own: a line of JSON each way.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
};

use serde_json::{Value, json};

use crate::support::PATIENCE;

/// What `scripts/clients` has installed.
pub(crate) fn installed() -> PathBuf {
    let how = "install the clients and name them: scripts/clients install; env $(scripts/clients env) cargo test …";
    PathBuf::from(std::env::var_os("HOOK_CLIENTS").unwrap_or_else(|| panic!("HOOK_CLIENTS is not set; {how}")))
}

/// A command that runs a program of the folder, in the language of its name.
pub(crate) fn program(name: &str) -> Command {
    let installed = installed();
    if name.ends_with(".py") {
        let mut python = Command::new(installed.join("python/bin/python"));
        python.arg(installed.join("node/peers").join(name));
        return python;
    }
    let mut node = Command::new("node");
    // It finds its packages where it is linked, and not where it is.
    node.args(["--preserve-symlinks", "--preserve-symlinks-main"]).arg(installed.join("node/peers").join(name));
    node
}

/// A running program. Dropped, it is asked to end, and then killed.
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Peer {
    /// Starts a program with these arguments.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = program(name);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("could not run {command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::sync_channel(16);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines }
    }

    /// The next line that it says.
    #[track_caller]
    pub(crate) fn said(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("it said nothing: {error}"));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// What it answers.
    #[track_caller]
    pub(crate) fn try_ask(&mut self, ask: &str, given: Value) -> Value {
        let mut question = given;
        question["ask"] = json!(ask);
        writeln!(self.stdin.as_mut().unwrap(), "{question}").unwrap();
        self.said()
    }

    /// What it answers, which must be no error.
    #[track_caller]
    pub(crate) fn ask(&mut self, ask: &str, given: Value) -> Value {
        let answer = self.try_ask(ask, given);
        assert!(answer.get("error").is_none(), "{ask}: {answer}");
        answer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A browser has processes of its own, which it ends when it is asked to.
        self.stdin = None;
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
