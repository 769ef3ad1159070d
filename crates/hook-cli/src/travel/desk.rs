//! Reaches whoever can send stored events again: the process that owns the log, or this one where none runs.

use std::{collections::BTreeMap, sync::Arc};

use hook_admin::{
    socket::Client,
    travel::{self, CountRequest, Line, RunRequest},
};
use hook_core::{
    clock::{SharedClock, SystemClock},
    secret::Secrets,
};
use hook_runtime::travel::{Count, Ground, JobState, Run};

use super::url;
use crate::{
    context::Context,
    data_directory::Flag,
    exit::Exit,
    kafka::{self, Purpose},
    owner::{self, Located, Owner, fail, failed},
    pipeline,
};

/// Whoever does it.
pub enum Desk {
    /// A pipeline runs: it does.
    Running(Client),
    /// None runs here: this process does. What it stores is delivered by those who start, or run elsewhere.
    Own {
        /// What it stands on.
        ground: Ground,
        /// Where secrets are looked up.
        secrets: Secrets,
    },
}

impl Desk {
    /// For a question, which changes nothing.
    pub async fn look(context: &Context, flag: &Flag) -> Result<Self, Exit> {
        Ok(match Owner::find(context, flag).await? {
            Owner::Running(client) => Self::Running(client),
            Owner::Resting { log, plan } => {
                let ground = Ground { plan: Arc::from(plan), log, clock: Arc::new(SystemClock) };
                // A question signs nothing.
                Self::Own { ground, secrets: Arc::new(BTreeMap::new()) }
            }
        })
    }

    /// For work.
    pub async fn work(context: &Context, flag: &Flag) -> Result<Self, Exit> {
        let Located { client, plan, directory, secrets } = owner::locate(context, flag)?;
        if client.is_running().await {
            return Ok(Self::Running(client));
        }
        if kafka::of(&plan).is_none() {
            owner::must_exist(context, &directory)?;
        }
        let clock: SharedClock = Arc::new(SystemClock);
        let purpose = Purpose::Run { roles: &[], instance: None };
        let log = pipeline::open_log((&plan, &directory), purpose, &secrets, &clock).await;
        let log = log.map_err(|problem| context.refuse(&[*problem], None))?;
        Ok(Self::Own { ground: Ground { plan: Arc::new(plan), log, clock }, secrets })
    }

    /// Whether what is stored waits for a pipeline that is not running.
    pub fn is_resting(&self) -> bool {
        matches!(self, Self::Own { ground, .. } if kafka::of(&ground.plan).is_none())
    }

    /// Counts.
    pub async fn count(&self, context: &Context, request: &CountRequest) -> Result<Count, Exit> {
        match self {
            Self::Running(client) => {
                client.post_json("/jobs/count", request).await.map_err(|error| failed(context, &error))
            }
            Self::Own { ground, .. } => {
                let CountRequest { kind, selection, target } = request;
                let count = hook_runtime::travel::count(ground, *kind, selection, target).await;
                count.map_err(|error| fail(context, &error.to_string()))
            }
        }
    }

    /// The jobs that the journal knows.
    pub async fn jobs(&self, context: &Context) -> Result<Vec<JobState>, Exit> {
        match self {
            Self::Running(client) => client.get_json("/jobs").await.map_err(|error| failed(context, &error)),
            Self::Own { ground, .. } => {
                let jobs = hook_runtime::travel::list(&ground.log, &ground.plan.journal).await;
                jobs.map_err(|error| fail(context, &error.to_string()))
            }
        }
    }

    /// Has a job done, and hands over each sign of life. It was interrupted where the last of them is none.
    pub async fn run(&self, request: RunRequest, mut take: impl FnMut(Line)) -> Result<(), String> {
        match self {
            Self::Running(client) => {
                let take = |line: &[u8]| serde_json::from_slice::<Line>(line).map(&mut take).is_ok();
                client.post_lines("/jobs", &request, take).await.map_err(|error| error.to_string())
            }
            Self::Own { ground, secrets } => run_here(ground, secrets, request, take).await,
        }
    }

    /// Ends what was opened.
    pub async fn close(self, context: &Context) -> Result<(), Exit> {
        match self {
            Self::Running(_) => Ok(()),
            Self::Own { ground, .. } => ground.log.close().await.map_err(|error| fail(context, &error.to_string())),
        }
    }
}

async fn run_here(
    ground: &Ground,
    secrets: &Secrets,
    request: RunRequest,
    mut take: impl FnMut(Line),
) -> Result<(), String> {
    let RunRequest { order, speed } = request;
    let begun = Run::begin(ground.clone(), order, speed, (&url::maker(), secrets)).await;
    let mut run = begun.map_err(|error| error.to_string())?;
    take(Line::Job(Box::new(run.job().clone())));
    loop {
        let line = travel::advance(&mut run).await;
        let is_last = line.is_last();
        take(line);
        if is_last {
            return Ok(());
        }
    }
}
