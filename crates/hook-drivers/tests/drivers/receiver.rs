//! A destination that remembers requests and answers what a test tells it to, byte by byte.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hook_core::{
    Timestamp,
    envelope::{Envelope, EventHeader, Meta},
    event::{EventId, TraceId},
    names::{EnvName, EventType, SourceName},
    outcome::{Failure, FailureClass, Outcome},
    payload::Payload,
    ports::egress::{Delivery, EgressDriver},
    secret::{Secret, Secrets},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};

/// A request as it stood on the wire.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the destination does once it has read a request.
#[derive(Clone)]
pub(crate) enum Reaction {
    Answer(String),
    Reset,
    Silence,
}

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    requests: mpsc::Receiver<Request>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// Answers every request with a status line's end and further headers.
    pub(crate) async fn answering(status: &str, headers: &str) -> Self {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 13\r\n{headers}\r\n{{\"ok\":\"body\"}}");
        Self::reacting(Reaction::Answer(answer)).await
    }

    pub(crate) async fn reacting(reaction: Reaction) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (received, requests) = mpsc::channel(16);
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let (received, reaction) = (received.clone(), reaction.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read_request(&mut stream).await {
                        let _ = received.send(request).await;
                        match &reaction {
                            Reaction::Answer(text) => stream.get_mut().write_all(text.as_bytes()).await.unwrap(),
                            Reaction::Reset => return stream.into_inner().set_zero_linger().unwrap(),
                            Reaction::Silence => std::future::pending().await,
                        }
                    }
                });
            }
        });
        Self { address, requests, connections }
    }

    pub(crate) async fn request(&mut self) -> Request {
        self.requests.recv().await.unwrap()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn has_no_request(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

pub(crate) async fn read_request(stream: &mut BufReader<tokio::net::TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { line: line.trim_end().to_owned(), headers, body })
}

/// An egress driver of the catalog.
pub(crate) fn driver(name: &str, settings: Value) -> Arc<dyn EgressDriver> {
    let entry = hook_drivers::egress().into_iter().find(|entry| entry.name() == name).unwrap();
    entry.build(settings).ok().unwrap().driver
}

pub(crate) fn event(payload: &str) -> Envelope {
    Envelope {
        header: EventHeader {
            id: EventId::from_bytes([7; 16]),
            source: SourceName::new("github").unwrap(),
            event_type: EventType::new("issues.opened").unwrap(),
            received_at: Timestamp::UNIX_EPOCH,
            meta: Meta {
                trace_id: TraceId::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                route_key: Some("github:a/b#1".into()),
                ..Meta::default()
            },
        },
        payload: Payload::parse(payload.to_owned().into()).unwrap(),
    }
}

pub(crate) fn secrets(pairs: &[(&str, &str)]) -> Secrets {
    let secrets: BTreeMap<_, _> =
        pairs.iter().map(|(name, value)| (EnvName::new(name).unwrap(), Secret::new(*value))).collect();
    Arc::new(secrets)
}

pub(crate) async fn deliver(driver: &dyn EgressDriver, envelope: &Envelope, secrets: &Secrets) -> Outcome {
    driver.deliver(Delivery { envelope, attempt: 1, secrets, place: None }).await
}

pub(crate) fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Delivered { answer } => panic!("delivered: {answer}"),
    }
}

pub(crate) fn class(outcome: Outcome) -> FailureClass {
    failure(outcome).class
}
