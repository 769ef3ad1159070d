//! MCP's streamable HTTP over our own client, which goes only where the contract lets it.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use hook_core::{
    clock::{Clock, SystemClock},
    outcome::{Failure, FailureClass, Outcome},
};
use hook_http::client::{Client, classify};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, RequestId, ServerJsonRpcMessage},
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::{Sse, SseStream};
use thiserror::Error;

use super::{LARGEST_MESSAGE, message, outcome::failure, sse::EventLimit};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// So much of an answer that tells of an error is read.
const LARGEST_ERROR: usize = 64 * 1024;
/// A stream of what a server says on its own account is opened again after so long.
const LONGEST_STREAM: Duration = Duration::from_secs(24 * 3600);
/// So long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

type Result<T> = std::result::Result<T, StreamableHttpError<Refused>>;

/// A request that was not answered as it should be, and what that means.
#[derive(Debug, Clone, Error)]
#[error("{}", .failure.error)]
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// Whether the server may not know the session any more.
    pub(super) is_session_doubtful: bool,
}

fn refused(class: FailureClass, error: impl Into<String>) -> StreamableHttpError<Refused> {
    StreamableHttpError::Client(Refused { failure: failure(class, error), is_session_doubtful: false })
}

/// One server.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) client: Arc<Client>,
    pub(super) authorization: Option<HeaderValue>,
    /// So long one request may take with its answer. What waits for it gives up earlier.
    pub(super) longest: Duration,
}

impl StreamableHttpClient for Http {
    type Error = Refused;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse> {
        let body = message::to_json(&message)?;
        let mut headers = self.headers(session_id.as_deref(), custom_headers)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let answered = self.client.request(Method::POST, headers, body.into(), self.longest).await;
        let mut response = answered.map_err(not_answered)?;

        let (status, headers) = (response.status(), response.headers().clone());
        let asked = Asked::of(&message, session_id.is_some());
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let kind = content_type(&headers);
        let session_id = headers.get(SESSION_ID).and_then(|id| Some(id.to_str().ok()?.to_owned()));
        if status.is_success() && kind == EVENTS {
            let chunks = stream::try_unfold(response, |mut response| async {
                let chunk = response.chunk().await.map_err(|error| io::Error::other(classify::root_cause(&error)))?;
                Ok::<_, io::Error>(chunk.map(|chunk| (chunk, response)))
            });
            return Ok(StreamableHttpPostResponse::Sse(events(chunks), session_id));
        }
        let largest = if status.is_success() { LARGEST_MESSAGE } else { LARGEST_ERROR };
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| not_answered(classify::error(&error, self.longest)))?
        {
            if chunk.len() > largest - body.len() {
                if status.is_success() {
                    let error = format!("the answer is larger than {largest} bytes");
                    return Err(refused(FailureClass::Transient, error));
                }
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        asked.judge(status, &headers, kind, &body).map(|message| match message {
            Some(message) => StreamableHttpPostResponse::Json(message, session_id),
            None => StreamableHttpPostResponse::Accepted,
        })
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<()> {
        let headers = self.headers(Some(&session_id), custom_headers)?;
        // A server that forbids it ends sessions by itself.
        let _ = self.client.request(Method::DELETE, headers, Bytes::new(), GOODBYE).await;
        Ok(())
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, std::result::Result<Sse, SseError>>> {
        let mut headers = self.headers(session_id.as_deref(), custom_headers)?;
        headers.insert(ACCEPT, HeaderValue::from_static(EVENTS));
        if let Some(id) = last_event_id.and_then(|id| HeaderValue::try_from(id).ok()) {
            headers.insert(LAST_EVENT_ID, id);
        }
        let answered = self.client.request(Method::GET, headers, Bytes::new(), LONGEST_STREAM).await;
        let response = answered.map_err(not_answered)?;
        let status = response.status();
        if !status.is_success() || content_type(response.headers()) != EVENTS {
            // One that has none, or none any more, is not asked again and again.
            return Err(match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                true => refused(FailureClass::Transient, format!("the server answered {status}")),
                false => StreamableHttpError::ServerDoesNotSupportSse,
            });
        }
        Ok(events(stream::try_unfold(response, |mut response| async {
            let chunk = response.chunk().await.map_err(|error| io::Error::other(classify::root_cause(&error)))?;
            Ok::<_, io::Error>(chunk.map(|chunk| (chunk, response)))
        })))
    }
}

impl Http {
    fn headers(&self, session_id: Option<&str>, custom_headers: HashMap<HeaderName, HeaderValue>) -> Result<HeaderMap> {
        let mut headers = HeaderMap::from_iter(custom_headers);
        if let Some(id) = session_id {
            let id = HeaderValue::try_from(id);
            let id = id.map_err(|_| refused(FailureClass::Misconfigured, "the server's session id fits no header"))?;
            headers.insert(SESSION_ID, id);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(headers)
    }
}

/// What a message asks for.
struct Asked {
    /// Its id, where it asks for an answer.
    id: Option<RequestId>,
    is_call: bool,
    has_session: bool,
}

impl Asked {
    fn of(message: &ClientJsonRpcMessage, has_session: bool) -> Self {
        let JsonRpcMessage::Request(request) = message else {
            return Self { id: None, is_call: false, has_session };
        };
        let is_call = matches!(request.request, ClientRequest::CallToolRequest(_));
        Self { id: Some(request.id.clone()), is_call, has_session }
    }

    /// The message in an answer; `None` where there is none and none was asked for.
    fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        kind: &str,
        body: &[u8],
    ) -> Result<Option<ServerJsonRpcMessage>> {
        if status == StatusCode::NOT_FOUND && self.has_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        let message = serde_json::from_slice::<ServerJsonRpcMessage>(body).ok();
        if !status.is_success() {
            let is_the_answer = |message: &ServerJsonRpcMessage| match message {
                JsonRpcMessage::Error(error) => self.id.is_some() && error.id == self.id,
                _ => false,
            };
            return match message.filter(is_the_answer) {
                Some(message) => Ok(Some(message)),
                None => Err(StreamableHttpError::Client(Refused {
                    failure: self.status(status, headers),
                    is_session_doubtful: status == StatusCode::BAD_REQUEST && self.has_session,
                })),
            };
        }
        match (message, &self.id) {
            (Some(message), Some(_)) => Ok(Some(message)),
            (_, None) => Ok(None),
            (None, Some(_)) if kind == JSON => {
                Err(refused(FailureClass::Transient, "the server's answer is not JSON-RPC"))
            }
            (None, Some(_)) => {
                let error = format!(
                    "the server answered {status} without JSON; is url the address of an MCP server (streamable HTTP)?"
                );
                Err(refused(FailureClass::Misconfigured, error))
            }
        }
    }

    fn status(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let Outcome::Failed(mut failure) = classify::answer(status, headers, SystemClock.now().into()) else {
            return failure(FailureClass::Transient, format!("the server answered {status}"));
        };
        failure.class = match (failure.class, status.as_u16()) {
            // Some servers say so that they do not know the session.
            (FailureClass::Rejected, 400) if self.has_session => FailureClass::Transient,
            (FailureClass::Rejected, 404 | 405 | 406 | 410 | 415) => FailureClass::Misconfigured,
            (FailureClass::Rejected, _) if !self.is_call => FailureClass::Misconfigured,
            (class, _) => class,
        };
        failure
    }
}

fn not_answered(outcome: Outcome) -> StreamableHttpError<Refused> {
    match outcome {
        Outcome::Failed(failure) => StreamableHttpError::Client(Refused { failure, is_session_doubtful: false }),
        Outcome::Delivered { .. } => StreamableHttpError::UnexpectedEndOfStream,
    }
}

/// Without its parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.split(';').next().unwrap_or_default().trim() {
        kind if kind.eq_ignore_ascii_case(EVENTS) => EVENTS,
        kind if kind.eq_ignore_ascii_case(JSON) => JSON,
        _ => "",
    }
}

