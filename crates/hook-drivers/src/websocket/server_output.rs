//! `websocket_server_output`: events as text frames to every client that is connected.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    envelope::{Envelope, Layout},
    event::RequestId,
    names::EnvName,
    outcome::Outcome,
    ports::{
        egress::{Audience, CheckError, Delivery, EgressDriver, Host, Order},
        ingress::{AddressClaim, ListenError, Rejection, RejectionKind},
    },
    secret::Secrets,
    tls::{Certificate, TlsFiles},
};
use hook_http::{
    access::{Access, AuthMode},
    server::{Answer, Limits, Service, Tls, answer, serve},
};
use http::{Request, Response};
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tracing::{debug, error};

use super::{
    accept::{self, READ_TIMEOUT, TurnedAway},
    audience::{Listener, Manner},
    hub::Hub,
    stream::{Springs, Stream, text_of},
    wanted::Wanted,
};
use crate::http::path::is_path;

/// The most clients that one process can be asked to hold.
const MOST_CLIENTS: usize = 100_000;
/// The most events that can be asked to wait for each of them.
const DEEPEST_QUEUE: usize = 100_000;
/// So many clients read at once what they have missed; each costs the log a reader.
const READERS: usize = 16;
/// The system keeps so much for a client that does not read. It would take some megabytes as it comes, for each.
const SEND_BUFFER_BYTES: u32 = 64 * 1024;
/// So many connections may be about to become clients.
const MOST_OPENING: usize = 256;
/// So many connections wait to be taken.
const BACKLOG: u32 = 1024;

/// The settings of `websocket_server_output`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The address to listen on, such as `127.0.0.1:8090`. Port 0 takes a free one. It is shared with no other adapter.
    #[schemars(with = "String")]
    pub bind: SocketAddr,
    /// The path that clients connect to, such as `/events`.
    pub path: String,
    /// How a client proves who it is.
    pub auth_mode: AuthMode,
    /// The environment variable of the bearer token; needed with `auth_mode = "bearer"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<EnvName>,
    /// How many clients may be connected at once. Further ones are told to come again.
    pub max_clients: NonZeroUsize,
    /// How many events may wait for one client. One that takes them too slowly is closed with 1013, and can come back with
    /// `?after=` and the id of the last event that it has.
    pub queue_depth_per_client: NonZeroUsize,
    /// How long writing one frame may take before its client counts as too slow.
    pub send_timeout_ms: NonZeroU32,
    /// The pages that may connect from a browser, such as `https://app.example.com`. A browser says where its page comes from;
    /// other clients say nothing, and are not asked.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// TLS of the address. Left out, clients connect in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// How often a client is asked whether it is there. One that is silent for twice as long is left.
    #[serde(default = "default_ping_seconds")]
    pub ping_seconds: NonZeroU32,
}

fn default_ping_seconds() -> NonZeroU32 {
    const { NonZeroU32::new(20).expect("not zero") }
}

/// The driver `websocket_server_output`.
pub struct WebSocketServerOutput {
    bind: SocketAddr,
    tls: Option<TlsFiles>,
    path: Arc<str>,
    access: Access,
    max_clients: usize,
    depth: usize,
    manner: Manner,
    hub: Arc<Hub>,
    audience: Audience,
    opened: Mutex<Opened>,
    /// Of the listener that was opened last.
    certificate: Mutex<Option<Certificate>>,
}

/// How far the address is.
#[derive(Default)]
enum Opened {
    #[default]
    Not,
    /// Until it is served.
    Waiting(TcpListener, Option<Arc<Tls>>),
    Serving,
}

impl Kind for WebSocketServerOutput {
    const NAME: &'static str = "websocket_server_output";
    const ABOUT: &'static str =
        "Sends events to every WebSocket client that is connected, and those that it missed to who comes back.";
    type Settings = Settings;
    type Driver = dyn EgressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let mut faults = limits_of(&settings);
        if !is_path(&settings.path) {
            faults.push(Fault::at("/path", "this is not the path of a URL", "write a path such as `/events`"));
        }
        let access = Access::new(settings.auth_mode, settings.token_env, settings.allowed_origins);
        let access = access.map_err(|mut wrong| faults.append(&mut wrong));
        let (Ok(access), true) = (access, faults.is_empty()) else { return Err(faults) };
        Ok(Arc::new(Self {
            bind: settings.bind,
            tls: settings.tls,
            path: settings.path.into(),
            access,
            max_clients: settings.max_clients.get(),
            depth: settings.queue_depth_per_client.get(),
            manner: Manner {
                send_timeout: Duration::from_millis(settings.send_timeout_ms.get().into()),
                ping_every: Duration::from_secs(settings.ping_seconds.get().into()),
            },
            hub: Arc::default(),
            audience: Audience::default(),
            opened: Mutex::default(),
            certificate: Mutex::default(),
        }))
    }
}

