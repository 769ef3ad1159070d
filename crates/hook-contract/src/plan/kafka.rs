//! The Kafka log of a plan: where the brokers are, how they are reached, how topics are made.

use std::{collections::BTreeMap, path::PathBuf};

use hook_core::names::{EnvName, TopicName};

/// How the Kafka log is reached and set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    /// The brokers that are asked first, each `HOST:PORT`. At least one.
    pub brokers: Vec<String>,
    /// What stands before the name of every topic and group on the cluster. `None` for nothing.
    pub namespace: Option<TopicName>,
    /// How connections are protected.
    pub security: KafkaSecurity,
    /// How topics are made that are missing.
    pub topics: KafkaTopics,
    /// How many bytes may be fetched ahead by all consumers of a process together.
    pub fetch_memory: u64,
    /// Further properties of librdkafka for producers: none on which a promise of the log rests.
    pub producer_defaults: BTreeMap<String, String>,
    /// Further properties of librdkafka for consumers: none on which a promise of the log rests.
    pub consumer_defaults: BTreeMap<String, String>,
}

/// How connections are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSecurity {
    /// TLS. `None` for no encryption, which was asked for twice.
    pub tls: Option<KafkaTls>,
    /// How we prove who we are, where not by a certificate.
    pub sasl: Option<KafkaSasl>,
}

impl KafkaSecurity {
    /// The environment variables of the secrets, by key.
    pub fn secrets(&self) -> Vec<(&'static str, &EnvName)> {
        let client = self.tls.as_ref().and_then(|tls| tls.client.as_ref());
        let key_password = client.and_then(|client| client.key_password_env.as_ref());
        let login = self.sasl.as_ref().and_then(KafkaSasl::login);
        let secrets = [
            ("tls.key_password_env", key_password),
            ("sasl.username_env", login.map(|login| &login.username_env)),
            ("sasl.password_env", login.map(|login| &login.password_env)),
        ];
        secrets.into_iter().filter_map(|(key, name)| Some((key, name?))).collect()
    }
}

/// The files of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaTls {
    /// The authority that signed the certificates of the brokers; `None` for those of the system.
    pub ca: Option<PathBuf>,
    /// Our own certificate.
    pub client: Option<KafkaCertificate>,
}

/// A certificate of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaCertificate {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// The environment variable of what the key is encrypted with, where it is.
    pub key_password_env: Option<EnvName>,
}

/// How we prove who we are by SASL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaSasl {
    /// `PLAIN`.
    Plain(KafkaLogin),
    /// `SCRAM-SHA-256`.
    ScramSha256(KafkaLogin),
    /// `SCRAM-SHA-512`.
    ScramSha512(KafkaLogin),
    /// `OAUTHBEARER`.
    OAuthBearer {
        /// The file of the token, which something else keeps fresh.
        token_file: PathBuf,
    },
}

impl KafkaSasl {
    /// The user and the password, where the mechanism has them.
    pub fn login(&self) -> Option<&KafkaLogin> {
        match self {
            Self::Plain(login) | Self::ScramSha256(login) | Self::ScramSha512(login) => Some(login),
            Self::OAuthBearer { .. } => None,
        }
    }
}

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaLogin {
    /// The environment variable of the user name.
    pub username_env: EnvName,
    /// The environment variable of the password.
    pub password_env: EnvName,
}

/// How topics are made that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KafkaTopics {
    /// Whether they are made at all.
    pub auto_create: bool,
    /// How many partitions they get.
    pub partitions: u32,
    /// How many brokers keep a copy of them.
    pub replication_factor: u16,
}
