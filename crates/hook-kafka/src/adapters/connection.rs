//! Which cluster an adapter speaks to, and how: the keys of `[kafka_core]`, for one adapter.

use std::path::PathBuf;

use hook_core::{
    catalog::Fault,
    names::EnvName,
    sasl::Mechanism,
    secret::{Secret, Secrets},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Settings,
    settings::{self, Login, Problem},
};

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
    fn to_list(&self) -> Vec<String> {
        match self {
            Self::Text(text) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
            Self::List(list) => list.clone(),
        }
    }
}

/// How connections are protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProtocol {
    /// With TLS.
    #[default]
    Ssl,
    /// Not at all.
    Plaintext,
    /// With TLS, and we prove who we are by SASL.
    SaslSsl,
    /// Not at all, and we prove who we are by SASL.
    SaslPlaintext,
}

impl From<SecurityProtocol> for settings::Protocol {
    fn from(protocol: SecurityProtocol) -> Self {
        match protocol {
            SecurityProtocol::Ssl => Self::Tls,
            SecurityProtocol::Plaintext => Self::Plaintext,
            SecurityProtocol::SaslSsl => Self::SaslTls,
            SecurityProtocol::SaslPlaintext => Self::SaslPlaintext,
        }
    }
}

/// The files of TLS, in PEM. A relative path begins at the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tls {
    /// Our certificate, where brokers ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub cert_path: Option<String>,
    /// The key of our certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub key_path: Option<String>,
    /// The environment variable of what the key is encrypted with, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_password_env: Option<EnvName>,
    /// The authority that signed the certificates of the brokers. Those of the system where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ca_path: Option<String>,
}

/// How we prove who we are. Secrets are named, never written here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sasl {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The environment variable of the user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_env: Option<EnvName>,
    /// The environment variable of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<EnvName>,
    /// The file of the token of `OAUTHBEARER`, a JWT that something else keeps fresh, such as Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub token_file: Option<String>,
}

/// The cluster of one adapter, its secrets still only named.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) brokers: Option<Brokers>,
    pub(crate) protocol: SecurityProtocol,
    pub(crate) allow_plaintext: bool,
    pub(crate) tls: Tls,
    pub(crate) sasl: Option<Sasl>,
}

/// The connection that the settings of an adapter name. Both adapters have these keys, and a shared struct of them would take the
/// places of faults away.
macro_rules! connection_of {
    ($settings:expr) => {
        $crate::adapters::connection::Connection {
            brokers: $settings.brokers,
            protocol: $settings.security_protocol,
            allow_plaintext: $settings.allow_plaintext,
            tls: $settings.tls,
            sasl: $settings.sasl,
        }
    };
}
pub(crate) use connection_of;

/// The secrets of a connection as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Known {
    key_password: Option<Secret>,
    username: Option<Secret>,
    password: Option<Secret>,
}

