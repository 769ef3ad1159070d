//! The listener: how many connections there may be, and how they end when it is stopped.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hook_core::{
    BoxFuture,
    names::AdapterId,
    ports::ingress::{Inlet, ListenError, Listener},
    stop::Stop,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{error, warn};

use super::{connection::Connection, ingress::Rules, receive::Receiver};

/// How long to leave the system alone when it has no file descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a request may take beyond its `read_timeout` while the listener drains: the inlet's time and the answer.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// An open address.
pub(super) struct Server {
    adapter: AdapterId,
    rules: Arc<Rules>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the address.
    pub(super) async fn open(adapter: AdapterId, rules: Arc<Rules>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Address { address: rules.bind, source };
        let listener = TcpListener::bind(rules.bind).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { adapter, rules, listener, address })
    }

    async fn serve(self, inlet: Arc<dyn Inlet>, stop: Stop) {
        let receiver = Arc::new(Receiver::new(self.adapter, Arc::clone(&self.rules), inlet));
        let slots = Arc::new(Semaphore::new(self.rules.max_connections));
        let mut connections = JoinSet::new();
        let mut stopped = stop.clone();
        loop {
            tokio::select! {
                () = &mut stopped => break,
                Some(ended) = connections.join_next() => report(ended),
                accepted = accept(&self.listener, &slots) => match accepted {
                    Ok((stream, peer, slot)) => {
                        let connection = Connection { peer, read_timeout: self.rules.read_timeout };
                        let serving = connection.serve(stream, Arc::clone(&receiver), stop.clone());
                        connections.spawn(async move {
                            serving.await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        warn!(address = %self.address, %error, "could not accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        drain(connections, self.rules.read_timeout + DRAIN_GRACE).await;
    }
}

impl Listener for Server {
    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    fn run(self: Box<Self>, inlet: Arc<dyn Inlet>, stop: Stop) -> BoxFuture<'static, ()> {
        Box::pin(self.serve(inlet, stop))
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
