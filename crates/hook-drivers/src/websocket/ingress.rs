//! `websocket_ingress`: events as text frames from clients that keep a connection.

use std::{
    net::{IpAddr, SocketAddr},
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    names::{AdapterId, EnvName, SourceName},
    ports::ingress::{AddressClaim, IngressDriver, Inlet, ListenError, Listener, Opening, Rejection, RejectionKind},
    secret::Secrets,
    tls::TlsFiles,
};
use hook_http::{
    access::{Access, AuthMode},
    server::{Answer, Limits, Service, answer, listen, rate::AddressRate},
};
use http::{HeaderValue, Request, Response, header::HeaderName};
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    accept::{self, READ_TIMEOUT, SPARE_CONNECTIONS, TurnedAway},
    session::{Sender, Session},
};
use crate::http::path::PathTemplate;

/// A record holds a whole payload, and so does memory.
const LARGEST_FRAME_BYTES: u64 = 32 << 20;
/// The most connections that one process can be asked to hold.
const MOST_CONNECTIONS: usize = 100_000;

/// The settings of `websocket_ingress`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How a client proves who it is. With `none` anybody can send any `id`: a frame is a copy of another only where the `payload`
    /// is the same too.
    pub auth_mode: AuthMode,
    /// The environment variable of the bearer token; needed with `auth_mode = "bearer"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<EnvName>,
    /// The address to listen on, such as `127.0.0.1:8080`. Where it is left out, that of the only other adapter that listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub bind: Option<SocketAddr>,
    /// The path, in which `{source}` stands for the name of the source.
    #[serde(default = "default_path_template")]
    pub path_template: String,
    /// The pages that may connect from a browser, such as `https://app.example.com`. A browser says where its page comes from;
    /// other clients say nothing, and are not asked.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// The largest frame that is taken. A larger one ends its connection.
    #[serde(default = "default_max_frame_bytes")]
    pub max_frame_bytes: NonZeroU64,
    /// How many clients may be connected at once. Further ones are told to come again.
    #[serde(default = "default_max_connections")]
    pub max_connections: NonZeroUsize,
    /// How many frames a minute one address may send. No limit where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute_per_address: Option<NonZeroU32>,
    /// TLS of the address. Left out, plain HTTP is spoken there; adapters that share an address share its TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// How often a client is asked whether it is there. One that is silent for twice as long is left.
    #[serde(default = "default_ping_seconds")]
    pub ping_seconds: NonZeroU32,
}

fn default_path_template() -> String {
    "/ingest/ws/{source}".into()
}

fn default_max_frame_bytes() -> NonZeroU64 {
    const { NonZeroU64::new(1 << 20).expect("not zero") }
}

fn default_max_connections() -> NonZeroUsize {
    const { NonZeroUsize::new(256).expect("not zero") }
}

fn default_ping_seconds() -> NonZeroU32 {
    const { NonZeroU32::new(20).expect("not zero") }
}

/// The settings, checked.
struct Rules {
    path: PathTemplate,
    access: Access,
    max_frame_bytes: usize,
    max_connections: usize,
    rate_per_minute: Option<NonZeroU32>,
    ping_every: Duration,
}

/// The driver `websocket_ingress`.
pub struct WebSocketIngress {
    rules: Arc<Rules>,
    bind: Option<SocketAddr>,
    tls: Option<TlsFiles>,
    path_template: String,
}

impl Kind for WebSocketIngress {
    const NAME: &'static str = "websocket_ingress";
    const ABOUT: &'static str = "Takes events over WebSocket, one text frame each, and answers each frame.";
    type Settings = Settings;
    type Driver = dyn IngressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let mut faults = limits_of(&settings);
        let path = PathTemplate::parse(&settings.path_template).map_err(|fault| faults.push(fault));
        let access = Access::new(settings.auth_mode, settings.token_env, settings.allowed_origins);
        let access = access.map_err(|mut wrong| faults.append(&mut wrong));
        let (Ok(path), Ok(access), true) = (path, access, faults.is_empty()) else { return Err(faults) };
        let rules = Rules {
            path,
            access,
            max_frame_bytes: usize::try_from(settings.max_frame_bytes.get()).unwrap_or(usize::MAX),
            max_connections: settings.max_connections.get(),
            rate_per_minute: settings.rate_per_minute_per_address,
            ping_every: Duration::from_secs(settings.ping_seconds.get().into()),
        };
        Ok(Arc::new(Self {
            rules: Arc::new(rules),
            bind: settings.bind,
            tls: settings.tls,
            path_template: settings.path_template,
        }))
    }
}

fn limits_of(settings: &Settings) -> Vec<Fault> {
    let limits = [
        ("/max_frame_bytes", settings.max_frame_bytes.get(), LARGEST_FRAME_BYTES),
        ("/max_connections", settings.max_connections.get() as u64, MOST_CONNECTIONS as u64),
    ];
    let over = limits.into_iter().filter(|(_, value, most)| value > most);
    over.map(|(pointer, value, most)| {
        Fault::at(pointer, format!("{value} is too much"), format!("write at most {most}"))
    })
    .collect()
}

impl IngressDriver for WebSocketIngress {
    fn claims(&self) -> Vec<AddressClaim> {
        vec![AddressClaim { address: self.bind, path: self.path_template.clone() }]
    }

