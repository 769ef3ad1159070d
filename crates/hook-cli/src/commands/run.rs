//! `hook up`, `serve`, `relay`, `smash`: run all roles of a contract, or one.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use hook_contract::plan::{Plan, Role};
use hook_core::{
    clock::{SharedClock, SystemClock},
    ports::{ingress::Upstream, log::Log},
    problem::{Problem, codes},
};
use hook_log::EmbeddedLog;
use hook_runtime::status::ListenerStatus;
use serde::Serialize;
use tracing::{info, warn};

use crate::{
    context::Context,
    data_directory,
    exit::Exit,
    kafka,
    load::{self, Loaded, LogChoice},
    logging,
    migration::{self, Mark, Step},
    notify,
    options::relay::Flags,
    pipeline::{self, Pipeline, Setup, asked_to_end},
    readers,
    reload::Reload,
    secretless::{self, Secretless},
};

/// Options of a process that runs roles.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: data_directory::Flag,

    /// The name of this process among others: in /ready, and on Kafka in its groups
    ///
    /// On Kafka a process that comes back under its name goes on where it was, without a session timeout. Two processes
    /// of one role that run at once must not share a name.
    #[arg(long, value_name = "NAME")]
    instance_id: Option<String>,
}

/// Options of a process that relays.
#[derive(Debug, clap::Args)]
pub struct RelayArguments {
    #[command(flatten)]
    run: Arguments,
    #[command(flatten)]
    flags: Flags,
}

/// Runs the roles until the process is asked to end.
pub fn run(context: &Context, arguments: &Arguments, roles: &[Role]) -> Result<(), Exit> {
    run_loaded(context, arguments, roles, load::load(context, roles)?)
}

/// Runs the relay until the process is asked to end.
pub fn run_relay(context: &Context, arguments: &RelayArguments) -> Result<(), Exit> {
    let loaded = load::load_relay(context, &arguments.flags)?;
    run_loaded(context, &arguments.run, &[Role::Relay], loaded)
}

