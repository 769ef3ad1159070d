//! One connection, from its first byte to its end.
//!
//! ```text
//! TLS, where the address has it; then
//! HTTP/1.1 ── one request after the other ──▶ the last answer ── FIN ──▶ take what still comes ──▶ closed
//!                  │ head not here in time: 408    │ or: stop, idle, not HTTP; after a 101, what was asked for instead
//! ```

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hook_core::stop::Stop;
use http::Request;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    server::conn::http1::{self, Parts},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tracing::debug;

use super::{
    answer,
    front::{Answer, Front, Service, Upgraded},
    stall::StallGuard,
    tls::{Tls, Wire},
};

/// A request head is a request line and headers: senders of webhooks stay well under 8 KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How long the connection of a refused request goes on taking what its client still sends.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// Who is at the other end, and how long it may keep us waiting.
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) read_timeout: Duration,
    /// What TLS is agreed on with, before anything else. It is held to the same time, and has its place already.
    pub(super) tls: Option<Arc<Tls>>,
    /// Its place among the connections that speak HTTP. One that goes on with another protocol is counted by whoever asked for
    /// that: clients that stay would otherwise keep out those that post.
    pub(super) slot: OwnedSemaphorePermit,
}

impl Connection {
    /// Answers one request after the other until the client has no more, is too slow, or `stop` comes. Requests whose path is
    /// no guest's are the host's.
    pub(super) async fn serve(self, stream: TcpStream, host: Arc<dyn Service>, front: Arc<Front>, stop: Stop) {
        // Answers are small and complete: waiting to fill a packet only delays them. A socket that refuses is still good.
        let _ = stream.set_nodelay(true);
        let Some(wire) = self.agree(stream, stop.clone()).await else { return };
        let io = TokioIo::new(StallGuard::new(wire, self.read_timeout));
        let was_refused = Arc::new(AtomicBool::new(false));
        let upgrade = Arc::new(Mutex::new(None));
        let (answering, refusing, upgrading) = (Arc::clone(&host), Arc::clone(&was_refused), Arc::clone(&upgrade));
        let service = service_fn(move |request: Request<Incoming>| {
            let (host, guest) = (Arc::clone(&answering), front.guest(request.uri().path()));
            let (was_refused, upgrading) = (Arc::clone(&refusing), Arc::clone(&upgrading));
            let answer = async move {
                let service = match guest {
                    Some(guest) => guest.service().await.unwrap_or(host),
                    None => host,
                };
                let Answer { response, upgrade } = service.call(request, self.peer.ip()).await;
                was_refused.store(response.status().is_client_error(), Ordering::Relaxed);
                if upgrade.is_some() {
                    *upgrading.lock().unwrap_or_else(PoisonError::into_inner) = upgrade;
                }
                Ok::<_, Infallible>(response.map(Full::new))
            };
            Box::pin(answer) as Pin<Box<dyn Future<Output = _> + Send>>
        });
        let mut connection = self.http().serve_connection(io, service);
        let ended = tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
            () = stop.clone() => {
                Pin::new(&mut connection).graceful_shutdown();
                poll_fn(|context| connection.poll_without_shutdown(context)).await
            }
        };
        let Parts { io, read_buf, .. } = connection.into_parts();
        let mut stream = io.into_inner();
        let upgrade = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(upgrade) = upgrade.filter(|_| ended.is_ok()) {
            drop(self.slot);
            return upgrade(Upgraded { stream, unread: read_buf }, stop).await;
        }
        let is_slow = ended.as_ref().is_err_and(hyper::Error::is_timeout);
        let was_idle = is_slow && read_buf.is_empty();
        if is_slow && !was_idle {
            let _ = stream.write_all(&answer::to_wire(&host.head_timed_out())).await;
        }
        let may_send_more = was_refused.load(Ordering::Relaxed) || (ended.is_err() && !was_idle);
        let patience = if may_send_more { LINGER } else { Duration::ZERO };
        let _ = timeout(patience, close(stream.into_inner())).await;
    }

    /// `None` where the client cannot be spoken with, or `stop` comes before it has said anything.
    async fn agree(&self, stream: TcpStream, stop: Stop) -> Option<Wire> {
        let Some(tls) = &self.tls else { return Some(Wire::Plain(stream)) };
        tokio::select! {
            agreed = tls.agree(stream, self.read_timeout) => match agreed {
                Ok(stream) => Some(Wire::Tls(stream)),
                Err(error) => {
                    debug!(peer = %self.peer, %error, "TLS was not agreed on");
                    None
                }
            },
            () = stop => None,
        }
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

/// Says that nothing more comes, then takes what the client has sent and still sends, until it ends too or the caller has no
/// more patience. A socket that is closed over unread bytes is reset, and a reset can overtake the answer that says why.
pub async fn close(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut scratch = vec![0; 4096];
    if stream.shutdown().await.is_ok() {
        while stream.read(&mut scratch).await.is_ok_and(|bytes| bytes > 0) {}
    }
}
