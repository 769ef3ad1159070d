//! `hook demo`: the whole way of a webhook, on this machine, in a few seconds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hook_contract::plan::Role;
use hook_core::{catalog::BuiltinSource, ports::verifier::SourceVerifier, secret::Secret};
use reqwest::{Client, StatusCode};
use serde::Serialize;

use crate::{
    context::Context,
    exit::Exit,
    lab::{
        Lab,
        receiver::Received,
        sample,
        sender::{self, Answer, Webhook},
    },
    output::millis,
    owner::fail,
};

/// How long a delivery may take.
const DELIVERY: Duration = Duration::from_secs(15);
/// One event of each: the source, and what happened there.
const EVENTS: [(&str, &str); 3] =
    [("github", "pull_request.opened"), ("linear", "Issue.create"), ("stripe", "invoice.paid")];

/// Send signed webhooks through a pipeline on this machine, and watch them arrive
///
/// Needs nothing: free ports, throw-away secrets, a temporary directory, a local receiver. The pipeline is the real one.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs the demonstration. It succeeds only if everything that it tells really happened.
pub fn run(context: &Context, _: &Arguments) -> Result<(), Exit> {
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(|error| fail(context, &format!("could not start the async runtime: {error}")))?;
    match runtime.block_on(demonstrate(context)) {
        Ok(()) => Ok(()),
        Err(Failure::Output(exit)) => Err(exit),
        Err(Failure::Demo(reason)) => Err(fail(context, &format!("the demonstration failed: {reason}"))),
    }
}

enum Failure {
    Output(Exit),
    Demo(String),
}

impl From<Exit> for Failure {
    fn from(exit: Exit) -> Self {
        Self::Output(exit)
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Demo(reason)
    }
}

/// One thing that happened, for programs.
#[derive(Serialize)]
struct Happened<'a> {
    step: &'static str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    status: u16,
    ack_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<usize>,
}

/// All of it happened, and everything is cleaned up; for programs.
#[derive(Serialize)]
struct Done {
    step: &'static str,
    ok: bool,
    took_ms: f64,
}

async fn demonstrate(context: &Context) -> Result<(), Failure> {
    let began = Instant::now();
    let lab = Lab::start(&context.catalog, &[Role::Serve, Role::Relay, Role::Smash]).await?;
    let stage = Stage { context, client: sender::client(None)?, lab };
    stage.say(&format!(
        "A pipeline runs: webhooks come in on http://{}/webhook/{{source}}, rest in a log on disk,",
        stage.lab.ingress
    ))?;
    stage.say(&format!(
        "and go out, signed, to a receiver on http://{}/events. No service, no account.",
        stage.lab.receiver.address()
    ))?;

    let mut first = None;
    for (source, event_type) in EVENTS {
        // One of the three meets a receiver that is away for a moment.
        if source == "linear" {
            stage.lab.receiver.fail_once(source);
        }
        let sent = stage.deliver(source, event_type).await?;
        first.get_or_insert(sent);
    }
    let first = first.ok_or_else(|| "no event was sent".to_owned())?;
    stage.forge().await?;
    stage.repeat(&first).await?;
    if stage.lab.receiver.forged() > 0 {
        return Err("the receiver got a delivery without our signature".to_owned().into());
    }
    let Stage { lab, .. } = stage;
    lab.end().await?;
    if context.output.is_json() {
        context.output.json(&Done { step: "done", ok: true, took_ms: millis(began.elapsed()) })?;
    }
    say(
        context,
        &format!(
            "\nAll of it happened in {:.1} s, and everything is cleaned up. Next:\n",
            began.elapsed().as_secs_f64()
        ),
    )?;
    say(context, NEXT)?;
    Ok(())
}

const NEXT: &str = "  # in a checkout: installs the command `hook`
  cargo install --locked --path crates/hook-cli

  # in a terminal of its own, because it runs until Ctrl-C; --app names a contract in apps/ of the checkout
  export HMAC_SECRET_GITHUB=a-secret-that-github-knows-too
  hook up --app github-to-file

  # in another terminal, in the same directory, when the first has printed `ready:`
  export HMAC_SECRET_GITHUB=a-secret-that-github-knows-too
  hook send github issues.opened --app github-to-file
  hook events list --app github-to-file

  # elsewhere: without --app ./contract.toml is taken, and where there is none, the contract in the program
  hook config show";

/// What the steps need.
struct Stage<'a> {
    context: &'a Context,
    client: Client,
    lab: Lab,
}

/// A webhook that was accepted.
struct Sent {
    source: BuiltinSource,
    event_name: String,
    delivery_id: String,
    body: Vec<u8>,
    event_id: String,
}

