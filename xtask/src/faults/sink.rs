//! A destination that takes events, or does what a broken one does.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hook_bench::mark::Mark;
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use super::ledger::{Arrivals, Place, parse_id};

/// Ports are taken from here: below what systems give to outgoing connections, so that a destination that is down finds
/// its port free when it comes back.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Between two bytes of an answer that trickles.
const TRICKLE: Duration = Duration::from_millis(200);
/// The run of events that are sent beside the load, and not counted.
pub(super) const OTHER: u32 = 2;
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
const REJECTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

/// What a destination does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// Takes it.
    Takes,
    /// Is not there: connections are refused, and those that there were are cut.
    Refuses,
    /// Reads it, and never answers.
    Stalls,
    /// Cuts the connection in the middle of the answer's head.
    Resets,
    /// Answers with something that is not HTTP.
    Garbles,
    /// Answers 500.
    Fails,
    /// Answers one byte at a time, and too slowly.
    Trickles,
}

/// A destination. Dropped, it is gone.
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    pub(super) arrivals: Arc<Arrivals>,
    mode: watch::Sender<Mode>,
    requests: Arc<AtomicU64>,
    _listening: JoinSet<()>,
}

/// What every connection knows.
#[derive(Clone)]
struct Connected {
    keys: u32,
    rejects: fn(u32) -> bool,
    arrivals: Arc<Arrivals>,
    requests: Arc<AtomicU64>,
    mode: watch::Receiver<Mode>,
}

impl Sink {
    /// A destination that takes everything of so many keys.
    pub(super) async fn start(keys: u32, random: &mut fastrand::Rng) -> Result<Self, String> {
        Self::start_that_rejects(keys, |_| false, random).await
    }

    /// The same; events of some keys it answers with 400.
    pub(super) async fn start_that_rejects(
        keys: u32,
        rejects: fn(u32) -> bool,
        random: &mut fastrand::Rng,
    ) -> Result<Self, String> {
        let listener = listen(random).await?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let arrivals = Arc::new(Arrivals::new(keys));
        let (mode, told) = watch::channel(Mode::Takes);
        let requests = Arc::new(AtomicU64::new(0));
        let connected =
            Connected { keys, rejects, arrivals: Arc::clone(&arrivals), requests: Arc::clone(&requests), mode: told };
        let mut listening = JoinSet::new();
        listening.spawn(serve(listener, address, connected));
        Ok(Self { address, arrivals, mode, requests, _listening: listening })
    }

    /// From now on it does this.
    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Requests that came, whatever became of them.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn listen(random: &mut fastrand::Rng) -> Result<TcpListener, String> {
    for _ in 0..100 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", random.u16(PORTS))).await {
            return Ok(listener);
        }
    }
    Err(format!("none of a hundred ports in {PORTS:?} was free"))
}

/// Listens, while it is not refusing.
async fn serve(listener: TcpListener, address: SocketAddr, connected: Connected) {
    let mut open = Some(listener);
    let mut connections = JoinSet::new();
    let mut mode = connected.mode.clone();
    loop {
        match open.take() {
            Some(listener) => {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        connections.spawn(connected.clone().serve(stream));
                    },
                    changed = mode.changed() => if changed.is_err() { return },
                    Some(_) = connections.join_next() => {}
                }
                if *mode.borrow() == Mode::Refuses {
                    connections.shutdown().await;
                } else {
                    open = Some(listener);
                }
            }
            None => {
                if mode.wait_for(|mode| *mode != Mode::Refuses).await.is_err() {
                    return;
                }
                open = TcpListener::bind(address).await.ok();
                if open.is_none() {
                    sleep(TRICKLE).await;
                }
            }
        }
    }
}

impl Connected {
    /// Answers one request after the other until the connection ends.
    async fn serve(mut self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut received = Vec::with_capacity(16 * 1024);
        while let Some(request) = read(&mut stream, &mut received).await {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let mode = *self.mode.borrow_and_update();
            let goes_on = match mode {
                Mode::Takes => stream.write_all(self.take(&request)).await.is_ok(),
                Mode::Fails => stream.write_all(FAILED).await.is_ok(),
                Mode::Stalls => {
                    let _ = self.mode.changed().await;
                    false
                }
                Mode::Resets => {
                    let _ = stream.write_all(&TAKEN[..24]).await;
                    let _ = stream.set_zero_linger();
                    false
                }
                Mode::Garbles => {
                    let _ = stream.write_all(b"\x16\x03\x01\x02\x00 no HTTP at all \xff\xfe\r\n\r\n").await;
                    false
                }
                Mode::Trickles => {
                    self.trickle(&mut stream).await;
                    false
                }
                Mode::Refuses => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn take(&self, request: &Request) -> &'static [u8] {
        // A HEAD only asks whether somebody is there.
        if request.is_probe {
            return TAKEN;
        }
        let Some((mark, id)) = Mark::find(&request.body).zip(event_id(&request.body)) else { return TAKEN };
        if mark.run == OTHER {
            return TAKEN;
        }
        if (self.rejects)(mark.key) {
            return REJECTED;
        }
        if let Some(replay) = replay_id(&request.body) {
            self.arrivals.note_replay(replay);
            return TAKEN;
        }
        let nth = usize::try_from(mark.number / u64::from(self.keys)).unwrap_or(usize::MAX);
        self.arrivals.note(Place { key: mark.key, nth }, id, mark.sent.elapsed());
        TAKEN
    }

    async fn trickle(&mut self, stream: &mut TcpStream) {
        // Never to the last byte: what is not answered whole is not taken.
        for byte in &TAKEN[..TAKEN.len() - 1] {
            if *self.mode.borrow() != Mode::Trickles || stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(TRICKLE).await;
        }
    }
}

/// The id of the event in an envelope: the envelope begins with it.
pub(super) fn event_id(envelope: &[u8]) -> Option<u128> {
    let id = envelope.strip_prefix(b"{\"id\":\"")?.get(..36)?;
    parse_id(std::str::from_utf8(id).ok()?)
}

/// The id of the replay, where an operator has sent the event again: it stands in the `meta` behind the payload.
fn replay_id(envelope: &[u8]) -> Option<u128> {
    let begin = b"\"replay\":{\"id\":\"";
    let at = envelope.windows(begin.len()).rposition(|window| window == begin)? + begin.len();
    parse_id(std::str::from_utf8(envelope.get(at..at + 36)?).ok()?)
}

struct Request {
    is_probe: bool,
    body: Vec<u8>,
}

/// The next request; `None` where the connection has ended. What came behind it stays in `received`.
async fn read(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) {
            let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let end = head + length.map_or(Some(0), |length| length.trim().parse().ok())?;
            if received.len() >= end {
                let body = received[head..end].to_vec();
                received.drain(..end);
                return Some(Request { is_probe: text.starts_with("head "), body });
            }
        }
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_known_by_the_id_that_its_envelope_begins_with() {
        let envelope = br#"{"id":"00000000-0000-0000-0000-00000000002a","source":"github"}"#;
        assert_eq!(event_id(envelope), Some(42));
        assert_eq!(event_id(b"{\"id\":\"short\"}"), None);
    }

    #[test]
    fn a_replay_is_known_by_its_id_in_the_meta() {
        let envelope =
            br#"{"id":"x","payload":{},"meta":{"replay":{"id":"00000000-0000-0000-0000-00000000002a","at":"y"}}}"#;
        assert_eq!(replay_id(envelope), Some(42));
        assert_eq!(replay_id(br#"{"payload":{"replay":true}}"#), None);
    }
}
