//! The admin socket: typed requests to the process that owns the log, over HTTP on a Unix socket that only its user can open.

use std::{
    convert::Infallible,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path as UrlPath, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use futures_util::stream;
use hook_core::{
    event::{EventId, RequestId},
    names::CursorName,
    ports::log::{LogError, Record},
    stop::Stop,
};
use hook_runtime::{Handle, WaitingKey, cursors, status::Status, travel::ToUrl};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

use crate::{
    SOCKET_NAME,
    query::{self, DeadLetterQuery, EventQuery, OwnTopics, Tail},
    story::{self, Story},
    transfer::{self, Identity, Reading, StoredCount, TransferQuery},
    travel::{self, Running},
};

/// The largest part of an import: one record of the largest size, in base64.
const IMPORT_BYTES: usize = 128 << 20;
/// The longest path that a Unix socket may have, on every system that we know.
const LONGEST_PATH: usize = 100;

/// The admin socket, open.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Opens the socket in a data directory whose lock the caller holds, so that what lies there is left over.
    pub fn open(data_directory: &Path) -> io::Result<Self> {
        Self::open_at(data_directory.join(SOCKET_NAME))
    }

    /// Opens a socket of that name in a data directory that several processes share, unless another process answers there.
    pub fn open_beside_others(data_directory: &Path, name: &str) -> io::Result<Self> {
        let path = data_directory.join(name);
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            let message = format!("another process answers at {}", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        Self::open_at(path)
    }

    fn open_at(path: PathBuf) -> io::Result<Self> {
        if path.as_os_str().len() > LONGEST_PATH {
            let message = format!("the path is longer than {LONGEST_PATH} bytes; choose a shorter data directory");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers until `stop`, then removes the socket. `to_url` makes what posts events to URLs of operators.
    pub async fn serve(self, handle: Arc<Handle>, to_url: ToUrl, stop: Stop) -> io::Result<()> {
        let router = Router::new()
            .route("/status", get(status))
            .route("/events", get(events))
            .route("/events/tail", get(tail))
            .route("/events/{id}", get(event))
            .route("/explain/{id}", get(explain))
            .route("/refusals/{id}", get(refusal))
            .route("/dead-letters", get(dead_letters))
            .route("/jobs", get(travel::list).post(travel::run))
            .route("/jobs/count", post(travel::count))
            .route("/cursors/{name}", delete(delete_cursor))
            .route("/log/export", get(export))
            .route("/log/identities", get(identities))
            .route("/log/import", post(import).layer(DefaultBodyLimit::max(IMPORT_BYTES)))
            .with_state(Admin { handle, stop: stop.clone(), to_url, running: Running::default() });
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stop).await;
        let _ = std::fs::remove_file(&self.path);
        served
    }
}

#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) handle: Arc<Handle>,
    pub(crate) stop: Stop,
    pub(crate) to_url: ToUrl,
    pub(crate) running: Running,
}

impl Admin {
    fn own_topics(&self) -> OwnTopics {
        let plan = self.handle.plan();
        OwnTopics { dead_letters: plan.dead_letters.clone(), journal: plan.journal.clone() }
    }
}

/// The status of a process, with what is not for the network.
#[derive(Debug, Clone, Serialize)]
struct FullStatus {
    #[serde(flatten)]
    status: Status,
    /// Keys that wait for a retry, by destination.
    waiting: Vec<WaitingAt>,
}

#[derive(Debug, Clone, Serialize)]
struct WaitingAt {
    destination: String,
    keys: Vec<WaitingKey>,
}

async fn status(State(admin): State<Admin>) -> Json<FullStatus> {
    let status = admin.handle.status();
    let waiting = status.destinations.iter().filter(|destination| !destination.waiting.is_empty());
    let waiting = waiting
        .map(|destination| WaitingAt {
            destination: destination.destination.clone(),
            keys: destination.waiting.clone(),
        })
        .collect();
    Json(FullStatus { status, waiting })
}

async fn events(State(admin): State<Admin>, Query(query): Query<EventQuery>) -> Result<Response, Failed> {
    let events = query::events(admin.handle.log(), &admin.own_topics(), &query).await?;
    Ok(lines(events.iter().flat_map(query::StoredEvent::to_line).collect::<Vec<u8>>()))
}

async fn event(State(admin): State<Admin>, UrlPath(id): UrlPath<EventId>) -> Result<Response, Failed> {
    let events = query::event(admin.handle.log(), &admin.own_topics(), id).await?;
    Ok(lines(events.iter().flat_map(query::StoredEvent::to_line).collect::<Vec<u8>>()))
}

/// Streams one JSON line an event until the client goes or the process ends.
async fn tail(State(admin): State<Admin>, Query(query): Query<EventQuery>) -> Response {
    let tail = Tail::new(Arc::clone(admin.handle.log()), &admin.own_topics(), query);
    let lines = stream::unfold((tail, admin.stop), |(mut tail, mut stop)| async move {
        let events = tokio::select! {
            () = &mut stop => return None,
            events = tail.next() => events.ok()?,
        };
        let chunk: Vec<u8> = events.iter().flat_map(query::StoredEvent::to_line).collect();
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), (tail, stop)))
    });
    lines_of(Body::from_stream(lines))
}

