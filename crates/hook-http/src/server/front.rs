//! An address that several adapters share: which of them a path belongs to.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use hook_core::{BoxFuture, stop::Stop};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{stall::StallGuard, tls::Wire};

/// What answers the requests of one adapter.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. Never fails: whatever is wrong is an answer.
    fn call<'a>(&'a self, request: Request<Incoming>, peer: IpAddr) -> BoxFuture<'a, Answer>;

    /// The answer to a request whose head did not arrive in time.
    fn head_timed_out(&self) -> Response<Bytes>;
}

/// An answer, and what the connection is used for afterwards.
pub struct Answer {
    /// What is answered, complete.
    pub response: Response<Bytes>,
    /// With a status of 101: what goes on where HTTP has ended.
    pub upgrade: Option<Upgrade>,
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        Self { response, upgrade: None }
    }
}

/// Speaks another protocol on a connection until it ends, or until the stop comes.
pub type Upgrade = Box<dyn FnOnce(Upgraded, Stop) -> BoxFuture<'static, ()> + Send>;

/// A connection that HTTP has left.
pub struct Upgraded {
    /// What comes and goes from now on.
    pub stream: StallGuard<Wire>,
    /// What the client has sent already.
    pub unread: Bytes,
}

/// The other adapters of an address, beside the one that has opened it.
pub(super) struct Front {
    address: SocketAddr,
    guests: RwLock<Vec<Arc<Place>>>,
}

/// Whether a path is an adapter's own.
pub type Takes = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// The paths of a guest. Whoever comes before it runs waits for it.
pub(super) struct Place {
    takes: Takes,
    service: watch::Sender<Option<Arc<dyn Service>>>,
}

impl Place {
    /// Requests are answered from now on.
    pub(super) fn fill(&self, service: Arc<dyn Service>) {
        self.service.send_replace(Some(service));
    }

    /// What answers its requests; `None` where it has ended before it began.
    pub(super) async fn service(&self) -> Option<Arc<dyn Service>> {
        let mut filled = self.service.subscribe();
        filled.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Front {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, guests: RwLock::default() }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives a guest its paths.
    pub(super) fn seat(&self, takes: Takes) -> Arc<Place> {
        let place = Arc::new(Place { takes, service: watch::Sender::new(None) });
        self.guests.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&place));
        place
    }

    /// The guest whose path it is.
    pub(super) fn guest(&self, path: &str) -> Option<Arc<Place>> {
        let guests = self.guests.read().unwrap_or_else(PoisonError::into_inner);
        guests.iter().find(|guest| (guest.takes)(path)).cloned()
    }
}
