//! The session with a server: opened when it is needed, shared, and opened again when it is gone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hook_core::{
    names::EnvName,
    outcome::{Failure, FailureClass, Outcome},
    secret::{Secret, Secrets},
    stop::Stop,
};
use hook_http::client::{Client, credentials};
use rmcp::transport::{
    StreamableHttpClientTransport, common::client_side_sse::ExponentialBackoff,
    streamable_http_client::StreamableHttpClientTransportConfig,
};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{
    LARGEST_MESSAGE,
    http::Http,
    outcome::failure,
    scrub::Hidden,
    session::{Patience, Session},
    stdio::Program,
};

/// The first pause after a process ended that had answered nothing; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// So long a server may take to forget a session in good order.
const GOODBYE: Duration = Duration::from_secs(2);
/// So many requests may wait for their first byte of an answer at once.
const MOST_AT_ONCE: usize = 1024;

/// How a server is reached.
pub(super) enum Way {
    Process(Program),
    Http { client: Arc<Client>, token_env: Option<EnvName> },
}

/// What a session is opened with. Where it changes, another is opened.
type Credentials = BTreeMap<String, Secret>;

/// Leads to a server.
pub(super) struct Link {
    way: Way,
    patience: Patience,
    state: Mutex<State>,
    /// The calls that run.
    calls: TaskTracker,
    is_ending: AtomicBool,
}

#[derive(Default)]
struct State {
    session: Option<(Credentials, Arc<Session>)>,
    /// How often in a row a session came to nothing.
    failures: u32,
    /// When the next may be opened.
    open_at: Option<Instant>,
    /// When the last could not be opened, and why.
    failed: Option<(Instant, Failure)>,
}

impl Link {
    pub(super) fn new(way: Way, patience: Patience) -> Self {
        let (state, calls) = (Mutex::default(), TaskTracker::new());
        Self { way, patience, state, calls, is_ending: AtomicBool::new(false) }
    }

    /// Counts as a call while it is held.
    pub(super) fn enter(&self) -> TaskTrackerToken {
        self.calls.token()
    }

    /// What a session is opened with now; the name of the secret that is missing.
    pub(super) fn credentials(&self, secrets: &Secrets) -> Result<Credentials, EnvName> {
        match &self.way {
            Way::Process(program) => program.environment(secrets),
            Way::Http { token_env: None, .. } => Ok(Credentials::new()),
            Way::Http { token_env: Some(name), .. } => {
                let token = secrets.get(name).ok_or_else(|| name.clone())?;
                Ok(Credentials::from([(name.to_string(), token)]))
            }
        }
    }

    /// What of it nobody may see.
    pub(super) fn hidden<'c>(&self, credentials: &'c Credentials) -> Vec<&'c Secret> {
        match &self.way {
            Way::Process(program) => program.hidden(credentials),
            Way::Http { .. } => credentials.values().collect(),
        }
    }

    /// The session, opened where there is none.
    pub(super) async fn session(&self, credentials: &Credentials) -> Result<Arc<Session>, Failure> {
        let asked_at = Instant::now();
        let mut state = self.state.lock().await;
        if self.is_ending.load(Ordering::Relaxed) {
            return Err(failure(FailureClass::Unreachable, "the connection is being closed"));
        }
        match state.session.take() {
            Some((of, session)) if of == *credentials && session.is_open() => {
                state.session = Some((of, Arc::clone(&session)));
                return Ok(session);
            }
            // A session that was good for nothing counts as one that could not be opened.
            Some((of, _)) if of == *credentials => self.pause(&mut state),
            // It ends with the last of its calls.
            Some(_) | None => {}
        }
        // Whoever waited while it failed is told the same.
        if let Some((_, failure)) = state.failed.as_ref().filter(|(at, _)| *at >= asked_at) {
            return Err(failure.clone());
        }
        self.wait(&state).await?;
        match self.open(credentials).await {
            Ok(session) => {
                let session = Arc::new(session);
                state.session = Some((credentials.clone(), Arc::clone(&session)));
                Ok(session)
            }
            Err(failure) => {
                self.pause(&mut state);
                state.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// A process that ends again and again is not started again at once.
    fn pause(&self, state: &mut State) {
        if let Way::Process(_) = self.way {
            let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(10)).min(LONGEST_PAUSE);
            state.failures += 1;
            state.open_at = Some(Instant::now() + pause);
        }
    }

    async fn wait(&self, state: &State) -> Result<(), Failure> {
        let Some(open_at) = state.open_at else { return Ok(()) };
        let pause = open_at.saturating_duration_since(Instant::now());
        if pause > self.patience.silence {
            let error = format!("the server ends again and again; it is started again in {} s", pause.as_secs());
            return Err(Failure { retry_after: Some(pause), ..failure(FailureClass::Unreachable, error) });
        }
        tokio::time::sleep_until(open_at).await;
        Ok(())
    }

    /// A call was answered: the server works.
    pub(super) async fn on_answer(&self) {
        // Whoever holds the lock opens a session, and does without.
        if let Ok(mut state) = self.state.try_lock() {
            (state.failures, state.open_at) = (0, None);
        }
    }

    async fn open(&self, credentials: &Credentials) -> Result<Session, Failure> {
        let hidden = Hidden::of(None, self.hidden(credentials).into_iter());
        match &self.way {
            Way::Process(program) => {
                let process = program.start(credentials)?;
                let ended = process.ended();
                Session::open(process, self.patience, ended, &hidden).await
            }
            Way::Http { client, token_env } => {
                let bearer = token_env.as_ref().zip(credentials.values().next());
                let authorization = bearer.map(|(name, token)| credentials::bearer(token, name)).transpose();
                let authorization = authorization.map_err(failed)?;
                let longest = self.patience.whole + self.patience.silence;
                let http = Http { client: Arc::clone(client), authorization, longest };
                let transport = StreamableHttpClientTransport::with_client(http, config(client));
                Session::open(transport, self.patience, Arc::new(OnceLock::new()), &hidden).await
            }
        }
    }

    /// Holds the session until `stop`; then ends it behind the last of its calls.
    pub(super) async fn run(&self, stop: Stop) {
        self.is_ending.store(false, Ordering::Relaxed);
        stop.await;
        self.is_ending.store(true, Ordering::Relaxed);
        self.calls.close();
        self.calls.wait().await;
        self.calls.reopen();
        let session = self.state.lock().await.session.take();
        if let Some((_, session)) = session {
            session.close().await;
        }
    }
}

fn config(client: &Client) -> StreamableHttpClientTransportConfig {
    let mut again = ExponentialBackoff::default();
    again.max_delay = Some(LONGEST_PAUSE);
    let mut config = StreamableHttpClientTransportConfig::with_uri(client.url().as_str())
        .max_concurrent_requests(MOST_AT_ONCE)
        .control_request_timeout(GOODBYE)
        .max_sse_event_size(LARGEST_MESSAGE);
    config.retry_config = Arc::new(again);
    config
}

fn failed(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Delivered { answer } => failure(FailureClass::Transient, answer),
    }
}
