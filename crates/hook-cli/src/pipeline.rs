//! A pipeline in this process: its log, its roles, its admin address and socket; up together, down in order.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hook_admin::{public, socket::AdminSocket, socket_name};
use hook_contract::plan::{self, Plan, Role};
use hook_core::{
    clock::{SharedClock, SystemClock},
    ports::{
        ingress::ListenError,
        log::{Log, LogError},
    },
    problem::{Problem, codes},
    secret::Secrets,
    stop::Stop,
};
use hook_log::{EmbeddedLog, OpenError};
use hook_runtime::{Handle, Start, StartError, cursors};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    kafka::{self, Purpose},
    migration, tls,
    travel::url,
};

/// How long questions that have begun may take when the process ends.
const ADMIN_DRAIN: Duration = Duration::from_secs(2);

/// What a pipeline is started with.
pub struct Setup {
    /// What to do.
    pub plan: Plan,
    /// Which roles of it.
    pub roles: Vec<Role>,
    /// Where secrets are looked up.
    pub secrets: Secrets,
    /// Where the embedded log is kept, and the admin socket.
    pub data_directory: PathBuf,
    /// The name of this process among others.
    pub instance: Option<String>,
}

/// A pipeline that runs in this process.
pub struct Pipeline {
    handle: Arc<Handle>,
    admin: SocketAddr,
    stop_admin: CancellationToken,
    admin_tasks: Vec<JoinHandle<io::Result<()>>>,
}

impl Pipeline {
    /// Starts everything, or says what is in the way. When this returns, events are taken.
    pub async fn start(setup: Setup) -> Result<Self, Box<Problem>> {
        let Setup { plan, roles, secrets, data_directory, instance } = setup;
        let clock: SharedClock = Arc::new(SystemClock);
        let purpose = Purpose::Run { roles: &roles, instance: instance.as_deref() };
        let log = open_log((&plan, &data_directory), purpose, &secrets, &clock).await?;
        // Where the log is Kafka, other processes may share the directory.
        let shared = kafka::of(&plan).map(|_| socket_name(name_of(&roles), instance.as_deref()));
        let admin = public::listen(plan.admin.bind).await.map_err(|error| admin_taken(plan.admin.bind, &error))?;
        let address = admin.local_addr().map_err(|error| admin_taken(plan.admin.bind, &error))?;
        let access = public::Access { token_env: plan.admin.token_env.clone(), secrets: Arc::clone(&secrets) };
        let start = Start { plan, roles, log, secrets, clock, seed: fastrand::u64(..), instance };
        let handle = Arc::new(hook_runtime::start(start).await.map_err(|error| not_started(&error))?);
        let stop_admin = CancellationToken::new();
        let stop = || Stop::when(stop_admin.clone().cancelled_owned());
        let mut admin_tasks = vec![tokio::spawn(public::serve(admin, Arc::clone(&handle), access, stop()))];
        match open_socket(&data_directory, shared.as_deref()) {
            Ok(socket) => admin_tasks.push(tokio::spawn(socket.serve(Arc::clone(&handle), url::maker(), stop()))),
            // Events flow without it; only the commands that ask this process cannot.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => warn!(
                %error,
                "admin socket not opened: give each process of a role a name with --instance-id, or a --data-dir of its own"
            ),
            Err(error) => {
                warn!(%error, "admin socket not opened: commands such as `hook events` cannot reach this process")
            }
        }
        Ok(Self { handle, admin: address, stop_admin, admin_tasks })
    }

    /// The running roles.
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// The admin address.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Ends in order. `true` where nothing in flight had to be given up.
    pub async fn drain(self) -> Result<bool, LogError> {
        let in_time = self.handle.drain().await;
        self.stop_admin.cancel();
        for task in self.admin_tasks {
            let aborted = task.abort_handle();
            if tokio::time::timeout(ADMIN_DRAIN, task).await.is_err() {
                aborted.abort();
            }
        }
        in_time
    }
}

/// What a process with these roles is called.
fn name_of(roles: &[Role]) -> &'static str {
    match roles {
        [Role::Serve] => "serve",
        [Role::Relay] => "relay",
        [Role::Smash] => "smash",
        _ => "up",
    }
}

fn open_socket(directory: &Path, shared: Option<&str>) -> io::Result<AdminSocket> {
    let Some(name) = shared else { return AdminSocket::open(directory) };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    AdminSocket::open_beside_others(directory, name)
}

/// Opens the log of a plan.
pub async fn open_log(
    (plan, directory): (&Plan, &Path),
    purpose: Purpose<'_>,
    secrets: &Secrets,
    clock: &SharedClock,
) -> Result<Arc<dyn Log>, Box<Problem>> {
    match kafka::of(plan) {
        Some(settings) => kafka::open((settings, plan), purpose, secrets, clock).await,
        None => open_embedded(plan, directory, clock).await,
    }
}

/// Reading it takes long where there is much, and must not hold up the async runtime.
async fn open_embedded(plan: &Plan, directory: &Path, clock: &SharedClock) -> Result<Arc<dyn Log>, Box<Problem>> {
    migration::carried_away(directory)?;
    let options = log_options(plan, directory, clock);
    let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(options)).await;
    let log = match opened {
        Ok(opened) => opened.map_err(|error| not_opened(directory, &error))?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    log.set_pinning(cursors::pinning(plan));
    Ok(Arc::new(log))
}

