//! `websocket_client_output`: events as text frames to a WebSocket server.

use std::{
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    envelope::{Envelope, Layout},
    names::EnvName,
    outcome::{Failure, FailureClass, Outcome},
    ports::egress::{CheckError, Delivery, EgressDriver, Host},
    secret::Secrets,
    stop::Stop,
};
use hook_http::{
    access::AuthMode,
    client::{Client, Destination, credentials},
};
use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::{debug, info, warn};

use super::{
    handshake::connect,
    link::{BATCH, Link, Manner, Outgoing, drain, sleep_until},
};

/// So long opening a connection may take.
const CONNECT_SECONDS: NonZeroU64 = NonZeroU64::new(10).expect("not zero");
/// A connection that has stayed so long was a good one: the next is opened at once.
const STEADY: Duration = Duration::from_secs(10);
/// The first pause after a connection failed; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The settings of `websocket_client_output`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Where to connect to, such as `wss://example.com/events`.
    #[schemars(extend("format" = "uri"))]
    pub url: String,
    /// How to prove who we are.
    pub auth_mode: AuthMode,
    /// The environment variable of the bearer token; needed with `auth_mode = "bearer"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<EnvName>,
    /// How long writing one frame may take, and with `ack` how long its acknowledgement may.
    pub send_timeout_ms: NonZeroU32,
    /// How to connect again: after pauses that grow, or with each attempt.
    pub retry_policy: RetryPolicy,
    /// Whether the server acknowledges each event with the text frame `{"ack":"EVENT_ID"}`. Without it an event counts as
    /// delivered when its frame was written: what the server has not read when the connection breaks is lost.
    #[serde(default)]
    pub ack: bool,
    /// How often the server is asked whether it is there. One that is silent for twice as long is left.
    #[serde(default = "default_ping_seconds")]
    pub ping_seconds: NonZeroU32,
    /// The authority (PEM) that has signed the destination's certificate, where that is a private one. Others are not trusted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<PathBuf>,
    /// Networks that are not public and may be reached all the same, such as `10.0.0.0/8`.
    #[serde(default)]
    pub allow_networks: Vec<String>,
}

/// How a connection that was lost is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetryPolicy {
    /// After pauses that double, up to half a minute.
    Exponential,
    /// Whenever an event is to be sent.
    None,
}

fn default_ping_seconds() -> NonZeroU32 {
    const { NonZeroU32::new(20).expect("not zero") }
}

/// The driver `websocket_client_output`.
pub struct WebSocketClientOutput {
    client: Client,
    token_env: Option<EnvName>,
    retry_policy: RetryPolicy,
    manner: Manner,
    queue: Mutex<Queue>,
}

/// Leads to the task that holds the connection.
struct Queue {
    sender: mpsc::Sender<Outgoing>,
    /// Taken by that task.
    receiver: Option<mpsc::Receiver<Outgoing>>,
}

impl Queue {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(BATCH);
        Self { sender, receiver: Some(receiver) }
    }
}

impl Kind for WebSocketClientOutput {
    const NAME: &'static str = "websocket_client_output";
    const ABOUT: &'static str = "Sends events to a WebSocket server, one text frame each.";
    type Settings = Settings;
    type Driver = dyn EgressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let mut faults = Vec::new();
        let client = http_url(&settings.url).map_err(|fault| vec![fault]).and_then(|url| {
            let allow_networks = &settings.allow_networks;
            Client::new(Destination { url: &url, timeout_seconds: CONNECT_SECONDS, allow_networks })?
                .trusting(settings.ca_path.clone())
        });
        let client = client.map_err(|mut wrong| faults.append(&mut wrong));
        faults.extend(settings.auth_mode.fault(settings.token_env.as_ref()));
        let (Ok(client), true) = (client, faults.is_empty()) else { return Err(faults) };
        let manner = Manner {
            ack: settings.ack,
            send_timeout: Duration::from_millis(settings.send_timeout_ms.get().into()),
            ping_every: Duration::from_secs(settings.ping_seconds.get().into()),
        };
        let (token_env, retry_policy) = (settings.token_env, settings.retry_policy);
        Ok(Arc::new(Self { client, token_env, retry_policy, manner, queue: Mutex::new(Queue::new()) }))
    }
}

