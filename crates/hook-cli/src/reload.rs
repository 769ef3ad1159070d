//! SIGHUP: the env files are read again, so that secrets are rotated without a restart.
//!
//! Whoever uses a secret looks it up when it needs it, so that a new value counts from the next request, delivery or connection.

use std::{collections::BTreeSet, io, sync::Arc};

use hook_contract::plan::{Plan, Requirement, Role};
use hook_core::{names::EnvName, problem::Problem};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tracing::{info, warn};

use crate::{
    environment::{Environment, variables},
    kafka, load,
};

/// Reads the env files of a process again.
pub(crate) struct Reload {
    environment: Arc<Environment>,
    roles: Vec<Role>,
    requirements: Vec<Requirement>,
    /// What was read once and for all when the process started.
    read_at_start: BTreeSet<String>,
}

impl Reload {
    /// For a process that runs these roles of a plan.
    pub(crate) fn new(environment: Arc<Environment>, plan: &Plan, roles: &[Role]) -> Self {
        let of_kafka = kafka::of(plan).map(|kafka| kafka.security.secrets()).unwrap_or_default();
        let of_kafka = of_kafka.into_iter().map(|(_, name): (_, &EnvName)| name.to_string());
        let own = variables::ALL.iter().map(|variable| variable.name.to_owned());
        Self {
            environment,
            roles: roles.to_vec(),
            requirements: plan.environment.clone(),
            read_at_start: own.chain(of_kafka).collect(),
        }
    }

    /// Waits for the signal from now on: before this it would end the process.
    pub(crate) fn on_hangup(self) -> io::Result<JoinHandle<()>> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(tokio::spawn(self.run(hangup)))
    }

    async fn run(self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            match self.read() {
                Ok(changed) => self.tell(&changed),
                Err(problems) => problems.iter().for_each(refuse),
            }
        }
    }

    /// A variable that a role needs cannot be taken from it: every event would be refused from then on.
    fn read(&self) -> Result<Vec<String>, Vec<Problem>> {
        self.environment.reload(|next| load::missing(&self.requirements, &self.roles, next))
    }

    /// Names, and never a value.
    fn tell(&self, changed: &[String]) {
        match changed {
            [] => info!("env files read again: nothing is different"),
            changed => info!(changed = changed.join(", "), "env files read again"),
        }
        let late: Vec<&str> =
            changed.iter().map(String::as_str).filter(|name| self.read_at_start.contains(*name)).collect();
        if !late.is_empty() {
            warn!(
                changed = late.join(", "),
                "what is read at the start alone has changed: it counts from the next start"
            );
        }
    }
}

fn refuse(problem: &Problem) {
    let (code, help) = (problem.code.id, &problem.help);
    let at = problem.place.as_ref().map(|place| format!("{}:{}", place.file, place.line));
    warn!(code, at, problem = problem.message, help, "env files not read again: everything stays as it was");
}
