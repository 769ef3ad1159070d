//! An HTTP server made with the SDK, before which stands one that misbehaves as it is told and keeps what came.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use hook_core::{BoxFuture, ports::egress::EgressDriver, secret::Secrets};
use hook_testkit::egress_conformance::{Behaviour, EgressFixture, Received};
use http::{Method, Request as HttpRequest, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::{Map, Value, json};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use super::{Request, build, deliver, delivered, event, received, secrets};

/// Where the server is.
const PATH: &str = "/mcp";

/// What is known of a server.
struct Known {
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
    /// How often a session was begun.
    begun: AtomicUsize,
}

/// The tool.
#[derive(Clone)]
struct Toolbox(Arc<Known>);

impl ServerHandler for Toolbox {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![Tool::new("take", "takes it", Arc::new(Map::new()))]))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match *self.0.behaviour.lock().unwrap() {
            Behaviour::Refusing => Err(ErrorData::invalid_params("a canary is no bird", None)),
            _ => Ok(CallToolResult::success(vec![ContentBlock::text("a canary is taken")]).into()),
        }
    }
}

type Mcp = StreamableHttpService<Toolbox, LocalSessionManager>;
type Body = BoxBody<Bytes, Infallible>;

/// An HTTP server.
struct Web {
    known: Arc<Known>,
    mcp: Mcp,
    sessions: Arc<LocalSessionManager>,
    address: SocketAddr,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Web {
    /// With sessions and streams, as servers in the field have them; or without, each answer a piece of JSON.
    async fn start(has_sessions: bool) -> Self {
        let known = Arc::new(Known {
            behaviour: Mutex::new(Behaviour::Well),
            received: Mutex::default(),
            begun: AtomicUsize::new(0),
        });
        let toolbox = Toolbox(Arc::clone(&known));
        let sessions = Arc::new(LocalSessionManager::default());
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(has_sessions)
            .with_json_response(!has_sessions);
        let mcp = StreamableHttpService::new(move || Ok(toolbox.clone()), Arc::clone(&sessions), config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, mcp.clone(), Arc::clone(&known)));
        Self { known, mcp, sessions, address, serving: Mutex::new(Some(serving)) }
    }

    fn settings(&self) -> Value {
        json!({
            "tool_name": "take",
            "transport_ref": {
                "driver": "http_sse",
                "url": format!("http://{}{PATH}", self.address),
                "auth_mode": "bearer",
                "token_env": "TOKEN",
            },
            "timeout_seconds": 2,
        })
    }
}

impl Web {
    /// With all the time that a busy machine may need.
    fn patient(&self) -> Arc<dyn EgressDriver> {
        let mut settings = self.settings();
        settings["timeout_seconds"] = json!(60);
        build(settings).unwrap()
    }
}

async fn serve(listener: TcpListener, mcp: Mcp, known: Arc<Known>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (mcp, known) = (mcp.clone(), Arc::clone(&known));
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, mcp.clone(), Arc::clone(&known)));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: HttpRequest<Incoming>, mcp: Mcp, known: Arc<Known>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(plain(StatusCode::BAD_REQUEST)) };
    let body = body.to_bytes();
    assert_eq!(head.headers[AUTHORIZATION], "Bearer canary-token");
    assert_eq!(head.uri.path(), PATH);
    let behaviour = *known.behaviour.lock().unwrap();
    match behaviour {
        Behaviour::Well | Behaviour::Refusing => {}
        Behaviour::Silent | Behaviour::Away => std::future::pending().await,
        Behaviour::Failing => return Ok(plain(StatusCode::SERVICE_UNAVAILABLE)),
        Behaviour::Overloaded => return Ok(plain(StatusCode::TOO_MANY_REQUESTS)),
        Behaviour::Forbidding => return Ok(plain(StatusCode::UNAUTHORIZED)),
    }
    let is_call = head.method == Method::POST && {
        let asked: Request<'_> = serde_json::from_slice(&body).unwrap();
        if asked.method == "initialize" {
            known.begun.fetch_add(1, Ordering::Relaxed);
        }
        asked.method == "tools/call"
    };
    let response = mcp.handle(HttpRequest::from_parts(head, Full::new(body.clone()))).await;
    if is_call && behaviour == Behaviour::Well && response.status().is_success() {
        let asked: Request<'_> = serde_json::from_slice(&body).unwrap();
        known.received.lock().unwrap().push(received(asked.arguments(), asked.meta()));
    }
    Ok(response)
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"canary")).boxed());
    *response.status_mut() = status;
    response
}

impl EgressFixture for Web {
    fn driver(&self) -> Arc<dyn EgressDriver> {
        build(self.settings()).unwrap()
    }

    fn secrets(&self) -> Secrets {
        secrets()
    }

    fn behave(&self, behaviour: Behaviour) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            *self.known.behaviour.lock().unwrap() = behaviour;
            let before = self.serving.lock().unwrap().take();
            if let Some(before) = before {
                before.abort();
                // Its address is free once it has ended.
                drop(before.await);
            }
            if behaviour != Behaviour::Away {
                let listener = TcpListener::bind(self.address).await.unwrap();
                let serving = tokio::spawn(serve(listener, self.mcp.clone(), Arc::clone(&self.known)));
                *self.serving.lock().unwrap() = Some(serving);
            }
            true
        })
    }

    fn received(&self) -> BoxFuture<'_, Vec<Received>> {
        Box::pin(async { self.known.received.lock().unwrap().clone() })
    }
}

mod promises_with_sessions {
    use super::Web;
    hook_testkit::egress_conformance!(Web::start(true).await);
}

mod promises_without_sessions {
    use super::Web;
    hook_testkit::egress_conformance!(Web::start(false).await);
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_begun_again_and_no_call_is_lost_or_made_twice() {
    let web = Web::start(true).await;
    let driver = web.patient();
    delivered(&deliver(&*driver, &event()).await);
    web.sessions.sessions.write().await.clear();
    delivered(&deliver(&*driver, &event()).await);
    delivered(&deliver(&*driver, &event()).await);
    assert_eq!(web.known.received.lock().unwrap().len(), 3);
    assert_eq!(web.known.begun.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn one_session_serves_many_calls_at_once() {
    let web = Web::start(true).await;
    let driver = web.patient();
    let events: Vec<_> = (0..20).map(|_| event()).collect();
    let calls = events.iter().map(|event| deliver(&*driver, event));
    for outcome in futures_util::future::join_all(calls).await {
        delivered(&outcome);
    }
    assert_eq!(web.known.begun.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_token_that_is_missing_harms_no_session() {
    let web = Web::start(true).await;
    let driver = web.patient();
    delivered(&deliver(&*driver, &event()).await);
    let missing: Secrets = Arc::new(std::collections::BTreeMap::new());
    assert_eq!(driver.check(&missing).await.unwrap_err().to_string(), "TOKEN is not set");
    delivered(&deliver(&*driver, &event()).await);
    assert_eq!(web.known.begun.load(Ordering::Relaxed), 1, "the same token, the same session");
}
