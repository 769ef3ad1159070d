//! The server's end of a connection: how a client is let in (RFC 6455, section 4.2), and how it is told to leave.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hook_core::{
    ports::ingress::{Refused, RejectionKind},
    secret::Secrets,
};
use hook_http::{access::Access, server};
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
        TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
    },
    request::Parts,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Utf8Bytes,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// Connections that have not been upgraded yet are not counted among those that have.
pub(super) const SPARE_CONNECTIONS: usize = 64;
/// How long the head of an opening request may take to arrive, on an address of its own.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Who is turned away because too many are connected may come again so much later.
const COME_AGAIN: Duration = Duration::from_secs(5);
/// A client that is told that its connection ends has so long to hear it.
const GOODBYE: Duration = Duration::from_secs(2);
/// Frames are read and written through so much.
const BUFFER_BYTES: usize = 16 * 1024;

/// A client that is not let in, and the headers that its answer needs.
pub(super) struct TurnedAway {
    pub(super) refused: Refused,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl TurnedAway {
    pub(super) fn new(kind: RejectionKind, code: &'static str, message: impl Into<String>) -> Self {
        let refused = Refused { kind, code, message: message.into(), retry_after: None };
        Self { refused, headers: Vec::new() }
    }

    /// There is no place for another client.
    pub(super) fn too_many() -> Self {
        let mut away = Self::new(RejectionKind::Unavailable, "too_many_connections", "too many clients are connected");
        away.refused.retry_after = Some(COME_AGAIN);
        away
    }
}

/// Whether an opening request is in order, and whether who sends it is let in. The answer to give is what [`switch`] needs.
pub(super) fn check(head: &Parts, access: &Access, secrets: &Secrets) -> Result<HeaderValue, TurnedAway> {
    if head.method != Method::GET {
        let message = "a WebSocket is opened with GET";
        return Err(TurnedAway::new(RejectionKind::MethodNotAllowed, "method_not_allowed", message));
    }
    access.check(&head.headers, secrets).map_err(|denied| {
        let mut away = TurnedAway::new(denied.kind, denied.code, denied.message);
        away.headers.extend(denied.challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
        away
    })?;
    let is_upgrade = head.version == Version::HTTP_11
        && names(&head.headers, &UPGRADE, "websocket")
        && names(&head.headers, &CONNECTION, "upgrade");
    let version = head.headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if !is_upgrade || version != Some(b"13") {
        let message = "this path is for WebSocket clients, version 13";
        let mut away = TurnedAway::new(RejectionKind::UpgradeRequired, "upgrade_required", message);
        away.headers.push((UPGRADE, HeaderValue::from_static("websocket")));
        away.headers.push((SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
        return Err(away);
    }
    let Some(key) = key_of(&head.headers) else {
        let message = "Sec-WebSocket-Key is missing or malformed";
        return Err(TurnedAway::new(RejectionKind::Malformed, "malformed_key", message));
    };
    if has_body(&head.headers) {
        // Its bytes would be read as frames.
        let message = "a WebSocket is opened without a body";
        return Err(TurnedAway::new(RejectionKind::Malformed, "unexpected_body", message));
    }
    Ok(HeaderValue::try_from(derive_accept_key(key)).expect("base64 is ASCII"))
}

/// The key of an opening request: the base64 of sixteen bytes, once.
fn key_of(headers: &HeaderMap) -> Option<&[u8]> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let key = keys.next().filter(|_| keys.next().is_none())?.as_bytes();
    BASE64_STANDARD.decode(key).ok().filter(|bytes| bytes.len() == 16).map(|_| key)
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// The answer after which a connection speaks WebSocket.
pub(super) fn switch(accept: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Speaks WebSocket on a connection that was answered so. `unread` came behind the request.
pub(super) async fn speak<S>(stream: S, unread: &Bytes, max_frame_bytes: usize) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(max_frame_bytes))
        .max_frame_size(Some(max_frame_bytes));
    WebSocketStream::from_partially_read(stream, unread.to_vec(), Role::Server, Some(config)).await
}

/// Tells a client that its connection ends, and waits until it has heard; whoever calls bounds the time. Whatever the client
/// still sends is passed over.
pub(super) async fn say_goodbye<S>(socket: &mut WebSocketStream<S>, code: CloseCode, reason: Utf8Bytes)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if socket.close(Some(CloseFrame { code, reason })).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

/// Ends a connection within a bound, with a close frame of ours; without one, with the answer to the client's.
pub(super) async fn leave<S>(mut socket: WebSocketStream<S>, goodbye: Option<(CloseCode, Utf8Bytes)>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let leaving = async {
        match goodbye {
            Some((code, reason)) => say_goodbye(&mut socket, code, reason).await,
            None => socket.flush().await.unwrap_or_default(),
        }
        server::close(socket.into_inner()).await;
    };
    let _ = timeout(GOODBYE, leaving).await;
}

/// How a connection on which a rule was broken is closed (RFC 6455, section 7.4.1).
pub(super) fn close_of(error: &Error) -> Option<(CloseCode, &'static str)> {
    match error {
        Error::Capacity(_) => Some((CloseCode::Size, "the frame is too large")),
        Error::Utf8(_) => Some((CloseCode::Invalid, "the text is not UTF-8")),
        Error::Protocol(_) => Some((CloseCode::Protocol, "the protocol was broken")),
        _ => None,
    }
}

/// Whether a header lists a word, in any case.
fn names(headers: &HeaderMap, header: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
}
