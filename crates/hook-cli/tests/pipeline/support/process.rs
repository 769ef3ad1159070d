//! A pipeline in a process of its own, from its ready line to its end.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
};

use serde_json::Value;

use super::{
    PATIENCE,
    http::{self, Answer},
    poll,
    sign::Webhook,
    text,
};

/// A running pipeline. Dropped, it is killed.
pub(crate) struct Pipeline {
    child: Child,
    /// The ready line.
    pub(crate) ready: Value,
    stdout: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    stderr: PathBuf,
}

impl Pipeline {
    /// Starts it, and waits for its ready line.
    #[track_caller]
    pub(crate) fn start(mut command: Command, stderr: &Path) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(stderr).unwrap());
        let mut child = command.spawn().unwrap();
        let (first_line, first) = mpsc::sync_channel(1);
        let stdout = Arc::new(Mutex::new(String::new()));
        let (mut pipe, written) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&stdout));
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                written.lock().unwrap().push_str(&line);
                let _ = first_line.try_send(std::mem::take(&mut line));
            }
        });
        let said = first.recv_timeout(PATIENCE);
        let mut pipeline = Self { child, ready: Value::Null, stdout, reader: Some(reader), stderr: stderr.to_owned() };
        let line = said.unwrap_or_else(|_| panic!("not ready: {}", pipeline.stderr()));
        pipeline.ready = serde_json::from_str(&line).unwrap();
        pipeline
    }

    /// Whether its first line was that it is ready, and not why it is not.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.get("listeners").is_some()
    }

    /// Where webhooks are taken.
    #[track_caller]
    pub(crate) fn ingress(&self) -> SocketAddr {
        text(&self.ready, "/listeners/0/address").parse().unwrap()
    }

    /// Where health and metrics are.
    pub(crate) fn admin(&self) -> SocketAddr {
        text(&self.ready, "/admin").parse().unwrap()
    }

    /// Posts a webhook on a connection of its own.
    #[track_caller]
    pub(crate) fn post(&self, webhook: &Webhook) -> Answer {
        http::exchange(self.ingress(), &webhook.request()).unwrap()
    }

    /// Posts a webhook that must be accepted; its event id.
    #[track_caller]
    pub(crate) fn accept(&self, webhook: &Webhook) -> String {
        let answer = self.post(webhook);
        assert_eq!((answer.status, answer.code()), (202, "accepted".into()), "{answer:?}");
        text(&answer.json(), "/event_id").to_owned()
    }

    /// The body of a page on the admin address.
    #[track_caller]
    pub(crate) fn page(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        let answer = http::exchange(self.admin(), request.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        String::from_utf8(answer.body).unwrap()
    }

    /// One sample of `/metrics`, named with its labels; 0 where it is not there.
    #[track_caller]
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let page = self.page("/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// What `/ready` says.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.page("/ready")).unwrap()
    }

    /// Everything on stdout so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// Everything on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// The log lines so far.
    pub(crate) fn logs(&self) -> Vec<Value> {
        self.stderr().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Whether it lives.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its resident memory.
    #[track_caller]
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it has had.
    #[track_caller]
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    #[track_caller]
    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        let status = poll("the pipeline has drained", || self.child.try_wait().unwrap());
        // The pipe is read to its end, so that nothing of stdout is missed.
        self.reader.take().unwrap().join().unwrap();
        status
    }

    /// SIGKILL: no destructor, no flush.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
