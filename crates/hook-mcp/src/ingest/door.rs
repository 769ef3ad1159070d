//! One HTTP request: who may ask, and what is too much. What passes is MCP, which the SDK speaks.
//!
//! No session is kept: a call says all that it needs, so that a client goes on after a restart as if there had been none.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    names::AdapterId,
    ports::ingress::{Inlet, Refused, Rejection, RejectionKind},
    secret::Secrets,
};
use hook_http::{
    access::Denied,
    server::{
        Answer, Service, answer,
        body::{self, BodyError},
        rate::AddressRate,
    },
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header::WWW_AUTHENTICATE, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};

use super::{
    READ_TIMEOUT, Rules, browser,
    call::{Asked, without_payload},
    tool::{Tool, Toolbox},
};

/// What a call has beside its payload: the frame of JSON-RPC, headers, metadata.
const BESIDE_PAYLOAD: u64 = 64 * 1024;
/// How a client speaks to us.
const METHOD: &str = "POST";

/// Lets requests in.
pub(super) struct Door {
    adapter: AdapterId,
    rules: Arc<Rules>,
    secrets: Secrets,
    inlet: Arc<dyn Inlet>,
    rate: Option<AddressRate>,
    mcp: StreamableHttpService<Toolbox, NeverSessionManager>,
}

/// A refusal, and what a 401 asks for.
struct Refusal {
    rejection: Rejection,
    challenge: Option<HeaderValue>,
}

impl Door {
    pub(super) fn new(adapter: AdapterId, rules: Arc<Rules>, secrets: Secrets, inlet: Arc<dyn Inlet>) -> Self {
        let rate = rules.rate_per_minute.map(AddressRate::per_minute);
        let tool = Arc::new(Tool::new(adapter.clone(), &rules, Arc::clone(&inlet)));
        // Hosts are not compared: a page that reaches us under a name of its own still says its origin.
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(usize::MAX)
            .disable_allowed_hosts();
        let toolbox = move || Ok(Toolbox(Arc::clone(&tool)));
        let mcp = StreamableHttpService::new(toolbox, Arc::new(NeverSessionManager::default()), config);
        Self { adapter, rules, secrets, inlet, rate, mcp }
    }

    async fn take(&self, head: Parts, body: Incoming, peer: IpAddr) -> Result<Response<Bytes>, Refusal> {
        if head.uri.path() != self.rules.path {
            return Err(self.refuse(RejectionKind::NotFound, "not_found", "there is nothing at this path"));
        }
        let deny = |denied: Denied| {
            let refusal = self.refuse(denied.kind, denied.code, denied.message);
            Refusal { challenge: denied.challenge, ..refusal }
        };
        if browser::is_preflight(&head) {
            self.rules.access.check_origin(&head.headers).map_err(deny)?;
            return Ok(browser::permission());
        }
        self.rules.access.check(&head.headers, &self.secrets).map_err(deny)?;
        if head.method != Method::POST {
            let message = "this server speaks the streamable HTTP transport of MCP, in which a client posts; the older \
                           transport, which opens a stream with GET, is not spoken";
            return Err(self.refuse(RejectionKind::MethodNotAllowed, "method_not_allowed", message));
        }
        self.count(peer)?;
        let body = body::read(body, self.rules.max_payload_bytes as u64 + BESIDE_PAYLOAD, READ_TIMEOUT)
            .await
            .map_err(|error| self.refuse_body(error))?;
        self.speak(head, body, peer).await
    }

    async fn speak(&self, mut head: Parts, body: Bytes, peer: IpAddr) -> Result<Response<Bytes>, Refusal> {
        let read = without_payload(&body)
            .ok_or_else(|| self.refuse(RejectionKind::Malformed, "malformed_message", "the body is not JSON"))?;
        head.extensions.insert(Asked { body, peer });
        let answered = self.mcp.handle(Request::from_parts(head, Full::new(read))).await;
        let (head, body) = answered.into_parts();
        if let Some(message) = wrong_with(head.status) {
            return Err(self.refuse(RejectionKind::Malformed, "malformed_message", message));
        }
        // Without sessions and notifications an answer is one piece.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Ok(Response::from_parts(head, body))
    }

    fn count(&self, peer: IpAddr) -> Result<(), Refusal> {
        let Some(Err(wait)) = self.rate.as_ref().map(|rate| rate.check(peer)) else { return Ok(()) };
        let message = "too many requests from this address".to_owned();
        let kind = RejectionKind::TooManyRequests;
        let refused = Refused { kind, code: "rate_limited", message, retry_after: Some(wait) };
        Err(Refusal { rejection: self.inlet.refuse(&self.adapter, None, refused), challenge: None })
    }

    fn refuse_body(&self, error: BodyError) -> Refusal {
        match error {
            BodyError::TooLarge => {
                let limit = self.rules.max_payload_bytes;
                let message = format!("the request is over the limit: a payload of {limit} bytes");
                self.refuse(RejectionKind::TooLarge, "body_too_large", &message)
            }
            BodyError::TimedOut => {
                self.refuse(RejectionKind::Timeout, "request_timeout", "the body of the request did not arrive in time")
            }
            BodyError::Incomplete => {
                self.refuse(RejectionKind::Malformed, "incomplete_body", "the body ended before its announced end")
            }
        }
    }

    fn refuse(&self, kind: RejectionKind, code: &'static str, message: &str) -> Refusal {
        let refused = Refused { kind, code, message: message.to_owned(), retry_after: None };
        Refusal { rejection: self.inlet.refuse(&self.adapter, None, refused), challenge: None }
    }
}

/// What the SDK says with a status and a line of text: our refusals are JSON, and are counted.
fn wrong_with(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::NOT_ACCEPTABLE => Some("a client has to accept both application/json and text/event-stream"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Some("the body has to be one message of JSON-RPC, with the content type application/json")
        }
        _ => None,
    }
}

impl Service for Door {
    fn call<'a>(&'a self, request: Request<Incoming>, peer: IpAddr) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let asked_by = head.headers.clone();
            let mut response = self.take(head, body, peer).await.unwrap_or_else(|refusal| {
                let mut response = answer::rejected(&refusal.rejection, METHOD);
                response.headers_mut().extend(refusal.challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
                response
            });
            if self.rules.access.check_origin(&asked_by).is_ok() {
                browser::open(&mut response, &asked_by);
            }
            response.into()
        })
    }

    fn head_timed_out(&self) -> Response<Bytes> {
        let message = "the head of the request did not arrive in time";
        answer::rejected(&self.refuse(RejectionKind::Timeout, "request_timeout", message).rejection, METHOD)
    }
}
