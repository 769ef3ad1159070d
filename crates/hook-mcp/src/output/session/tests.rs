//! A session on paused time, with a server of the SDK at the other end of a pipe in memory.

use std::sync::atomic::AtomicUsize;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{CallToolResponse, ContentBlock, ListToolsResult, ServerCapabilities, ServerConfig},
    service::RequestContext,
    transport::async_rw::AsyncRwTransport,
};
use serde_json::{json, value::RawValue};
use tokio::task::JoinHandle;

use super::*;

const PATIENCE: Patience = Patience { silence: Duration::from_secs(30), whole: Duration::from_secs(300) };

/// A server whose tool works for `work`, and says so every `progress`.
#[derive(Clone)]
struct Worker {
    work: Duration,
    progress: Option<Duration>,
    cancelled: Arc<AtomicUsize>,
    listed: Arc<AtomicUsize>,
}

impl Worker {
    fn new(work: u64, progress: Option<u64>) -> Self {
        let (work, progress) = (Duration::from_secs(work), progress.map(Duration::from_secs));
        Self { work, progress, cancelled: Arc::default(), listed: Arc::default() }
    }
}

impl ServerHandler for Worker {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        let schema = json!({ "type": "object", "required": ["a"] });
        let tool = |name: &str| Tool::new(name.to_owned(), "", Arc::new(schema.as_object().unwrap().clone()));
        let is_first = page.is_none_or(|page| page.cursor.is_none());
        let mut result = ListToolsResult::with_all_items(vec![tool(if is_first { "other" } else { "work" })]);
        result.next_cursor = is_first.then(|| "more".to_owned());
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != "work" {
            return Err(ErrorData::invalid_params("no such tool", None));
        }
        let token = context.meta.get_progress_token().unwrap();
        let until = Instant::now() + self.work;
        let mut said = 0.0;
        while Instant::now() < until {
            let next = self.progress.map_or(until, |every| until.min(Instant::now() + every));
            tokio::select! {
                () = sleep_until(next) => {}
                () = context.ct.cancelled() => {
                    self.cancelled.fetch_add(1, Ordering::Relaxed);
                    return Err(ErrorData::internal_error("cancelled", None));
                }
            }
            said += 1.0;
            let progress = ProgressNotificationParam::new(token.clone(), said);
            context.peer.notify_progress(progress).await.unwrap();
        }
        Ok(CallToolResult::success(vec![ContentBlock::text("done")]).into())
    }
}

async fn open(worker: Worker) -> (Session, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(async move {
        let server = worker.serve(theirs).await.unwrap();
        server.waiting().await.unwrap();
    });
    let (read, write) = tokio::io::split(ours);
    let transport = AsyncRwTransport::new_client(read, write);
    let session = Session::open(transport, PATIENCE, Arc::default(), &Hidden::default()).await.unwrap();
    (session, serving)
}

async fn call(session: &Session, tool: &str) -> Result<CallToolResult, Failure> {
    let arguments = Arguments(RawValue::from_string("{}".to_owned()).unwrap().into());
    let call = Call { tool: tool.to_owned(), arguments, meta: RequestMetaObject::new() };
    session.call(call, Hidden::default).await
}

#[tokio::test(start_paused = true)]
async fn all_pages_of_tools_are_listed_with_what_they_require() {
    let (session, _serving) = open(Worker::new(1, None)).await;
    let names: Vec<_> = session.tools().iter().map(|listed| listed.name.clone()).collect();
    assert_eq!(names, ["other", "work"]);
    assert_eq!(session.tools()[0].required, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn calls_run_beside_each_other() {
    let (session, _serving) = open(Worker::new(20, None)).await;
    let began = Instant::now();
    let (one, other) = tokio::join!(call(&session, "work"), call(&session, "work"));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_in_time_is_cancelled() {
    let worker = Worker::new(1000, None);
    let (session, _serving) = open(worker.clone()).await;
    let failure = call(&session, "work").await.unwrap_err();
    assert_eq!((failure.class, failure.error.as_str()), (FailureClass::Transient, "no answer within 30 s"));
    // The next call finds that the server has heard of it.
    call(&session, "other").await.unwrap_err();
    assert_eq!(worker.cancelled.load(Ordering::Relaxed), 1);
    assert!(session.ears.progress().is_empty() && session.is_open());
}

#[tokio::test(start_paused = true)]
async fn progress_extends_the_time_of_a_call_within_its_cap() {
    let (session, _serving) = open(Worker::new(100, Some(20))).await;
    assert!(call(&session, "work").await.is_ok());

    let worker = Worker::new(1000, Some(20));
    let (session, _serving) = open(worker.clone()).await;
    let failure = call(&session, "work").await.unwrap_err();
    assert_eq!(failure.error, "no answer within 300 s");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_cancelled() {
    let worker = Worker::new(1000, None);
    let (session, _serving) = open(worker.clone()).await;
    let dropped = timeout(Duration::from_secs(5), call(&session, "work")).await;
    assert!(dropped.is_err());
    call(&session, "other").await.unwrap_err();
    assert_eq!(worker.cancelled.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_not_there_is_asked_for_again_and_is_nobodys_event() {
    let worker = Worker::new(1, None);
    let (session, _serving) = open(worker.clone()).await;
    assert_eq!(session.has("work", Hidden::default).await, Ok(true));
    assert_eq!(worker.listed.load(Ordering::Relaxed), 2, "known already");
    assert_eq!(session.has("nothing", Hidden::default).await, Ok(false));
    assert_eq!(worker.listed.load(Ordering::Relaxed), 4);
    let failure = call(&session, "nothing").await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Misconfigured);
    assert_eq!(failure.error, "the server has no tool `nothing`; it has: other, work");
    // It is listed, so that the arguments must be wrong.
    assert_eq!(call(&session, "other").await.unwrap_err().class, FailureClass::Rejected);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_cut_during_a_call_fails_it_at_once() {
    let (ours, mut near) = tokio::io::duplex(64 * 1024);
    let (mut far, theirs) = tokio::io::duplex(64 * 1024);
    let line = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await.is_ok() });
    let _serving = tokio::spawn(async move { Worker::new(1000, None).serve(theirs).await.unwrap().waiting().await });
    let (read, write) = tokio::io::split(ours);
    let transport = AsyncRwTransport::new_client(read, write);
    let session = Session::open(transport, PATIENCE, Arc::default(), &Hidden::default()).await.unwrap();
    let (called, ()) = tokio::join!(call(&session, "work"), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        line.abort();
    });
    let failure = called.unwrap_err();
    assert_eq!(failure.class, FailureClass::Transient);
    assert_eq!(failure.error, "the connection was closed before the answer");
    assert!(!session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let (ours, _theirs) = tokio::io::duplex(64 * 1024);
    let (read, write) = tokio::io::split(ours);
    let transport = AsyncRwTransport::new_client(read, write);
    let opened = Session::open(transport, PATIENCE, Arc::default(), &Hidden::default()).await;
    let failure = opened.err().unwrap();
    assert_eq!(
        (failure.class, failure.error.as_str()),
        (FailureClass::Transient, "the server was not initialized within 30 s")
    );
}
