//! The drivers through which events go out keep the promises of their port.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt, StreamExt};
use hook_core::{
    BoxFuture,
    outcome::Outcome,
    ports::egress::{EgressDriver, Host},
    secret::Secrets,
    stop::Stop,
};
use hook_testkit::egress_conformance::{Behaviour, EgressFixture, Received};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{
    receiver::{deliver, driver, event, read_request, secrets},
    websocket_server::{Client, Running},
};

/// The driver that speaks something else once it is let in.
const SOCKET: &str = "websocket_client_output";

/// An HTTP service, or a WebSocket server, that behaves as it is told.
struct Service {
    driver: &'static str,
    path: &'static str,
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Service {
    async fn start(driver: &'static str, path: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::default();
        let serving = tokio::spawn(serve(driver, listener, Behaviour::Well, Arc::clone(&received)));
        Self { driver, path, address, received, serving: Mutex::new(Some(serving)) }
    }
}

impl Service {
    /// A driver whose connection is held in the background.
    fn socket(&self) -> Arc<dyn EgressDriver> {
        let settings = json!({
            "url": format!("ws://{}{}", self.address, self.path),
            "auth_mode": "bearer",
            "token_env": "TOKEN",
            "send_timeout_ms": 2000,
            "retry_policy": "none",
            "ack": true,
        });
        let driver = driver(self.driver, settings);
        tokio::spawn({
            let driver = Arc::clone(&driver);
            async move { driver.run(Host::without_log(Stop::never(), secrets(&[]))).await }
        });
        driver
    }
}

/// Serves until it is aborted, and its connections with it.
async fn serve(driver: &str, listener: TcpListener, behaviour: Behaviour, received: Arc<Mutex<Vec<Received>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        match driver == SOCKET && behaviour != Behaviour::Forbidding {
            true => connections.spawn(talk(stream, behaviour, Arc::clone(&received))),
            false => connections.spawn(answer(stream, behaviour, Arc::clone(&received))),
        };
    }
}

async fn answer(stream: TcpStream, behaviour: Behaviour, all: Arc<Mutex<Vec<Received>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let status = match behaviour {
            Behaviour::Well => "202 Accepted",
            Behaviour::Silent | Behaviour::Away => std::future::pending().await,
            Behaviour::Failing => "503 Service Unavailable",
            Behaviour::Overloaded => "429 Too Many Requests",
            Behaviour::Refusing => "400 Bad Request",
            Behaviour::Forbidding => "401 Unauthorized",
        };
        if behaviour == Behaviour::Well && !request.body.is_empty() {
            let traceparent = request.headers.get("traceparent").map(String::as_str);
            all.lock().unwrap().push(Received::from_envelope(&request.body).with_traceparent(traceparent));
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 6\r\n\r\ncanary");
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn talk(stream: TcpStream, behaviour: Behaviour, all: Arc<Mutex<Vec<Received>>>) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let code = match behaviour {
            Behaviour::Failing => 1011,
            Behaviour::Overloaded => 1013,
            Behaviour::Refusing => 1009,
            Behaviour::Well => {
                let event = Received::from_envelope(text.as_bytes());
                let ack = json!({ "ack": event.id });
                all.lock().unwrap().push(event);
                if socket.send(Message::text(ack.to_string())).await.is_err() {
                    return;
                }
                continue;
            }
            _ => continue,
        };
        let reason = CloseFrame { code: CloseCode::from(code), reason: "canary".into() };
        let _ = socket.close(Some(reason)).await;
    }
}

impl EgressFixture for Service {
    fn driver(&self) -> Arc<dyn EgressDriver> {
        if self.driver == SOCKET {
            return self.socket();
        }
        let mut settings = json!({
            "url": format!("http://{}{}", self.address, self.path),
            "token_env": "TOKEN",
            "timeout_seconds": 2,
        });
        if self.driver == "openclaw_http_output" {
            settings["max_retries"] = json!(1);
        }
        driver(self.driver, settings)
    }

    fn secrets(&self) -> Secrets {
        secrets(&[("TOKEN", "canary-token")])
    }

