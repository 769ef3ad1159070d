//! Webhooks as their providers sign them, written from the providers' pages and not from the product's code, so that a
//! mistake there is not repeated here.
//!
//! - <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
//! - <https://linear.app/developers/webhooks#securing-webhooks>
//! - <https://docs.stripe.com/webhooks#verify-manually>
//! - <https://docs.slack.dev/authentication/verifying-requests-from-slack/>
//! - <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::home::secrets;

/// A request to a source.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Webhook {
    /// Nothing signed, nothing named.
    pub(crate) fn unsigned(source: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".into(), "application/json".into())];
        Self { method: "POST", path: format!("/webhook/{source}"), headers, body: body.into() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(set, _)| !set.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The head of the request, with this for its framing.
    pub(crate) fn head(&self, framing: &str) -> Vec<u8> {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{} {} HTTP/1.1\r\nhost: hook\r\n{headers}{framing}\r\n\r\n", self.method, self.path).into_bytes()
    }

    /// The whole request.
    pub(crate) fn request(&self) -> Vec<u8> {
        let mut request = self.head(&format!("content-length: {}", self.body.len()));
        request.extend_from_slice(&self.body);
        request
    }
}

/// GitHub, with the secret of the tests.
pub(crate) fn github(event: &str, delivery: &str, body: impl Into<Vec<u8>>) -> Webhook {
    github_with(secrets::GITHUB, event, delivery, body)
}

/// GitHub, with a secret.
pub(crate) fn github_with(secret: &str, event: &str, delivery: &str, body: impl Into<Vec<u8>>) -> Webhook {
    let body = body.into();
    let signature = format!("sha256={}", hex::encode(mac(secret.as_bytes(), &[&body])));
    Webhook::unsigned("github", body)
        .header("X-Hub-Signature-256", &signature)
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", delivery)
}

/// An issue of GitHub's, as small as it can be and still have an ordering key.
pub(crate) fn issue(number: u64, delivery: &str) -> Webhook {
    github("issues", delivery, issue_body(number, delivery).to_string())
}

/// The body of [`issue`].
pub(crate) fn issue_body(number: u64, note: &str) -> Value {
    json!({ "action": "opened", "repository": { "full_name": "o/r" }, "issue": { "number": number }, "note": note })
}

/// Linear, at a time in Unix milliseconds. The body gets the time.
pub(crate) fn linear(delivery: &str, mut body: Value, time_ms: u128) -> Webhook {
    body["webhookTimestamp"] = json!(u64::try_from(time_ms).unwrap());
    let body = body.to_string().into_bytes();
    let signature = hex::encode(mac(secrets::LINEAR.as_bytes(), &[&body]));
    Webhook::unsigned("linear", body)
        .header("Linear-Signature", &signature)
        .header("Linear-Event", "Issue")
        .header("Linear-Delivery", delivery)
}

/// Stripe, at a time in Unix seconds.
pub(crate) fn stripe(body: &Value, time: u64) -> Webhook {
    let body = body.to_string().into_bytes();
    let time = time.to_string();
    let signature = hex::encode(mac(secrets::STRIPE.as_bytes(), &[time.as_bytes(), b".", &body]));
    Webhook::unsigned("stripe", body).header("Stripe-Signature", &format!("t={time},v1={signature}"))
}

/// Slack, now, with a secret.
pub(crate) fn slack(secret: &str, body: impl Into<Vec<u8>>) -> Webhook {
    let (body, time) = (body.into(), unix_seconds().to_string());
    let signature = hex::encode(mac(secret.as_bytes(), &[b"v0:", time.as_bytes(), b":", &body]));
    Webhook::unsigned("slack", body)
        .header("X-Slack-Request-Timestamp", &time)
        .header("X-Slack-Signature", &format!("v0={signature}"))
}

/// Whether a delivery carries a Standard Webhooks signature of this secret; says what is wrong with it otherwise.
pub(crate) fn check_standard(secret: &str, id: &str, time: &str, signature: &str, body: &[u8]) -> Result<(), String> {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = mac(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", body]);
    let expected = format!("v1,{}", BASE64_STANDARD.encode(signed));
    let age = time.parse::<u64>().ok().map(|time| unix_seconds().abs_diff(time));
    match age {
        Some(0..=300) if signature.split(' ').any(|given| given == expected) => Ok(()),
        Some(0..=300) => Err(format!("expected {expected}, found {signature}")),
        _ => Err(format!("the time {time} is not near now")),
    }
}

pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn unix_millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}