async fn explain(State(admin): State<Admin>, UrlPath(id): UrlPath<EventId>) -> Result<Response, Failed> {
    // What has just happened is part of the story. A log that takes nothing now can still be read.
    let _ = admin.handle.log().flush().await;
    let remembered = admin.handle.journal().refusal(RequestId::from_bytes(id.to_bytes()));
    let story = match remembered {
        Some(entry) => Some(story::of_request(entry)),
        None => story::tell(admin.handle.plan(), admin.handle.log(), id).await?,
    };
    story.map(|story| Json(story).into_response()).ok_or(Failed::NotFound)
}

/// What this process remembers of a request that it has refused. The log is not asked.
async fn refusal(State(admin): State<Admin>, UrlPath(id): UrlPath<EventId>) -> Result<Response, Failed> {
    let remembered = admin.handle.journal().refusal(RequestId::from_bytes(id.to_bytes()));
    remembered.map(|entry| Json(story::of_request(entry)).into_response()).ok_or(Failed::NotFound)
}

async fn dead_letters(State(admin): State<Admin>, Query(query): Query<DeadLetterQuery>) -> Result<Response, Failed> {
    let letters = query::dead_letters(admin.handle.log(), &admin.own_topics(), &query).await?;
    Ok(lines(letters.iter().flat_map(query::dead_letter_line).collect::<Vec<u8>>()))
}

/// Streams one JSON line a record, and ends with an empty line: without it, the answer was cut off.
async fn export(State(admin): State<Admin>, Query(query): Query<TransferQuery>) -> Result<Response, Failed> {
    let reading = query.scan(admin.handle.log())?;
    Ok(lines_of(stream_of(reading, admin.stop, transfer::to_line)))
}

/// Streams what tells each record from every other, one a line in hex; ends like an export.
async fn identities(State(admin): State<Admin>, Query(query): Query<TransferQuery>) -> Result<Response, Failed> {
    let reading = query.scan(admin.handle.log())?;
    let line = |record: &Record| format!("{}\n", to_hex(&transfer::identity(record))).into_bytes();
    Ok(lines_of(stream_of(reading, admin.stop, line)))
}

fn stream_of(reading: Reading, stop: Stop, line: impl Fn(&Record) -> Vec<u8> + Send + 'static) -> Body {
    let parts = stream::unfold(Some((reading, stop, line)), |state| async move {
        let (mut reading, mut stop, line) = state?;
        let records = tokio::select! {
            () = &mut stop => return None,
            records = reading.next() => records.ok()?,
        };
        let Some(records) = records else { return Some((Ok::<_, Infallible>(Bytes::from_static(b"\n")), None)) };
        let part: Vec<u8> = records.iter().flat_map(&line).collect();
        Some((Ok(Bytes::from(part)), Some((reading, stop, line))))
    });
    Body::from_stream(parts)
}

/// Stores the records of JSON lines.
async fn import(State(admin): State<Admin>, body: Bytes) -> Result<Response, Failed> {
    let records = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(transfer::from_line);
    let records = records.collect::<Result<Vec<_>, _>>().map_err(Failed::Refused)?;
    let log = admin.handle.log();
    let places = transfer::store(log, &admin.own_topics(), &records, admin.handle.clock().now()).await?;
    Ok(Json(StoredCount::of(&places)).into_response())
}

fn to_hex(identity: &Identity) -> String {
    format!("{:032x}", u128::from_be_bytes(*identity))
}

