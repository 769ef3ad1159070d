//! `hook up`, `serve`, `relay`, `smash`: run all roles of a contract, or one.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use hook_contract::plan::{Plan, Role};
use hook_runtime::status::ListenerStatus;
use serde::Serialize;
use tracing::{info, warn};

use crate::{
    context::Context,
    data_directory::{self, Flag},
    exit::Exit,
    load::{self, Loaded, LogChoice},
    logging,
    pipeline::{Pipeline, Setup, asked_to_end},
    secretless::{self, Secretless},
};

/// Options of a process that runs roles.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: Flag,

    /// The name of this process in /ready
    #[arg(long, value_name = "NAME")]
    instance_id: Option<String>,
}

/// Runs the roles until the process is asked to end.
pub fn run(context: &Context, arguments: &Arguments, roles: &[Role]) -> Result<(), Exit> {
    let loaded = load::load(context, roles)?;
    logging::start(&loaded.environment, &context.output).map_err(|problem| context.refuse(&[problem], None))?;
    let directory = data_directory::locate(&arguments.data_directory, &loaded.environment, &loaded.plan.app.id);
    let directory = directory.map_err(|problem| context.refuse(&[problem], None))?;
    let runtime = runtime().map_err(|error| {
        context.output.error(&format!("could not start the async runtime: {error}"));
        Exit::Failure
    })?;
    let ended =
        runtime.block_on(run_until_asked(context, loaded, roles, directory.path, arguments.instance_id.clone()));
    // Whoever asks for the end while a large log is still being read does not wait for it.
    runtime.shutdown_background();
    ended
}

/// Leaves one processor to the writer of the log and to the system's network: more workers than the rest only wake each
/// other. `TOKIO_WORKER_THREADS` says otherwise.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        builder.worker_threads(processors.saturating_sub(1).max(1));
    }
    builder.enable_all().build()
}

async fn run_until_asked(
    context: &Context,
    loaded: Loaded,
    roles: &[Role],
    data_directory: PathBuf,
    instance: Option<String>,
) -> Result<(), Exit> {
    let asked = asked_to_end().map_err(|error| {
        context.output.error(&format!("could not wait for signals: {error}"));
        Exit::Failure
    })?;
    let mut asked = std::pin::pin!(asked);
    let Loaded { plan, environment, log, .. } = loaded;
    if roles.contains(&Role::Serve) {
        for Secretless { source, variables } in secretless::find(&plan, &*environment) {
            warn!(%source, "source answers 401 to everything: {variables} is not set");
        }
    }
    let reload = reload_on_hangup(Arc::clone(&environment));
    let secrets = environment;
    let setup = Setup { plan, roles: roles.to_vec(), secrets, data_directory: data_directory.clone(), instance };
    let pipeline = tokio::select! {
        started = Pipeline::start(setup) => started.map_err(|problem| context.refuse(&[*problem], None))?,
        signal = &mut asked => {
            info!(signal, "ending before everything was up");
            return Ok(());
        }
    };
    let ready = Ready { ready: true, listeners: pipeline.handle().listeners(), admin: pipeline.admin(), log };
    ready.show(context, pipeline.handle().plan(), &data_directory)?;
    let why = tokio::select! {
        signal = &mut asked => Ok(signal),
        reason = pipeline.handle().failed() => Err(reason),
    };
    reload.abort();
    match &why {
        Ok(signal) => info!(signal, "ending: finishing what has begun"),
        Err(reason) => context.output.error(&format!("a task that the process cannot do without has ended: {reason}")),
    }
    match pipeline.drain().await {
        Ok(true) => info!("ended"),
        Ok(false) => warn!("ended; what was in flight is done again after the next start"),
        Err(error) => {
            context.output.error(&format!("the log could not be closed: {error}"));
            return Err(Exit::Failure);
        }
    }
    why.map(drop).map_err(|_| Exit::Failure)
}

/// Reads the env files again on SIGHUP, so that secrets can be changed without a restart.
fn reload_on_hangup(environment: Arc<crate::environment::Environment>) -> tokio::task::JoinHandle<()> {
    use tokio::signal::unix::{SignalKind, signal};
    tokio::spawn(async move {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        while hangup.recv().await.is_some() {
            match environment.reload() {
                Ok(()) => info!("env files read again"),
                Err(problems) => warn!(problems = problems.len(), "env files not read again: they have problems"),
            }
        }
    })
}

/// What is said when everything runs.
#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    #[serde(serialize_with = "addresses")]
    listeners: &'a [ListenerStatus],
    admin: SocketAddr,
    log: LogChoice,
}

impl Ready<'_> {
    fn show(&self, context: &Context, plan: &Plan, data_directory: &std::path::Path) -> Result<(), Exit> {
        if context.output.is_json() {
            return context.output.json(self);
        }
        let mut parts: Vec<String> = self.listeners.iter().map(|listener| listening(listener, plan)).collect();
        parts.push(format!("admin on {}", self.admin));
        let LogChoice { driver, reason, .. } = &self.log;
        parts.push(format!("log {driver} in {} ({reason})", data_directory.display()));
        context.output.line(&format!("ready: {}", parts.join(", ")))
    }
}

/// Where an adapter takes events, as a sender writes it.
fn listening(listener: &ListenerStatus, plan: &Plan) -> String {
    let adapter = plan.serve.adapters.iter().find(|adapter| adapter.id == listener.adapter);
    let claim = adapter.and_then(|adapter| adapter.driver.claims().into_iter().next());
    let path = claim.map(|claim| claim.path).unwrap_or_default();
    format!("{} on http://{}{path}", listener.adapter, listener.address)
}

fn addresses<S: serde::Serializer>(listeners: &[ListenerStatus], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Address<'a> {
        adapter: &'a str,
        address: SocketAddr,
    }
    serializer.collect_seq(
        listeners.iter().map(|listener| Address { adapter: listener.adapter.as_str(), address: listener.address }),
    )
}
