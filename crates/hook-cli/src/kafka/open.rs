//! Opens the log on Kafka as a plan says.

use std::{collections::BTreeMap, sync::Arc};

use hook_contract::plan::{Kafka, KafkaLogin, KafkaSasl, KafkaSecurity, Plan, Role};
use hook_core::{
    clock::SharedClock,
    names::EnvName,
    ports::log::Log,
    problem::{Problem, codes},
    secret::{Secret, Secrets},
};
use hook_kafka::{
    KafkaLog, OpenError, Settings,
    settings::{Deduplication, Login, Protocol, Sasl, Security, Tls, Topics},
};
use hook_runtime::cursors;

use super::Purpose;
use crate::pipeline::chain;

/// Opens the log, or says what is in the way.
pub async fn open(
    (kafka, plan): (&Kafka, &Plan),
    purpose: Purpose<'_>,
    secrets: &Secrets,
    clock: &SharedClock,
) -> Result<Arc<dyn Log>, Box<Problem>> {
    Ok(Arc::new(connect((kafka, plan), purpose, secrets, clock).await?))
}

/// The same, for what only this log can do.
pub async fn connect(
    (kafka, plan): (&Kafka, &Plan),
    purpose: Purpose<'_>,
    secrets: &Secrets,
    clock: &SharedClock,
) -> Result<KafkaLog, Box<Problem>> {
    let settings = settings((kafka, plan), purpose, secrets)?;
    KafkaLog::open(settings, Arc::clone(clock)).await.map_err(|error| not_opened(&error))
}

pub(super) fn settings(
    (kafka, plan): (&Kafka, &Plan),
    purpose: Purpose<'_>,
    secrets: &Secrets,
) -> Result<Settings, Box<Problem>> {
    let (instance, consumers, is_question) = match purpose {
        Purpose::Run { roles, instance } => (instance, consumers(plan, roles), false),
        Purpose::Question => (None, 1, true),
        Purpose::Operate => (None, 1, false),
    };
    Ok(Settings {
        namespace: kafka.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
        security: security(&kafka.security, secrets)?,
        topics: Topics {
            expected: if is_question { Default::default() } else { cursors::topics(plan) },
            auto_create: kafka.topics.auto_create && !is_question,
            partitions: kafka.topics.partitions,
            replication: kafka.topics.replication_factor,
            retention: Some(plan.log.events.max_age),
            retention_of: BTreeMap::from([
                (plan.dead_letters.clone(), plan.log.dead_letters.max_age),
                (plan.journal.clone(), plan.log.journal.max_age),
            ]),
        },
        instance_id: instance.map(str::to_owned),
        deduplication: deduplication(plan, purpose),
        consumers,
        fetch_memory: kafka.fetch_memory,
        producer_defaults: kafka.producer_defaults.clone(),
        consumer_defaults: kafka.consumer_defaults.clone(),
        ..Settings::new(&kafka.brokers)
    })
}

/// Where the relay runs it removes copies.
fn deduplication(plan: &Plan, purpose: Purpose<'_>) -> Option<Deduplication> {
    let is_wanted = match purpose {
        Purpose::Run { roles, .. } => roles.contains(&Role::Relay),
        Purpose::Operate => true,
        Purpose::Question => false,
    };
    let is_relay = plan.relay.is_some() && is_wanted;
    is_relay.then(|| Deduplication::of(plan.relay_cursor()))
}

/// How many cursors a process with these roles reads with.
fn consumers(plan: &Plan, roles: &[Role]) -> usize {
    let destinations: usize = plan.smash.routes.iter().map(|route| route.destinations.len()).sum();
    let of_role = |role: &Role| match role {
        Role::Serve => 0,
        Role::Relay => usize::from(plan.relay.is_some()),
        // One more looks for what no route takes.
        Role::Smash => destinations + 1,
    };
    roles.iter().map(of_role).sum::<usize>().max(1)
}

fn security(security: &KafkaSecurity, secrets: &Secrets) -> Result<Security, Box<Problem>> {
    let tls = security.tls.as_ref();
    let client = tls.and_then(|tls| tls.client.as_ref());
    let key_password = client.and_then(|client| client.key_password_env.as_ref());
    Ok(Security {
        protocol: match (tls.is_some(), security.sasl.is_some()) {
            (false, false) => Protocol::Plaintext,
            (true, false) => Protocol::Tls,
            (false, true) => Protocol::SaslPlaintext,
            (true, true) => Protocol::SaslTls,
        },
        // A plan without TLS is one that was asked for twice.
        allow_plaintext: tls.is_none(),
        tls: Tls {
            authority: tls.and_then(|tls| tls.ca.clone()),
            certificate: client.map(|client| client.certificate.clone()),
            key: client.map(|client| client.key.clone()),
            key_password: key_password.map(|name| secret(name, secrets)).transpose()?,
        },
        sasl: security.sasl.as_ref().map(|with| sasl(with, secrets)).transpose()?,
    })
}

fn sasl(with: &KafkaSasl, secrets: &Secrets) -> Result<Sasl, Box<Problem>> {
    Ok(match with {
        KafkaSasl::Plain(with) => Sasl::Plain(login(with, secrets)?),
        KafkaSasl::ScramSha256(with) => Sasl::ScramSha256(login(with, secrets)?),
        KafkaSasl::ScramSha512(with) => Sasl::ScramSha512(login(with, secrets)?),
        KafkaSasl::OAuthBearer { token_file } => Sasl::OauthBearer { token_file: token_file.clone() },
    })
}

fn login(with: &KafkaLogin, secrets: &Secrets) -> Result<Login, Box<Problem>> {
    let username = secret(&with.username_env, secrets)?;
    let username = username.expose_str().ok_or_else(|| {
        let message = format!("{} is not valid UTF-8", with.username_env);
        Box::new(Problem::error(&codes::ENVIRONMENT_VALUE, message, "set it to the user name that the brokers know"))
    })?;
    Ok(Login { username: username.to_owned(), password: secret(&with.password_env, secrets)? })
}

fn secret(name: &EnvName, secrets: &Secrets) -> Result<Secret, Box<Problem>> {
    secrets.get(name).ok_or_else(|| {
        Box::new(Problem::error(
            &codes::ENVIRONMENT_MISSING,
            format!("{name} is not set; needed by the Kafka log"),
            format!("set {name} in the environment or in an env file"),
        ))
    })
}

pub(super) fn not_opened(error: &OpenError) -> Box<Problem> {
    let (code, help) = match error {
        OpenError::Settings(_) => (&codes::KAFKA_SETTINGS, "`hook config show` says who set which value"),
        OpenError::Unreachable { .. } => (
            &codes::KAFKA_UNREACHABLE,
            "check that the brokers run, that their address and the protocol are those that they listen with, and that \
             this user is let in",
        ),
        OpenError::Topics(_) => (&codes::KAFKA_TOPICS, "mend the topics or the settings, and start again"),
        OpenError::Client(_) => (&codes::LOG_NOT_OPENED, "check the settings under [backbone]"),
    };
    Box::new(Problem::error(code, chain(error), help))
}
