//! How connections to Kafka are protected: never in the clear by accident, and with no half of a certificate.

use std::path::PathBuf;

use hook_core::{names::EnvName, problem::codes, sasl::Mechanism};

use super::{Found, Resolve, called, place_of};
use crate::{
    plan::{KafkaCertificate, KafkaLogin, KafkaSasl, KafkaSecurity, KafkaTls},
    suggest,
    written::{KafkaSection, SecurityProtocol},
};

/// The variables of user name and password, where nothing else is named.
const USERNAME: &str = "KAFKA_SASL_USERNAME";
const PASSWORD: &str = "KAFKA_SASL_PASSWORD";

/// What protects connections. `None` where something is wrong, which was found.
pub(super) fn plan(resolve: &mut Resolve<'_, '_, '_, '_>) -> Option<KafkaSecurity> {
    let protocol = resolve.or("security_protocol", |written| written.security_protocol, SecurityProtocol::Ssl);
    let is_allowed = resolve.or("allow_plaintext", |written| written.allow_plaintext, false);
    let is_safe = is_encrypted_or_allowed(resolve, &protocol, &is_allowed);
    let tls = match protocol.value.is_encrypted() {
        true => tls(resolve).map(Some),
        false => {
            without_effect(resolve, TLS, "connections are not encrypted");
            Some(None)
        }
    };
    let sasl = match protocol.value.has_sasl() {
        true => sasl(resolve).map(Some),
        false => {
            without_effect(resolve, SASL, "`security_protocol` asks for no SASL; `sasl_ssl` does");
            Some(None)
        }
    };
    Some(KafkaSecurity { tls: tls?, sasl: sasl? }).filter(|_| is_safe)
}

fn is_encrypted_or_allowed(
    resolve: &mut Resolve<'_, '_, '_, '_>,
    protocol: &Found<SecurityProtocol>,
    is_allowed: &Found<bool>,
) -> bool {
    let findings = &mut resolve.check.findings;
    match (protocol.value.is_encrypted(), is_allowed.value) {
        (true, true) => {
            let what = called("allow_plaintext", &is_allowed.origin);
            let message = format!("{what} has no effect: connections are encrypted");
            findings.warning_at(&codes::NO_EFFECT, place_of(&is_allowed.origin), message, "leave it out");
            true
        }
        (false, false) => {
            let what = called("security_protocol", &protocol.origin);
            let message = format!("{what} sends events over the network as they are, which nothing allows");
            let help = "write `security_protocol = \"ssl\"`; or, where nobody else is on the network, write \
                        `allow_plaintext = true` as well, or set KAFKA_ALLOW_PLAINTEXT=true";
            findings.error_at(&codes::KAFKA_PLAINTEXT, place_of(&protocol.origin), message, help);
            false
        }
        _ => true,
    }
}