    fn behave(&self, behaviour: Behaviour) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let before = self.serving.lock().unwrap().take();
            if let Some(before) = before {
                before.abort();
                // Its address is free once it has ended.
                drop(before.await);
            }
            if behaviour != Behaviour::Away {
                let listener = TcpListener::bind(self.address).await.unwrap();
                let serving = tokio::spawn(serve(self.driver, listener, behaviour, Arc::clone(&self.received)));
                *self.serving.lock().unwrap() = Some(serving);
            }
            true
        })
    }

    fn received(&self) -> BoxFuture<'_, Vec<Received>> {
        Box::pin(async { self.received.lock().unwrap().clone() })
    }
}

/// A file, in whose place there can be something else.
struct Disk {
    directory: TempDir,
}

impl Disk {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("out/events.jsonl")
    }
}

impl EgressFixture for Disk {
    fn driver(&self) -> Arc<dyn EgressDriver> {
        driver("file_output", json!({ "path": self.path() }))
    }

    fn secrets(&self) -> Secrets {
        secrets(&[])
    }

    fn behave(&self, behaviour: Behaviour) -> BoxFuture<'_, bool> {
        let place = self.path();
        let out = place.parent().unwrap().to_owned();
        let aside = self.directory.path().join("aside");
        Box::pin(async move {
            match behaviour {
                // Where its directory should be there is a file.
                Behaviour::Forbidding => {
                    if out.is_dir() {
                        fs::rename(&out, &aside).unwrap();
                    }
                    fs::write(&out, "").unwrap();
                    true
                }
                Behaviour::Well => {
                    if out.is_file() {
                        fs::remove_file(&out).unwrap();
                    }
                    true
                }
                _ => false,
            }
        })
    }

    fn received(&self) -> BoxFuture<'_, Vec<Received>> {
        Box::pin(async {
            let text = fs::read_to_string(self.path()).unwrap_or_default();
            text.lines().map(|line| Received::from_envelope(line.as_bytes())).collect()
        })
    }
}

/// A client of a driver that listens. It is there before the driver is asked, and reads what it is sent.
struct Listening {
    running: Running,
    client: tokio::sync::Mutex<(Client, Vec<Received>)>,
}

impl Listening {
    async fn start() -> Self {
        let running = Running::start(json!({ "auth_mode": "bearer", "token_env": "TOKEN" })).await;
        let client = running.client("").await;
        Self { running, client: tokio::sync::Mutex::new((client, Vec::new())) }
    }
}

impl EgressFixture for Listening {
    fn driver(&self) -> Arc<dyn EgressDriver> {
        Arc::clone(&self.running.driver)
    }

    fn secrets(&self) -> Secrets {
        secrets(&[("TOKEN", "canary-token")])
    }

    fn behave(&self, behaviour: Behaviour) -> BoxFuture<'_, bool> {
        Box::pin(async move { behaviour == Behaviour::Well })
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn received(&self) -> BoxFuture<'_, Vec<Received>> {
        Box::pin(async {
            let last = event("{}");
            let delivered = deliver(&*self.running.driver, &last, &self.secrets()).await;
            assert!(matches!(delivered, Outcome::Delivered { .. }));
            let (client, all) = &mut *self.client.lock().await;
            loop {
                let next = Received::from_envelope(client.next().await.unwrap().as_bytes());
                if next.id == last.header.id {
                    return all.clone();
                }
                all.push(next);
            }
        })
    }
}

mod websocket_server_output {
    use super::Listening;
    hook_testkit::egress_conformance!(Listening::start().await);
}

mod websocket_client_output {
    use super::{SOCKET, Service};
    hook_testkit::egress_conformance!(Service::start(SOCKET, "/").await);
}

mod http_output {
    use super::Service;
    hook_testkit::egress_conformance!(Service::start("http_output", "/in").await);
}

mod openclaw_http_output {
    use super::Service;
    hook_testkit::egress_conformance!(Service::start("openclaw_http_output", "/hooks/orders").await);
}

mod file_output {
    use super::Disk;
    hook_testkit::egress_conformance!(Disk::new());
}