/// A WebSocket is opened by an HTTP request (RFC 6455, section 4.1).
fn http_url(url: &str) -> Result<String, Fault> {
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => Ok(format!("http://{rest}")),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => Ok(format!("https://{rest}")),
        _ => Err(Fault::at(
            "/url",
            "only `ws` and `wss` can be spoken to",
            "write a URL such as `wss://example.com/events`",
        )),
    }
}

impl EgressDriver for WebSocketClientOutput {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.outgoing(delivery) {
                Ok((outgoing, answer)) => self.exchange(outgoing, answer).await,
                Err(outcome) => outcome,
            }
        })
    }

    fn render(&self, envelope: &Envelope, _: &Secrets) -> Result<Option<Bytes>, String> {
        Ok(Some(envelope.to_json(Layout::Verbatim).into()))
    }

    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            if let Some(name) = self.token_env.as_ref().filter(|name| secrets.get(name).is_none()) {
                return Err(CheckError::MissingSecret(name.clone()));
            }
            let unreachable = |error: String| CheckError::Unreachable(error);
            let authorization = self.authorization(secrets).map_err(|outcome| unreachable(error_of(outcome)))?;
            let socket = connect(&self.client, authorization).await.map_err(|failure| unreachable(failure.error))?;
            Link::new(socket, self.manner).close().await;
            Ok(())
        })
    }

    fn run(&self, Host { stop, .. }: Host) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let queue = self.take_queue();
            let now = Instant::now();
            let holder = Holder { driver: self, link: None, failures: 0, opened_at: now, connect_at: now, last: None };
            holder.run(queue, stop).await;
        })
    }
}

fn error_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Delivered { answer } => answer,
        Outcome::Failed(failure) => failure.error,
    }
}

impl WebSocketClientOutput {
    fn authorization(&self, secrets: &Secrets) -> Result<Option<HeaderValue>, Outcome> {
        let bearer = |name| credentials::bearer(&credentials::look_up(secrets, name)?, name);
        self.token_env.as_ref().map(bearer).transpose()
    }

    /// What is to be sent; a new queue where an earlier task has had this one.
    fn take_queue(&self) -> mpsc::Receiver<Outgoing> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match queue.receiver.take() {
                Some(receiver) => return receiver,
                None => *queue = Queue::new(),
            }
        }
    }

    fn outgoing(&self, delivery: Delivery<'_>) -> Result<(Outgoing, oneshot::Receiver<Outcome>), Outcome> {
        let authorization = self.authorization(delivery.secrets)?;
        let text = Bytes::from(delivery.envelope.to_json(Layout::Verbatim));
        let text = Utf8Bytes::try_from(text)
            .map_err(|_| Outcome::failed(FailureClass::Rejected, "the event is not valid UTF-8"))?;
        let (answer, answered) = oneshot::channel();
        Ok((Outgoing { id: delivery.envelope.header.id.to_string(), text, authorization, answer }, answered))
    }

    async fn exchange(&self, outgoing: Outgoing, answer: oneshot::Receiver<Outcome>) -> Outcome {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).sender.clone();
        let gone = || Outcome::failed(FailureClass::Unreachable, "the connection is being closed");
        // Opening a connection, writing a frame and waiting for its acknowledgement each end by themselves.
        match queue.send(outgoing).await {
            Ok(()) => answer.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }
}

/// Holds the connection, and opens it again.
struct Holder<'a> {
    driver: &'a WebSocketClientOutput,
    link: Option<Link>,
    /// How often in a row no connection could be opened, or none that stayed.
    failures: u32,
    /// When the connection was opened.
    opened_at: Instant,
    /// When another may be tried.
    connect_at: Instant,
    /// Why the last one failed.
    last: Option<Failure>,
}

