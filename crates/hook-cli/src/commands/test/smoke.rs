//! `hook test smoke`: runs a role on a log of its own, sends a signed event, and looks where it went.

use std::time::{Duration, Instant};

use hook_admin::query;
use hook_contract::plan::Role;
use hook_core::event::EventId;
use reqwest::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    context::Context,
    exit::Exit,
    lab::{
        Lab, sample,
        sender::{self, Webhook},
    },
    output::millis,
    owner::{self, fail},
};

/// How long an event may take to where it goes.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Run a role with a signed event, end to end, on this machine
///
/// Uses free ports, throw-away secrets and a temporary log; touches nothing of a pipeline that runs.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The role
    #[arg(value_enum)]
    role: RoleName,
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
    ok: bool,
    event_id: String,
    took_ms: f64,
}

/// Runs the role. Fails where the event did not get where it should.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(|error| fail(context, &format!("could not start the async runtime: {error}")))?;
    let report = runtime.block_on(smoke(context, arguments.role)).map_err(|reason| fail(context, &reason))?;
    if context.output.is_json() {
        return context.output.json(&report);
    }
    let what = match report.role {
        RoleName::Serve => "serve works: a signed event was verified and is durable",
        RoleName::Relay => "relay works: the event was bridged into the core topic",
        RoleName::Smash => "smash works: the event was delivered, and the receiver verified our signature",
    };
    context.output.line(&format!("{what}  [{:.1} ms]", report.took_ms))
}

async fn smoke(context: &Context, role: RoleName) -> Result<Report, String> {
    let roles: &[Role] = match role {
        RoleName::Serve => &[Role::Serve],
        RoleName::Relay => &[Role::Serve, Role::Relay],
        RoleName::Smash => &[Role::Serve, Role::Relay, Role::Smash],
    };
    let lab = Lab::start(&context.catalog, roles).await?;
    let began = Instant::now();
    let event_id = send(context, &lab).await?;
    match role {
        RoleName::Serve => stored(&lab, &event_id, "webhooks.github").await?,
        RoleName::Relay => stored(&lab, &event_id, "webhooks.core").await?,
        RoleName::Smash => {
            lab.receiver.taken(&event_id, ARRIVAL).await.ok_or("the event did not arrive in time")?;
        }
    }
    let took_ms = millis(began.elapsed());
    lab.end().await?;
    Ok(Report { role, ok: true, event_id, took_ms })
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
        body: sample.body,
        secret: &secret,
    };
    let answer = sender::send(&sender::client()?, webhook).await?;
    match answer.status {
        StatusCode::ACCEPTED => Ok(answer.text("event_id").to_owned()),
        status => Err(format!("the event was not accepted: {status} {}", answer.body)),
    }
}

/// Waits until the event is in a topic.
async fn stored(lab: &Lab, event_id: &str, topic: &str) -> Result<(), String> {
    let handle = lab.pipeline.handle();
    let own = owner::own_topics(handle.plan());
    let id: EventId = event_id.parse().map_err(|error| format!("{error}"))?;
    let look = async {
        loop {
            let appended = handle.log().appended(own.events());
            let events = query::event(handle.log(), &own, id).await.map_err(|error| error.to_string())?;
            if events.iter().any(|stored| stored.position.topic.as_str() == topic) {
                return Ok(());
            }
            appended.await;
        }
    };
    let found = tokio::time::timeout(ARRIVAL, look).await;
    found.unwrap_or_else(|_| Err(format!("the event did not reach {topic} in time")))
}
