//! Reaches the log for a question: over the admin socket of a pipeline that runs on it, or by itself where none runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hook_admin::{
    query::OwnTopics,
    socket::{Client, ClientError},
};
use hook_contract::plan::Plan;
use hook_core::{
    clock::{SharedClock, SystemClock},
    ports::log::Log,
    secret::Secrets,
};
use hook_log::EmbeddedLog;
use serde::de::DeserializeOwned;

use crate::{
    context::Context,
    data_directory::{self, Flag},
    exit::Exit,
    kafka::{self, Purpose},
    load, pipeline,
};

/// Whoever can answer.
pub enum Owner {
    /// A pipeline runs.
    Running(Client),
    /// None runs here; the log is open for reading.
    Resting {
        /// The log.
        log: Arc<dyn Log>,
        /// The plan of the contract, which says what routes and destinations there are.
        plan: Box<Plan>,
    },
}

impl Owner {
    /// Finds whoever can answer.
    pub async fn find(context: &Context, flag: &Flag) -> Result<Self, Exit> {
        let Located { client, plan, directory, secrets } = locate(context, flag)?;
        if client.is_running().await {
            return Ok(Self::Running(client));
        }
        let clock: SharedClock = Arc::new(SystemClock);
        if let Some(settings) = kafka::of(&plan) {
            let opened = kafka::open((settings, &plan), Purpose::Question, &secrets, &clock).await;
            let log = opened.map_err(|problem| context.refuse(&[*problem], None))?;
            return Ok(Self::Resting { log, plan: Box::new(plan) });
        }
        must_exist(context, &directory)?;
        let options = pipeline::log_options(&plan, &directory, &clock);
        let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open_read_only(options)).await;
        let opened = opened.map_err(|error| fail(context, &error.to_string()))?;
        let log = opened.map_err(|error| context.refuse(&[*pipeline::not_opened(&directory, &error)], None))?;
        Ok(Self::Resting { log: Arc::new(log), plan: Box::new(plan) })
    }

    /// The running pipeline; where none runs, says how to start it.
    pub async fn running(context: &Context, flag: &Flag) -> Result<Client, Exit> {
        let Located { client, directory, .. } = locate(context, flag)?;
        if client.is_running().await {
            return Ok(client);
        }
        let directory = directory.display();
        Err(fail(context, &format!("no pipeline runs on {directory}: start it with `hook up`, or name its --data-dir")))
    }
}

/// A log, and who may answer for it.
pub struct Located {
    /// Reaches the owner, where there is one.
    pub client: Client,
    /// The plan of the contract.
    pub plan: Plan,
    /// The data directory. It may not exist.
    pub directory: PathBuf,
    /// Where secrets are looked up.
    pub secrets: Secrets,
}

/// Finds the log of a contract.
pub fn locate(context: &Context, flag: &Flag) -> Result<Located, Exit> {
    let loaded = load::load_for_question(context)?;
    let found = data_directory::locate(flag, &loaded.environment, &loaded.plan.app.id);
    let directory = found.map_err(|problem| context.refuse(&[problem], None))?.path;
    Ok(Located { client: Client::new(&directory), plan: loaded.plan, directory, secrets: loaded.environment })
}

/// Says so where there is no data directory, or one of something else.
pub fn must_exist(context: &Context, directory: &Path) -> Result<(), Exit> {
    if hook_log::check::is_log(directory) {
        return Ok(());
    }
    Err(fail(context, &format!("no pipeline has run in {}: start one with `hook up`", directory.display())))
}

/// The topics of a plan that are the pipeline's own.
pub fn own_topics(plan: &Plan) -> OwnTopics {
    OwnTopics { dead_letters: plan.dead_letters.clone(), journal: plan.journal.clone() }
}

/// Says what the owner's answer means.
pub fn failed(context: &Context, error: &ClientError) -> Exit {
    fail(context, &error.to_string())
}

/// Says what went wrong.
pub fn fail(context: &Context, message: &str) -> Exit {
    context.output.error(message);
    Exit::Failure
}

/// An async runtime for one question.
pub fn block_on<T>(context: &Context, answer: impl Future<Output = Result<T, Exit>>) -> Result<T, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| fail(context, &format!("could not start the async runtime: {error}")))?.block_on(answer)
}

/// The values of JSON lines. A line of another shape is passed over.
pub fn parse_lines<T: DeserializeOwned>(lines: &[u8]) -> Vec<T> {
    lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
