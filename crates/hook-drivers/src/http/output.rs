//! `http_output`: any HTTP service.

use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc};

use bytes::Bytes;
use hook_core::{
    BoxFuture, Timestamp,
    catalog::{Fault, Kind},
    clock::{Clock, SystemClock},
    envelope::{Envelope, Layout},
    event::TraceId,
    names::EnvName,
    outcome::{FailureClass, Outcome},
    ports::egress::{CheckError, Delivery, EgressDriver},
    secret::Secrets,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    client::{Client, Destination},
    cloudevents, credentials,
};

/// The settings of `http_output`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Where to send, such as `https://example.com/events`.
    #[schemars(extend("format" = "uri"))]
    pub url: String,
    /// The method of the request.
    #[serde(default)]
    pub method: MethodName,
    /// Headers of every request, beside those that `hook` sets itself.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the request carries.
    #[serde(default)]
    pub body: BodyFormat,
    /// The environment variable of a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<EnvName>,
    /// The environment variable of a secret to sign with (Standard Webhooks): `whsec_` and base64, or any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret_env: Option<EnvName>,
    /// How long one attempt may take.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: NonZeroU64,
    /// Networks that are not public and may be reached all the same, such as `10.0.0.0/8`.
    #[serde(default)]
    pub allow_networks: Vec<String>,
}

/// The methods that send a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MethodName {
    /// `POST`.
    #[default]
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// The event's envelope.
    #[default]
    Envelope,
    /// The payload alone, byte for byte as it was received.
    Payload,
    /// A CloudEvent in structured mode.
    CloudEvents,
}

fn default_timeout_seconds() -> NonZeroU64 {
    const { NonZeroU64::new(10).expect("not zero") }
}

/// The driver `http_output`.
pub struct HttpOutput {
    client: Client,
    method: Method,
    headers: HeaderMap,
    body: BodyFormat,
    token_env: Option<EnvName>,
    signing_secret_env: Option<EnvName>,
}

impl Kind for HttpOutput {
    const NAME: &'static str = "http_output";
    const ABOUT: &'static str = "Sends events to any HTTP service.";
    type Settings = Settings;
    type Driver = dyn EgressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let client = Client::new(Destination {
            url: &settings.url,
            timeout_seconds: settings.timeout_seconds,
            allow_networks: &settings.allow_networks,
        });
        match (client, headers_of(&settings.headers)) {
            (Ok(client), Ok(headers)) => Ok(Arc::new(Self {
                client,
                method: settings.method.into(),
                headers,
                body: settings.body,
                token_env: settings.token_env,
                signing_secret_env: settings.signing_secret_env,
            })),
            (client, headers) => Err(client.err().into_iter().chain(headers.err()).flatten().collect()),
        }
    }
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::Post => Self::POST,
            MethodName::Put => Self::PUT,
            MethodName::Patch => Self::PATCH,
        }
    }
}

impl EgressDriver for HttpOutput {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.request(delivery.envelope, delivery.secrets, SystemClock.now()) {
                Ok((headers, body)) => self.client.send(self.method.clone(), headers, body).await,
                Err(outcome) => outcome,
            }
        })
    }

    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            for name in [&self.token_env, &self.signing_secret_env].into_iter().flatten() {
                if secrets.get(name).is_none() {
                    return Err(CheckError::MissingSecret(name.clone()));
                }
            }
            self.client.probe().await
        })
    }
}

impl HttpOutput {
    fn request(&self, envelope: &Envelope, secrets: &Secrets, now: Timestamp) -> Result<(HeaderMap, Bytes), Outcome> {
        let traceparent = envelope.header.meta.trace_id.as_ref().map(traceparent);
        let (content_type, body) = self.render(envelope, traceparent.as_deref())?;
        let id = envelope.webhook_id();
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("webhook-id", text(&id)?);
        headers.insert("webhook-timestamp", now.as_second().into());
        if let Some(traceparent) = traceparent {
            headers.insert("traceparent", text(&traceparent)?);
        }
        if let Some(name) = &self.token_env {
            headers.insert(AUTHORIZATION, credentials::bearer(&credentials::look_up(secrets, name)?, name)?);
        }
        if let Some(name) = &self.signing_secret_env {
            let secret = credentials::look_up(secrets, name)?;
            let signature = credentials::signature(&secret, name, &id, now.as_second(), &body)?;
            headers.insert("webhook-signature", signature);
        }
        Ok((headers, body))
    }

