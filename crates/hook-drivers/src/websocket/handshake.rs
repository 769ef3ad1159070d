//! The opening handshake (RFC 6455, section 4.1), over the client that every outgoing driver shares: its guard, its roots.

use hook_core::{
    clock::{Clock, SystemClock},
    outcome::{Failure, FailureClass, Outcome},
};
use hook_http::client::{Client, classify};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

/// An open connection.
pub(super) type Socket = WebSocketStream<reqwest::Upgraded>;

/// What comes from the other side is acknowledgements and control frames.
const MOST_INCOMING: usize = 64 * 1024;

/// Opens a connection. Nothing of an event was sent where this fails.
pub(super) async fn connect(client: &Client, authorization: Option<HeaderValue>) -> Result<Socket, Failure> {
    let key = generate_key();
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(&key).expect("base64 is ASCII"));
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    let response = client.get(headers).await.map_err(nothing_sent)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(response.status(), response.headers()));
    }
    // RFC 6455, section 4.1: a server that answers with another value has not understood the request.
    let expected = derive_accept_key(key.as_bytes());
    if response.headers().get(SEC_WEBSOCKET_ACCEPT).is_none_or(|accept| accept.as_bytes() != expected.as_bytes()) {
        return Err(failure(FailureClass::Misconfigured, "the server answered with a wrong Sec-WebSocket-Accept"));
    }
    let lost = |_| failure(FailureClass::Unreachable, "the connection was lost while it was opened");
    let connection = response.upgrade().await.map_err(lost)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MOST_INCOMING))
        .max_frame_size(Some(MOST_INCOMING));
    Ok(WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await)
}

/// Whatever an attempt without an answer means elsewhere, here it has cost no event an attempt.
fn nothing_sent(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(mut failure) => {
            if failure.class == FailureClass::Transient {
                failure.class = FailureClass::Unreachable;
            }
            failure
        }
        Outcome::Delivered { answer } => failure(FailureClass::Unreachable, &answer),
    }
}

/// What an answer other than 101 means. It says nothing about an event, so that it never rejects one.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Failure {
    let class = match status.as_u16() {
        429 | 503 => FailureClass::Throttled,
        500.. => FailureClass::Unreachable,
        _ => FailureClass::Misconfigured,
    };
    let hint = match status.as_u16() {
        401 | 403 => "check the token",
        300..=399 => "redirects are not followed, set url to the final address",
        _ => "expected 101 Switching Protocols: is this the address of a WebSocket?",
    };
    let retry_after =
        (class == FailureClass::Throttled).then(|| classify::retry_after(headers, SystemClock.now().into())).flatten();
    Failure { class, error: format!("the server answered {status}; {hint}"), retry_after }
}

/// A failure without a wish for when to try again.
pub(super) fn failure(class: FailureClass, error: &str) -> Failure {
    Failure { class, error: error.to_owned(), retry_after: None }
}
