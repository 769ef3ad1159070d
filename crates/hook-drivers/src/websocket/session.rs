//! One client: frames in, one answer each, in their order.
//!
//! ```text
//! frame ──▶ event ──▶ inlet … durable ──▶ answer
//!   ▲ not read while too many are on their way
//! ```

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hook_core::{
    BoxFuture,
    clock::{Clock, SystemClock},
    event::{RawEvent, RequestId, Stated},
    names::{AdapterId, EventType, SourceName},
    ports::ingress::{Accepted, Inlet, Refused, Rejection, RejectionKind},
    stop::Stop,
};
use hook_http::server::{StallGuard, Upgraded, Wire, rate::AddressRate};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, Utf8Bytes, protocol::frame::coding::CloseCode},
};
use tracing::debug;

use super::{
    accept::{close_of, leave, speak},
    in_flight::InFlight,
};

/// What names a delivery is not longer.
const LONGEST_ID: usize = 256;

/// Who has opened the connection, and for what.
pub(super) struct Sender {
    pub(super) source: SourceName,
    /// Path and query of the opening request.
    pub(super) url: String,
    /// Its headers: a source's verifier reads them with each event.
    pub(super) headers: HeaderMap,
    pub(super) peer: IpAddr,
    /// Whether it has shown a token.
    pub(super) is_proven: bool,
}

/// What one connection needs.
pub(super) struct Session {
    pub(super) adapter: AdapterId,
    pub(super) sender: Sender,
    pub(super) inlet: Arc<dyn Inlet>,
    pub(super) rate: Option<Arc<AddressRate>>,
    pub(super) max_frame_bytes: usize,
    pub(super) ping_every: Duration,
}

/// An event as a client sends it. An envelope is one too, and its other keys are not looked at.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// What a client is told of a frame.
#[derive(Serialize)]
struct Told<'a> {
    /// As the client has sent it; `null` where the frame could not be read.
    id: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

type Socket = WebSocketStream<StallGuard<Wire>>;

impl Session {
    /// Takes frames until the client leaves, breaks a rule, or `stop` comes; then finishes those that it has begun. A client
    /// that closes in good order learns by our answer that they are stored.
    pub(super) async fn run(self, upgraded: Upgraded, stop: Stop) {
        let Upgraded { stream, unread } = upgraded;
        let mut socket = speak(stream, &unread, self.max_frame_bytes).await;
        let mut in_flight = InFlight::default();
        let end = self.talk(&mut socket, &mut in_flight, stop).await;
        debug!(ingress_adapter = %self.adapter, source = %self.sender.source, peer = %self.sender.peer, ?end, "client leaves");
        let mut is_listening = end.is_some();
        while let Some(answer) = in_flight.next().await {
            is_listening = is_listening && socket.feed(answer).await.is_ok();
        }
        leave(socket, end.map(|(code, reason)| (code, Utf8Bytes::from_static(reason)))).await;
    }

