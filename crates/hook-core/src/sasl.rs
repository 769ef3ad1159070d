//! How we prove who we are to a server that asks by SASL, as contracts and the environment write it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A mechanism of SASL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SaslMechanism")]
pub enum Mechanism {
    /// User name and password, as they are.
    #[serde(rename = "PLAIN")]
    Plain,
    /// User name and a proof of the password, with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// User name and a proof of the password, with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A token in a file.
    #[serde(rename = "OAUTHBEARER")]
    OAuthBearer,
}

impl Mechanism {
    /// All of them, as they are written.
    pub const NAMES: [(&str, Self); 4] = [
        ("PLAIN", Self::Plain),
        ("SCRAM-SHA-256", Self::ScramSha256),
        ("SCRAM-SHA-512", Self::ScramSha512),
        ("OAUTHBEARER", Self::OAuthBearer),
    ];

    /// Its registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_the_one_that_is_read() {
        for (name, mechanism) in Mechanism::NAMES {
            assert_eq!(serde_json::from_value::<Mechanism>(name.into()).unwrap(), mechanism);
            assert_eq!(mechanism.as_str(), name);
        }
    }
}
