//! The admin address: `/health`, `/ready`, `/metrics`. Shows no payload, no secret and no key of an event.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hook_core::{names::EnvName, secret::Secrets, stop::Stop};
use hook_runtime::Handle;
use serde_json::json;
use tokio::net::TcpListener;

/// Who may ask.
#[derive(Clone)]
pub struct Access {
    /// The variable of the bearer token; `None` where anyone who reaches the address may ask.
    pub token_env: Option<EnvName>,
    /// Where the token is looked up.
    pub secrets: Secrets,
}

/// Opens the admin address.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers until `stop`.
pub async fn serve(listener: TcpListener, handle: Arc<Handle>, access: Access, stop: Stop) -> std::io::Result<()> {
    let protected = Router::new()
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(access, authenticate))
        .with_state(handle);
    let router = Router::new().route("/health", get(|| async { Json(json!({ "status": "alive" })) })).merge(protected);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn ready(State(handle): State<Arc<Handle>>) -> Response {
    let status = handle.status();
    let code = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(status)).into_response()
}

async fn metrics(State(handle): State<Arc<Handle>>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], handle.render_metrics()).into_response()
}

async fn authenticate(State(access): State<Access>, request: Request, next: Next) -> Response {
    let Some(name) = &access.token_env else { return next.run(request).await };
    let token = access.secrets.get(name);
    let given =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let is_right = token.zip(given).is_some_and(|(token, given)| is_equal(token.expose(), given));
    if is_right {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"hook admin\"")];
    (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "code": "unauthorized" }))).into_response()
}

/// In a time that depends on the lengths alone.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    left.ct_eq(right).into()
}