impl Holder<'_> {
    async fn run(mut self, mut queue: mpsc::Receiver<Outgoing>, mut stop: Stop) {
        let mut leave_at: Option<Instant> = None;
        loop {
            if leave_at.is_some() && queue.is_empty() && !self.link.as_ref().is_some_and(Link::is_waiting) {
                break;
            }
            let lost = match &mut self.link {
                Some(link) => tokio::select! {
                    () = &mut stop, if leave_at.is_none() => { leave_at = Some(self.last_moment(&mut queue)); None }
                    () = sleep_until(leave_at), if leave_at.is_some() => break,
                    Some(first) = queue.recv() => link.send(drain(&mut queue, first)).await.err(),
                    lost = link.listen() => Some(lost),
                },
                None => {
                    tokio::select! {
                        () = &mut stop, if leave_at.is_none() => leave_at = Some(self.last_moment(&mut queue)),
                        Some(first) = queue.recv() => self.connect(drain(&mut queue, first)).await,
                    }
                    None
                }
            };
            if let Some(lost) = lost {
                self.on_lost(&lost);
            }
        }
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }

    /// No more events are taken; those that wait are answered until then.
    fn last_moment(&self, queue: &mut mpsc::Receiver<Outgoing>) -> Instant {
        queue.close();
        Instant::now() + self.driver.manner.send_timeout
    }

    /// Opens a connection for a batch, and sends it.
    async fn connect(&mut self, batch: Vec<Outgoing>) {
        let pause = self.connect_at.saturating_duration_since(Instant::now());
        if let Some(last) = self.last.as_ref().filter(|_| !pause.is_zero()) {
            let failure = Failure { retry_after: Some(pause), ..last.clone() };
            return refuse(batch, &failure);
        }
        let authorization = batch.iter().rev().find_map(|outgoing| outgoing.authorization.clone());
        match connect(&self.driver.client, authorization).await {
            Ok(socket) => {
                info!(driver = WebSocketClientOutput::NAME, "connected");
                (self.opened_at, self.last) = (Instant::now(), None);
                let mut link = Link::new(socket, self.driver.manner);
                match link.send(batch).await {
                    Ok(()) => self.link = Some(link),
                    Err(lost) => {
                        self.link = Some(link);
                        self.on_lost(&lost);
                    }
                }
            }
            Err(failure) => {
                debug!(error = failure.error, "no connection");
                self.back_off(&failure);
                refuse(batch, &failure);
            }
        }
    }

    fn on_lost(&mut self, lost: &Failure) {
        warn!(driver = WebSocketClientOutput::NAME, error = lost.error, "connection lost");
        if let Some(link) = self.link.take() {
            link.give_up(lost);
        }
        let was_steady = self.opened_at.elapsed() >= STEADY;
        if was_steady {
            self.failures = 0;
        }
        // A server that takes connections and drops them again is not asked without end.
        if !was_steady || matches!(lost.class, FailureClass::Throttled | FailureClass::Misconfigured) {
            self.back_off(lost);
        }
    }

    fn back_off(&mut self, failure: &Failure) {
        let doubled = FIRST_PAUSE.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let pause = match self.driver.retry_policy {
            RetryPolicy::Exponential => doubled.min(LONGEST_PAUSE).max(failure.retry_after.unwrap_or_default()),
            RetryPolicy::None => Duration::ZERO,
        };
        self.failures += 1;
        self.connect_at = Instant::now() + pause;
        self.last = Some(failure.clone());
    }
}

fn refuse(batch: Vec<Outgoing>, failure: &Failure) {
    for Outgoing { answer, .. } in batch {
        // Who asked may have given up.
        let _ = answer.send(Outcome::Failed(failure.clone()));
    }
}
