//! The listener: connections, their limits, and the drain.
//!
//! ```text
//! accept ── a slot each ──▶ HTTP/1.1 ── one request after the other ──▶ last answer ──▶ linger ──▶ closed
//!              │                 │ head not here in time: 408               │ or: stop, idle, malformed
//!              └ none free: the kernel's backlog waits
//! ```

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use hook_core::{
    BoxFuture,
    names::AdapterId,
    ports::ingress::{Inlet, ListenError, Listener},
    stop::Stop,
};
use http_body_util::Full;
use hyper::{
    server::conn::http1::{self, Parts},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{error, warn};

use super::{answer, ingress::Rules, receive::Receiver, stall::StallGuard};

/// A request head is a request line and headers: senders of webhooks stay well under 8 KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How long a closed connection goes on taking what its client still sends. A socket closed over unread bytes is reset,
/// and a reset can overtake the answer that says why.
const LINGER: Duration = Duration::from_secs(2);

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
        let failed = |source| ListenError { address: rules.bind, source };
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
    fn address(&self) -> SocketAddr {
        self.address
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

struct Connection {
    peer: SocketAddr,
    read_timeout: Duration,
}

impl Connection {
    async fn serve(self, stream: TcpStream, receiver: Arc<Receiver>, stop: Stop) {
        // Answers are small and complete: waiting to fill a packet only delays them. A socket that refuses is still good.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(StallGuard::new(stream, self.read_timeout));
        let answering = Arc::clone(&receiver);
        let service = service_fn(move |request| {
            let receiver = Arc::clone(&answering);
            let answer = async move { receiver.receive(request, self.peer.ip()).await };
            Box::pin(async move { Ok::<_, Infallible>(answer.await.map(Full::new)) })
                as Pin<Box<dyn Future<Output = _> + Send>>
        });
        let mut connection = self.http().serve_connection(io, service);
        let ended = tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
            () = stop => {
                Pin::new(&mut connection).graceful_shutdown();
                poll_fn(|context| connection.poll_without_shutdown(context)).await
            }
        };
        let Parts { io, read_buf, .. } = connection.into_parts();
        let mut stream = io.into_inner();
        // An idle connection just ends; one that has begun a request is told.
        if ended.is_err_and(|error| error.is_timeout()) && !read_buf.is_empty() {
            let _ = stream.write_all(&answer::to_wire(&receiver.head_timed_out())).await;
        }
        linger(stream.into_inner()).await;
    }

    /// One time-out for a head and for the idle time before it: both are a client that holds a slot and sends nothing.
    fn http(&self) -> http1::Builder {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.read_timeout)
            .half_close(true)
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(READ_BUFFER_BYTES);
        http
    }
}

/// Says that nothing more comes, then waits a little for the client to see it.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let unread = async {
        let mut scratch = vec![0; 4096];
        while stream.read(&mut scratch).await.is_ok_and(|bytes| bytes > 0) {}
    };
    let _ = timeout(LINGER, unread).await;
}