    fn tls(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    fn listen<'a>(&'a self, opening: Opening<'a>) -> BoxFuture<'a, Result<Box<dyn Listener>, ListenError>> {
        Box::pin(async move {
            let secrets = Arc::clone(opening.secrets);
            self.rules.access.ready(&secrets)?;
            let Some(bind) = self.bind.or(opening.beside.map(|_| SocketAddr::from(([127, 0, 0, 1], 0)))) else {
                return Err(ListenError::NotShared(opening.adapter.clone()));
            };
            let limits =
                Limits { read_timeout: READ_TIMEOUT, max_connections: self.rules.max_connections + SPARE_CONNECTIONS };
            let (adapter, rules) = (opening.adapter.clone(), Arc::clone(&self.rules));
            let path = rules.path.clone();
            let takes = Box::new(move |asked: &str| path.source(asked).is_some());
            let service = Box::new(|inlet| Arc::new(Door::new(adapter, rules, secrets, inlet)) as Arc<dyn Service>);
            listen(opening, bind, limits, takes, service).await
        })
    }
}

/// Lets clients in.
struct Door {
    adapter: AdapterId,
    rules: Arc<Rules>,
    secrets: Secrets,
    inlet: Arc<dyn Inlet>,
    rate: Option<Arc<AddressRate>>,
    slots: Arc<Semaphore>,
}

impl Door {
    fn new(adapter: AdapterId, rules: Arc<Rules>, secrets: Secrets, inlet: Arc<dyn Inlet>) -> Self {
        let rate = rules.rate_per_minute.map(|rate| Arc::new(AddressRate::per_minute(rate)));
        let slots = Arc::new(Semaphore::new(rules.max_connections));
        Self { adapter, rules, secrets, inlet, rate, slots }
    }

    /// The opening handshake of a server (RFC 6455, section 4.2), after who asks.
    fn open(&self, request: Request<Incoming>, peer: IpAddr) -> Result<Answer, Refusal> {
        let (head, _) = request.into_parts();
        let not_found = |code, message| self.turn_away(None, TurnedAway::new(RejectionKind::NotFound, code, message));
        let name = self.rules.path.source(head.uri.path());
        let name = name.ok_or_else(|| not_found("not_found", "there is nothing at this path"))?;
        // Who may not come in learns of no source.
        let known = self.inlet.source(&self.adapter, name);
        let turn_away = |away| self.turn_away(known.as_ref(), away);
        let accept = accept::check(&head, &self.rules.access, &self.secrets).map_err(turn_away)?;
        let unknown = || not_found("unknown_source", "no source of this name is known here");
        let source = known.clone().ok_or_else(unknown)?;
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let slot = slot.map_err(|_| turn_away(TurnedAway::too_many()))?;
        let url = head.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
        // Where a token is asked for, it was checked above.
        let is_proven = self.rules.access.is_proven();
        Ok(self.switch(accept, Sender { source, url, headers: head.headers, peer, is_proven }, slot))
    }

    fn switch(&self, accept: HeaderValue, sender: Sender, slot: OwnedSemaphorePermit) -> Answer {
        let session = Session {
            adapter: self.adapter.clone(),
            sender,
            inlet: Arc::clone(&self.inlet),
            rate: self.rate.clone(),
            max_frame_bytes: self.rules.max_frame_bytes,
            ping_every: self.rules.ping_every,
        };
        let upgrade = |upgraded, stop| {
            let talking = async move {
                session.run(upgraded, stop).await;
                drop(slot);
            };
            Box::pin(talking) as BoxFuture<'static, ()>
        };
        Answer { response: accept::switch(accept), upgrade: Some(Box::new(upgrade)) }
    }

    fn turn_away(&self, source: Option<&SourceName>, away: TurnedAway) -> Refusal {
        Refusal { rejection: self.inlet.refuse(&self.adapter, source, away.refused), headers: away.headers }
    }
}

/// A refusal, and headers that its status asks for.
struct Refusal {
    rejection: Rejection,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Service for Door {
    fn call<'a>(&'a self, request: Request<Incoming>, peer: IpAddr) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.open(request, peer).unwrap_or_else(|refusal| {
                let mut response = answer::rejected(&refusal.rejection, "GET");
                response.headers_mut().extend(refusal.headers);
                response.into()
            })
        })
    }

    fn head_timed_out(&self) -> Response<Bytes> {
        let message = "the head of the request did not arrive in time";
        let away = TurnedAway::new(RejectionKind::Timeout, "request_timeout", message);
        answer::rejected(&self.turn_away(None, away).rejection, "GET")
    }
}

#[cfg(test)]
mod tests {
    use hook_core::catalog::{BuildError, Entry};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_on_authentication_is_all_that_must_be_set() {
        let built = Entry::of::<WebSocketIngress>().build(json!({ "auth_mode": "none" })).ok().unwrap();
        assert_eq!(
            built.settings,
            json!({
                "auth_mode": "none",
                "path_template": "/ingest/ws/{source}",
                "allowed_origins": [],
                "max_frame_bytes": 1_048_576,
                "max_connections": 256,
                "ping_seconds": 20,
            })
        );
        let claim = AddressClaim { address: None, path: "/ingest/ws/{source}".into() };
        assert_eq!(built.driver.claims(), [claim]);
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let settings = json!({
            "auth_mode": "bearer",
            "path_template": "/ws",
            "allowed_origins": ["https://app.example.com", "app.example.com", "https://app.example.com/"],
            "max_frame_bytes": 1u64 << 40,
            "max_connections": 2_000_000,
        });
        let Err(BuildError::Faulty(faults)) = Entry::of::<WebSocketIngress>().build(settings) else { panic!() };
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/max_frame_bytes",
                "/max_connections",
                "/path_template",
                "/token_env",
                "/allowed_origins/1",
                "/allowed_origins/2"
            ]
        );
    }
}
