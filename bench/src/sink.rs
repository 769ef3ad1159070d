//! A destination: an HTTP server that knows what has come, how often, in which order and how late.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::{error::Error, latency::Latencies, mark::Mark};

/// How often it is looked whether enough has come.
const LOOK: Duration = Duration::from_millis(1);
/// Connections that the system holds until they are accepted.
const WAITING_CONNECTIONS: u32 = 1024;

/// How a delivery is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// 200, at once.
    Taken,
    /// 200, after a while.
    TakenAfter(Duration),
    /// This status. The event does not count as delivered.
    Status(u16),
    /// Never: the connection stays open, and silent.
    Silence,
    /// The connection is closed without an answer.
    Closed,
}

type Replying = dyn Fn(&Mark) -> Reply + Send + Sync;

/// An address that is taken, and where nobody listens: connections are refused.
#[derive(Debug)]
pub struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
}

/// A destination. Dropped, it closes its address and all connections.
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    replying: RwLock<Arc<Replying>>,
    tally: Mutex<Tally>,
    delivered: Counter,
    attempts: AtomicU64,
}

/// A number that only grows, shared with whoever watches it.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What has been delivered of one run.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The run that is counted.
    pub run: u32,
    /// Events, each counted once.
    pub distinct: u64,
    /// Deliveries of an event that had been delivered before.
    pub duplicates: u64,
    /// Events that came first after a later one of their key.
    pub out_of_order: u64,
    /// Deliveries without a mark, or of another run.
    pub foreign: u64,
    /// From sending to arrival, of each event's first delivery.
    pub latencies: Latencies,
    /// When the first and the last event came that had not come before.
    pub first_and_last: Option<(Instant, Instant)>,
    seen: Vec<u64>,
    newest: HashMap<u32, u64>,
}

impl Tally {
    /// A tally of one run.
    pub fn of(run: u32) -> Self {
        Self { run, ..Self::default() }
    }

