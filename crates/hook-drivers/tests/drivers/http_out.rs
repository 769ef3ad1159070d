//! `http_output` against destinations that behave well, badly and not at all.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use hook_core::{
    envelope::Layout,
    outcome::{FailureClass, Outcome},
    ports::egress::CheckError,
};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{net::TcpListener, time::Instant};

use crate::receiver::{Reaction, Receiver, class, deliver, driver, event, failure, secrets};

fn settings(url: &str, more: &Value) -> Value {
    let mut settings = json!({ "url": url });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

async fn send(receiver: &Receiver, more: Value) -> Outcome {
    let url = format!("http://{}/in?key=canary-query", receiver.address);
    let driver = driver("http_output", settings(&url, &more));
    let secrets = secrets(&[("TOKEN", "canary-token"), ("SIGNING", "whsec_Y2FuYXJ5LXNpZ25pbmc=")]);
    deliver(&*driver, &event("{ \"text\": \"canary-payload\" }"), &secrets).await
}

#[tokio::test]
async fn an_envelope_arrives_signed_with_its_token_and_its_trace() {
    let mut receiver = Receiver::answering("202 Accepted", "").await;
    let outcome = send(
        &receiver,
        json!({ "token_env": "TOKEN", "signing_secret_env": "SIGNING", "headers": { "X-Environment": "test" } }),
    )
    .await;
    assert_eq!(outcome, Outcome::delivered("202 Accepted"));
    let request = receiver.request().await;
    assert_eq!(request.line, "POST /in?key=canary-query HTTP/1.1");
    assert_eq!(request.body, event("{ \"text\": \"canary-payload\" }").to_json(Layout::Verbatim));
    let header = |name: &str| request.headers[name].as_str();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("authorization"), "Bearer canary-token");
    assert_eq!(header("x-environment"), "test");
    assert_eq!(header("webhook-id"), "07070707-0707-0707-0707-070707070707");
    assert!(header("traceparent").starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(!header("traceparent").contains("b7ad6b7169203331"));

    let mut mac = Hmac::<Sha256>::new_from_slice(b"canary-signing").unwrap();
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&request.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), expected);
}

#[tokio::test]
async fn a_payload_alone_arrives_byte_for_byte() {
    let mut receiver = Receiver::answering("200 OK", "").await;
    send(&receiver, json!({ "body": "payload", "method": "PUT" })).await;
    let request = receiver.request().await;
    assert!(request.line.starts_with("PUT /in"));
    assert_eq!(request.body, b"{ \"text\": \"canary-payload\" }");
    assert!(!request.headers.contains_key("authorization") && !request.headers.contains_key("webhook-signature"));
}

#[tokio::test]
async fn a_cloud_event_has_the_required_attributes_and_the_payload_as_data() {
    let mut receiver = Receiver::answering("204 No Content", "").await;
    send(&receiver, json!({ "body": "cloudevents" })).await;
    let request = receiver.request().await;
    assert_eq!(request.headers["content-type"], "application/cloudevents+json");
    let mut body = request.json();
    assert_eq!(body.as_object_mut().unwrap().remove("traceparent").unwrap(), request.headers["traceparent"].as_str());
    assert_eq!(
        body,
        json!({
            "specversion": "1.0",
            "id": "07070707-0707-0707-0707-070707070707",
            "source": "/sources/github",
            "type": "issues.opened",
            "time": "1970-01-01T00:00:00Z",
            "datacontenttype": "application/json",
            "partitionkey": "github:a/b#1",
            "data": { "text": "canary-payload" },
        })
    );
}

#[tokio::test]
async fn an_answer_decides_about_the_next_attempt() {
    for (status, headers, expected, wait) in [
        ("400 Bad Request", "", FailureClass::Rejected, None),
        ("401 Unauthorized", "", FailureClass::Misconfigured, None),
        ("429 Too Many Requests", "retry-after: 7\r\n", FailureClass::Throttled, Some(7)),
        ("503 Service Unavailable", "retry-after: 8\r\n", FailureClass::Transient, Some(8)),
        ("500 Internal Server Error", "", FailureClass::Transient, None),
    ] {
        let failure = failure(send(&Receiver::answering(status, headers).await, json!({})).await);
        assert_eq!(failure.class, expected, "{status}");
        assert_eq!(failure.retry_after, wait.map(Duration::from_secs), "{status}");
        assert!(failure.error.contains(status) && !failure.error.contains("canary"), "{}", failure.error);
    }
}

