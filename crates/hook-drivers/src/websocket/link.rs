//! One connection to a server, owned by one task: frames go out in batches, acknowledgements come in, pings say who is there.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use futures_util::{FutureExt, SinkExt, StreamExt};
use hook_core::outcome::{Failure, FailureClass, Outcome};
use http::HeaderValue;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    error::{CapacityError, ProtocolError},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::handshake::{Socket, failure};

/// So many events share a flush at most.
pub(super) const BATCH: usize = 64;

/// An event on its way.
pub(super) struct Outgoing {
    /// The event's id, by which it is acknowledged.
    pub(super) id: String,
    pub(super) text: Utf8Bytes,
    /// What a connection is opened with, where there is none.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// How the other side is spoken to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Whether the other side acknowledges each event.
    pub(super) ack: bool,
    /// So long a frame may take to be written.
    pub(super) send_timeout: Duration,
    /// The other side is asked this often whether it is there.
    pub(super) ping_every: Duration,
}

/// An acknowledgement.
#[derive(Deserialize)]
struct Ack<'a> {
    #[serde(borrow)]
    ack: std::borrow::Cow<'a, str>,
}

/// A connection that is open.
pub(super) struct Link {
    socket: Socket,
    manner: Manner,
    /// Sent, and not acknowledged yet; each with the time until which it is waited for.
    waiting: HashMap<String, (Instant, oneshot::Sender<Outcome>)>,
    /// The same times, in their order.
    due: VecDeque<(Instant, String)>,
    heard_at: Instant,
    ping_at: Instant,
}

impl Link {
    pub(super) fn new(socket: Socket, manner: Manner) -> Self {
        let now = Instant::now();
        Self {
            socket,
            manner,
            waiting: HashMap::new(),
            due: VecDeque::new(),
            heard_at: now,
            ping_at: now + manner.ping_every,
        }
    }

    /// Whether something was sent and is not acknowledged.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends a batch. It is answered when it is flushed, or when it is acknowledged.
    pub(super) async fn send(&mut self, batch: Vec<Outgoing>) -> Result<(), Failure> {
        let sending = async {
            for outgoing in &batch {
                self.socket.feed(Message::Text(outgoing.text.clone())).await?;
            }
            self.socket.flush().await
        };
        let sent = timeout(self.manner.send_timeout, sending).await;
        let ms = self.manner.send_timeout.as_millis();
        let lost = match sent {
            Ok(Ok(())) => {
                let until = Instant::now() + self.manner.send_timeout;
                for Outgoing { id, answer, .. } in batch {
                    if self.manner.ack {
                        self.due.push_back((until, id.clone()));
                        self.waiting.insert(id, (until, answer));
                    } else {
                        // Who asked may have given up.
                        let _ = answer.send(Outcome::delivered("frame sent"));
                    }
                }
                return Ok(());
            }
            Ok(Err(error)) => lost(&error),
            Err(_) => failure(FailureClass::Transient, &format!("the frame was not taken within {ms} ms")),
        };
        for Outgoing { answer, .. } in batch {
            let _ = answer.send(Outcome::Failed(lost.clone()));
        }
        Err(lost)
    }