    /// Whether the event of this number was delivered.
    pub fn has(&self, number: u64) -> bool {
        self.seen.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn count(&mut self, mark: Option<&Mark>, at: Instant) {
        let Some(mark) = mark.filter(|mark| mark.run == self.run) else {
            self.foreign += 1;
            return;
        };
        if self.has(mark.number) {
            self.duplicates += 1;
            return;
        }
        self.see(mark.number);
        self.distinct += 1;
        self.latencies.record(at.saturating_duration_since(mark.sent));
        self.first_and_last = Some((self.first_and_last.map_or(at, |(first, _)| first), at));
        let newest = self.newest.entry(mark.key).or_insert(mark.number);
        match mark.number < *newest {
            true => self.out_of_order += 1,
            false => *newest = mark.number,
        }
    }

    fn see(&mut self, number: u64) {
        let word = (number / 64) as usize;
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= 1 << (number % 64);
    }
}

impl Reserved {
    /// Takes a free port of this machine.
    pub fn any() -> Result<Self, Error> {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Takes this address, which may have been a sink's before.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let bound = || -> io::Result<Self> {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bound().map_err(Error::io("take an address for a sink"))
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens, and takes whatever comes. Counts events of this run.
    pub fn open(self, run: u32) -> Result<Sink, Error> {
        let shared = Shared {
            replying: RwLock::new(Arc::new(|_: &Mark| Reply::Taken)),
            tally: Mutex::new(Tally::of(run)),
            delivered: Counter::default(),
            attempts: AtomicU64::new(0),
        };
        self.open_with(Arc::new(shared))
    }

    fn open_with(self, shared: Arc<Shared>) -> Result<Sink, Error> {
        let listener = self.socket.listen(WAITING_CONNECTIONS).map_err(Error::io("listen"))?;
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Sink { address: self.address, shared, accepting })
    }
}

/// A sink that is away: what it has counted is kept.
pub struct Away {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Away {
    /// Comes back at the same address. [`Tally::first_and_last`] begins anew.
    pub fn back(self) -> Result<Sink, Error> {
        self.shared.tally().first_and_last = None;
        Reserved::bind(self.address)?.open_with(self.shared)
    }
}

impl Sink {
    /// A sink at a free port that takes whatever comes. Counts events of this run.
    pub fn open(run: u32) -> Result<Self, Error> {
        Reserved::any()?.open(run)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on as this function says.
    pub fn reply_with(&self, reply: impl Fn(&Mark) -> Reply + Send + Sync + 'static) {
        *self.shared.replying.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(reply);
    }

    /// Forgets what it has counted, and counts events of this run.
    pub fn count_anew(&self, run: u32) {
        *self.shared.tally() = Tally::of(run);
    }

    /// Forgets the latencies that it has counted, and nothing else.
    pub fn count_latencies_anew(&self) {
        self.shared.tally().latencies = Latencies::default();
    }

    /// What has been delivered so far.
    pub fn tally(&self) -> Tally {
        self.shared.tally().clone()
    }

    /// How many events have been delivered since it was made, each counted once.
    pub fn delivered(&self) -> Counter {
        self.shared.delivered.clone()
    }

    /// How many requests there were since it was made, whatever they were answered.
    pub fn attempts(&self) -> u64 {
        self.shared.attempts.load(Ordering::Relaxed)
    }

    /// Waits until so many events have been delivered since it was made. Fails where none came for so long.
    pub async fn wait_for(&self, events: u64, patience: Duration) -> Result<(), Error> {
        let (mut seen, mut since) = (self.delivered().get(), Instant::now());
        while seen < events {
            tokio::time::sleep(LOOK).await;
            let now_seen = self.delivered().get();
            if now_seen > seen {
                (seen, since) = (now_seen, Instant::now());
            } else if since.elapsed() > patience {
                let tally = self.tally();
                return Err(Error::Unexpected(format!(
                    "{seen} of {events} events arrived, and no other in {patience:?} (duplicates {}, out of order {}, \
                     not of this run {})",
                    tally.duplicates, tally.out_of_order, tally.foreign
                )));
            }
        }
        Ok(())
    }

    /// Goes away, as a server that is stopped: connections end, new ones are refused.
    pub async fn leave(mut self) -> Away {
        self.accepting.abort();
        // Its end is what closes the listener and the connections.
        let _ = (&mut self.accepting).await;
        Away { address: self.address, shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, mark: Option<&Mark>) {
        let at = Instant::now();
        let mut tally = self.tally();
        let before = tally.distinct;
        tally.count(mark, at);
        self.delivered.0.fetch_add(tally.distinct - before, Ordering::Relaxed);
    }

    fn reply(&self, mark: Option<&Mark>) -> Reply {
        let replying = Arc::clone(&self.replying.read().unwrap_or_else(PoisonError::into_inner));
        mark.map_or(Reply::Taken, |mark| replying(mark))
    }

    async fn receive(&self, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, io::Error> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let body = request.into_body().collect().await.map_err(|_| io::ErrorKind::UnexpectedEof)?.to_bytes();
        let mark = Mark::find(&body);
        let reply = self.reply(mark.as_ref());
        match reply {
            Reply::Taken | Reply::TakenAfter(_) => self.count(mark.as_ref()),
            Reply::Status(_) | Reply::Silence | Reply::Closed => {}
        }
        let mut response = Response::new(Empty::new());
        match reply {
            Reply::Taken => {}
            Reply::TakenAfter(wait) => tokio::time::sleep(wait).await,
            Reply::Status(status) => {
                *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            }
            Reply::Silence => std::future::pending().await,
            Reply::Closed => return Err(io::ErrorKind::ConnectionReset.into()),
        }
        Ok(response)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&shared)))),
                // Out of descriptors: connections that end give theirs back.
                Err(_) => tokio::time::sleep(LOOK).await,
            },
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without it only latencies suffer, and they are what is looked at.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { shared.receive(request).await }
    });
    // How a connection ends is the client's business.
    let _: Result<(), hyper::Error> = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: &[(u32, u64)]) -> Tally {
        let mut tally = Tally::of(1);
        for &(key, number) in numbers {
            tally.count(Some(&Mark { run: 1, key, number, sent: Instant::now() }), Instant::now());
        }
        tally
    }

    #[track_caller]
    fn check(numbers: &[(u32, u64)], expected: (u64, u64, u64)) {
        let tally = tally(numbers);
        assert_eq!((tally.distinct, tally.duplicates, tally.out_of_order), expected);
    }

    #[test]
    fn order_is_a_matter_of_each_key() {
        check(&[(1, 1), (2, 9), (1, 3), (2, 10)], (4, 0, 0));
        check(&[(1, 3), (1, 1), (1, 2), (1, 4)], (4, 0, 2));
    }

    #[test]
    fn an_event_that_comes_again_is_a_duplicate_and_not_out_of_order() {
        check(&[(1, 1), (1, 2), (1, 1), (1, 2), (1, 3)], (3, 2, 0));
    }

    #[test]
    fn events_of_other_runs_are_counted_apart() {
        let mut tally = tally(&[]);
        tally.count(Some(&Mark { run: 2, key: 1, number: 1, sent: Instant::now() }), Instant::now());
        tally.count(None, Instant::now());
        assert_eq!((tally.distinct, tally.foreign), (0, 2));
        assert!(!tally.has(1));
    }
}
