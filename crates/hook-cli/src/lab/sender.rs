//! Signs a webhook as its provider would, and posts it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use hook_core::{
    Timestamp,
    ports::verifier::{Address, SigningRequest, SourceVerifier},
    secret::Secret,
};
use reqwest::{
    Client, ClientBuilder, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::Value;
use url::{Position, Url};

/// How long a pipeline may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Why nothing was sent.
const UNSIGNED: &str = "the request cannot be signed: the secret is not written as the verifier needs it, or the body has no place for \
                        its signature; `hook sources show` says what is needed";

/// Where an answer that is the provider's own says what became of the request.
const IDS: [&str; 2] = ["x-hook-event-id", "x-hook-request-id"];

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
    /// Where the contract reads type and id from, beside what the provider's scheme has.
    pub stated: HeaderMap,
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
    /// The JSON body; of another body its text.
    pub body: Value,
    /// The event or the request, where the body belongs to the provider and does not name it.
    pub id: Option<String>,
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
    let Webhook { mut url, verifier, event_name, delivery_id, stated, body, secret } = webhook;
    let address = Address {
        host: &url[Position::BeforeHost..Position::AfterPort],
        url: &url[Position::BeforePath..Position::AfterQuery],
    };
    let signing =
        SigningRequest { event_type: event_name, delivery_id, address, body: &body, secret, now: Timestamp::now() };
    let signed = match verifier.sign(&signing) {
        None if verifier.needs_secret() => return Err(UNSIGNED.to_owned()),
        signed => signed.unwrap_or_default(),
    };
    if let Some((name, value)) = &signed.parameter {
        url.query_pairs_mut().append_pair(name, value);
    }
    // What is signed comes first.
    let mut headers = stated;
    headers.extend(signed.headers);
    post(client, url, headers, signed.body.unwrap_or(body)).await
}

/// Posts a body as what it is: a form, or JSON.
pub async fn post(client: &Client, mut url: Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, String> {
    // Secrets may stand in a URL: what failed is named without them.
    let target = url.clone();
    url.set_query(None);
    let content_type = content_type_of(&body);
    let began = Instant::now();
    let request = client.post(target).headers(headers).header(CONTENT_TYPE, content_type).body(body);
    let answer = request.send().await.map_err(|error| format!("could not reach {url}: {}", cause(&error)))?;
    let status = answer.status();
    let id = IDS.iter().find_map(|name| answer.headers().get(*name)?.to_str().ok()).map(str::to_owned);
    let bytes = answer.bytes().await.map_err(|error| format!("{url} did not finish its answer: {}", cause(&error)))?;
    let took = began.elapsed();
    let text = || Value::from(String::from_utf8_lossy(&bytes).into_owned());
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()), id, took })
}

/// JSON, unless it is a form.
fn content_type_of(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') | None => "application/json",
        Some(_) if body.contains(&b'=') => "application/x-www-form-urlencoded",
        Some(_) => "application/json",
    }
}

/// The innermost cause, without the URL that the message names already.
fn cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}
