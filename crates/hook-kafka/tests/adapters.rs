//! The adapters keep the promises of their ports, on a real broker.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod adapter;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use adapter::{Topic, event, reached, read_all};
use hook_core::{
    BoxFuture,
    envelope::{Envelope, Layout},
    names::EnvName,
    outcome::{FailureClass, Outcome},
    ports::egress::{CheckError, Delivery, EgressDriver},
    secret::{Secret, Secrets},
};
use hook_kafka::adapters;
use hook_testkit::egress_conformance::{Behaviour, EgressFixture, Received};
use serde_json::{Value, json};

fn output(settings: Value) -> Arc<dyn EgressDriver> {
    adapters::egress().remove(0).build(settings).ok().unwrap().driver
}

fn to(brokers: &str, topic: &str) -> Value {
    let mut settings = reached::settings(brokers);
    settings["topic"] = json!(topic);
    settings["key_mode"] = json!("ordering_key");
    settings["timeout_seconds"] = json!(5);
    settings
}

fn with(mut settings: Value, key: &str, value: Value) -> Value {
    settings[key] = value;
    settings
}

async fn deliver(driver: &Arc<dyn EgressDriver>, envelope: &Envelope) -> Outcome {
    driver.deliver(Delivery { envelope, attempt: 1, secrets: &reached::secrets(), place: None }).await
}

#[track_caller]
fn failed(outcome: Outcome, class: FailureClass, words: &str) {
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert!(failure.class == class && failure.error.contains(words), "{failure:?}");
}

/// A topic that takes what it is told to.
struct Cluster(Topic);

impl Cluster {
    async fn start() -> Self {
        Self(Topic::make(&[]).await)
    }
}

impl EgressFixture for Cluster {
    fn driver(&self) -> Arc<dyn EgressDriver> {
        output(with(to(&self.0.brokers, &self.0.name), "timeout_seconds", json!(2)))
    }

    fn secrets(&self) -> Secrets {
        reached::secrets()
    }

    fn behave(&self, behaviour: Behaviour) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            match behaviour {
                // No event is so small.
                Behaviour::Refusing => self.0.take_at_most("10").await,
                Behaviour::Well => self.0.take_at_most("1000000").await,
                // The broker is shared with other tests.
                _ => return false,
            }
            true
        })
    }

    fn received(&self) -> BoxFuture<'_, Vec<Received>> {
        Box::pin(async { self.0.values().await.iter().map(|value| Received::from_envelope(value)).collect() })
    }
}

mod conformance {
    use super::Cluster;
    hook_testkit::egress_conformance!(ignore = "needs Kafka: scripts/services up kafka", Cluster::start().await);
}

#[tokio::test]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn a_delivery_is_one_record_with_key_headers_and_value() {
    let topic = Topic::make(&[]).await;
    let driver = output(to(&topic.brokers, &topic.name));
    let event = event(b"{ \"n\": 1.0 }");
    assert!(matches!(deliver(&driver, &event).await, Outcome::Delivered { .. }));
    let clouds = output(with(to(&topic.brokers, &topic.name), "format", json!("cloudevents")));
    assert!(matches!(deliver(&clouds, &event).await, Outcome::Delivered { .. }));
    let records = read_all(&topic, 2).await;
    assert_eq!(records[0].key.as_deref(), Some("shop:order-7"));
    assert_eq!(records[0].value, event.to_json(Layout::Verbatim));
    assert_eq!(records[0].headers["event_id"], event.header.id.to_string());
    assert_eq!(records[0].headers["event_type"], "order.paid");
    assert_eq!(records[0].headers["source"], "shop");
    assert!(records[0].headers["traceparent"].contains("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(records[1].value, b"{ \"n\": 1.0 }");
    assert_eq!(records[1].headers["ce_type"], "order.paid");
    assert_eq!(records[1].partition, records[0].partition, "one key is in one partition");
}

#[tokio::test]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn what_a_cluster_refuses_has_its_class() {
    let topic = Topic::make(&[("max.message.bytes", "1000")]).await;
    let driver = output(to(&topic.brokers, &topic.name));
    let noise: String = (0..4000u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    let large = event(format!("{{\"n\":\"{noise}\"}}").as_bytes());
    failed(deliver(&driver, &large).await, FailureClass::Rejected, "max.message.bytes");
    assert!(matches!(deliver(&driver, &event(b"{}")).await, Outcome::Delivered { .. }), "the next one passes");
    let nowhere = output(to(&topic.brokers, &format!("{}-missing", topic.name)));
    failed(deliver(&nowhere, &event(b"{}")).await, FailureClass::Misconfigured, "does not exist");
    driver.check(&reached::secrets()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs Kafka: scripts/services up kafka"]
async fn attempts_at_once_are_all_answered() {
    let topic = Topic::make(&[]).await;
    let driver = output(with(to(&topic.brokers, &topic.name), "key_mode", json!("event_id")));
    let attempts = (0..500).map(|_| {
        let driver = Arc::clone(&driver);
        tokio::spawn(async move { deliver(&driver, &event(b"{}")).await })
    });
    for attempt in attempts.collect::<Vec<_>>() {
        assert!(matches!(attempt.await.unwrap(), Outcome::Delivered { .. }));
    }
    assert_eq!(read_all(&topic, 500).await.len(), 500);
}

#[tokio::test]
async fn an_attempt_at_nobody_ends_in_time_and_spends_nothing() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let driver = output(with(to(&free.to_string(), "orders"), "timeout_seconds", json!(2)));
    let began = Instant::now();
    failed(deliver(&driver, &event(b"{}")).await, FailureClass::Unreachable, "no broker answers");
    assert!(began.elapsed().as_secs() < 6, "{:?}", began.elapsed());
    let Err(CheckError::Unreachable(error)) = driver.check(&reached::secrets()).await else { panic!() };
    assert!(error.contains(&free.to_string()), "{error}");
}

#[tokio::test]
async fn a_secret_that_is_not_set_is_the_operators_to_mend() {
    let sasl = json!({ "mechanism": "PLAIN", "username_env": "USER_OF", "password_env": "PASSWORD_OF" });
    let settings = with(with(to("127.0.0.1:1", "orders"), "security_protocol", json!("sasl_plaintext")), "sasl", sasl);
    let settings = with(settings, "allow_plaintext", json!(true));
    let driver = output(settings);
    failed(deliver(&driver, &event(b"{}")).await, FailureClass::Misconfigured, "USER_OF is not set");
    let secrets: Secrets = Arc::new(BTreeMap::from([(EnvName::new("USER_OF").unwrap(), Secret::new(*b"canary"))]));
    let Err(error) = driver.check(&secrets).await else { panic!() };
    assert_eq!(error.to_string(), "PASSWORD_OF is not set");
}
