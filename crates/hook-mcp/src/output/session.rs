//! One initialized session with a server, in which calls run beside each other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use hook_core::outcome::{Failure, FailureClass};
use rmcp::{
    ClientHandler, Peer, RoleClient, ServiceError, ServiceExt,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotification, CancelledNotificationParam,
        ClientCapabilities, ClientConfig, ClientRequest, ErrorCode, Implementation, ListToolsRequest,
        PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ProtocolVersion, RequestMetaObject,
        ServerResult, Tool,
    },
    service::{NotificationContext, PeerRequestOptions, RequestHandle, RunningService},
    transport::Transport,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use super::{
    message::Arguments,
    outcome::{failure, is_session_doubtful, of_error, of_initialize, of_service},
    scrub::Hidden,
};

/// A server with more pages of tools than this is not asked for the rest.
const MOST_PAGES: usize = 100;

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Without a word from the server.
    pub(super) silence: Duration,
    /// Whatever it says.
    pub(super) whole: Duration,
}

/// A tool as a server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    /// The arguments that it needs.
    pub(super) required: Vec<String>,
}

/// One call.
pub(super) struct Call {
    pub(super) tool: String,
    pub(super) arguments: Arguments,
    pub(super) meta: RequestMetaObject,
}

/// An initialized session.
pub(super) struct Session {
    peer: Peer<RoleClient>,
    /// `None` once it is closed.
    service: Mutex<Option<RunningService<RoleClient, Ears>>>,
    ears: Ears,
    patience: Patience,
    tools: Mutex<Arc<[Listed]>>,
    /// How the server's process ended.
    ended: Arc<OnceLock<String>>,
    /// Whether the server seems not to know the session any more.
    is_doubtful: AtomicBool,
}

/// Hears what a server says on its own account.
#[derive(Clone, Default)]
struct Ears {
    /// The calls that wait, and how each is told that the server works on it.
    progress: Arc<Mutex<HashMap<ProgressToken, Arc<Notify>>>>,
    has_new_tools: Arc<AtomicBool>,
}

impl Ears {
    fn progress(&self) -> MutexGuard<'_, HashMap<ProgressToken, Arc<Notify>>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        let who = Implementation::new("hook", env!("CARGO_PKG_VERSION"));
        // The last version that every server in the field can be initialized with.
        ClientConfig::new(ClientCapabilities::default(), who).with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        if let Some(waiting) = self.progress().get(&params.progress_token) {
            waiting.notify_one();
        }
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.has_new_tools.store(true, Ordering::Relaxed);
    }
}

impl Session {
    /// Initializes a session, and asks for the server's tools.
    pub(super) async fn open<T>(
        transport: T,
        patience: Patience,
        ended: Arc<OnceLock<String>>,
        hidden: &Hidden,
    ) -> Result<Self, Failure>
    where
        T: Transport<RoleClient> + 'static,
    {
        let ears = Ears::default();
        let seconds = patience.silence.as_secs();
        let service = match timeout(patience.silence, ears.clone().serve(transport)).await {
            Ok(Ok(service)) => service,
            Ok(Err(error)) => return Err(of_initialize(error, hidden, ended.get().map(String::as_str))),
            Err(_) => {
                return Err(failure(
                    FailureClass::Transient,
                    format!("the server was not initialized within {seconds} s"),
                ));
            }
        };
        let session = Self {
            peer: service.peer().clone(),
            service: Mutex::new(Some(service)),
            ears,
            patience,
            tools: Mutex::new(Arc::new([])),
            ended,
            is_doubtful: AtomicBool::new(false),
        };
        session.list(hidden).await?;
        Ok(session)
    }

    /// Whether it can be used.
    pub(super) fn is_open(&self) -> bool {
        !self.peer.is_transport_closed() && !self.is_doubtful.load(Ordering::Relaxed)
    }