/// Forgets a cursor that nothing reads with any more.
async fn delete_cursor(State(admin): State<Admin>, UrlPath(name): UrlPath<CursorName>) -> Result<Response, Failed> {
    let log = admin.handle.log();
    if cursors::active(admin.handle.plan()).contains(&name) {
        return Err(Failed::Refused(format!("an active destination reads with {name}: only an orphan can be deleted")));
    }
    if !log.state().cursors.iter().any(|cursor| cursor.name == name) {
        return Err(Failed::NotFound);
    }
    log.delete_cursor(&name).await?;
    Ok(Json(Deleted { deleted: name }).into_response())
}

#[derive(Serialize)]
struct Deleted {
    deleted: CursorName,
}

fn lines(lines: impl Into<Body>) -> Response {
    lines_of(lines.into())
}

pub(crate) fn lines_of(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// Why a request on the socket failed.
pub(crate) enum Failed {
    NotFound,
    Refused(String),
    Log(LogError),
}

impl From<LogError> for Failed {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (code, error) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not found".to_owned()),
            Self::Refused(error) => (StatusCode::CONFLICT, error),
            Self::Log(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        (code, Json(Answer { error })).into_response()
    }
}

#[derive(Serialize, Deserialize)]
struct Answer {
    error: String,
}

/// A connection to a process that owns a data directory, or shares it.
pub struct Client {
    /// The first that answers is asked.
    paths: Vec<PathBuf>,
}

/// Why the owner did not answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No process owns the data directory.
    #[error("no pipeline runs on this data directory")]
    NotRunning,
    /// The owner knows no such thing.
    #[error("not found")]
    NotFound,
    /// The owner refused.
    #[error("{0}")]
    Refused(String),
    /// The socket failed.
    #[error("the admin socket failed: {0}")]
    Failed(String),
}

impl Client {
    /// A client of whoever owns that data directory. Where several processes share it, those that take events in come first:
    /// only they know what they refused, and where they listen.
    pub fn new(data_directory: &Path) -> Self {
        let mut shared: Vec<(usize, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(data_directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let rank = name.to_str().and_then(|name| ROLES.iter().position(|role| is_socket_of(role, name)));
            shared.extend(rank.map(|rank| (rank, entry.path())));
        }
        shared.sort_unstable();
        let paths = std::iter::once(data_directory.join(SOCKET_NAME)).chain(shared.into_iter().map(|(_, path)| path));
        Self { paths: paths.collect() }
    }

    /// Whether a process answers.
    pub async fn is_running(&self) -> bool {
        self.connect().await.is_ok()
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        for path in &self.paths {
            if let Ok(stream) = UnixStream::connect(path).await {
                return Ok(stream);
            }
        }
        Err(ClientError::NotRunning)
    }

    /// Asks, and takes the whole answer.
    pub async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        self.send("GET", path).await
    }

    /// Orders in JSON, and takes the whole answer.
    pub async fn post_json<T: DeserializeOwned>(&self, path: &str, order: &impl Serialize) -> Result<T, ClientError> {
        let body = self.request_json(path, order).await?;
        serde_json::from_slice(&body.collect().await.map_err(failed)?.to_bytes()).map_err(failed)
    }

    /// Orders in JSON, and hands over each line of the answer as it comes, without its line feed; until `take` has enough.
    pub async fn post_lines(
        &self,
        path: &str,
        order: &impl Serialize,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        let mut body = self.request_json(path, order).await?;
        let mut partial = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
            partial.extend_from_slice(&data);
            while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = partial.drain(..=end).collect();
                if !take(&line[..end]) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn request_json(&self, path: &str, order: &impl Serialize) -> Result<Incoming, ClientError> {
        let body = serde_json::to_vec(order).map_err(failed)?;
        self.request("POST", path, body.into()).await
    }

    /// Gives, and takes the whole answer.
    pub async fn post_body(&self, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let body = self.request("POST", path, body).await?;
        Ok(body.collect().await.map_err(failed)?.to_bytes())
    }

    /// Asks for lines, and hands over each one as it comes, without its line feed. Fails where the answer was cut off.
    pub async fn each_line(&self, path: &str, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), ClientError> {
        let mut partial = Vec::new();
        let (mut is_whole, mut goes_on) = (false, true);
        self.follow(path, |chunk| {
            partial.extend_from_slice(&chunk);
            let whole = partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = partial.drain(..whole).collect();
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                is_whole = line.is_empty();
                goes_on = goes_on && (is_whole || take(line));
            }
            goes_on
        })
        .await?;
        match is_whole || !goes_on {
            true => Ok(()),
            false => {
                Err(ClientError::Failed("the answer was cut off: the pipeline has ended, or its log failed".into()))
            }
        }
    }

