//! How an adapter reaches Kafka that names no brokers of its own: as the log does, or as the environment says.

use serde_json::{Map, Value, json};

use crate::{
    Check, Origin,
    plan::{self, BackboneDriver, KafkaSasl, KafkaSecurity},
    written::KafkaSection,
};

/// The keys that say together how a cluster is reached.
const KEYS: [&str; 5] = ["brokers", "security_protocol", "allow_plaintext", "tls", "sasl"];
/// The variables of user name and password, where the environment names a mechanism that has them.
const LOGIN: [(&str, &str); 2] = [("username_env", "KAFKA_SASL_USERNAME"), ("password_env", "KAFKA_SASL_PASSWORD")];

/// Keys of an adapter that somebody else has given.
pub(crate) struct Shared {
    keys: Vec<&'static str>,
}

/// Finds what adapters share.
pub(crate) fn find_for_adapters(check: &mut Check<'_, '_>, backbone: Option<&plan::Backbone>) {
    check.is_kafka_unreadable = check.is_kafka && backbone.is_none();
    check.kafka_of_adapters = match backbone.map(|backbone| &backbone.driver) {
        Some(BackboneDriver::Kafka(kafka)) => of_log(kafka),
        Some(BackboneDriver::Embedded) => of_environment(&check.options.kafka.environment),
        None => Map::new(),
    };
}

/// Gives an adapter the keys that it leaves out, where it speaks Kafka and names no brokers. The login of one cluster is never
/// given to an adapter of another. `None` where nobody knows them because of a problem that was found.
pub(crate) fn fill_in(check: &Check<'_, '_>, schema: &Value, settings: &mut Map<String, Value>) -> Option<Shared> {
    let speaks_kafka = KEYS.iter().all(|key| schema["properties"].get(key).is_some());
    if !speaks_kafka || settings.contains_key("brokers") {
        return Some(Shared { keys: Vec::new() });
    }
    if check.is_kafka_unreadable {
        return None;
    }
    let mut keys = Vec::new();
    for key in KEYS {
        if let Some(value) = check.kafka_of_adapters.get(key).filter(|_| !settings.contains_key(key)) {
            settings.insert(key.to_owned(), value.clone());
            keys.push(key);
        }
    }
    Some(Shared { keys })
}

impl Shared {
    /// Shows the keys with who gave them, and takes them out of the adapter's own.
    pub(crate) fn show(&self, check: &mut Check<'_, '_>, prefix: &str, settings: &mut Value) {
        for key in &self.keys {
            if let Some(value) = settings.as_object_mut().and_then(|fields| fields.shift_remove(*key)) {
                show(check, prefix, key, value);
            }
        }
    }
}

fn show(check: &mut Check<'_, '_>, prefix: &str, path: &str, value: Value) {
    if let Value::Object(fields) = value {
        fields.into_iter().for_each(|(key, value)| show(check, prefix, &format!("{path}.{key}"), value));
        return;
    }
    let origin = match check.is_kafka {
        true => check.resolved.origin_of(&format!("backbone.{path}")),
        false => check.options.kafka.origins.get(path).cloned().map_or(Origin::Default, Origin::Environment),
    };
    check.resolved.add_leaf(&format!("{prefix}.{path}"), value, origin, &check.findings);
}

fn of_log(kafka: &plan::Kafka) -> Map<String, Value> {
    let KafkaSecurity { tls, sasl } = &kafka.security;
    let protocol = match (tls, sasl) {
        (Some(_), None) => "ssl",
        (None, None) => "plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
        (None, Some(_)) => "sasl_plaintext",
    };
    let mut keys = Map::from_iter([
        ("brokers".to_owned(), json!(kafka.brokers)),
        ("security_protocol".to_owned(), json!(protocol)),
        ("allow_plaintext".to_owned(), json!(tls.is_none())),
    ]);
    if let Some(tls) = tls {
        let client = tls.client.as_ref();
        let files = json!({
            "ca_path": tls.ca,
            "cert_path": client.map(|client| &client.certificate),
            "key_path": client.map(|client| &client.key),
            "key_password_env": client.and_then(|client| client.key_password_env.as_ref()),
        });
        keys.insert("tls".to_owned(), without_nulls(files));
    }
    if let Some(sasl) = sasl {
        let (mechanism, token_file) = match sasl {
            KafkaSasl::Plain(_) => ("PLAIN", None),
            KafkaSasl::ScramSha256(_) => ("SCRAM-SHA-256", None),
            KafkaSasl::ScramSha512(_) => ("SCRAM-SHA-512", None),
            KafkaSasl::OAuthBearer { token_file } => ("OAUTHBEARER", Some(token_file)),
        };
        let login = sasl.login();
        let sasl = json!({
            "mechanism": mechanism,
            "username_env": login.map(|login| &login.username_env),
            "password_env": login.map(|login| &login.password_env),
            "token_file": token_file,
        });
        keys.insert("sasl".to_owned(), without_nulls(sasl));
    }
    keys
}

/// What the environment says about a cluster that is not the log; nothing where it names no brokers.
fn of_environment(environment: &KafkaSection) -> Map<String, Value> {
    if environment.brokers.is_none() {
        return Map::new();
    }
    let Value::Object(mut written) = without_nulls(json!(environment)) else { return Map::new() };
    written.retain(|key, value| KEYS.contains(&key.as_str()) && *value != json!({}));
    if let Some(Value::Object(sasl)) = written.get_mut("sasl") {
        for (key, variable) in LOGIN {
            sasl.entry(key).or_insert(json!(variable));
        }
    }
    written
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields.map(|(key, value)| (key, without_nulls(value))).collect()
        }
        other => other,
    }
}