fn run_loaded(context: &Context, arguments: &Arguments, roles: &[Role], loaded: Loaded) -> Result<(), Exit> {
    logging::start(&loaded.environment, &context.output).map_err(|problem| context.refuse(&[problem], None))?;
    let directory = data_directory::locate(&arguments.data_directory, &loaded.environment, &loaded.plan.app.id);
    let directory = directory.map_err(|problem| context.refuse(&[problem], None))?;
    left_behind(context, &loaded, &directory.path)?;
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

/// Refuses to leave undelivered events behind in an embedded log, where the log is another; and to go on with one that was
/// left. `--force` does.
fn left_behind(context: &Context, loaded: &Loaded, directory: &Path) -> Result<(), Exit> {
    let plan = &loaded.plan;
    let refuse = |problem: Box<Problem>| context.refuse(&[*problem], None);
    if kafka::of(plan).is_none() {
        let Err(problem) = migration::carried_away(directory) else { return Ok(()) };
        other_log(context, *problem)?;
        return Mark::remove(directory).map_err(refuse);
    }
    if !hook_log::check::is_log(directory) {
        return Ok(());
    }
    let mark = Mark::read(directory).map_err(refuse)?;
    let clock: SharedClock = Arc::new(SystemClock);
    let opened = EmbeddedLog::open_read_only(pipeline::log_options(plan, directory, &clock));
    let state = opened.map(|log| log.state());
    if let (Some(mark), Ok(state)) = (&mark, &state)
        && mark.covers(state)
    {
        return Ok(());
    }
    let place = directory.display();
    let message = match state.map(|state| readers::undelivered(plan, &state)) {
        Ok(_) if mark.is_some_and(|mark| mark.step != Step::Done) => {
            format!("the log is Kafka, and the migration of the embedded log in {place} has begun and is not over")
        }
        Ok(0) => return Ok(()),
        Ok(left) => format!("the log is Kafka, and the embedded log in {place} has {left} deliveries left"),
        Err(error) => {
            format!("the log is Kafka, and what the embedded log in {place} has left cannot be read: {error}")
        }
    };
    let help = "`hook log migrate --to kafka` carries them over, and goes on where it was interrupted; or run `hook up` with \
                `driver = \"embedded\"` until `hook cursors list` shows nothing behind; or give another --data-dir; --force \
                leaves them there";
    other_log(context, Problem::error(&codes::OTHER_LOG, message, help))
}

fn other_log(context: &Context, problem: Problem) -> Result<(), Exit> {
    if !context.globals.force {
        return Err(context.refuse(&[problem], None));
    }
    context.show(&[problem.into_warning()], None);
    Ok(())
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
    let reload = Reload::new(Arc::clone(&environment), &plan, roles).on_hangup().map_err(|error| {
        context.output.error(&format!("could not wait for SIGHUP: {error}"));
        Exit::Failure
    })?;
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
    notify::tell(notify::State::Ready);
    let alive = tokio::spawn(notify::keep_alive());
    let why = tokio::select! {
        signal = &mut asked => Ok(signal),
        reason = pipeline.handle().failed() => Err(reason),
    };
    reload.abort();
    notify::tell(notify::State::Stopping);
    match &why {
        Ok(signal) => info!(signal, "ending: finishing what has begun"),
        Err(reason) => context.output.error(&format!("a task that the process cannot do without has ended: {reason}")),
    }
    let drained = pipeline.drain().await;
    alive.abort();
    match drained {
        Ok(true) => info!("ended"),
        Ok(false) => warn!("ended; what was in flight is done again after the next start"),
        Err(error) => {
            context.output.error(&format!("the log could not be closed: {error}"));
            return Err(Exit::Failure);
        }
    }
    why.map(drop).map_err(|_| Exit::Failure)
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
    fn show(&self, context: &Context, plan: &Plan, data_directory: &Path) -> Result<(), Exit> {
        if context.output.is_json() {
            return context.output.json(self);
        }
        let mut parts: Vec<String> = self.listeners.iter().map(|listener| listening(listener, plan)).collect();
        parts.push(format!("admin on {}", self.admin));
        let LogChoice { driver, reason, .. } = &self.log;
        parts.push(match driver {
            &"embedded" => format!("log {driver} in {} ({reason})", data_directory.display()),
            _ => format!("log {}", self.log),
        });
        context.output.line(&format!("ready: {}", parts.join(", ")))
    }
}

/// Where an adapter takes events or clients, as these write it, or where it fetches them.
fn listening(listener: &ListenerStatus, plan: &Plan) -> String {
    let taking = plan
        .serve
        .adapters
        .iter()
        .find(|adapter| adapter.id == listener.adapter && adapter.driver_name == listener.driver);
    let giving = plan
        .smash
        .adapters
        .iter()
        .find(|adapter| adapter.id == listener.adapter && adapter.driver_name == listener.driver);
    let (scheme, claims) = match (taking, giving) {
        (Some(adapter), _) => (if adapter.tls.is_some() { "https" } else { "http" }, adapter.driver.claims()),
        (None, Some(adapter)) => (if adapter.driver.tls().is_some() { "wss" } else { "ws" }, adapter.driver.claims()),
        (None, None) => ("http", Vec::new()),
    };
    let path = claims.into_iter().next().map(|claim| claim.path).unwrap_or_default();
    match (&listener.address, &listener.upstream) {
        (Some(address), _) => format!("{} on {scheme}://{address}{path}", listener.adapter),
        (None, Some(upstream)) => {
            let (topics, brokers) = (upstream.topics.join(", "), upstream.brokers.join(","));
            format!("{} from {topics} of {brokers}, as group {}", listener.adapter, upstream.group)
        }
        (None, None) => listener.adapter.to_string(),
    }
}

fn addresses<S: serde::Serializer>(listeners: &[ListenerStatus], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Address<'a> {
        adapter: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<SocketAddr>,
        #[serde(flatten)]
        upstream: Option<&'a Upstream>,
    }
    serializer.collect_seq(listeners.iter().map(|listener| Address {
        adapter: listener.adapter.as_str(),
        address: listener.address,
        upstream: listener.upstream.as_ref(),
    }))
}