fn limits_of(settings: &Settings) -> Vec<Fault> {
    let limits = [
        ("/max_clients", settings.max_clients.get(), MOST_CLIENTS),
        ("/queue_depth_per_client", settings.queue_depth_per_client.get(), DEEPEST_QUEUE),
    ];
    let over = limits.into_iter().filter(|(_, value, most)| value > most);
    over.map(|(pointer, value, most)| {
        Fault::at(pointer, format!("{value} is too much"), format!("write at most {most}"))
    })
    .collect()
}

impl EgressDriver for WebSocketServerOutput {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut refused = None;
            let text = || text_of(delivery.envelope).map_err(|outcome| refused = Some(outcome)).ok();
            let clients = self.hub.hand_out(delivery.place, delivery.envelope, text);
            refused.unwrap_or_else(|| match clients {
                0 => Outcome::delivered("no client is connected that wants it"),
                1 => Outcome::delivered("handed to 1 client"),
                _ => Outcome::delivered(format!("handed to {clients} clients")),
            })
        })
    }

    fn render(&self, envelope: &Envelope, _: &Secrets) -> Result<Option<Bytes>, String> {
        Ok(Some(envelope.to_json(Layout::Verbatim).into()))
    }

    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            self.access.ready(secrets).map_err(|error| match error {
                ListenError::MissingSecret(name) => CheckError::MissingSecret(name),
                other => CheckError::Unreachable(other.to_string()),
            })?;
            let is_open = !matches!(*self.opened(), Opened::Not);
            match if is_open { Ok(()) } else { self.bind().map(drop) } {
                Ok(()) => Ok(()),
                Err(error) => Err(CheckError::Unreachable(format!("could not listen on {}: {error}", self.bind))),
            }
        })
    }

    fn order(&self) -> Order {
        Order::Log
    }

    fn claims(&self) -> Vec<AddressClaim> {
        vec![AddressClaim { address: Some(self.bind), path: self.path.to_string() }]
    }

    fn listen<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<Option<SocketAddr>, ListenError>> {
        Box::pin(async move {
            self.access.ready(secrets)?;
            let failed = |source| ListenError::Address { address: self.bind, source };
            let tls = self.open_tls()?;
            let listener = self.bind().map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            *self.opened() = Opened::Waiting(listener, tls);
            Ok(Some(address))
        })
    }

    fn tls(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    fn certificate(&self) -> Option<Certificate> {
        self.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn audience(&self) -> Option<Audience> {
        Some(self.audience.clone())
    }

    fn run(&self, host: Host) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let opened = std::mem::replace(&mut *self.opened(), Opened::Serving);
            let listener = match opened {
                Opened::Waiting(listener, tls) => Ok((listener, tls)),
                // It runs again after it has failed, or nobody has asked for its address before.
                Opened::Not | Opened::Serving => self.open_tls().and_then(|tls| {
                    let failed = |source| ListenError::Address { address: self.bind, source };
                    Ok((self.bind().map_err(failed)?, tls))
                }),
            };
            // A client that is connected no longer speaks HTTP, and does not count there.
            let limits = Limits { read_timeout: READ_TIMEOUT, max_connections: MOST_OPENING };
            let served = match listener {
                Ok((listener, tls)) => serve(listener, tls, limits, Arc::new(self.door(&host)), host.stop)
                    .await
                    .map_err(|source| ListenError::Address { address: self.bind, source }),
                Err(error) => Err(error),
            };
            *self.opened() = Opened::Not;
            if let Err(error) = served {
                let source = std::error::Error::source(&error).map(tracing::field::display);
                error!(address = %self.bind, %error, source, "could not listen");
            }
        })
    }
}

impl WebSocketServerOutput {
    fn opened(&self) -> std::sync::MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_tls(&self) -> Result<Option<Arc<Tls>>, ListenError> {
        let tls = self.tls.as_ref().map(Tls::open).transpose()?;
        let certificate = tls.as_ref().map(|tls| tls.certificate());
        *self.certificate.lock().unwrap_or_else(PoisonError::into_inner) = certificate;
        Ok(tls)
    }