/// The events of a stream, none larger than a message may be.
fn events(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> BoxStream<'static, std::result::Result<Sse, SseError>> {
    let mut limit = EventLimit::new(LARGEST_MESSAGE);
    let bounded = chunks.map(move |chunk| limit.admit(chunk?));
    SseStream::from_bytes_stream(bounded).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(asked: &Asked, status: u16, body: &str) -> std::result::Result<bool, Option<FailureClass>> {
        let status = StatusCode::from_u16(status).unwrap();
        match asked.judge(status, &HeaderMap::new(), JSON, body.as_bytes()) {
            Ok(message) => Ok(message.is_some()),
            Err(StreamableHttpError::Client(Refused { failure, .. })) => Err(Some(failure.class)),
            Err(_) => Err(None),
        }
    }

    #[test]
    fn a_status_means_what_it_means_for_what_was_asked() {
        let asked = |is_call, has_session| Asked { id: Some(RequestId::Number(1)), is_call, has_session };
        for (status, is_call, has_session, class) in [
            (401, true, true, FailureClass::Misconfigured),
            (403, false, false, FailureClass::Misconfigured),
            (301, true, true, FailureClass::Misconfigured),
            (429, true, true, FailureClass::Throttled),
            (503, true, true, FailureClass::Transient),
            (400, true, true, FailureClass::Transient),
            (400, true, false, FailureClass::Rejected),
            (413, true, true, FailureClass::Rejected),
            (413, false, false, FailureClass::Misconfigured),
            (404, false, false, FailureClass::Misconfigured),
            (405, false, false, FailureClass::Misconfigured),
            (405, true, true, FailureClass::Misconfigured),
        ] {
            assert_eq!(
                judge(&asked(is_call, has_session), status, ""),
                Err(Some(class)),
                "{status} {is_call} {has_session}"
            );
        }
        assert_eq!(judge(&asked(true, true), 404, ""), Err(None), "the session is begun again");
    }

    #[test]
    fn an_error_with_our_id_is_an_answer_whatever_the_status() {
        let asked = Asked { id: Some(RequestId::Number(1)), is_call: true, has_session: false };
        let error = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"no"}}}}"#);
        assert_eq!(judge(&asked, 400, &error("1")), Ok(true));
        assert_eq!(judge(&asked, 400, &error("2")), Err(Some(FailureClass::Rejected)));
        assert_eq!(judge(&asked, 200, "{}"), Err(Some(FailureClass::Transient)));
        assert_eq!(judge(&asked, 200, "<html>"), Err(Some(FailureClass::Transient)));
        let notification = Asked { id: None, is_call: false, has_session: true };
        assert_eq!(judge(&notification, 200, "<html>"), Ok(false));
    }
}
