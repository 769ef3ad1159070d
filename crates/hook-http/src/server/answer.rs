//! What a sender is answered: one small JSON object each.

use std::time::Duration;

use bytes::Bytes;
use hook_core::ports::{
    ingress::{Accepted, Rejection, RejectionKind},
    verifier::Reply,
};
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use serde::Serialize;

/// The command that sends a duplicate's event again, since a sender's own "redeliver" does not.
const HINT: &str = "x-hook-hint";
/// Where an id stands when the body is the provider's.
const EVENT_ID: &str = "x-hook-event-id";
const REQUEST_ID: &str = "x-hook-request-id";

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// The answer to a request that was taken.
pub fn accepted(accepted: Accepted) -> Response<Bytes> {
    let body = |code, event_id, request_id| Body { code, event_id, message: None, request_id };
    match accepted {
        Accepted::Stored(event) => respond(StatusCode::ACCEPTED, &body("accepted", Some(event.id.to_string()), None)),
        Accepted::Duplicate(id) => {
            let mut response = respond(StatusCode::OK, &body("duplicate", Some(id.to_string()), None));
            if let Ok(hint) = HeaderValue::try_from(format!("hook replay {id}")) {
                response.headers_mut().insert(HINT, hint);
            }
            response
        }
        Accepted::NotRouted(id) => respond(StatusCode::OK, &body("not_routed", None, Some(id.to_string()))),
        Accepted::Challenged(reply) => replied(&reply),
    }
}

/// What a provider wants to be answered, and nothing of ours. A browser shows it as the text that it is.
pub fn replied(reply: &Reply) -> Response<Bytes> {
    let mut response = Response::new(reply.body.clone());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    if let (false, Ok(content_type)) = (reply.content_type.is_empty(), HeaderValue::try_from(&reply.content_type)) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

/// The same where an event was taken: its id, or that of the request, stands in a header.
pub fn replied_to(accepted: &Accepted, reply: &Reply) -> Response<Bytes> {
    let (name, id) = match accepted {
        Accepted::Stored(event) => (EVENT_ID, event.id.to_string()),
        Accepted::Duplicate(first) => (EVENT_ID, first.to_string()),
        Accepted::NotRouted(request) => (REQUEST_ID, request.to_string()),
        Accepted::Challenged(_) => return replied(reply),
    };
    let mut response = replied(reply);
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(name, id);
    }
    response
}

/// The answer to a request that was refused, of an adapter that takes this method.
pub fn rejected(rejection: &Rejection, method: &'static str) -> Response<Bytes> {
    let refused = &rejection.refused;
    let status = StatusCode::from_u16(refused.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(
        status,
        &Body {
            code: refused.code,
            event_id: None,
            message: Some(&refused.message),
            request_id: Some(rejection.request_id.to_string()),
        },
    );
    let headers = response.headers_mut();
    if let Some(wait) = refused.retry_after {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
    match refused.kind {
        RejectionKind::MethodNotAllowed => {
            headers.insert(ALLOW, HeaderValue::from_static(method));
        }
        // The rest of the body will not be read, so that nothing else can follow on this connection.
        RejectionKind::TooLarge | RejectionKind::Timeout => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

/// An answer as it stands on the wire, for a connection that HTTP framing has already given up.
pub(super) fn to_wire(response: &Response<Bytes>) -> Vec<u8> {
    let mut wire =
        format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", response.status(), response.body().len()).into_bytes();
    for (name, value) in response.headers() {
        wire.extend_from_slice(name.as_str().as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(response.body());
    wire
}

fn respond(status: StatusCode, body: &Body<'_>) -> Response<Bytes> {
    let text = serde_json::to_vec(body).expect("strings serialise");
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `Retry-After` has no fractions, and zero would mean at once.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