#[tokio::test]
async fn a_connection_is_used_again_also_after_a_failure() {
    for status in ["200 OK", "503 Service Unavailable"] {
        let receiver = Receiver::answering(status, "").await;
        let url = format!("http://{}/", receiver.address);
        let driver = driver("http_output", settings(&url, &json!({})));
        for _ in 0..5 {
            deliver(&*driver, &event("{}"), &secrets(&[])).await;
        }
        assert_eq!(receiver.connections(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut target = Receiver::answering("200 OK", "").await;
    let location = format!("location: http://{}/elsewhere\r\n", target.address);
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let receiver = Receiver::answering(status, &location).await;
        assert_eq!(class(send(&receiver, json!({})).await), FailureClass::Misconfigured, "{status}");
    }
    assert!(target.has_no_request());
}

#[tokio::test]
async fn a_destination_that_is_not_there_spends_no_attempt() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let driver = driver("http_output", settings(&format!("http://{address}/?key=canary"), &json!({})));
    let failure = failure(deliver(&*driver, &event("{}"), &secrets(&[])).await);
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert!(failure.error.contains("refused") && !failure.error.contains("canary"), "{}", failure.error);
}

#[tokio::test]
async fn a_destination_without_tls_where_tls_is_expected_spends_no_attempt() {
    let receiver = Receiver::answering("200 OK", "").await;
    let driver = driver("http_output", settings(&format!("https://{}/", receiver.address), &json!({})));
    let failure = failure(deliver(&*driver, &event("{}"), &secrets(&[])).await);
    assert_eq!(failure.class, FailureClass::Unreachable, "{}", failure.error);
}

#[tokio::test]
async fn a_connection_that_is_lost_after_the_request_may_have_been_an_attempt() {
    let receiver = Receiver::reacting(Reaction::Reset).await;
    let failure = failure(send(&receiver, json!({})).await);
    assert_eq!(failure.class, FailureClass::Transient, "{}", failure.error);
    assert!(!failure.error.contains("canary"), "{}", failure.error);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_says_nothing_is_waited_for_as_long_as_the_contract_says() {
    let receiver = Receiver::reacting(Reaction::Silence).await;
    let started = Instant::now();
    let failure = failure(send(&receiver, json!({ "timeout_seconds": 4 })).await);
    assert_eq!((failure.class, failure.error.as_str()), (FailureClass::Transient, "no answer within 4 s"));
    assert_eq!(started.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_body_never_ends_is_an_answer() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    let receiver = Receiver::reacting(Reaction::Answer(answer.into())).await;
    let started = Instant::now();
    assert_eq!(send(&receiver, json!({})).await, Outcome::delivered("200 OK"));
    assert_eq!(started.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn localhost_is_reached_where_the_contract_writes_it() {
    let receiver = Receiver::answering("200 OK", "").await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    let driver = driver("http_output", settings(&url, &json!({})));
    assert_eq!(deliver(&*driver, &event("{}"), &secrets(&[])).await, Outcome::delivered("200 OK"));
}

#[tokio::test]
async fn a_secret_that_is_not_set_is_the_operators_to_mend() {
    let mut receiver = Receiver::answering("200 OK", "").await;
    for key in ["token_env", "signing_secret_env"] {
        let failure = failure(send(&receiver, json!({ key: "MISSING" })).await);
        assert_eq!((failure.class, failure.error.as_str()), (FailureClass::Misconfigured, "MISSING is not set"));
    }
    assert!(receiver.has_no_request());
}

#[tokio::test]
async fn a_check_asks_without_delivering() {
    let mut receiver = Receiver::reacting(Reaction::Answer("HTTP/1.1 404 Not Found\r\n\r\n".into())).await;
    let url = format!("http://{}/in?key=canary", receiver.address);
    let driver = driver("http_output", settings(&url, &json!({ "token_env": "TOKEN" })));
    assert!(matches!(driver.check(&secrets(&[])).await, Err(CheckError::MissingSecret(_))));
    driver.check(&secrets(&[("TOKEN", "canary")])).await.unwrap();
    let request = receiver.request().await;
    assert_eq!(request.line, "HEAD / HTTP/1.1");
    assert!(!format!("{request:?}").contains("canary"));
}

#[tokio::test]
async fn a_check_says_what_a_delivery_would_meet() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let driver = driver("http_output", settings(&format!("http://{address}/"), &json!({})));
    let error = driver.check(&secrets(&[])).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}