    /// The tools of the server, as it listed them last.
    pub(super) fn tools(&self) -> Arc<[Listed]> {
        Arc::clone(&self.tools.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the server has the tool. It is asked again where it had not, or says that its tools have changed.
    pub(super) async fn has(&self, tool: &str, hidden: impl Fn() -> Hidden) -> Result<bool, Failure> {
        let is_listed = |tools: &[Listed]| tools.iter().any(|listed| listed.name == tool);
        if is_listed(&self.tools()) && !self.ears.has_new_tools.load(Ordering::Relaxed) {
            return Ok(true);
        }
        self.list(&hidden()).await.map(|tools| is_listed(&tools))
    }

    /// Asks for the tools.
    pub(super) async fn list(&self, hidden: &Hidden) -> Result<Arc<[Listed]>, Failure> {
        self.ears.has_new_tools.store(false, Ordering::Relaxed);
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..MOST_PAGES {
            let request = ListToolsRequest {
                method: Default::default(),
                params: Some(PaginatedRequestParams::default().with_cursor(cursor)),
                extensions: Default::default(),
            };
            let page = match self.ask(ClientRequest::ListToolsRequest(request), None).await {
                Ok(Ok(ServerResult::ListToolsResult(page))) => page,
                Ok(Ok(_)) => return Err(of_service(ServiceError::UnexpectedResponse, hidden, None)),
                Ok(Err(error)) => return Err(self.told(error, hidden)),
                Err(late) => return Err(late),
            };
            tools.extend(page.tools.iter().map(listed));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let tools: Arc<[Listed]> = tools.into();
        *self.tools.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&tools);
        Ok(tools)
    }

    /// Calls a tool.
    pub(super) async fn call(&self, call: Call, hidden: impl Fn() -> Hidden) -> Result<CallToolResult, Failure> {
        let mut request = CallToolRequest::new(CallToolRequestParams::new(call.tool.clone()));
        request.extensions.insert(call.arguments);
        match self.ask(ClientRequest::CallToolRequest(request), Some(call.meta)).await {
            Ok(Ok(ServerResult::CallToolResult(result))) => Ok(result),
            Ok(Ok(ServerResult::InputRequiredResult(_))) => {
                Err(failure(FailureClass::Rejected, "the tool asks for input, and nobody is there to give any"))
            }
            Ok(Ok(_)) => Err(of_service(ServiceError::UnexpectedResponse, &hidden(), None)),
            Ok(Err(ServiceError::McpError(error))) if error.code == ErrorCode::INVALID_PARAMS => {
                // So servers say both: these arguments are wrong, and there is no such tool.
                match self.list(&hidden()).await {
                    Ok(tools) if !tools.iter().any(|listed| listed.name == call.tool) => {
                        Err(missing(&call.tool, &tools))
                    }
                    _ => Err(of_error(&error, &hidden())),
                }
            }
            Ok(Err(error)) => Err(self.told(error, &hidden())),
            Err(late) => Err(late),
        }
    }

    /// Sends a request and waits for its answer. Where nobody waits any more, the server is told.
    async fn ask(
        &self,
        request: ClientRequest,
        meta: Option<RequestMetaObject>,
    ) -> Result<Result<ServerResult, ServiceError>, Failure> {
        let mut options = PeerRequestOptions::no_options();
        options.meta = meta;
        let began = Instant::now();
        let last = began + self.patience.whole;
        let handle = match timeout(self.patience.silence, self.peer.send_request_with_option(request, options)).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => return Ok(Err(error)),
            Err(_) => return Err(failure(FailureClass::Transient, "the server does not read what is sent to it")),
        };
        let mut waiting = Waiting::new(self, handle);
        let mut until = began + self.patience.silence;
        loop {
            tokio::select! {
                biased;
                answer = &mut waiting.handle.rx => {
                    waiting.is_answered = true;
                    return Ok(answer.unwrap_or(Err(ServiceError::TransportClosed)));
                }
                () = waiting.progress.notified() => until = last.min(Instant::now() + self.patience.silence),
                () = sleep_until(until) => break,
            }
        }
        let seconds = began.elapsed().as_secs();
        Err(failure(FailureClass::Transient, format!("no answer within {seconds} s")))
    }

    /// What an error means, and whether the session is worth another request.
    fn told(&self, error: ServiceError, hidden: &Hidden) -> Failure {
        if is_session_doubtful(&error) {
            self.is_doubtful.store(true, Ordering::Relaxed);
        }
        of_service(error, hidden, self.ended.get().map(String::as_str))
    }

    /// Ends the session: calls that run are not answered any more, and a process is told to end.
    pub(super) async fn close(&self) {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut service) = service {
            // Its task is the SDK's; that it may have panicked changes nothing.
            let _ = service.close().await;
        }
    }
}

/// No server is without a tool for the sake of one event.
pub(super) fn missing(tool: &str, tools: &[Listed]) -> Failure {
    const SHOWN: usize = 8;
    let mut names: Vec<String> =
        tools.iter().take(SHOWN).map(|listed| listed.name.chars().take(40).collect()).collect();
    if tools.len() > SHOWN {
        names.push("…".to_owned());
    }
    let there = match names.is_empty() {
        true => "it has none".to_owned(),
        false => format!("it has: {}", Hidden::default().clean(&names.join(", "))),
    };
    failure(FailureClass::Misconfigured, format!("the server has no tool `{tool}`; {there}"))
}

fn listed(tool: &Tool) -> Listed {
    let required = tool.input_schema.get("required").and_then(|required| required.as_array()).into_iter().flatten();
    let required = required.filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    Listed { name: tool.name.to_string(), required }
}

/// A request that waits for its answer.
struct Waiting<'s> {
    session: &'s Session,
    handle: RequestHandle<RoleClient>,
    progress: Arc<Notify>,
    is_answered: bool,
}

impl<'s> Waiting<'s> {
    fn new(session: &'s Session, handle: RequestHandle<RoleClient>) -> Self {
        let progress = Arc::new(Notify::new());
        session.ears.progress().insert(handle.progress_token.clone(), Arc::clone(&progress));
        Self { session, handle, progress, is_answered: false }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.session.ears.progress().remove(&self.handle.progress_token);
        if !self.is_answered {
            let why = Some("nobody waits for the answer any more".to_owned());
            let params = CancelledNotificationParam::new(Some(self.handle.id.clone()), why);
            let cancelled = CancelledNotification::new(params);
            // One look puts it into the session's queue, which has room; that it was sent is not waited for.
            let _ = self.handle.peer.send_notification(cancelled.into()).now_or_never();
        }
    }
}

#[cfg(test)]
mod tests;
