//! `hook test smoke`: runs a role on a log of its own, sends a signed event, and looks where it went.

use std::time::{Duration, Instant};

use hook_admin::query;
use hook_contract::plan::Role;
use hook_core::{event::EventId, ports::log::LogError};
use reqwest::StatusCode;
use serde::Serialize;
use tracing::debug;
use uuid::Uuid;

use crate::{
    context::Context,
    exit::Exit,
    kafka,
    lab::{
        Lab, On, sample,
        sender::{self, Webhook},
    },
    load,
    output::millis,
    owner::{self, fail},
};

/// Between two looks where the first has failed.
const AGAIN: Duration = Duration::from_millis(100);
/// How long an event may take to where it goes.
const ARRIVAL: Duration = Duration::from_secs(10);
/// The same where groups are formed first, and whoever leads them waits for members.
const ARRIVAL_ON_KAFKA: Duration = Duration::from_secs(60);

/// Run a role with a signed event, end to end, on this machine
///
/// Uses free ports, throw-away secrets and a log of its own; touches nothing of a pipeline that runs. On Kafka its log is a
/// namespace of its own on the contract's cluster (`smoke-…`, behind the contract's own), which is removed at the end: this
/// user must be allowed to make and to delete topics and groups there.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The role
    #[arg(value_enum)]
    role: RoleName,

    /// The log [default: that of the contract; embedded where there is no contract that can be read]
    #[arg(long, value_enum, value_name = "LOG")]
    log: Option<LogName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum LogName {
    /// An embedded log in a temporary directory
    Embedded,
    /// A namespace of its own on the contract's cluster
    Kafka,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    /// A signed event is accepted and durable
    Serve,
    /// An event of a source topic is bridged into the core topic
    Relay,
    /// An event is delivered, signed
    Smash,
}

#[derive(Serialize)]
struct Report {
    role: RoleName,
    log: LogName,
    ok: bool,
    event_id: String,
    took_ms: f64,
}

/// Runs the role. Fails where the event did not get where it should.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(|error| fail(context, &format!("could not start the async runtime: {error}")))?;
    let (log, on) = choose(context, arguments.log)?;
    let report =
        runtime.block_on(smoke(context, arguments.role, (log, on))).map_err(|reason| fail(context, &reason))?;
    if context.output.is_json() {
        return context.output.json(&report);
    }
    let what = match report.role {
        RoleName::Serve => "serve works: a signed event was verified and is durable",
        RoleName::Relay => "relay works: the event was bridged into the core topic",
        RoleName::Smash => "smash works: the event was delivered, and the receiver verified our signature",
    };
    let on = match report.log {
        LogName::Embedded => "",
        LogName::Kafka => " on Kafka",
    };
    context.output.line(&format!("{what}  [{:.1} ms{on}]", report.took_ms))
}

/// The log that was asked for, else that of the contract.
fn choose(context: &Context, asked: Option<LogName>) -> Result<(LogName, On), Exit> {
    if asked == Some(LogName::Embedded) {
        return Ok((LogName::Embedded, On::Embedded));
    }
    let mut examined = load::examine(context);
    if asked.is_none() && examined.plan.as_ref().is_none_or(|plan| kafka::of(plan).is_none()) {
        return Ok((LogName::Embedded, On::Embedded));
    }
    examined.require_build();
    let loaded = examined.into_loaded(context)?;
    on_kafka(context, &loaded)
}

#[cfg(feature = "kafka")]
fn on_kafka(context: &Context, loaded: &load::Loaded) -> Result<(LogName, On), Exit> {
    let Some(settings) = kafka::of(&loaded.plan) else { return Err(no_kafka(context)) };
    let on = On::kafka(settings, loaded.environment.clone()).map_err(|reason| fail(context, &reason))?;
    Ok((LogName::Kafka, on))
}

#[cfg(not(feature = "kafka"))]
fn on_kafka(context: &Context, _: &load::Loaded) -> Result<(LogName, On), Exit> {
    Err(no_kafka(context))
}

fn no_kafka(context: &Context) -> Exit {
    fail(
        context,
        "nothing says where Kafka is: the log of this contract is the embedded one, and KAFKA_BROKERS is not set",
    )
}

async fn smoke(context: &Context, role: RoleName, (log, on): (LogName, On)) -> Result<Report, String> {
    let roles: &[Role] = match role {
        RoleName::Serve => &[Role::Serve],
        RoleName::Relay => &[Role::Serve, Role::Relay],
        RoleName::Smash => &[Role::Serve, Role::Relay, Role::Smash],
    };
    let lab = Lab::start_on(&context.catalog, roles, on).await?;
    let arrival = match log {
        LogName::Embedded => ARRIVAL,
        LogName::Kafka => ARRIVAL_ON_KAFKA,
    };
    let began = Instant::now();
    let arrived = arrive(context, &lab, role, arrival).await;
    let took_ms = millis(began.elapsed());
    let ended = lab.end().await;
    let event_id = arrived?;
    ended?;
    Ok(Report { role, log, ok: true, event_id, took_ms })
}

/// Sends an event, and waits for it where it goes.
async fn arrive(context: &Context, lab: &Lab, role: RoleName, most: Duration) -> Result<String, String> {
    let event_id = send(context, lab).await?;
    match role {
        RoleName::Serve => stored(lab, &event_id, "webhooks.github", most).await?,
        RoleName::Relay => stored(lab, &event_id, "webhooks.core", most).await?,
        RoleName::Smash => {
            lab.receiver.taken(&event_id, most).await.ok_or("the event did not arrive in time")?;
        }
    }
    Ok(event_id)
}

async fn send(context: &Context, lab: &Lab) -> Result<String, String> {
    let source = context.catalog.source("github").ok_or("this build has no source github")?;
    let plan = lab.pipeline.handle().plan();
    let verifier = &plan.sources.get("github").ok_or("the contract has no source github")?.verifier;
    let delivery_id = Uuid::new_v4().to_string();
    let sample = sample::of("github", "issues.opened", &delivery_id, 0);
    let secret = lab.secret(source.secret_env)?;
    let webhook = Webhook {
        url: lab.url("github")?,
        verifier: &**verifier,
        event_name: &sample.event_name,
        delivery_id: &delivery_id,
        stated: Default::default(),
        body: sample.body,
        secret: &secret,
    };
    let answer = sender::send(&sender::client(None)?, webhook).await?;
    match answer.status {
        StatusCode::ACCEPTED => Ok(answer.text("event_id").to_owned()),
        status => Err(format!("the event was not accepted: {status} {}", answer.body)),
    }
}

/// Waits until the event is in a topic.
async fn stored(lab: &Lab, event_id: &str, topic: &str, most: Duration) -> Result<(), String> {
    let handle = lab.pipeline.handle();
    let own = owner::own_topics(handle.plan());
    let id: EventId = event_id.parse().map_err(|error| format!("{error}"))?;
    let look = async {
        loop {
            let appended = handle.log().appended(own.events());
            let events = match query::event(handle.log(), &own, id).await {
                Ok(events) => events,
                // The leader of a partition that was just made may not be known yet.
                Err(LogError::Unavailable(reason)) => {
                    debug!(reason, "looking again");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Err(error) => return Err(error.to_string()),
            };
            if events.iter().any(|stored| stored.position.topic.as_str() == topic) {
                return Ok(());
            }
            appended.await;
        }
    };
    let found = tokio::time::timeout(most, look).await;
    found.unwrap_or_else(|_| Err(format!("the event did not reach {topic} in time")))
}
