//! One request: the checks in their order, then the inlet.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    clock::{Clock, SystemClock},
    event::{RawEvent, RequestId},
    names::{AdapterId, SourceName},
    ports::ingress::{Accepted, Inlet, Refused, Rejection, RejectionKind},
};
use hook_http::server::{
    Answer, Service, answer,
    body::{self, BodyError},
    rate::AddressRate,
};
use http::{Method, Request, Response, request::Parts};
use hyper::body::Incoming;

use super::{ingress::Rules, proxies::client_address};

/// Whatever a sender wants to say it posts.
const METHOD: &str = "POST";

/// What answers the requests of one adapter.
pub(super) struct Receiver {
    adapter: AdapterId,
    rules: Arc<Rules>,
    rate: Option<AddressRate>,
    inlet: Arc<dyn Inlet>,
}

impl Receiver {
    pub(super) fn new(adapter: AdapterId, rules: Arc<Rules>, inlet: Arc<dyn Inlet>) -> Self {
        let rate = rules.rate_per_minute.map(AddressRate::per_minute);
        Self { adapter, rules, rate, inlet }
    }

    async fn take(&self, head: Parts, body: Incoming, peer: IpAddr) -> Result<Answer, Rejection> {
        let source = self.source_of(&head)?;
        let sender = client_address(peer, &head.headers, &self.rules.trusted_proxies);
        if matches!(head.method, Method::GET | Method::HEAD)
            && let Some(answer) = self.inlet.challenge(&self.adapter, &source, &head.method, &path_and_query(&head))
        {
            self.count(&source, sender)?;
            return answer.map(|reply| answer::replied(&reply).into());
        }
        if head.method != Method::POST {
            let message = "a webhook is a POST request".to_owned();
            return Err(self.refuse(Some(&source), RejectionKind::MethodNotAllowed, "method_not_allowed", message));
        }
        self.count(&source, sender)?;
        let body = body::read(body, self.rules.max_body_bytes, self.rules.read_timeout)
            .await
            .map_err(|error| self.refuse_body(&source, error))?;
        // A reference: what the provider wants to hear may depend on what it said.
        let said = body.clone();
        let event = RawEvent {
            request_id: RequestId::generate(),
            adapter: self.adapter.clone(),
            source: source.clone(),
            url: path_and_query(&head),
            headers: head.headers,
            body,
            received_at: SystemClock.now(),
            peer: Some(sender),
            stated: None,
        };
        Ok(match self.inlet.accept(event).await? {
            Accepted::Challenged(reply) => answer::replied(&reply),
            accepted => match self.inlet.reply(&source, &said) {
                Some(reply) => answer::replied_to(&accepted, &reply),
                None => answer::accepted(accepted),
            },
        }
        .into())
    }

    fn source_of(&self, head: &Parts) -> Result<SourceName, Rejection> {
        let Some(name) = self.rules.path.source(head.uri.path()) else {
            let message = "there is nothing at this path".to_owned();
            return Err(self.refuse(None, RejectionKind::NotFound, "not_found", message));
        };
        self.inlet.source(&self.adapter, name).ok_or_else(|| {
            let message = "no source of this name is known here".to_owned();
            self.refuse(None, RejectionKind::NotFound, "unknown_source", message)
        })
    }

    fn count(&self, source: &SourceName, sender: IpAddr) -> Result<(), Rejection> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check(sender).map_err(|wait| {
            let refused = Refused {
                kind: RejectionKind::TooManyRequests,
                code: "rate_limited",
                message: "too many requests from this address".to_owned(),
                retry_after: Some(wait),
            };
            self.inlet.refuse(&self.adapter, Some(source), refused)
        })
    }

    fn refuse_body(&self, source: &SourceName, error: BodyError) -> Rejection {
        let (kind, code, message) = match error {
            BodyError::TooLarge => {
                let limit = self.rules.max_body_bytes;
                (RejectionKind::TooLarge, "body_too_large", format!("the body is over the limit of {limit} bytes"))
            }
            BodyError::TimedOut => (RejectionKind::Timeout, "request_timeout", self.too_slow("body")),
            BodyError::Incomplete => {
                (RejectionKind::Malformed, "incomplete_body", "the body ended before its announced end".to_owned())
            }
        };
        self.refuse(Some(source), kind, code, message)
    }

    fn too_slow(&self, part: &str) -> String {
        format!("the {part} of the request did not arrive within {}", seconds(self.rules.read_timeout))
    }

    fn refuse(
        &self,
        source: Option<&SourceName>,
        kind: RejectionKind,
        code: &'static str,
        message: String,
    ) -> Rejection {
        self.inlet.refuse(&self.adapter, source, Refused { kind, code, message, retry_after: None })
    }
}

impl Service for Receiver {
    fn call<'a>(&'a self, request: Request<Incoming>, peer: IpAddr) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match self.take(head, body, peer).await {
                Ok(answer) => answer,
                Err(rejection) => answer::rejected(&rejection, METHOD).into(),
            }
        })
    }

    fn head_timed_out(&self) -> Response<Bytes> {
        let message = self.too_slow("head");
        answer::rejected(&self.refuse(None, RejectionKind::Timeout, "request_timeout", message), METHOD)
    }
}

fn path_and_query(head: &Parts) -> String {
    head.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default()
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".to_owned(),
        other => format!("{other} seconds"),
    }
}