    /// Orders that something be deleted, and takes the whole answer.
    pub async fn delete(&self, path: &str) -> Result<Bytes, ClientError> {
        self.send("DELETE", path).await
    }

    /// Asks for one JSON value.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        serde_json::from_slice(&self.get(path).await?).map_err(failed)
    }

    /// The story of an id. Where several processes share the directory, each is asked what it has refused: only that one
    /// remembers it. The log tells the rest, and is read by one of them.
    pub async fn explain(&self, id: EventId) -> Result<Story, ClientError> {
        for path in self.paths.iter().filter(|path| path.file_name() != Some(SOCKET_NAME.as_ref())) {
            let Ok(stream) = UnixStream::connect(path).await else { continue };
            let answer = request(stream, "GET", &format!("/refusals/{id}"), Bytes::new()).await;
            if let Ok(body) = answer {
                return serde_json::from_slice(&body.collect().await.map_err(failed)?.to_bytes()).map_err(failed);
            }
        }
        self.get_json(&format!("/explain/{id}")).await
    }

    /// Asks, and hands over the answer as it comes; ends when the owner ends.
    pub async fn follow(&self, path: &str, mut take: impl FnMut(Bytes) -> bool) -> Result<(), ClientError> {
        let mut body = self.request("GET", path, Bytes::new()).await?;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
            if !take(data) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn send(&self, method: &str, path: &str) -> Result<Bytes, ClientError> {
        let body = self.request(method, path, Bytes::new()).await?;
        Ok(body.collect().await.map_err(failed)?.to_bytes())
    }

    async fn request(&self, method: &str, path: &str, body: Bytes) -> Result<Incoming, ClientError> {
        request(self.connect().await?, method, path, body).await
    }
}

async fn request(stream: UnixStream, method: &str, path: &str, body: Bytes) -> Result<Incoming, ClientError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // tidy-allow(supervised): ends with the connection, which the answer's body holds open
    tokio::spawn(connection);
    let body = Full::new(body);
    let request = hyper::Request::builder().method(method).uri(path).header(header::HOST, "hook");
    // What takes JSON asks for its name.
    let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
    let response = sender.send_request(request.map_err(failed)?).await.map_err(failed)?;
    let (status, body) = (response.status(), response.into_body());
    match status {
        StatusCode::OK => Ok(body),
        StatusCode::NOT_FOUND => Err(ClientError::NotFound),
        _ => {
            let bytes = body.collect().await.map_err(failed)?.to_bytes();
            let error = serde_json::from_slice::<Answer>(&bytes).map(|answer| answer.error);
            Err(ClientError::Refused(error.unwrap_or_else(|_| status.to_string())))
        }
    }
}

/// Whose sockets are looked for where processes share a data directory, in this order.
const ROLES: [&str; 4] = ["up", "serve", "smash", "relay"];

fn is_socket_of(role: &str, name: &str) -> bool {
    let rest = name.strip_prefix("admin-").and_then(|rest| rest.strip_prefix(role));
    rest.is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".sock"))
}

fn failed(error: impl std::fmt::Display) -> ClientError {
    ClientError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket_name;

    #[test]
    fn those_who_take_events_in_are_asked_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let names = [("smash", Some("a")), ("relay", None), ("serve", Some("b")), ("serve", Some("a"))];
        let names = names.map(|(role, instance)| socket_name(role, instance));
        for name in names.iter().map(String::as_str).chain(["admin-other.sock", "admin-smash.txt", "lock"]) {
            std::fs::write(directory.path().join(name), "").expect("a file");
        }
        let client = Client::new(directory.path());
        let names: Vec<_> = client.paths.iter().map(|path| path.file_name().and_then(|name| name.to_str())).collect();
        let expected =
            ["admin.sock", "admin-serve.a.sock", "admin-serve.b.sock", "admin-smash.a.sock", "admin-relay.sock"];
        assert_eq!(names, expected.map(Some));
    }

    #[tokio::test]
    async fn a_socket_that_answers_is_not_taken_and_one_that_is_left_over_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || AdminSocket::open_beside_others(directory.path(), "admin-smash.sock");
        let first = open().expect("a socket");
        assert!(Client::new(directory.path()).is_running().await);
        assert_eq!(open().err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        drop(first);
        assert!(!Client::new(directory.path()).is_running().await, "the file is left over, and nobody answers");
        assert!(open().is_ok());
    }
}