    fn render(&self, envelope: &Envelope, traceparent: Option<&str>) -> Result<(&'static str, Bytes), Outcome> {
        Ok(match self.body {
            BodyFormat::Envelope => ("application/json", envelope.to_json(Layout::Verbatim).into()),
            BodyFormat::Payload => ("application/json", envelope.payload.bytes().clone()),
            BodyFormat::CloudEvents => {
                let body = cloudevents::render(envelope, traceparent)
                    .map_err(|_| Outcome::failed(FailureClass::Rejected, "the payload is not JSON"))?;
                (cloudevents::CONTENT_TYPE, body.into())
            }
        })
    }
}

/// W3C Trace Context, section 3.2: the sender's trace, with a new parent of our own.
pub(crate) fn traceparent(trace: &TraceId) -> String {
    let (_, random) = Uuid::now_v7().as_u64_pair();
    format!("00-{trace}-{random:016x}-01")
}

/// Ids and trace ids are ASCII, so that this fails only where an event in the log is not one of ours.
fn text(value: &str) -> Result<HeaderValue, Outcome> {
    HeaderValue::try_from(value).map_err(|_| Outcome::failed(FailureClass::Rejected, "the event's id is malformed"))
}

/// The headers that the contract sets, or everything that is wrong with them.
fn headers_of(table: &BTreeMap<String, String>) -> Result<HeaderMap, Vec<Fault>> {
    let mut headers = HeaderMap::new();
    let mut faults = Vec::new();
    for (key, value) in table {
        match header_of(key, value) {
            Ok((name, value)) => drop(headers.insert(name, value)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(headers) } else { Err(faults) }
}

fn header_of(key: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let pointer = format!("/headers/{}", key.replace('~', "~0").replace('/', "~1"));
    let fault = |message: &str, help: &str| Fault::at(&pointer, message, help);
    let name = HeaderName::try_from(key)
        .map_err(|_| fault("this is not a header name", "write a name such as `X-Environment`"))?;
    if holds_secret(name.as_str()) {
        let help = "a contract holds no secrets: name an environment variable in `token_env` or `signing_secret_env`";
        return Err(fault("a header of this name holds a secret", help).security_critical());
    }
    if is_ours(name.as_str()) {
        return Err(fault("`hook` or HTTP itself sets this header", "leave it out"));
    }
    let value = HeaderValue::try_from(value)
        .map_err(|_| fault("a header cannot carry this value", "write printable characters on one line"))?;
    Ok((name, value))
}

/// Hop-by-hop headers (RFC 9110, section 7.6.1), those that describe the body, and those of the event.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 17] = [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "proxy-authenticate",
    ];
    OURS.contains(&name) || name.starts_with("webhook-")
}

fn holds_secret(name: &str) -> bool {
    const WORDS: [&str; 8] =
        ["authorization", "cookie", "token", "secret", "password", "apikey", "credential", "credentials"];
    name.contains("api-key") || name.split(['-', '_']).any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_sets_neither_secrets_nor_headers_of_ours() {
        let table = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        for name in ["X-Environment", "X-Team", "User-Agent", "Accept"] {
            assert!(headers_of(&table(name, "a")).is_ok(), "{name}");
        }
        for name in
            ["Host", "Connection", "Content-Length", "webhook-id", "Webhook-Signature", "traceparent", "a b", ""]
        {
            let faults = headers_of(&table(name, "a")).unwrap_err();
            assert!(!faults[0].is_security_critical, "{name}");
        }
        for name in ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "x-auth-token", "X_SECRET"] {
            let faults = headers_of(&table(name, "canary")).unwrap_err();
            assert!(faults[0].is_security_critical, "{name}");
            assert!(!format!("{faults:?}").contains("canary"), "{name}");
        }
        assert!(headers_of(&table("X-Team", "a\nb")).is_err());
    }

    #[test]
    fn a_traceparent_keeps_the_trace_and_has_a_parent_of_its_own() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let id = TraceId::from_traceparent(&format!("00-{trace}-b7ad6b7169203331-01")).unwrap();
        let (one, other) = (traceparent(&id), traceparent(&id));
        assert_eq!(TraceId::from_traceparent(&one).unwrap().as_str(), trace);
        assert_ne!(one, other);
    }
}
