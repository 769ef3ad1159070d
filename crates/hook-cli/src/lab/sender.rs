//! Signs a webhook as its provider would, and posts it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use hook_core::{
    Timestamp,
    ports::verifier::{SigningRequest, SourceVerifier},
    secret::Secret,
};
use reqwest::{
    Client, ClientBuilder, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::Value;
use url::Url;

/// How long a pipeline may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A webhook to be sent.
pub struct Webhook<'a> {
    /// Where to.
    pub url: Url,
    /// The provider's signature scheme.
    pub verifier: &'a dyn SourceVerifier,
    /// The event's name as the provider sends it.
    pub event_name: &'a str,
    /// The provider's id for the delivery.
    pub delivery_id: &'a str,
    /// The body.
    pub body: Vec<u8>,
    /// The secret that both sides know.
    pub secret: &'a Secret,
}

/// What the pipeline answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The JSON body; null where there is none.
    pub body: Value,
    /// From sending to the answer.
    pub took: Duration,
}

impl Answer {
    /// A string of the body.
    pub fn text(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_default()
    }
}

/// A client that goes where it is told: no proxy, no redirect. It trusts the authorities in the file, or those of the system.
pub fn client(authority: Option<&Path>) -> Result<Client, String> {
    let mut client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT);
    if let Some(file) = authority {
        client = client.tls_built_in_root_certs(false);
        client = hook_http::client::authorities(file)?.into_iter().fold(client, ClientBuilder::add_root_certificate);
    }
    client.build().map_err(|error| format!("could not make an HTTP client: {error}"))
}

/// Signs and posts.
pub async fn send(client: &Client, webhook: Webhook<'_>) -> Result<Answer, String> {
    let Webhook { url, verifier, event_name, delivery_id, body, secret } = webhook;
    let signing = SigningRequest { event_type: event_name, delivery_id, body: &body, secret, now: Timestamp::now() };
    let headers = verifier.sign(&signing).unwrap_or_default();
    post(client, url, headers, body).await
}

/// Posts a body as JSON.
pub async fn post(client: &Client, url: Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, String> {
    let began = Instant::now();
    let request = client.post(url.clone()).headers(headers).header(CONTENT_TYPE, "application/json").body(body);
    let answer = request.send().await.map_err(|error| format!("could not reach {url}: {}", cause(&error)))?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(|error| format!("{url} did not finish its answer: {}", cause(&error)))?;
    let took = began.elapsed();
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default(), took })
}

/// The innermost cause, without the URL that the message names already.
fn cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}
