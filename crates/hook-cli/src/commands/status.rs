//! `hook status`: how the pipeline is that runs here.

use hook_core::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    context::Context,
    data_directory::Flag,
    exit::Exit,
    owner::{Owner, block_on, fail, failed},
};

/// Tell how the running pipeline is
///
/// What listens, what is delivered where, what is waiting, and what is wrong. Exits with 1 where no pipeline runs, or one that
/// is not ready.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: Flag,
}

/// The part of the answer that people are shown.
#[derive(Deserialize)]
struct Status {
    ready: bool,
    #[serde(default)]
    not_ready: Vec<String>,
    app: String,
    profile: String,
    roles: Vec<String>,
    listeners: Vec<Listener>,
    destinations: Vec<Destination>,
}

#[derive(Deserialize)]
struct Listener {
    adapter: String,
    driver: String,
    address: Option<String>,
    #[serde(default)]
    topics: Vec<String>,
    state: String,
    trouble: Option<String>,
}

#[derive(Deserialize)]
struct Destination {
    destination: String,
    state: String,
    delivered: u64,
    pending: u64,
    held: u64,
    breaker_open_since: Option<Timestamp>,
    last_error: Option<String>,
}

/// Asks the pipeline.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let answer: Value = block_on(context, async {
        let client = Owner::running(context, &arguments.data_directory).await?;
        client.get_json("/status").await.map_err(|error| failed(context, &error))
    })?;
    let status = Status::deserialize(&answer).map_err(|error| fail(context, &error.to_string()))?;
    match context.output.is_json() {
        true => context.output.json(&answer)?,
        false => print(context, &status)?,
    }
    if status.ready { Ok(()) } else { Err(Exit::Failure) }
}

fn print(context: &Context, status: &Status) -> Result<(), Exit> {
    let Status { app, profile, .. } = status;
    let state = if status.ready { "ready" } else { "not ready" };
    context.output.line(&format!("{app}, profile {profile}: {} {state}", status.roles.join(", ")))?;
    for reason in &status.not_ready {
        context.output.line(&format!("  {reason}"))?;
    }
    if !status.listeners.is_empty() {
        context.output.heading("listeners")?;
        context.output.table(&status.listeners.iter().map(Listener::row).collect::<Vec<_>>())?;
    }
    if !status.destinations.is_empty() {
        context.output.heading("destinations")?;
        let titles = ["destination", "state", "delivered", "pending", "held", "last error"];
        context.output.titled_table(titles, &status.destinations.iter().map(Destination::row).collect::<Vec<_>>())?;
    }
    Ok(())
}

impl Listener {
    fn row(&self) -> [String; 4] {
        let place = self.address.clone().unwrap_or_else(|| self.topics.join(", "));
        let trouble = self.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
        [self.adapter.clone(), self.driver.clone(), place, format!("{}{trouble}", self.state)]
    }
}

impl Destination {
    fn row(&self) -> [String; 6] {
        let since = self.breaker_open_since.map(|since| format!(" since {since:.0}")).unwrap_or_default();
        let count = |number: u64| number.to_string();
        [
            self.destination.clone(),
            format!("{}{since}", self.state),
            count(self.delivered),
            count(self.pending),
            count(self.held),
            self.last_error.clone().unwrap_or_default(),
        ]
    }
}