    /// Listens until the connection is lost. Dropping the future loses nothing.
    pub(super) async fn listen(&mut self) -> Failure {
        loop {
            tokio::select! {
                message = self.socket.next() => {
                    self.heard_at = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => self.on_text(text.as_str()),
                        Some(Ok(Message::Close(frame))) => {
                            let _ = self.flush().await;
                            return closed(frame.as_ref());
                        }
                        // The answer is written by now, but not sent: those to a server that does not read would pile up.
                        Some(Ok(Message::Ping(_))) => {
                            if let Err(lost) = self.flush().await {
                                return lost;
                            }
                        }
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return lost(&error),
                        None => return failure(FailureClass::Transient, "the server closed the connection"),
                    }
                }
                () = sleep_until(self.due.front().map(|(until, _)| *until)) => self.on_due(),
                () = tokio::time::sleep_until(self.ping_at) => {
                    self.ping_at = Instant::now() + self.manner.ping_every;
                    if self.heard_at.elapsed() > 2 * self.manner.ping_every {
                        return failure(FailureClass::Transient, "the server does not answer pings");
                    }
                    let pinged = match self.socket.feed(Message::Ping(bytes::Bytes::new())).await {
                        Ok(()) => self.flush().await,
                        Err(error) => Err(lost(&error)),
                    };
                    if let Err(lost) = pinged {
                        return lost;
                    }
                }
            }
        }
    }

    /// Sends what is written.
    async fn flush(&mut self) -> Result<(), Failure> {
        match timeout(self.manner.send_timeout, self.socket.flush()).await {
            Ok(flushed) => flushed.map_err(|error| lost(&error)),
            Err(_) => Err(failure(FailureClass::Transient, "the server does not read")),
        }
    }

    /// What is not an acknowledgement of ours is passed over.
    fn on_text(&mut self, text: &str) {
        // A list of one would be read as well.
        if !text.trim_ascii_start().starts_with('{') {
            return;
        }
        let Ok(Ack { ack }) = serde_json::from_str::<Ack<'_>>(text) else { return };
        if let Some((_, answer)) = self.waiting.remove(ack.as_ref()) {
            let _ = answer.send(Outcome::delivered("acknowledged"));
        }
    }

    /// The oldest event has not been acknowledged in time.
    fn on_due(&mut self) {
        let Some((due, id)) = self.due.pop_front() else { return };
        // One that was sent again meanwhile has its own time.
        if self.waiting.get(&id).is_some_and(|(until, _)| *until == due)
            && let Some((_, answer)) = self.waiting.remove(&id)
        {
            let ms = self.manner.send_timeout.as_millis();
            let error = format!("no acknowledgement within {ms} ms");
            let _ = answer.send(Outcome::failed(FailureClass::Transient, error));
        }
    }

    /// Answers what waits after the connection was lost. Whether the server has it nobody knows.
    pub(super) fn give_up(self, why: &Failure) {
        // A server that finds a frame too large says so and closes; which one it was is certain only where there is one.
        let is_the_one = self.waiting.len() == 1;
        let class = match why.class {
            FailureClass::Rejected if !is_the_one => FailureClass::Transient,
            class => class,
        };
        for (_, answer) in self.waiting.into_values() {
            let _ = answer.send(Outcome::Failed(Failure { class, ..why.clone() }));
        }
    }

    /// Says goodbye. What is not acknowledged by now may be there all the same.
    pub(super) async fn close(mut self) {
        for (_, (_, answer)) in self.waiting.drain() {
            let _ = answer.send(Outcome::failed(FailureClass::Transient, "no acknowledgement before the end"));
        }
        let frame = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("") };
        let _ = timeout(self.manner.send_timeout, self.socket.close(Some(frame))).await;
    }
}

/// What a close code means (RFC 6455, section 7.4.1, and the registry of IANA).
fn closed(frame: Option<&CloseFrame>) -> Failure {
    let Some(frame) = frame else { return failure(FailureClass::Transient, "the server closed the connection") };
    let code = u16::from(frame.code);
    let class = match code {
        1003 | 1007 | 1009 => FailureClass::Rejected,
        1002 | 1008 | 1010 | 3000 | 3003 => FailureClass::Misconfigured,
        1013 => FailureClass::Throttled,
        _ => FailureClass::Transient,
    };
    failure(class, &format!("the server closed the connection with {code}"))
}

fn lost(error: &Error) -> Failure {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            failure(FailureClass::Misconfigured, "the server sent a frame that is too large for an acknowledgement")
        }
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            failure(FailureClass::Transient, "the connection was lost")
        }
        Error::Protocol(_) | Error::Utf8(_) => {
            failure(FailureClass::Misconfigured, &format!("the server broke the protocol: {error}"))
        }
        Error::Io(error) => failure(FailureClass::Transient, &format!("the connection was lost: {}", error.kind())),
        _ => failure(FailureClass::Transient, "the connection was lost"),
    }
}

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Takes what else waits to be sent.
pub(super) fn drain(queue: &mut mpsc::Receiver<Outgoing>, first: Outgoing) -> Vec<Outgoing> {
    let mut batch = vec![first];
    while batch.len() < BATCH {
        match queue.recv().now_or_never().flatten() {
            Some(next) => batch.push(next),
            None => break,
        }
    }
    batch
}
