//! `hook up` as a process of its own, on a contract and a directory of its own.

use std::{net::SocketAddr, process::Stdio};

use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

/// A running pipeline. Killed when it is dropped.
pub(crate) struct Pipeline {
    /// Where webhooks are posted to.
    pub(crate) address: SocketAddr,
    _child: Child,
    _stdout: BufReader<ChildStdout>,
    _directory: TempDir,
}

#[derive(Deserialize)]
struct Ready {
    listeners: Vec<Listener>,
}

#[derive(Deserialize)]
struct Listener {
    address: SocketAddr,
}

impl Pipeline {
    /// Starts this very program as `hook up`, and waits until it is ready.
    pub(crate) async fn start(contract: &str, environment: &[(&str, &str)]) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let directory = tempfile::tempdir().map_err(text)?;
        let path = directory.path().join("contract.toml");
        std::fs::write(&path, contract).map_err(text)?;
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        command.args(["hook", "up", "--json", "--contract"]).arg(&path);
        command.arg("--data-dir").arg(directory.path().join("data"));
        command.env("RUST_LOG", "error").envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().map_err(text)?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        stdout.read_line(&mut line).await.map_err(text)?;
        let ready: Ready = serde_json::from_str(&line).map_err(|_| "the pipeline did not start".to_owned())?;
        let address = ready.listeners.first().ok_or("the pipeline listens nowhere")?.address;
        Ok(Self { address, _child: child, _stdout: stdout, _directory: directory })
    }
}