impl Connection {
    /// Everything that is wrong with it. Touches nothing.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let mut faults = self.login_faults();
        if self.brokers.is_none() {
            let help = "write `brokers = [\"HOST:PORT\"]`, or set KAFKA_BROKERS";
            faults.push(Fault::at("/brokers", "nothing says where the brokers are", help));
        }
        // A secret that nobody knows yet stands for itself.
        let any = Some(Secret::new(*b"-"));
        let known = Known { key_password: any.clone(), username: any.clone(), password: any };
        let problems = self.settings(&known).problems();
        faults.extend(problems.iter().filter(|problem| **problem != Problem::NoBrokers).map(fault));
        faults
    }

    /// A login says of itself where it stands: the variables of another cluster are not for this one.
    fn login_faults(&self) -> Vec<Fault> {
        let Some(sasl) = &self.sasl else { return Vec::new() };
        let mut faults = Vec::new();
        let mut want = |key: &str, is_there: bool, is_wanted: bool| {
            let (pointer, mechanism) = (format!("/sasl/{key}"), sasl.mechanism.as_str());
            match (is_there, is_wanted) {
                (false, true) => {
                    let help = format!("write `{key}` in `sasl`, beside the mechanism");
                    faults.push(Fault::at(&pointer, format!("{mechanism} needs `{key}`"), help));
                }
                (true, false) => {
                    let message = format!("{mechanism} does not use `{key}`");
                    faults.push(Fault::at(&pointer, message, "leave it out"));
                }
                _ => {}
            }
        };
        let is_bearer = sasl.mechanism == Mechanism::OAuthBearer;
        want("username_env", sasl.username_env.is_some(), !is_bearer);
        want("password_env", sasl.password_env.is_some(), !is_bearer);
        want("token_file", sasl.token_file.is_some(), is_bearer);
        faults
    }

    /// Looks the secrets up; the name of the first that is not set.
    pub(crate) fn look_up(&self, secrets: &Secrets) -> Result<Known, EnvName> {
        let find = |name: Option<&EnvName>| match name {
            Some(name) => secrets.get(name).map(Some).ok_or_else(|| name.clone()),
            None => Ok(None),
        };
        let sasl = self.sasl.as_ref();
        Ok(Known {
            key_password: find(self.tls.key_password_env.as_ref())?,
            username: find(sasl.and_then(|sasl| sasl.username_env.as_ref()))?,
            password: find(sasl.and_then(|sasl| sasl.password_env.as_ref()))?,
        })
    }

    /// The settings of a client.
    pub(crate) fn settings(&self, known: &Known) -> Settings {
        let mut settings = Settings::new(self.brokers.as_ref().map(Brokers::to_list).unwrap_or_default());
        let path = |path: &Option<String>| path.as_ref().map(PathBuf::from);
        settings.security = settings::Security {
            protocol: self.protocol.into(),
            allow_plaintext: self.allow_plaintext,
            tls: settings::Tls {
                authority: path(&self.tls.ca_path),
                certificate: path(&self.tls.cert_path),
                key: path(&self.tls.key_path),
                key_password: known.key_password.clone(),
            },
            sasl: self.sasl.as_ref().map(|sasl| sasl.with(known)),
        };
        settings
    }

    /// The brokers that are asked first.
    pub(crate) fn brokers(&self) -> Vec<String> {
        self.brokers.as_ref().map(Brokers::to_list).unwrap_or_default()
    }

    /// The same, for people.
    pub(crate) fn address(&self) -> String {
        self.brokers().join(",")
    }
}

impl Sasl {
    fn with(&self, known: &Known) -> settings::Sasl {
        let username = known.username.as_ref().and_then(Secret::expose_str).unwrap_or_default().to_owned();
        let login = Login { username, password: known.password.clone().unwrap_or_else(|| Secret::new(*b"")) };
        match self.mechanism {
            Mechanism::Plain => settings::Sasl::Plain(login),
            Mechanism::ScramSha256 => settings::Sasl::ScramSha256(login),
            Mechanism::ScramSha512 => settings::Sasl::ScramSha512(login),
            Mechanism::OAuthBearer => {
                settings::Sasl::OauthBearer { token_file: self.token_file.clone().unwrap_or_default().into() }
            }
        }
    }
}