impl Stage<'_> {
    fn say(&self, line: &str) -> Result<(), Exit> {
        say(self.context, line)
    }

    /// A signed event goes in, is durable, comes out.
    async fn deliver(&self, source: &str, event_type: &str) -> Result<Sent, Failure> {
        let (source, verifier, secret) = self.source(source)?;
        let delivery_id = uuid::Uuid::new_v4().to_string();
        let sample = sample::of(source.name, event_type, &delivery_id, jiff::Timestamp::now().as_millisecond());
        let began = Instant::now();
        let answer = self.post(&source, &*verifier, &sample.event_name, &delivery_id, &sample.body, &secret).await?;
        expect(&answer, StatusCode::ACCEPTED, "accepted")?;
        let event_id = answer.text("event_id").to_owned();
        self.say(&format!("\n{} {event_type}", source.name))?;
        self.say(&format!(
            "  {:>7.1} ms  202 accepted: the signature is right, the event is on disk, its id is {event_id}",
            millis(answer.took)
        ))?;
        let taken = self.lab.receiver.taken(&event_id, DELIVERY).await;
        let taken = taken.ok_or_else(|| format!("the {} event did not arrive", source.name))?;
        let deliveries = self.lab.receiver.deliveries(&event_id);
        self.tell(&deliveries, began)?;
        check(&taken, event_type, &sample.body)?;
        self.report(&Happened {
            step: "delivered",
            source: source.name,
            event_id: Some(&event_id),
            status: answer.status.as_u16(),
            ack_ms: millis(answer.took),
            delivered_ms: Some(millis(taken.at - began)),
            attempts: Some(deliveries.len()),
        })?;
        let is_retried = source.name == "linear";
        if is_retried != (deliveries.len() > 1) {
            return Err(format!("the {} event was attempted {} times", source.name, deliveries.len()).into());
        }
        Ok(Sent { source, event_name: sample.event_name, delivery_id, body: sample.body, event_id })
    }

    fn tell(&self, deliveries: &[Received], began: Instant) -> Result<(), Exit> {
        for (attempt, delivery) in deliveries.iter().enumerate() {
            let what = match (delivery.was_taken, attempt) {
                (false, _) => "the receiver was away and answered 503: a retry follows",
                (true, 0) => "delivered: the receiver verified our signature",
                (true, _) => "delivered with the retry: the receiver verified our signature",
            };
            self.say(&format!("  {:>7.1} ms  {what}", millis(delivery.at - began)))?;
        }
        Ok(())
    }

    /// The same body under a wrong secret is refused, and stores nothing.
    async fn forge(&self) -> Result<(), Failure> {
        let (source, verifier, _) = self.source("github")?;
        let sample = sample::of(source.name, "push", "forged", 0);
        let wrong = Secret::new("not the secret");
        let answer = self.post(&source, &*verifier, &sample.event_name, "forged", &sample.body, &wrong).await?;
        expect(&answer, StatusCode::UNAUTHORIZED, "signature_mismatch")?;
        self.say("\ngithub push, signed with another secret")?;
        self.say(&format!(
            "  {:>7.1} ms  401 refused: {}; nothing was stored",
            millis(answer.took),
            answer.text("message")
        ))?;
        self.report(&happened("refused", source.name, &answer))?;
        Ok(())
    }

    /// The first event once more: recognised, and not delivered again.
    async fn repeat(&self, sent: &Sent) -> Result<(), Failure> {
        let (_, verifier, secret) = self.source(sent.source.name)?;
        let answer =
            self.post(&sent.source, &*verifier, &sent.event_name, &sent.delivery_id, &sent.body, &secret).await?;
        expect(&answer, StatusCode::OK, "duplicate")?;
        if answer.text("event_id") != sent.event_id {
            return Err("the copy was answered with another id than the first".to_owned().into());
        }
        if self.lab.receiver.deliveries(&sent.event_id).len() != 1 {
            return Err("the copy was delivered".to_owned().into());
        }
        self.say(&format!("\n{} sends its first event again", sent.source.name))?;
        self.say(&format!(
            "  {:>7.1} ms  200 duplicate of {}: not stored, not delivered again",
            millis(answer.took),
            sent.event_id
        ))?;
        self.report(&happened("duplicate", sent.source.name, &answer))?;
        Ok(())
    }

    fn source(&self, name: &str) -> Result<(BuiltinSource, Arc<dyn SourceVerifier>, Secret), String> {
        let plan = self.lab.pipeline.handle().plan();
        let source = *self.context.catalog.source(name).ok_or_else(|| format!("this build has no source {name}"))?;
        let known = plan.sources.get(name).ok_or_else(|| format!("the contract has no source {name}"))?;
        Ok((source, Arc::clone(&known.verifier), self.lab.secret(source.secret_env)?))
    }

    async fn post(
        &self,
        source: &BuiltinSource,
        verifier: &dyn SourceVerifier,
        event_name: &str,
        delivery_id: &str,
        body: &[u8],
        secret: &Secret,
    ) -> Result<Answer, String> {
        let url = self.lab.url(source.name)?;
        let webhook = Webhook {
            url,
            verifier,
            event_name,
            delivery_id,
            stated: Default::default(),
            body: body.to_owned(),
            secret,
        };
        sender::send(&self.client, webhook).await
    }

    fn report(&self, happened: &Happened<'_>) -> Result<(), Exit> {
        match self.context.output.is_json() {
            true => self.context.output.json(happened),
            false => Ok(()),
        }
    }
}

fn happened<'a>(step: &'static str, source: &'a str, answer: &Answer) -> Happened<'a> {
    let (status, ack_ms) = (answer.status.as_u16(), millis(answer.took));
    Happened { step, source, event_id: None, status, ack_ms, delivered_ms: None, attempts: None }
}

/// For people only; a program gets one JSON line for each thing that happened.
fn say(context: &Context, line: &str) -> Result<(), Exit> {
    match context.output.is_json() {
        true => Ok(()),
        false => context.output.line(line),
    }
}

fn expect(answer: &Answer, status: StatusCode, code: &str) -> Result<(), String> {
    if answer.status == status && answer.text("code") == code {
        return Ok(());
    }
    Err(format!("expected {status} with code {code}, the pipeline answered {} with {}", answer.status, answer.body))
}

/// The envelope is about this event, and its payload is what was sent.
fn check(taken: &Received, event_type: &str, body: &[u8]) -> Result<(), String> {
    let sent: serde_json::Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if taken.envelope["event_type"] != event_type || taken.envelope["payload"] != sent {
        return Err(format!("what arrived is not what was sent: {event_type}"));
    }
    Ok(())
}