    /// Why the connection is to be closed; `None` where the client has closed it, or is gone.
    async fn talk(
        &self,
        socket: &mut Socket,
        in_flight: &mut InFlight,
        mut stop: Stop,
    ) -> Option<(CloseCode, &'static str)> {
        let (mut heard_at, mut ping_at) = (Instant::now(), Instant::now() + self.ping_every);
        loop {
            tokio::select! {
                () = &mut stop => return Some((CloseCode::Away, "the pipeline ends")),
                message = socket.next(), if in_flight.has_room() => {
                    heard_at = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => in_flight.push(text.len(), self.take(&text)),
                        Some(Ok(Message::Binary(_))) => return Some((CloseCode::Unsupported, "events are text frames")),
                        // The answer is written by now, but not sent: those of a client that does not read would pile up.
                        Some(Ok(Message::Ping(_))) => socket.flush().await.ok()?,
                        Some(Ok(Message::Close(_))) | None => return None,
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return close_of(&error),
                    }
                }
                Some(answer) = in_flight.next() => {
                    socket.feed(answer).await.ok()?;
                    while let Some(answer) = in_flight.next_now() {
                        socket.feed(answer).await.ok()?;
                    }
                    socket.flush().await.ok()?;
                }
                () = tokio::time::sleep_until(ping_at) => {
                    ping_at = Instant::now() + self.ping_every;
                    if heard_at.elapsed() > 2 * self.ping_every && in_flight.is_empty() {
                        return Some((CloseCode::Away, "no answer to pings"));
                    }
                    socket.send(Message::Ping(Bytes::new())).await.ok()?;
                }
            }
        }
    }

    /// What a frame is answered. The event is on its way when this is first polled, so that those of a connection keep their order.
    fn take(&self, text: &Utf8Bytes) -> BoxFuture<'static, Message> {
        let (id, event) = match self.read(text) {
            Ok(read) => read,
            Err((id, rejection)) => {
                let told = answer(id.as_deref(), Err(&rejection));
                return Box::pin(std::future::ready(told));
            }
        };
        let inlet = Arc::clone(&self.inlet);
        Box::pin(async move {
            let accepted = inlet.accept(event).await;
            answer(Some(&id), accepted.as_ref())
        })
    }

    fn read(&self, text: &Utf8Bytes) -> Result<(String, RawEvent), (Option<String>, Rejection)> {
        let refuse = |id: Option<String>, kind, code, message: String, retry_after| {
            let refused = Refused { kind, code, message, retry_after };
            (id, self.inlet.refuse(&self.adapter, Some(&self.sender.source), refused))
        };
        let malformed = |id, message| refuse(id, RejectionKind::Malformed, "malformed_frame", message, None);
        if let Some(Err(wait)) = self.rate.as_ref().map(|rate| rate.check(self.sender.peer)) {
            let id = serde_json::from_str::<Frame<'_>>(text.as_str()).ok().map(|frame| frame.id.into_owned());
            let message = "too many frames from this address".to_owned();
            return Err(refuse(id, RejectionKind::TooManyRequests, "rate_limited", message, Some(wait)));
        }
        let expected = "expected an object with `id`, `event_type` and `payload`";
        // A list of the three would be read as well.
        if !text.as_str().trim_ascii_start().starts_with('{') {
            return Err(malformed(None, expected.to_owned()));
        }
        let frame: Frame<'_> = serde_json::from_str(text.as_str()).map_err(|error| {
            malformed(None, format!("{expected}; wrong at line {}, column {}", error.line(), error.column()))
        })?;
        let id = frame.id.into_owned();
        if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
            return Err(malformed(None, format!("`id` has to be 1 to {LONGEST_ID} bytes of text")));
        }
        let event_type = match frame.event_type.as_deref().map(EventType::new).transpose() {
            Ok(event_type) => event_type,
            // What is wrong with it would show it.
            Err(_) => return Err(malformed(Some(id), "`event_type` has to be 1 to 256 characters of text".to_owned())),
        };
        let whole: &Bytes = text.as_ref();
        let event = RawEvent {
            request_id: RequestId::generate(),
            adapter: self.adapter.clone(),
            source: self.sender.source.clone(),
            url: self.sender.url.clone(),
            headers: self.sender.headers.clone(),
            body: whole.slice_ref(frame.payload.get().as_bytes()),
            received_at: SystemClock.now(),
            peer: Some(self.sender.peer),
            stated: Some(Stated {
                event_type,
                delivery_id: Some(id.clone()),
                is_sender_proven: self.sender.is_proven,
                ordering_key: None,
            }),
        };
        Ok((id, event))
    }
}

fn answer(id: Option<&str>, answer: Result<&Accepted, &Rejection>) -> Message {
    let nothing = Told { id, code: "", event_id: None, message: None, request_id: None, retry_after_ms: None };
    let told = match answer {
        Ok(Accepted::Stored(event)) => Told { code: "accepted", event_id: Some(event.id.to_string()), ..nothing },
        Ok(Accepted::Duplicate(event)) => Told { code: "duplicate", event_id: Some(event.to_string()), ..nothing },
        Ok(Accepted::NotRouted(request)) => {
            Told { code: "not_routed", request_id: Some(request.to_string()), ..nothing }
        }
        Ok(Accepted::Challenged(_)) => Told { code: "challenged", ..nothing },
        Err(Rejection { refused, request_id }) => Told {
            code: refused.code,
            message: Some(&refused.message),
            request_id: Some(request_id.to_string()),
            retry_after_ms: refused.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            ..nothing
        },
    };
    Message::text(serde_json::to_string(&told).expect("strings serialise"))
}
