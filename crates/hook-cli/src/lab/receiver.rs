//! A service that takes what the pipeline delivers, and believes only what carries the pipeline's signature.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use hook_core::{
    Timestamp,
    catalog::Catalog,
    ports::verifier::{SignedRequest, SourceVerifier},
    secret::Secret,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// A delivery that carried our signature.
#[derive(Debug, Clone)]
pub struct Received {
    /// The event.
    pub event_id: String,
    /// What came.
    pub envelope: Value,
    /// Whether it was taken, or refused to see it come again.
    pub was_taken: bool,
    /// When.
    pub at: Instant,
}

/// The receiver, while it runs.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<std::io::Result<()>>,
}

struct Shared {
    verifier: Arc<dyn SourceVerifier>,
    secret: Secret,
    state: Mutex<Deliveries>,
    came: Notify,
}

#[derive(Default)]
struct Deliveries {
    received: Vec<Received>,
    /// Sources whose next delivery is answered with 503.
    failing: HashSet<String>,
    forged: usize,
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start(catalog: &Catalog, secret: Secret) -> Result<Self, String> {
        let scheme = catalog.verifier("standard-webhooks").ok_or("this build has no verifier standard-webhooks")?;
        let built = scheme.build(json!({})).map_err(|error| format!("{error:?}"))?;
        let shared = Arc::new(Shared { verifier: built.driver, secret, state: Mutex::default(), came: Notify::new() });
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("no free port: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let router = Router::new().route("/events", post(receive)).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next delivery of a source with 503.
    pub fn fail_once(&self, source: &str) {
        self.shared.state().failing.insert(source.to_owned());
    }

    /// Every delivery of an event, those that were answered with 503 too.
    pub fn deliveries(&self, event_id: &str) -> Vec<Received> {
        self.shared.state().received.iter().filter(|received| received.event_id == event_id).cloned().collect()
    }

    /// How many requests did not carry our signature.
    pub fn forged(&self) -> usize {
        self.shared.state().forged
    }

    /// Waits until an event was taken; `None` where that takes too long.
    pub async fn taken(&self, event_id: &str, most: Duration) -> Option<Received> {
        let taken = async {
            loop {
                let came = self.shared.came.notified();
                if let Some(received) = self.deliveries(event_id).into_iter().find(|received| received.was_taken) {
                    return received;
                }
                came.await;
            }
        };
        tokio::time::timeout(most, taken).await.ok()
    }

    /// Ends it.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, Deliveries> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let secrets = [(0, shared.secret.clone())];
    let request =
        SignedRequest { headers: &headers, url: "/events", body: &body, secrets: &secrets, now: Timestamp::now() };
    if shared.verifier.verify(&request).is_err() {
        shared.state().forged += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(envelope) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let text = |key: &str| envelope[key].as_str().unwrap_or_default().to_owned();
    let (event_id, source) = (text("id"), text("source"));
    let mut state = shared.state();
    let was_taken = !state.failing.remove(&source);
    state.received.push(Received { event_id, envelope, was_taken, at: Instant::now() });
    drop(state);
    shared.came.notify_waiters();
    if was_taken { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
