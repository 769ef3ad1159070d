//! One client that is sent events: pings, what it may not say, and the ways to part.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hook_core::{
    ports::{egress::Audience, history::HistoryError},
    stop::Stop,
};
use hook_http::server::{Upgraded, Wire};
use socket2::SockRef;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, Utf8Bytes, protocol::frame::coding::CloseCode},
};
use tracing::{debug, warn};

use super::{
    accept::{close_of, leave, say_goodbye, speak},
    stream::{Dry, Stream},
};

/// What a client says is control frames, and now and then a text that means nothing.
const LARGEST_FRAME_BYTES: usize = 4 * 1024;
/// So many frames a client may send between two of our pings.
const MOST_FRAMES: u32 = 256;
/// A client that does not read is waited for so long: what it has not read stands before the reason why it has to leave.
const LINGER: Duration = Duration::from_secs(30);
/// The system keeps so much for a client that is told to leave: as much as Linux permits as it comes.
const LAST_BUFFER_BYTES: usize = 208 * 1024;
/// No event of that id is kept. From the range that is free for applications (RFC 6455, section 7.4.2).
const UNKNOWN_EVENT: u16 = 4404;

/// How clients are spoken to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// So long a frame may take to be written.
    pub(super) send_timeout: Duration,
    /// A client is asked this often whether it is there.
    pub(super) ping_every: Duration,
}

/// A client, and what it is to get.
pub(super) struct Listener {
    pub(super) stream: Stream,
    pub(super) manner: Manner,
    pub(super) audience: Audience,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client has closed it, or is gone.
    Gone,
    /// The client did something, or the pipeline ends.
    Because(CloseCode, Utf8Bytes),
    /// It takes events too slowly.
    Slow,
}

impl End {
    fn because(code: CloseCode, reason: &'static str) -> Self {
        Self::Because(code, Utf8Bytes::from_static(reason))
    }
}

type Socket = WebSocketStream<Wire>;

impl Listener {
    /// Sends events until the client leaves, breaks a rule, does not keep up, or `stop` comes.
    pub(super) async fn run(self, upgraded: Upgraded, mut stop: Stop) {
        // Frames have a time-out of their own.
        let mut socket = speak(upgraded.stream.into_inner(), &upgraded.unread, LARGEST_FRAME_BYTES).await;
        let (audience, presence) = (self.audience.clone(), self.audience.enter());
        // What waits for the client goes with it.
        let end = self.talk(&mut socket, stop.clone()).await;
        drop(presence);
        debug!(?end, "client leaves");
        match end {
            End::Gone => leave(socket, None).await,
            End::Because(code, reason) => leave(socket, Some((code, reason))).await,
            End::Slow => {
                audience.leave_behind();
                // What it has not read fills what the system keeps for it; the reason has to fit behind that, so that it is there
                // however late it reads. A system that refuses leaves it to the time-out.
                let _ = SockRef::from(socket.get_ref().socket()).set_send_buffer_size(LAST_BUFFER_BYTES);
                let reason = Utf8Bytes::from_static("too slow: come back with after=");
                tokio::select! {
                    _ = timeout(LINGER, say_goodbye(&mut socket, CloseCode::Again, reason)) => {}
                    () = &mut stop => {}
                }
            }
        }
    }

    async fn talk(mut self, socket: &mut Socket, mut stop: Stop) -> End {
        let mut heard_at = Instant::now();
        let (mut ping_at, mut frames) = (heard_at + self.manner.ping_every, 0);
        let mut batch = Vec::new();
        loop {
            let sending = tokio::select! {
                () = &mut stop => return ending(),
                message = socket.next() => {
                    heard_at = Instant::now();
                    frames += 1;
                    match hear(message, frames) {
                        Some(end) => return end,
                        None => continue,
                    }
                }
                next = self.stream.next(&mut batch) => match next {
                    Ok(()) => send(socket, &mut batch, self.manner.send_timeout),
                    Err(dry) => return run_dry(dry),
                },
                () = tokio::time::sleep_until(ping_at) => {
                    (ping_at, frames) = (Instant::now() + self.manner.ping_every, 0);
                    if heard_at.elapsed() > 2 * self.manner.ping_every {
                        return End::because(CloseCode::Away, "no answer to pings");
                    }
                    match timeout(self.manner.send_timeout, socket.send(Message::Ping(Bytes::new()))).await {
                        Ok(Ok(())) => continue,
                        Ok(Err(_)) => return End::Gone,
                        Err(_) => return End::Slow,
                    }
                }
            };
            let began_sending = Instant::now();
            let sent = tokio::select! {
                sent = sending => sent,
                () = &mut stop => return ending(),
            };
            // Nobody has listened meanwhile.
            heard_at += began_sending.elapsed();
            if let Err(end) = sent {
                return end;
            }
            if self.stream.is_over_its_turn() {
                return End::because(CloseCode::Again, "others want to read too: come back with after=");
            }
        }
    }
}

fn ending() -> End {
    End::because(CloseCode::Away, "the pipeline ends")
}

/// Why a connection is closed over what a client sends. It has nothing to say: texts are passed over, but not without end.
fn hear(message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>, frames: u32) -> Option<End> {
    match message {
        Some(Ok(Message::Binary(_))) => Some(End::because(CloseCode::Unsupported, "nothing is taken here")),
        Some(Ok(Message::Close(_))) | None => Some(End::Gone),
        Some(Ok(_)) => (frames > MOST_FRAMES).then(|| End::because(CloseCode::Policy, "too many frames")),
        Some(Err(error)) => Some(close_of(&error).map_or(End::Gone, |(code, reason)| End::because(code, reason))),
    }
}

/// Writes frames; each has its time.
async fn send(socket: &mut Socket, batch: &mut Vec<Utf8Bytes>, patience: Duration) -> Result<(), End> {
    let in_time = |sent: Result<Result<(), _>, _>| match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Slow),
    };
    for text in batch.drain(..) {
        in_time(timeout(patience, socket.feed(Message::Text(text))).await)?;
    }
    in_time(timeout(patience, socket.flush()).await)
}

fn run_dry(dry: Dry) -> End {
    match dry {
        Dry::Slow => End::Slow,
        Dry::Unread(HistoryError::Unknown { oldest }) => {
            let begin = "no such event is kept; after=earliest begins with";
            let reason = match oldest {
                Some(oldest) => format!("{begin} {oldest}"),
                None => format!("{begin} what comes"),
            };
            End::Because(CloseCode::from(UNKNOWN_EVENT), reason.into())
        }
        Dry::Unread(HistoryError::Log(error)) => {
            warn!(%error, "a client cannot be given what it has missed");
            End::because(CloseCode::Again, "the log cannot be read now")
        }
    }
}
