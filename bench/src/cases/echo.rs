//! (a) The baseline: an axum server that reads a body and answers it, in a process of its own, under the very same load.

use std::{net::SocketAddr, process::Stdio};

use axum::{Router, body::Bytes, http::StatusCode, routing::post, serve::ListenerExt};
use hook_bench::{error::Error, latency::Summary, load::Window, process::Process};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use super::{Scale, each_us};

/// Answers the body.
pub(crate) const ECHO: &str = "/echo";
/// Reads the body, and answers something as short as an acknowledgement.
pub(crate) const SHORT: &str = "/short";
const SHORT_ANSWER: &str = r#"{"code":"accepted","event_id":"00000000-0000-7000-8000-000000000000"}"#;

/// What a closed loop measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Closed {
    pub(crate) per_second: f64,
    pub(crate) latency: Summary,
    /// Processor time of the server for each request, user and system.
    pub(crate) server_cpu_us: f64,
    /// The same of the load itself: client's side of each request.
    pub(crate) load_cpu_us: f64,
    /// How many cores were busy with other things.
    pub(crate) other_cores: f64,
}

impl Closed {
    /// Of a window in which the server and this process were watched.
    pub(crate) fn of(window: &Window) -> Self {
        let cpu = |at: usize| each_us(window.cpu.get(at).copied().unwrap_or_default(), window.acknowledged);
        Self {
            per_second: window.rate(),
            latency: window.latencies.summary(),
            server_cpu_us: cpu(0),
            load_cpu_us: cpu(1),
            other_cores: window.other_cores(),
        }
    }
}

/// Loads the baseline as fast as it answers.
pub(crate) async fn measure(scale: &Scale, path: &str) -> Result<Closed, Error> {
    let server = Server::start().await?;
    let load = scale.load(server.address, path, &[server.process, Process::this()]);
    let sent = load.run().await?.all_acknowledged()?;
    Ok(Closed::of(&sent.window))
}

/// The baseline as a process of its own. Killed when it is dropped.
struct Server {
    address: SocketAddr,
    process: Process,
    _child: Child,
}

impl Server {
    async fn start() -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::io("find this program"))?;
        let mut command = Command::new(program);
        command.arg("echo-server").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(Error::io("start the echo"))?;
        let not_ready = || Error::Unexpected("the echo did not start".to_owned());
        let mut stdout = BufReader::new(child.stdout.take().ok_or_else(not_ready)?);
        let mut line = String::new();
        stdout.read_line(&mut line).await.map_err(Error::io("read what the echo says"))?;
        let address = line.trim().parse().map_err(|_| not_ready())?;
        let process = Process::new(child.id().ok_or_else(not_ready)?);
        Ok(Self { address, process, _child: child })
    }
}

/// Runs the baseline until it is killed.
#[expect(clippy::print_stdout, reason = "it says where it listens")]
pub(crate) async fn serve() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Error::io("listen"))?;
    println!("{}", listener.local_addr().map_err(Error::io("find out where it listens"))?);
    let router = Router::new()
        .route(ECHO, post(|body: Bytes| async move { body }))
        .route(SHORT, post(|_: Bytes| async { (StatusCode::ACCEPTED, SHORT_ANSWER) }));
    // Without it only latencies suffer.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).await.map_err(Error::io("serve"))
}