/// What the embedded log is told of a plan.
pub fn log_options(plan: &Plan, directory: &Path, clock: &SharedClock) -> hook_log::Options {
    let retention =
        |retention: plan::Retention| hook_log::Retention { max_age: retention.max_age, max_bytes: retention.max_bytes };
    let (dead_letters, journal) = (plan.dead_letters.clone(), plan.journal.clone());
    hook_log::Options {
        segment_bytes: plan.log.segment_bytes,
        events: retention(plan.log.events),
        dead_letters_retention: retention(plan.log.dead_letters),
        journal_retention: retention(plan.log.journal),
        max_pinned: plan.log.max_pinned,
        when_pinned: match plan.log.when_pinned {
            plan::WhenPinned::Block => hook_log::WhenPinned::Block,
            plan::WhenPinned::DropOldest => hook_log::WhenPinned::DropOldest,
        },
        ..hook_log::Options::new(directory, dead_letters, journal, Arc::clone(clock))
    }
}

/// The problem of a log that cannot be opened.
pub fn not_opened(directory: &Path, error: &OpenError) -> Box<Problem> {
    let directory = directory.display();
    Box::new(match error {
        OpenError::Locked { process, .. } => {
            let owner = process.map(|id| format!(" (process {id})")).unwrap_or_default();
            Problem::error(
                &codes::LOG_LOCKED,
                format!("another process{owner} owns the log in {directory}"),
                "the embedded log lives in one process: run every role with `hook up`, stop the other process, or choose another --data-dir",
            )
        }
        OpenError::Damaged(_) => Problem::error(
            &codes::LOG_NOT_OPENED,
            chain(error),
            "nothing was changed: `hook log verify` finds all that is damaged, `hook log repair` says what is lost and makes the log open again; or put the file back from a backup",
        ),
        error => Problem::error(
            &codes::LOG_NOT_OPENED,
            format!("could not open the log in {directory}: {}", chain(error)),
            "check the directory's owner and free space, or choose another with --data-dir",
        ),
    })
}

fn admin_taken(address: SocketAddr, error: &io::Error) -> Box<Problem> {
    Box::new(Problem::error(
        &codes::ADDRESS_NOT_OPENED,
        format!("could not open the admin address {address}: {error}"),
        "give `[admin] bind` another address; port 0 takes a free one",
    ))
}

fn not_started(error: &StartError) -> Box<Problem> {
    Box::new(match error {
        StartError::Listen { adapter, source } => {
            let (code, help) = match source {
                ListenError::Address { .. } => (
                    &codes::ADDRESS_NOT_OPENED,
                    "stop what listens there, or give the adapter another `bind`; port 0 takes a free one",
                ),
                ListenError::Tls { .. } => (&codes::TLS_FILE, tls::HELP),
                ListenError::NotShared(_) => (&codes::ADDRESS_NOT_OPENED, "give the adapter a `bind` of its own"),
                ListenError::MissingSecret(_) => (&codes::ENVIRONMENT_MISSING, "set it, or put it into an env file"),
                ListenError::Client { .. } => (
                    &codes::UPSTREAM_NOT_OPENED,
                    "look at the files that the adapter names, and at what its brokers ask for",
                ),
            };
            Problem::error(code, format!("ingress adapter {adapter}: {}", chain(source)), help)
        }
        StartError::Cursors(_) => Problem::error(
            &codes::LOG_NOT_OPENED,
            chain(error),
            "check the free space of the data directory, or on Kafka the brokers and what this user may do there",
        ),
    })
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Resolves at the first SIGTERM or Ctrl-C; a second one ends the process at once.
pub fn asked_to_end() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
        };
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            end_at_once();
        });
        name
    })
}

#[expect(clippy::disallowed_methods, reason = "whoever asks twice does not want to wait for the drain")]
fn end_at_once() -> ! {
    std::process::exit(i32::from(crate::exit::FAILURE))
}

#[cfg(test)]
mod tests {
    use hook_core::names::{AdapterId, EnvName};

    use super::*;

    #[test]
    fn each_reason_not_to_take_events_has_its_code() {
        let code = |source| {
            let problem = not_started(&StartError::Listen { adapter: AdapterId::new("in").unwrap(), source });
            assert!(problem.message.starts_with("ingress adapter in: "), "{}", problem.message);
            problem.code.id
        };
        let address = ([127, 0, 0, 1], 80).into();
        let taken = ListenError::Address { address, source: io::ErrorKind::AddrInUse.into() };
        assert_eq!(code(taken), codes::ADDRESS_NOT_OPENED.id);
        let name = EnvName::new("PASSWORD_OF").unwrap();
        assert_eq!(code(ListenError::MissingSecret(name)), codes::ENVIRONMENT_MISSING.id);
        let unreadable = ListenError::Client { address: "kafka:9093".into(), reason: "no such file".into() };
        assert_eq!(code(unreadable), codes::UPSTREAM_NOT_OPENED.id);
        let torn = ListenError::Tls { file: "a.pem".into(), reason: "it holds no certificate in PEM".into() };
        assert_eq!(code(torn), codes::TLS_FILE.id);
    }
}
