//! `openclaw_http_output`: the hooks of an OpenClaw gateway.

use std::{num::NonZeroU64, path::PathBuf, sync::Arc};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    envelope::Envelope,
    names::EnvName,
    outcome::Outcome,
    ports::egress::{CheckError, Delivery, EgressDriver},
    secret::Secrets,
};
use hook_http::client::{
    Client, Destination, credentials,
    headers::{text, traceparent},
};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;

/// The settings of `openclaw_http_output`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The gateway's hook: `…/hooks/agent` runs a turn of an agent, `…/hooks/wake` wakes the main session, and any other
    /// name goes through a mapping of the gateway's own.
    #[schemars(extend("format" = "uri"))]
    pub url: String,
    /// The environment variable of the gateway's hook token.
    pub token_env: EnvName,
    /// How long one attempt may take.
    pub timeout_seconds: NonZeroU64,
    /// How many attempts follow the first.
    pub max_retries: u32,
    /// The authority (PEM) that has signed the destination's certificate, where that is a private one. Others are not trusted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<PathBuf>,
    /// Networks that are not public and may be reached all the same, such as `10.0.0.0/8`.
    #[serde(default)]
    pub allow_networks: Vec<String>,
}

/// The driver `openclaw_http_output`.
pub struct OpenClawOutput {
    client: Client,
    endpoint: Endpoint,
    token_env: EnvName,
}

impl Kind for OpenClawOutput {
    const NAME: &'static str = "openclaw_http_output";
    const ABOUT: &'static str = "Hands events to agents of an OpenClaw gateway, with what users wrote in them fenced.";
    type Settings = Settings;
    type Driver = dyn EgressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let client = Client::new(Destination {
            url: &settings.url,
            timeout_seconds: settings.timeout_seconds,
            allow_networks: &settings.allow_networks,
        })?
        .trusting(settings.ca_path)?;
        let endpoint = Endpoint::of(client.url()).map_err(|fault| vec![fault])?;
        Ok(Arc::new(Self { client, endpoint, token_env: settings.token_env }))
    }
}

impl EgressDriver for OpenClawOutput {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.request(delivery.envelope, delivery.secrets) {
                Ok((headers, body)) => self.client.send(Method::POST, headers, body).await,
                Err(outcome) => outcome,
            }
        })
    }

    fn render(&self, envelope: &Envelope, secrets: &Secrets) -> Result<Option<Bytes>, String> {
        Ok(secrets.get(&self.token_env).map(|token| self.endpoint.render(envelope, &token)))
    }

    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            if secrets.get(&self.token_env).is_none() {
                return Err(CheckError::MissingSecret(self.token_env.clone()));
            }
            self.client.probe().await
        })
    }
}

impl OpenClawOutput {
    fn request(&self, envelope: &Envelope, secrets: &Secrets) -> Result<(HeaderMap, Bytes), Outcome> {
        let token = credentials::look_up(secrets, &self.token_env)?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, credentials::bearer(&token, &self.token_env)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The gateway answers a key that it has seen with the run that it has begun, instead of beginning another.
        headers.insert("idempotency-key", text(&envelope.webhook_id())?);
        if let Some(trace) = &envelope.header.meta.trace_id {
            headers.insert("traceparent", text(&traceparent(trace))?);
        }
        Ok((headers, self.endpoint.render(envelope, &token)))
    }
}
