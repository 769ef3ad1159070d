//! `http_output`: any HTTP service.

use std::{collections::BTreeMap, num::NonZeroU64, path::PathBuf, sync::Arc};

use bytes::Bytes;
use hook_core::{
    BoxFuture, Timestamp,
    catalog::{Fault, Kind},
    clock::{Clock, SystemClock},
    envelope::{Envelope, Layout},
    names::EnvName,
    outcome::{FailureClass, Outcome},
    ports::egress::{CheckError, Delivery, EgressDriver},
    secret::Secrets,
};
use hook_http::client::{Client, Destination, credentials, headers};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{cloudevents, headers::of_contract};

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
    /// The authority (PEM) that has signed the destination's certificate, where that is a private one. Others are not trusted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<PathBuf>,
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
        })
        .and_then(|client| client.trusting(settings.ca_path));
        match (client, of_contract(&settings.headers)) {
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

    fn render(&self, envelope: &Envelope, _: &Secrets) -> Result<Option<Bytes>, String> {
        match self.lay_out(envelope, None) {
            Ok((_, body)) => Ok(Some(body)),
            Err(Outcome::Failed(failure)) => Err(failure.error),
            Err(Outcome::Delivered { .. }) => Ok(None),
        }
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
        let traceparent = envelope.header.meta.trace_id.as_ref().map(headers::traceparent);
        let (content_type, body) = self.lay_out(envelope, traceparent.as_deref())?;
        let id = envelope.webhook_id();
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("webhook-id", headers::text(&id)?);
        headers.insert("webhook-timestamp", now.as_second().into());
        if let Some(traceparent) = traceparent {
            headers.insert("traceparent", headers::text(&traceparent)?);
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

    fn lay_out(&self, envelope: &Envelope, traceparent: Option<&str>) -> Result<(&'static str, Bytes), Outcome> {
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
