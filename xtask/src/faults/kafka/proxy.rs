//! A network between `hook` and the brokers that fails as it is told to.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

const CHUNK: usize = 64 * 1024;
/// Chunks that are on their way in one direction.
const ON_THE_WAY: usize = 1024;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Everything passes.
    Fair,
    /// What the brokers say comes so much later.
    Delays(Duration),
    /// Connections are reset, and so is every new one.
    Cuts,
    /// The brokers hang up: their side of every connection is closed. What they are told still reaches them.
    HalfCloses,
    /// Nothing passes, and nobody is told. What is on its way then arrives later.
    Swallows,
    /// Connections that were there before have been forgotten, silently, as by a firewall that was started again. New ones
    /// pass.
    Forgets,
}

/// A proxy before one broker. Dropped, all of its connections end.
pub(super) struct Proxy {
    _listening: JoinSet<()>,
}

impl Proxy {
    /// Listens where the broker says that it is, and passes on to where it is.
    pub(super) async fn start(
        announced: &str,
        upstream: &str,
        weather: &Arc<watch::Sender<Weather>>,
    ) -> Result<Self, String> {
        let failed = |error: io::Error| format!("no proxy on {announced}: {error}");
        let listener = TcpListener::bind(announced).await.map_err(failed)?;
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, upstream.to_owned(), Arc::clone(weather)));
        Ok(Self { _listening: listening })
    }
}

async fn listen(listener: TcpListener, upstream: String, weather: Arc<watch::Sender<Weather>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                connections.spawn(connect(client, upstream.clone(), weather.subscribe()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Passes on between a client and the broker until either ends, or until the weather ends it.
async fn connect(client: TcpStream, upstream: String, mut weather: watch::Receiver<Weather>) {
    if *weather.borrow_and_update() == Weather::Cuts {
        // Reset, not closed.
        let _ = client.set_zero_linger();
        return;
    }
    if weather.wait_for(|weather| *weather != Weather::Swallows).await.is_err() {
        return;
    }
    let Ok(broker) = TcpStream::connect(&upstream).await else { return };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    // Whatever ends this connection, its sockets end with it, unread: both sides are told by a reset.
    let _ = (client.set_zero_linger(), broker.set_zero_linger());
    // Halves of a stream's own would close in good order when they are dropped.
    let (from_client, to_client) = tokio::io::split(client);
    let (from_broker, to_broker) = tokio::io::split(broker);
    let requests = pass_on(from_client, to_broker, weather.clone(), Direction::Requests);
    let answers = pass_on(from_broker, to_client, weather.clone(), Direction::Answers);
    tokio::select! {
        _ = async { tokio::join!(requests, answers) } => {}
        () = cut(weather) => {}
    }
}

/// Ends when connections are reset.
async fn cut(mut weather: watch::Receiver<Weather>) {
    let _ = weather.wait_for(|weather| *weather == Weather::Cuts).await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

/// Passes on in one direction, in the order in which it came.
async fn pass_on(
    from: ReadHalf<TcpStream>,
    mut to: WriteHalf<TcpStream>,
    mut weather: watch::Receiver<Weather>,
    direction: Direction,
) {
    let begun_in = *weather.borrow();
    let (chunks, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let reading = read(from, chunks, weather.clone(), direction);
    let writing = async {
        while let Some((due, chunk)) = waiting.recv().await {
            sleep_until(due).await;
            let passes = |now: &Weather| match now {
                Weather::Swallows => false,
                Weather::Forgets => begun_in == Weather::Forgets,
                _ => true,
            };
            if weather.wait_for(passes).await.is_err() || to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        // The other side has closed, or is said to have.
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}

async fn read(
    mut from: ReadHalf<TcpStream>,
    chunks: mpsc::Sender<(Instant, Vec<u8>)>,
    mut weather: watch::Receiver<Weather>,
    direction: Direction,
) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = tokio::select! {
            biased;
            // The end of the channel closes the other side's half.
            () = hung_up(weather.clone(), direction) => return,
            read = from.read(&mut chunk) => read,
        };
        let Ok(bytes @ 1..) = read else { return };
        chunk.truncate(bytes);
        let later = match *weather.borrow_and_update() {
            Weather::Delays(delay) if direction == Direction::Answers => delay,
            _ => Duration::ZERO,
        };
        if chunks.send((Instant::now() + later, chunk)).await.is_err() {
            return;
        }
    }
}

/// Ends when the brokers hang up.
async fn hung_up(mut weather: watch::Receiver<Weather>, direction: Direction) {
    match direction {
        Direction::Requests => std::future::pending().await,
        Direction::Answers => drop(weather.wait_for(|weather| *weather == Weather::HalfCloses).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every byte with the same byte, and a client of it behind a proxy.
    async fn connected() -> (Arc<watch::Sender<Weather>>, TcpStream, Proxy, JoinSet<()>) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = server.local_addr().unwrap().to_string();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
                });
            }
        });
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let weather = Arc::new(watch::Sender::new(Weather::Fair));
        let proxy = Proxy::start(&free, &upstream, &weather).await.unwrap();
        let client = TcpStream::connect(&free).await.unwrap();
        (weather, client, proxy, serving)
    }

    async fn echo(client: &mut TcpStream) -> io::Result<usize> {
        client.write_all(b"x").await?;
        client.read(&mut [0]).await
    }

    /// Long enough that an answer would have come.
    const SHORT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn what_is_swallowed_arrives_later_and_what_is_delayed_late() {
        let (weather, mut client, _proxy, _serving) = connected().await;
        assert_eq!(echo(&mut client).await.unwrap(), 1);
        weather.send_replace(Weather::Delays(SHORT));
        let began = Instant::now();
        assert_eq!(echo(&mut client).await.unwrap(), 1);
        assert!(began.elapsed() >= SHORT);
        weather.send_replace(Weather::Swallows);
        client.write_all(b"x").await.unwrap();
        let mut byte = [0];
        assert!(tokio::time::timeout(SHORT, client.read(&mut byte)).await.is_err());
        weather.send_replace(Weather::Fair);
        assert_eq!(client.read(&mut byte).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_connection_is_reset_or_half_closed() {
        let (weather, mut client, _proxy, _serving) = connected().await;
        assert_eq!(echo(&mut client).await.unwrap(), 1);
        weather.send_replace(Weather::HalfCloses);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the end of what the other side says");
        let (weather, mut client, _proxy, _serving) = connected().await;
        assert_eq!(echo(&mut client).await.unwrap(), 1);
        weather.send_replace(Weather::Cuts);
        assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_forgotten_connection_says_nothing_and_a_new_one_passes() {
        let (weather, mut client, _proxy, _serving) = connected().await;
        assert_eq!(echo(&mut client).await.unwrap(), 1);
        let address = client.peer_addr().unwrap();
        weather.send_replace(Weather::Forgets);
        assert!(tokio::time::timeout(SHORT, echo(&mut client)).await.is_err());
        let mut other = TcpStream::connect(address).await.unwrap();
        assert_eq!(echo(&mut other).await.unwrap(), 1);
    }
}
