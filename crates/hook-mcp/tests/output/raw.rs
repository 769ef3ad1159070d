//! What an HTTP server can do wrong, byte for byte.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use hook_core::outcome::{Failure, FailureClass};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinHandle,
};

use super::{build, deliver, delivered, event, failure};

/// Makes an answer for the id of a request.
type Answer = fn(&Value) -> Vec<u8>;

/// Answers calls one after the other as it is told; everything else well.
struct Raw {
    address: SocketAddr,
    _serving: JoinHandle<()>,
}

impl Raw {
    async fn start(initialize: Answer, calls: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(VecDeque::from(calls.to_vec())));
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(talk(stream, initialize, Arc::clone(&calls)));
            }
        });
        Self { address, _serving: serving }
    }

    fn settings(&self) -> Value {
        json!({
            "tool_name": "take",
            "transport_ref": { "driver": "http_sse", "url": format!("http://{}/", self.address), "auth_mode": "none" },
            "timeout_seconds": 30,
        })
    }

    async fn failure(initialize: Answer, calls: &[Answer]) -> Failure {
        let raw = Self::start(initialize, calls).await;
        failure(deliver(&*build(raw.settings()).unwrap(), &event()).await)
    }
}

async fn talk(stream: TcpStream, initialize: Answer, calls: Arc<Mutex<VecDeque<Answer>>>) {
    let mut stream = BufReader::new(stream);
    while let Some((method, request)) = read(&mut stream).await {
        let id = &request["id"];
        let answer = match (method.as_str(), request["method"].as_str().unwrap_or_default()) {
            ("POST", "initialize") => initialize(id),
            ("POST", "tools/list") => json_answer(&json!({
                "jsonrpc": "2.0", "id": id,
                "result": { "tools": [{ "name": "take", "inputSchema": { "type": "object" } }] },
            })),
            ("POST", "tools/call") => calls.lock().await.pop_front().unwrap()(id),
            ("POST", _) => http("202 Accepted", "", b""),
            _ => http("405 Method Not Allowed", "", b""),
        };
        if answer.is_empty() || stream.get_mut().write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let (mut method, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if method.is_empty() {
            method = line.split(' ').next()?.to_owned();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((method, serde_json::from_slice(&body).unwrap_or_default()))
}

fn http(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let kind = if kind.is_empty() { String::new() } else { format!("content-type: {kind}\r\n") };
    let head = format!("HTTP/1.1 {status}\r\n{kind}mcp-session-id: s\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn json_answer(message: &Value) -> Vec<u8> {
    http("200 OK", "application/json", message.to_string().as_bytes())
}

fn well(id: &Value) -> Vec<u8> {
    json_answer(&json!({ "jsonrpc": "2.0", "id": id, "result": {
        "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": { "name": "raw", "version": "1" },
    } }))
}

fn done(id: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } })
}

#[tokio::test]
async fn an_answer_may_come_as_a_stream_of_events_with_other_things_before_it() {
    let stream: Answer = |id| {
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 1, "progress": 1 } });
        let other = json!({ "jsonrpc": "2.0", "method": "notifications/of_tomorrow" });
        let body = format!(
            ": hello\n\nid: 1\nretry: 10\ndata:\n\ndata: {progress}\n\ndata: {other}\r\n\r\nevent: message\ndata: {}\n\n",
            done(id)
        );
        http("200 OK", "text/event-stream; charset=utf-8", body.as_bytes())
    };
    let raw = Raw::start(well, &[stream, stream]).await;
    let driver = build(raw.settings()).unwrap();
    delivered(&deliver(&*driver, &event()).await);
    delivered(&deliver(&*driver, &event()).await);
}

#[tokio::test]
async fn a_stream_that_ends_before_the_answer_is_a_failure_that_may_pass() {
    let failed = Raw::failure(well, &[|_| http("200 OK", "text/event-stream", b": nothing\n\n")]).await;
    assert_eq!(
        (failed.class, failed.error.as_str()),
        (FailureClass::Transient, "the connection was closed before the answer")
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let huge: Answer = |id| {
        let mut message = done(id);
        message["result"]["content"] = json!([{ "type": "text", "text": "x".repeat(5 * 1024 * 1024) }]);
        json_answer(&message)
    };
    let failed = Raw::failure(well, &[huge]).await;
    assert_eq!(
        (failed.class, failed.error.as_str()),
        (FailureClass::Transient, "the answer is larger than 4194304 bytes")
    );
    let stream: Answer =
        |_| http("200 OK", "text/event-stream", &[b"data: ".as_slice(), &vec![b'x'; 5 << 20]].concat());
    assert_eq!(Raw::failure(well, &[stream]).await.class, FailureClass::Transient);
}

#[tokio::test]
async fn a_page_for_people_is_not_mistaken_for_a_server() {
    let page: Answer = |_| http("200 OK", "text/html", b"<html>canary</html>");
    let failed = Raw::failure(page, &[]).await;
    assert_eq!(failed.class, FailureClass::Misconfigured);
    assert!(failed.error.contains("is url the address of an MCP server"), "{}", failed.error);
    let failed = Raw::failure(|_| http("404 Not Found", "", b""), &[]).await;
    assert_eq!(failed.class, FailureClass::Misconfigured, "{}", failed.error);
    let failed = Raw::failure(|_| http("307 Temporary Redirect\r\nlocation: /elsewhere", "", b""), &[]).await;
    assert!(failed.class == FailureClass::Misconfigured && failed.error.contains("redirects"), "{}", failed.error);
}

#[tokio::test]
async fn a_server_that_calls_a_lost_session_a_bad_request_is_given_another() {
    let raw =
        Raw::start(well, &[|_| http("400 Bad Request", "", b"no valid session"), |id| json_answer(&done(id))]).await;
    let driver = build(raw.settings()).unwrap();
    let event = event();
    assert_eq!(failure(deliver(&*driver, &event).await).class, FailureClass::Transient);
    delivered(&deliver(&*driver, &event).await);
}

#[tokio::test]
async fn a_connection_that_is_lost_in_a_call_may_have_delivered_it() {
    let failed = Raw::failure(well, &[|_| Vec::new()]).await;
    assert_eq!(failed.class, FailureClass::Transient, "{}", failed.error);
}

#[tokio::test]
async fn what_no_answer_can_be_is_no_delivery() {
    for answer in [
        (|id| json_answer(&json!({ "jsonrpc": "2.0", "id": id, "result": { "tools": [] } }))) as Answer,
        |_| http("200 OK", "application/json", b"{\"jsonrpc\":"),
        |_| http("500 Internal Server Error", "text/plain", b"canary"),
    ] {
        let failed = Raw::failure(well, &[answer]).await;
        assert_eq!(failed.class, FailureClass::Transient, "{}", failed.error);
    }
}
