//! How the broker of the suite is reached: over the listener that `scripts/services env kafka --listener` names.

use std::{collections::BTreeMap, env::var, sync::Arc};

use hook_core::{
    names::EnvName,
    secret::{Secret, Secrets},
};
use rdkafka::ClientConfig;
use serde_json::{Value, json};

const USERNAME: &str = "KAFKA_SASL_USERNAME";
const PASSWORD: &str = "KAFKA_SASL_PASSWORD";

fn protocol() -> String {
    var("KAFKA_SECURITY_PROTOCOL").unwrap_or_else(|_| "plaintext".to_owned())
}

/// The keys of an adapter at these brokers.
pub(crate) fn settings(brokers: &str) -> Value {
    let mut settings = json!({ "brokers": brokers, "security_protocol": protocol(), "tls": {} });
    if protocol().ends_with("plaintext") {
        settings["allow_plaintext"] = json!(true);
    }
    for (name, key) in [("KAFKA_TLS_CA", "ca_path"), ("KAFKA_TLS_CERT", "cert_path"), ("KAFKA_TLS_KEY", "key_path")] {
        if let Ok(path) = var(name) {
            settings["tls"][key] = json!(path);
        }
    }
    if let Ok(mechanism) = var("KAFKA_SASL_MECHANISM") {
        settings["sasl"] = json!({ "mechanism": mechanism, "username_env": USERNAME, "password_env": PASSWORD });
    }
    settings
}

/// What these settings name.
pub(crate) fn secrets() -> Secrets {
    let secret = |name: &str| Some((EnvName::new(name).ok()?, Secret::new(var(name).ok()?.into_bytes())));
    Arc::new([USERNAME, PASSWORD].into_iter().filter_map(secret).collect::<BTreeMap<_, _>>())
}

/// A client of the suite's own.
pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("security.protocol", protocol());
    for (name, key) in [
        ("KAFKA_TLS_CA", "ssl.ca.location"),
        ("KAFKA_TLS_CERT", "ssl.certificate.location"),
        ("KAFKA_TLS_KEY", "ssl.key.location"),
        ("KAFKA_SASL_MECHANISM", "sasl.mechanism"),
        (USERNAME, "sasl.username"),
        (PASSWORD, "sasl.password"),
    ] {
        if let Ok(value) = var(name) {
            config.set(key, value);
        }
    }
    config
}