type Key = (&'static str, fn(&KafkaSection) -> Option<String>);

const CERT: Key = ("tls.cert_path", |written| written.tls.cert_path.clone());
const KEY: Key = ("tls.key_path", |written| written.tls.key_path.clone());
const CA: Key = ("tls.ca_path", |written| written.tls.ca_path.clone());
const KEY_PASSWORD_ENV: Key = ("tls.key_password_env", |written| name(written.tls.key_password_env.as_ref()));
const MECHANISM: Key = ("sasl.mechanism", |written| written.sasl.mechanism.map(|_| String::new()));
const USERNAME_ENV: Key = ("sasl.username_env", |written| name(written.sasl.username_env.as_ref()));
const PASSWORD_ENV: Key = ("sasl.password_env", |written| name(written.sasl.password_env.as_ref()));
const TOKEN_FILE: Key = ("sasl.token_file", |written| written.sasl.token_file.clone());

const TLS: &[Key] = &[CERT, KEY, KEY_PASSWORD_ENV, CA];
const SASL: &[Key] = &[MECHANISM, USERNAME_ENV, PASSWORD_ENV, TOKEN_FILE];

fn name(variable: Option<&EnvName>) -> Option<String> {
    variable.map(EnvName::to_string)
}

/// Warns of keys that somebody gives and that change nothing.
fn without_effect(resolve: &mut Resolve<'_, '_, '_, '_>, keys: &[Key], why: &str) {
    for (path, of) in keys {
        if let Some(found) = resolve.layers.find(path, of) {
            let message = format!("{} has no effect: {why}", called(path, &found.origin));
            resolve.check.findings.warning_at(&codes::NO_EFFECT, place_of(&found.origin), message, "leave it out");
        }
    }
}

fn tls(resolve: &mut Resolve<'_, '_, '_, '_>) -> Option<KafkaTls> {
    let ca = resolve.find(CA.0, CA.1).map(|found| PathBuf::from(found.value));
    let client = match (resolve.find(CERT.0, CERT.1), resolve.find(KEY.0, KEY.1)) {
        (None, None) => {
            without_effect(resolve, &[KEY_PASSWORD_ENV], "there is no key");
            None
        }
        (Some(certificate), Some(key)) => {
            let password = resolve.find(KEY_PASSWORD_ENV.0, |written| written.tls.key_password_env.clone());
            Some(KafkaCertificate {
                certificate: certificate.value.into(),
                key: key.value.into(),
                key_password_env: password.map(|found| found.value),
            })
        }
        (Some(certificate), None) => return half(resolve, (CERT.0, &certificate), (KEY.0, "KAFKA_TLS_KEY")),
        (None, Some(key)) => return half(resolve, (KEY.0, &key), (CERT.0, "KAFKA_TLS_CERT")),
    };
    Some(KafkaTls { ca, client })
}

fn half<T>(
    resolve: &mut Resolve<'_, '_, '_, '_>,
    (path, given): (&str, &Found<String>),
    (missing, variable): (&str, &str),
) -> Option<T> {
    let message = format!("{} is given without `{missing}`", called(path, &given.origin));
    let help =
        format!("write `{missing}` as well, or set {variable}; without a certificate of your own leave out both");
    resolve.check.findings.error_at(&codes::KAFKA_SETTINGS, place_of(&given.origin), message, help);
    None
}

fn sasl(resolve: &mut Resolve<'_, '_, '_, '_>) -> Option<KafkaSasl> {
    let Some(mechanism) = resolve.find(MECHANISM.0, |written| written.sasl.mechanism) else {
        let protocol = resolve.layers.find("security_protocol", |written| written.security_protocol);
        let place = protocol.and_then(|found| place_of(&found.origin));
        let names: Vec<&str> = Mechanism::NAMES.iter().map(|(name, _)| *name).collect();
        let help = format!(
            "write `sasl = {{ mechanism = \"…\" }}`, or set KAFKA_SASL_MECHANISM; it can be: {}",
            suggest::listed(&names)
        );
        resolve.check.findings.error_at(&codes::KAFKA_SETTINGS, place, "SASL is asked for without a mechanism", help);
        return None;
    };
    let with = match mechanism.value {
        Mechanism::OAuthBearer => return bearer(resolve, &mechanism),
        Mechanism::Plain => KafkaSasl::Plain,
        Mechanism::ScramSha256 => KafkaSasl::ScramSha256,
        Mechanism::ScramSha512 => KafkaSasl::ScramSha512,
    };
    without_effect(resolve, &[TOKEN_FILE], "only `OAUTHBEARER` takes a token");
    let variable = |name: &str| EnvName::new(name).expect("the literal is the name of a variable");
    let username_env = resolve.or(USERNAME_ENV.0, |written| written.sasl.username_env.clone(), variable(USERNAME));
    let password_env = resolve.or(PASSWORD_ENV.0, |written| written.sasl.password_env.clone(), variable(PASSWORD));
    Some(with(KafkaLogin { username_env: username_env.value, password_env: password_env.value }))
}

fn bearer(resolve: &mut Resolve<'_, '_, '_, '_>, mechanism: &Found<Mechanism>) -> Option<KafkaSasl> {
    without_effect(resolve, &[USERNAME_ENV, PASSWORD_ENV], "`OAUTHBEARER` takes a token");
    let Some(token_file) = resolve.find(TOKEN_FILE.0, TOKEN_FILE.1) else {
        let message = "nothing says where `OAUTHBEARER` finds its token";
        let help = "write `token_file = \"…\"` in `sasl`, beside the mechanism";
        resolve.check.findings.error_at(&codes::KAFKA_SETTINGS, place_of(&mechanism.origin), message, help);
        return None;
    };
    Some(KafkaSasl::OAuthBearer { token_file: token_file.value.into() })
}
