//! How Kafka is reached, as written: in `[backbone]` of a contract, and in `[kafka_core]` of `config/kafka-core.toml`.

use std::{borrow::Cow, collections::BTreeMap, str::FromStr};

use hook_core::{
    names::{EnvName, TopicName},
    sasl::Mechanism,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::format;

/// How Kafka is reached, and how its topics are made. Every key may be left out: what says nothing here may say it in the
/// environment or in the other file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KafkaSection {
    /// The brokers that are asked first, each `HOST:PORT`: a list, or one text with commas.
    pub brokers: Option<Brokers>,
    /// How connections are protected (`ssl`). `plaintext` and `sasl_plaintext` need `allow_plaintext` as well.
    pub security_protocol: Option<SecurityProtocol>,
    /// Allows connections without encryption (`false`): whoever is on the network can then read and change events.
    pub allow_plaintext: Option<bool>,
    /// What stands before the name of every topic and group on the cluster (nothing), such as `team-a.`: pipelines that
    /// share a cluster are kept apart by it. The contract, metrics and commands name topics without it.
    #[schemars(extend("maxLength" = KafkaSection::LONGEST_NAMESPACE))]
    pub namespace: Option<TopicName>,
    /// How the topics begin that the contract does not name (`webhooks`): `PREFIX.core`, `PREFIX.dlq`, `PREFIX.journal`.
    #[schemars(extend("maxLength" = KafkaSection::LONGEST_PREFIX))]
    pub topic_prefix_core: Option<TopicName>,
    /// Where dead letters go (`PREFIX.dlq`).
    pub dlq_topic: Option<TopicName>,
    /// Whether topics that are missing are made (`true`).
    pub auto_create_topics: Option<bool>,
    /// How many partitions a topic gets that is made (3).
    #[schemars(range(min = 1, max = 10_000))]
    pub topic_partitions: Option<u32>,
    /// How many brokers keep a copy of a topic that is made (1).
    #[schemars(range(min = 1, max = 100))]
    pub topic_replication_factor: Option<u16>,
    /// How many bytes may be fetched ahead by all consumers of a process together (64 MiB).
    #[schemars(range(min = KafkaSection::LEAST_FETCH_MEMORY))]
    pub fetch_memory: Option<u64>,
    /// The files of TLS.
    #[serde(default)]
    pub tls: TlsSection,
    /// How we prove who we are, with `sasl_ssl` and `sasl_plaintext`.
    #[serde(default)]
    pub sasl: SaslSection,
    /// Properties of librdkafka for producers. Those on which the promises of the log rest cannot be set.
    #[serde(default)]
    pub producer_defaults: Properties,
    /// Properties of librdkafka for consumers. Those on which the promises of the log rest cannot be set.
    #[serde(default)]
    pub consumer_defaults: Properties,
}

impl KafkaSection {
    /// What is put behind the prefix still has room in a topic's name.
    pub const LONGEST_PREFIX: usize = 200;
    /// What is put behind the namespace still has room in a topic's name.
    pub const LONGEST_NAMESPACE: usize = 40;
    /// Less holds no batch of any consumer.
    pub const LEAST_FETCH_MEMORY: u64 = 1024 * 1024;
}

/// The brokers that are asked first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Brokers {
    /// One text, with commas between several.
    Text(#[schemars(extend("format" = "kafka-brokers", "examples" = ["kafka-1.example.com:9093"]))] String),
    /// A list.
    List(#[schemars(length(min = 1), extend("items" = { "type": "string", "format": "kafka-broker" }))] Vec<String>),
}

impl Brokers {
    /// Each of them.
    pub fn to_list(&self) -> Vec<String> {
        match self {
            Self::Text(text) => parts_of(text).map(str::to_owned).collect(),
            Self::List(list) => list.clone(),
        }
    }
}

impl FromStr for Brokers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        format::brokers(text).map(|()| Self::Text(text.to_owned()))
    }
}

/// The brokers of a text with commas.
pub(crate) fn parts_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// How connections are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProtocol {
    /// With TLS.
    Ssl,
    /// Not at all.
    Plaintext,
    /// With TLS, and we prove who we are by SASL.
    SaslSsl,
    /// Not at all, and we prove who we are by SASL.
    SaslPlaintext,
}

impl SecurityProtocol {
    /// All of them, as they are written.
    pub const NAMES: [(&str, Self); 4] = [
        ("ssl", Self::Ssl),
        ("plaintext", Self::Plaintext),
        ("sasl_ssl", Self::SaslSsl),
        ("sasl_plaintext", Self::SaslPlaintext),
    ];

    /// Whether nobody else on the network can read along.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether we prove who we are by SASL.
    pub fn has_sasl(self) -> bool {
        matches!(self, Self::SaslSsl | Self::SaslPlaintext)
    }
}

/// The files of TLS, in PEM. A relative path begins at the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsSection {
    /// Our certificate, where brokers ask for one.
    #[schemars(length(min = 1))]
    pub cert_path: Option<String>,
    /// The key of our certificate.
    #[schemars(length(min = 1))]
    pub key_path: Option<String>,
    /// The environment variable of what the key is encrypted with, where it is.
    pub key_password_env: Option<EnvName>,
    /// The authority that signed the certificates of the brokers. Those of the system where this is left out.
    #[schemars(length(min = 1))]
    pub ca_path: Option<String>,
}

/// How we prove who we are. Secrets are named, never written here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SaslSection {
    /// The mechanism.
    pub mechanism: Option<Mechanism>,
    /// The environment variable of the user name (`KAFKA_SASL_USERNAME`).
    pub username_env: Option<EnvName>,
    /// The environment variable of the password (`KAFKA_SASL_PASSWORD`).
    pub password_env: Option<EnvName>,
    /// The file of the token of `OAUTHBEARER`, a JWT that something else keeps fresh, such as Kubernetes.
    #[schemars(length(min = 1))]
    pub token_file: Option<String>,
}

/// Properties of librdkafka: texts, numbers, or true and false. `linger.ms = 5` and `"linger.ms" = 5` are the same here,
/// although TOML reads the first as a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Properties(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let mut properties = BTreeMap::new();
        for (name, value) in &written {
            flatten(name, value, &mut properties).map_err(D::Error::custom)?;
        }
        Ok(Self(properties))
    }
}

fn flatten(name: &str, value: &Value, properties: &mut BTreeMap<String, String>) -> Result<(), String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Object(fields) => {
            return fields.iter().try_for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, properties));
        }
        Value::Array(_) | Value::Null => {
            return Err(format!("`{name}` is a list; librdkafka takes a text with commas"));
        }
    };
    properties.insert(name.to_owned(), text);
    Ok(())
}

impl JsonSchema for Properties {
    fn schema_name() -> Cow<'static, str> {
        "Properties".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean", "object"] },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotted_name_is_the_same_with_and_without_quotes() {
        let read = |text: &str| toml::from_str::<Properties>(text).unwrap().0;
        let expected = BTreeMap::from([("linger.ms".to_owned(), "5".to_owned()), ("a".to_owned(), "true".to_owned())]);
        assert_eq!(read("\"linger.ms\" = 5\na = true"), expected);
        assert_eq!(read("linger.ms = \"5\"\na = true"), expected);
        assert!(toml::from_str::<Properties>("debug = [\"all\"]").is_err());
    }

    #[test]
    fn every_name_is_the_one_that_is_read() {
        for (name, protocol) in SecurityProtocol::NAMES {
            assert_eq!(serde_json::from_value::<SecurityProtocol>(name.into()).unwrap(), protocol);
        }
    }
}
