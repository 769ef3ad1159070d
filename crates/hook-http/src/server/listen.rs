//! The listener: how many connections there may be, and how they end when it is stopped.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hook_core::{
    BoxFuture,
    ports::ingress::{Inlet, ListenError, Listener, Opening},
    stop::Stop,
    tls::Certificate,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{error, warn};

use super::{
    connection::Connection,
    front::{Front, Place, Service, Takes},
    tls::Tls,
};

/// How long to leave the system alone when it has no file descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a request may take beyond its `read_timeout` while the listener drains: the inlet's time and the answer.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// What the connections of an address are held to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a request head may take to arrive, and before it the handshake of TLS.
    pub read_timeout: Duration,
    /// How many connections speak HTTP at once.
    pub max_connections: usize,
}

/// Makes the service of an adapter, when there is an inlet.
pub type MakeService = Box<dyn FnOnce(Arc<dyn Inlet>) -> Arc<dyn Service> + Send>;

/// Opens an address for an adapter, or takes its place on the one that it shares.
pub async fn listen(
    opening: Opening<'_>,
    bind: SocketAddr,
    limits: Limits,
    takes: Takes,
    service: MakeService,
) -> Result<Box<dyn Listener>, ListenError> {
    if let Some(host) = opening.beside {
        let front = opening.doors.find::<Front>(host).ok_or_else(|| ListenError::NotShared(host.clone()))?;
        return Ok(Box::new(Guest { address: front.address(), place: front.seat(takes), service }));
    }
    let failed = |source| ListenError::Address { address: bind, source };
    let listener = TcpListener::bind(bind).await.map_err(failed)?;
    let front = Arc::new(Front::new(listener.local_addr().map_err(failed)?));
    let tls = opening.tls.map(Tls::open).transpose()?;
    opening.doors.leave(opening.adapter, Arc::clone(&front));
    Ok(Box::new(Host { limits, listener, tls, front, service }))
}

/// The adapter that has opened the address: what is nobody's is its.
struct Host {
    limits: Limits,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    front: Arc<Front>,
    service: MakeService,
}

impl Host {
    async fn serve(self, inlet: Arc<dyn Inlet>, stop: Stop) {
        let service = (self.service)(inlet);
        let open = Open { listener: self.listener, tls: self.tls, front: self.front, limits: self.limits };
        open.serve(service, stop).await;
    }
}

/// Serves an address that is shared with nobody, with TLS where it is given, until `stop`, then lets what has begun end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    service: Arc<dyn Service>,
    stop: Stop,
) -> std::io::Result<()> {
    let front = Arc::new(Front::new(listener.local_addr()?));
    Open { listener, tls, front, limits }.serve(service, stop).await;
    Ok(())
}

/// An address that is open.
struct Open {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    front: Arc<Front>,
    limits: Limits,
}

impl Open {
    async fn serve(self, service: Arc<dyn Service>, stop: Stop) {
        let Self { listener, tls, front, limits } = self;
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        let mut connections = JoinSet::new();
        let mut stopped = stop.clone();
        let mut watching = std::pin::pin!(watch(tls.as_deref()));
        loop {
            tokio::select! {
                () = &mut stopped => break,
                never = &mut watching => match never {},
                Some(ended) = connections.join_next() => report(ended),
                accepted = accept(&listener, &slots) => match accepted {
                    Ok((stream, peer, slot)) => {
                        let connection = Connection { peer, read_timeout: limits.read_timeout, tls: tls.clone(), slot };
                        let (service, front) = (Arc::clone(&service), Arc::clone(&front));
                        connections.spawn(connection.serve(stream, service, front, stop.clone()));
                    }
                    Err(error) => {
                        warn!(address = %front.address(), %error, "could not accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        drain(connections, limits.read_timeout + DRAIN_GRACE).await;
    }
}

/// Takes new certificates, where there are any.
async fn watch(tls: Option<&Tls>) -> Infallible {
    match tls {
        Some(tls) => tls.watch().await,
        None => std::future::pending().await,
    }
}

impl Listener for Host {
    fn address(&self) -> Option<SocketAddr> {
        Some(self.front.address())
    }

    fn certificate(&self) -> Option<Certificate> {
        self.tls.as_ref().map(|tls| tls.certificate())
    }

    fn run(self: Box<Self>, inlet: Arc<dyn Inlet>, stop: Stop) -> BoxFuture<'static, ()> {
        Box::pin(self.serve(inlet, stop))
    }
}

/// An adapter with paths on the address of another. Its connections are the other's, and end with them.
struct Guest {
    address: SocketAddr,
    place: Arc<Place>,
    service: MakeService,
}

impl Listener for Guest {
    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    fn run(self: Box<Self>, inlet: Arc<dyn Inlet>, stop: Stop) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.place.fill((self.service)(inlet));
            stop.await;
        })
    }
}

/// A slot first: without one a connection waits in the kernel, where it costs us nothing.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

async fn drain(mut connections: JoinSet<()>, limit: Duration) {
    let finished = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(limit, finished).await.is_err() {
        warn!(connections = connections.len(), "closed connections that did not end in time");
        connections.shutdown().await;
    }
}

/// A connection that panicked takes nobody with it.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!("a connection panicked");
    }
}