/// A problem of the log's settings in the words of an adapter's.
fn fault(problem: &Problem) -> Fault {
    let message = problem.to_string();
    match problem {
        Problem::Plaintext(_) => {
            let help = "write `security_protocol = \"ssl\"`; or, where nobody else is on the network, write \
                        `allow_plaintext = true` as well";
            let message = "events would go over the network as they are, which nothing allows";
            Fault::at("/security_protocol", message, help).security_critical()
        }
        Problem::NotAnAddress(_) => Fault::at("/brokers", message, "write `HOST:PORT`"),
        Problem::NoLogin(_) => {
            Fault::at("/security_protocol", message, "write `sasl = { mechanism = \"…\" }`, or take another protocol")
        }
        Problem::UnusedLogin(_) => {
            Fault::at("/sasl", message, "write `security_protocol = \"sasl_ssl\"`, or leave it out")
        }
        Problem::HalfACertificate => Fault::at(
            "/tls",
            "a certificate and its key go together",
            "write both `cert_path` and `key_path`, or neither",
        ),
        Problem::NotInThisBuild(what) => Fault::at(
            "/security_protocol",
            format!("this build reaches Kafka without {what}"),
            "`cargo install --locked --path crates/hook-cli --features kafka-tls` installs one that has it (it needs \
             OpenSSL's headers), and so does `--features kafka-vendored`",
        ),
        _ => Fault::at("/brokers", message, "write another value"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use serde_json::json;

    use super::*;

    fn connection() -> Connection {
        Connection {
            brokers: Some(Brokers::Text("one:9092, two:9092".into())),
            protocol: SecurityProtocol::Plaintext,
            allow_plaintext: true,
            tls: Tls::default(),
            sasl: None,
        }
    }

    fn sasl(value: serde_json::Value) -> Option<Sasl> {
        Some(serde_json::from_value(value).unwrap())
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Connection), expected: &[(&str, &str)]) {
        let mut connection = connection();
        change(&mut connection);
        let faults = connection.faults();
        let found: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.message.as_str())).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (pointer, words) in expected {
            assert!(found.iter().any(|(at, said)| at == pointer && said.contains(words)), "{found:?}");
        }
        assert!(faults.iter().all(|fault| !fault.help.is_empty()));
    }

    #[test]
    fn every_fault_is_at_its_key() {
        check(|_| (), &[]);
        check(|connection| connection.brokers = None, &[("/brokers", "where the brokers are")]);
        let wrong = Some(Brokers::List(vec!["kafka".into()]));
        check(|connection| connection.brokers = wrong, &[("/brokers", "found `kafka`")]);
        check(
            |connection| connection.protocol = SecurityProtocol::SaslPlaintext,
            &[("/security_protocol", "mechanism")],
        );
        let plain = || sasl(json!({ "mechanism": "PLAIN", "username_env": "USER_OF", "password_env": "PASSWORD_OF" }));
        check(|connection| connection.sasl = plain(), &[("/sasl", "does not use it")]);
        let bare = |connection: &mut Connection| {
            connection.protocol = SecurityProtocol::SaslPlaintext;
            connection.sasl = sasl(json!({ "mechanism": "PLAIN", "token_file": "token" }));
        };
        let needs = [("/sasl/username_env", "needs"), ("/sasl/password_env", "needs"), ("/sasl/token_file", "not use")];
        check(bare, &needs);
        check(|connection| connection.tls.cert_path = Some("a.pem".into()), &[("/tls", "go together")]);
    }

    #[test]
    fn plaintext_needs_both_keys_in_every_mode() {
        let faults = Connection { allow_plaintext: false, ..connection() }.faults();
        assert!(faults.len() == 1 && faults[0].is_security_critical, "{faults:?}");
        assert_eq!(faults[0].pointer, "/security_protocol");
    }

    #[test]
    fn a_secret_that_is_not_set_is_named_and_none_is_shown() {
        let connection = Connection {
            protocol: SecurityProtocol::SaslPlaintext,
            sasl: sasl(json!({ "mechanism": "PLAIN", "username_env": "USER_OF", "password_env": "PASSWORD_OF" })),
            ..connection()
        };
        assert_eq!(connection.faults(), []);
        let name = |text: &str| EnvName::new(text).unwrap();
        let mut set = BTreeMap::from([(name("USER_OF"), Secret::new(*b"canary"))]);
        let secrets = |set: &BTreeMap<EnvName, Secret>| -> Secrets { Arc::new(set.clone()) };
        assert_eq!(connection.look_up(&secrets(&set)), Err(name("PASSWORD_OF")));
        set.insert(name("PASSWORD_OF"), Secret::new(*b"canary"));
        let known = connection.look_up(&secrets(&set)).unwrap();
        assert!(!format!("{known:?}{connection:?}").contains("canary"));
        assert!(matches!(
            connection.settings(&known).security.sasl,
            Some(settings::Sasl::Plain(login)) if login.username == "canary"
        ));
        assert_eq!(connection.settings(&known).brokers, ["one:9092", "two:9092"]);
    }
}