    fn bind(&self) -> io::Result<TcpListener> {
        let socket = if self.bind.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // The connections that it takes have it from their listener.
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        socket.bind(self.bind)?;
        socket.listen(BACKLOG)
    }

    fn door(&self, host: &Host) -> Door {
        let springs = Springs {
            hub: Arc::clone(&self.hub),
            history: Arc::clone(&host.history),
            readers: Arc::new(Semaphore::new(READERS)),
            depth: self.depth,
        };
        Door {
            path: Arc::clone(&self.path),
            access: self.access.clone(),
            secrets: Arc::clone(&host.secrets),
            springs: Arc::new(springs),
            manner: self.manner,
            audience: self.audience.clone(),
            slots: Arc::new(Semaphore::new(self.max_clients)),
        }
    }
}

/// Lets clients in.
struct Door {
    path: Arc<str>,
    access: Access,
    secrets: Secrets,
    springs: Arc<Springs>,
    manner: Manner,
    audience: Audience,
    slots: Arc<Semaphore>,
}

impl Door {
    fn open(&self, request: Request<Incoming>) -> Result<Answer, TurnedAway> {
        let (head, _) = request.into_parts();
        if head.uri.path() != &*self.path {
            let message = "there is nothing at this path";
            return Err(TurnedAway::new(RejectionKind::NotFound, "not_found", message));
        }
        let accept = accept::check(&head, &self.access, &self.secrets)?;
        let (wanted, begin) = Wanted::read(head.uri.query().unwrap_or_default())?;
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| TurnedAway::too_many())?;
        let listener = Listener {
            // It is in the hub before it is told that it is connected.
            stream: Stream::begin(Arc::clone(&self.springs), wanted, begin),
            manner: self.manner,
            audience: self.audience.clone(),
        };
        Ok(switch(listener, slot, accept))
    }
}

fn switch(listener: Listener, slot: OwnedSemaphorePermit, accept: http::HeaderValue) -> Answer {
    let upgrade = |upgraded, stop| {
        let talking = async move {
            listener.run(upgraded, stop).await;
            drop(slot);
        };
        Box::pin(talking) as BoxFuture<'static, ()>
    };
    Answer { response: accept::switch(accept), upgrade: Some(Box::new(upgrade)) }
}

fn turn_away(away: TurnedAway) -> Response<Bytes> {
    let rejection = Rejection { refused: away.refused, request_id: RequestId::generate() };
    debug!(code = rejection.refused.code, request_id = %rejection.request_id, "client turned away");
    let mut response = answer::rejected(&rejection, "GET");
    response.headers_mut().extend(away.headers);
    response
}

impl Service for Door {
    fn call<'a>(&'a self, request: Request<Incoming>, _: IpAddr) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.open(request).unwrap_or_else(|away| turn_away(away).into()) })
    }

    fn head_timed_out(&self) -> Response<Bytes> {
        let message = "the head of the request did not arrive in time";
        turn_away(TurnedAway::new(RejectionKind::Timeout, "request_timeout", message))
    }
}

#[cfg(test)]
mod tests {
    use hook_core::catalog::{BuildError, Entry};
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_contracts_have_are_enough() {
        let settings = json!({
            "bind": "127.0.0.1:0",
            "path": "/events",
            "auth_mode": "bearer",
            "token_env": "STREAM_TOKEN",
            "max_clients": 500,
            "queue_depth_per_client": 64,
            "send_timeout_ms": 5000,
        });
        let built = Entry::of::<WebSocketServerOutput>().build(settings.clone()).ok().unwrap();
        let mut complete = settings;
        complete["allowed_origins"] = json!([]);
        complete["ping_seconds"] = json!(20);
        assert_eq!(built.settings, complete);
        let claim = AddressClaim { address: Some("127.0.0.1:0".parse().unwrap()), path: "/events".into() };
        assert_eq!(built.driver.claims(), [claim]);
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let settings = json!({
            "bind": "127.0.0.1:0",
            "path": "events?a",
            "auth_mode": "none",
            "token_env": "STREAM_TOKEN",
            "max_clients": 2_000_000,
            "queue_depth_per_client": 2_000_000,
            "send_timeout_ms": 5000,
            "allowed_origins": ["app.example.com"],
        });
        let Err(BuildError::Faulty(faults)) = Entry::of::<WebSocketServerOutput>().build(settings) else { panic!() };
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/max_clients", "/queue_depth_per_client", "/path", "/token_env", "/allowed_origins/0"]);
    }
}
