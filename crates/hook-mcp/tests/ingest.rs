//! `mcp_ingest_exposed` as a client of MCP meets it. Requests are written by hand, so that they can be wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use hook_core::{
    BoxFuture,
    names::{AdapterId, EnvName},
    ports::ingress::{Accepted, Doors, IngressDriver, Inlet, Opening, Refused, RejectionKind},
    secret::{Secret, Secrets},
    stop::Stop,
};
use hook_testkit::{
    fake_inlet::{Answer, FakeInlet, event_id, request_id},
    ingress_conformance::{IngressFixture, LARGEST_PAYLOAD, TRACEPARENT, Told},
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

const TOKEN: &str = "canary-token";
const TOOL: &str = "serve_ingest_event";

fn driver(bind: SocketAddr, more: &Value) -> Arc<dyn IngressDriver> {
    let mut settings = json!({
        "transport_driver": "http_sse",
        "bind": bind,
        "auth_mode": "bearer",
        "token_env": "MCP_TOKEN",
        "max_payload_bytes": LARGEST_PAYLOAD,
        "allowed_origins": ["https://app.example.com"],
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    hook_mcp::ingress().remove(0).build(settings).ok().unwrap().driver
}

fn secrets() -> BTreeMap<EnvName, Secret> {
    BTreeMap::from([(EnvName::new("MCP_TOKEN").unwrap(), Secret::new(TOKEN))])
}

/// A server that runs until the test ends.
struct Server {
    address: SocketAddr,
    inlet: Arc<FakeInlet>,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Server {
    async fn start(inlet: Arc<FakeInlet>, more: Value) -> Self {
        let (adapter, doors) = (AdapterId::new("mcp-in").unwrap(), Doors::default());
        let secrets: Secrets = Arc::new(secrets());
        let driver = driver(([127, 0, 0, 1], 0).into(), &more);
        let opening = Opening { adapter: &adapter, secrets: &secrets, beside: None, tls: None, doors: &doors };
        let listener = driver.listen(opening).await.ok().unwrap();
        let address = listener.address().unwrap();
        tokio::spawn(listener.run(Arc::clone(&inlet) as Arc<dyn Inlet>, Stop::never()));
        Self { address, inlet }
    }

    async fn storing() -> Self {
        Self::start(FakeInlet::storing(), json!({})).await
    }

    async fn send(&self, method: Method, headers: &[(&str, &str)], body: String) -> Reply {
        send(self.address, method, headers, body).await
    }

    /// What a message of JSON-RPC is answered.
    async fn ask(&self, message: &Value) -> Reply {
        self.send(Method::POST, &[("authorization", "Bearer canary-token")], message.to_string()).await
    }

    /// The result of a call of the tool.
    async fn call(&self, arguments: &Value) -> Value {
        let reply = self.ask(&call(TOOL, arguments)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body["result"].clone()
    }
}

async fn send(address: SocketAddr, method: Method, headers: &[(&str, &str)], body: String) -> Reply {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method, format!("http://{address}/mcp"));
    for (name, value) in [("accept", "application/json, text/event-stream"), ("content-type", "application/json")] {
        request = request.header(name, value);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

fn initialize(version: &str) -> Value {
    let params = json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })
}

#[tokio::test]
async fn the_tool_is_listed_with_both_schemas_and_no_session_is_kept() {
    let server = Server::storing().await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let reply = server.ask(&initialize(version)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.body["result"]["protocolVersion"], version);
        assert_eq!(reply.body["result"]["serverInfo"]["name"], "hook");
        assert!(!reply.headers.contains_key("mcp-session-id"));
        let done = server.ask(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        assert_eq!(done.status, 202);
    }
    let listed = server.ask(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).await.body;
    let [tool] = listed["result"]["tools"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(tool["name"], TOOL);
    assert_eq!(tool["inputSchema"]["required"], json!(["source", "payload"]));
    let told = ["status", "event_id", "source", "event_type", "kafka_topic", "queued_at"];
    assert!(told.iter().all(|name| tool["outputSchema"]["properties"][name].is_object()), "{tool}");
    assert_eq!(tool["outputSchema"]["type"], "object");
}

#[tokio::test]
async fn a_call_is_answered_in_structure_and_in_text_with_what_became_of_the_event() {
    let server = Server::storing().await;
    let result = server.call(&json!({ "source": "github", "payload": { "n": 1 }, "event_type": "push" })).await;
    let mut told = result["structuredContent"].clone();
    let queued_at = told.as_object_mut().unwrap().remove("queued_at").unwrap();
    queued_at.as_str().unwrap().parse::<hook_core::Timestamp>().unwrap();
    let id = event_id().to_string();
    assert_eq!(
        told,
        json!({
            "status": "queued",
            "event_id": id,
            "source": "github",
            "event_type": "push",
            "kafka_topic": "webhooks.github",
        })
    );
    assert_eq!(result["isError"], json!(false));
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);

    let unrouted = FakeInlet::new(Answer::Taken(Accepted::NotRouted(request_id())));
    let unrouted = Server::start(unrouted, json!({})).await.call(&json!({ "source": "github", "payload": {} })).await;
    assert_eq!(
        unrouted["structuredContent"],
        json!({ "status": "not_routed", "source": "github", "request_id": request_id().to_string() })
    );
}

#[tokio::test]
async fn what_a_call_says_beside_its_payload_goes_with_the_event() {
    let server = Server::storing().await;
    let arguments = json!({
        "source": "github",
        "payload": {},
        "event_type": "push",
        "headers": { "X-Hub-Signature-256": "sha256=00", "x-github-event": "push" },
        "metadata": { "delivery_id": "d-1", "ordering_key": "repo", "traceparent": "00-a-b-01", "else": [1] },
    });
    server.call(&arguments).await;
    let events = server.inlet.events.lock().unwrap();
    let (event, stated) = (&events[0], events[0].stated.as_ref().unwrap());
    assert_eq!(event.url, "/mcp");
    assert_eq!(event.headers["x-hub-signature-256"], "sha256=00");
    assert_eq!(event.headers["traceparent"], "00-a-b-01");
    assert_eq!(stated.event_type.as_ref().unwrap().as_str(), "push");
    assert_eq!((stated.delivery_id.as_deref(), stated.ordering_key.as_deref()), (Some("d-1"), Some("repo")));
    assert!(stated.is_sender_proven);
}

#[tokio::test]
async fn a_wrong_call_is_an_error_that_an_agent_can_read_and_mend() {
    let server = Server::storing().await;
    for (arguments, code, part) in [
        (json!({}), "malformed_call", "`source` is missing"),
        (json!({ "source": 1, "payload": {} }), "malformed_call", "`source` has to be text"),
        (json!({ "source": "nobody", "payload": {} }), "unknown_source", "no source of this name"),
        (json!({ "source": "github" }), "malformed_call", "`payload` is missing"),
        (json!({ "source": "github", "payload": "canary" }), "malformed_call", "`payload` has to be an object"),
        (json!({ "source": "github", "payload": {}, "canary": 1 }), "malformed_call", "no other arguments than source"),
        (json!({ "source": "github", "payload": {}, "event_type": "" }), "malformed_call", "`event_type`"),
        (json!({ "source": "github", "payload": {}, "headers": { "a b": "canary" } }), "malformed_call", "no header"),
        (json!({ "source": "github", "payload": {}, "headers": ["canary"] }), "malformed_call", "`headers`"),
        (
            json!({ "source": "github", "payload": {}, "metadata": { "delivery_id": 1 } }),
            "malformed_call",
            "`metadata`",
        ),
        (
            json!({ "source": "github", "payload": {}, "metadata": { "delivery_id": "\n" } }),
            "malformed_call",
            "delivery_id",
        ),
        (json!({ "source": "github", "payload": { "x": "y".repeat(5000) } }), "body_too_large", "limit of 4096 bytes"),
    ] {
        let result = server.call(&arguments).await;
        let told = &result["structuredContent"];
        assert_eq!(
            (&result["isError"], &told["status"], &told["code"]),
            (&json!(true), &json!("refused"), &json!(code))
        );
        let message = told["message"].as_str().unwrap();
        assert!(message.contains(part) && !message.contains("canary"), "{message}");
        assert_eq!(told["request_id"], request_id().to_string());
    }
    assert!(server.inlet.bodies().is_empty());

    let refused = Refused {
        kind: RejectionKind::Unavailable,
        code: "log_unavailable",
        message: "why".to_owned(),
        retry_after: Some(std::time::Duration::from_secs(5)),
    };
    let server = Server::start(FakeInlet::new(Answer::Refused(refused)), json!({})).await;
    let told = server.call(&json!({ "source": "github", "payload": {} })).await;
    assert_eq!(told["structuredContent"]["retry_after_ms"], 5000);
}

#[tokio::test]
async fn what_is_no_call_of_the_tool_is_an_error_of_the_protocol() {
    let server = Server::storing().await;
    let reply = server.ask(&call("canary", &json!({}))).await;
    assert_eq!(reply.body["error"]["code"], -32602);
    assert_eq!(reply.body["error"]["message"], "there is no tool of this name; there is `serve_ingest_event`");
    let reply = server.ask(&json!({ "jsonrpc": "2.0", "id": 1, "method": "canary" })).await;
    assert_eq!(reply.body["error"]["code"], -32601);
    for body in ["", "canary", "[]", "{}", "{\"jsonrpc\":\"1.0\"}"] {
        let reply = server.send(Method::POST, &[("authorization", "Bearer canary-token")], body.to_owned()).await;
        assert!(reply.status.is_client_error(), "{body}: {}", reply.status);
    }
    assert!(server.inlet.bodies().is_empty());
}

#[tokio::test]
async fn only_those_with_the_token_are_let_in_and_the_challenge_says_so() {
    let server = Server::storing().await;
    let message = initialize("2025-06-18").to_string();
    for (token, challenge) in [
        (None, "Bearer realm=\"hook\""),
        (Some("Bearer wrong"), "Bearer realm=\"hook\", error=\"invalid_token\""),
        (Some("Basic canary-token"), "Bearer realm=\"hook\", error=\"invalid_token\""),
    ] {
        let headers: Vec<_> = token.map(|token| ("authorization", token)).into_iter().collect();
        let reply = server.send(Method::POST, &headers, message.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (401, Some("unauthorized")));
        assert_eq!(reply.headers["www-authenticate"], challenge);
    }
}

#[tokio::test]
async fn a_client_of_the_older_transport_is_told_what_is_spoken_here() {
    let server = Server::storing().await;
    let headers = [("authorization", "Bearer canary-token"), ("accept", "text/event-stream")];
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let reply = server.send(method, &headers, String::new()).await;
        assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (405, Some("method_not_allowed")));
        assert_eq!(reply.headers["allow"], "POST");
        assert!(reply.body["message"].as_str().unwrap().contains("streamable HTTP"));
    }
}

#[tokio::test]
async fn a_page_may_call_where_its_origin_is_named() {
    let server = Server::storing().await;
    let asks = |origin: &'static str| [("origin", origin), ("access-control-request-method", "POST")];
    let reply = server.send(Method::OPTIONS, &asks("https://app.example.com"), String::new()).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.headers["access-control-allow-origin"], "https://app.example.com");
    assert!(reply.headers["access-control-allow-headers"].to_str().unwrap().contains("mcp-protocol-version"));
    for origin in ["https://evil.example.com", "null", "https://app.example.com.evil.example"] {
        let reply = server.send(Method::OPTIONS, &asks(origin), String::new()).await;
        assert_eq!((reply.status.as_u16(), reply.headers.get("access-control-allow-origin")), (403, None), "{origin}");
        let headers = [("origin", origin), ("authorization", "Bearer canary-token")];
        let reply = server.send(Method::POST, &headers, initialize("2025-06-18").to_string()).await;
        assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (403, Some("origin_not_allowed")));
    }
    let headers = [("origin", "https://app.example.com"), ("authorization", "Bearer canary-token")];
    let reply = server.send(Method::POST, &headers, initialize("2025-06-18").to_string()).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["access-control-allow-origin"]),
        (200, &"https://app.example.com".parse().unwrap())
    );
}

#[tokio::test]
async fn too_many_requests_of_one_address_are_told_to_wait() {
    let server = Server::start(FakeInlet::storing(), json!({ "rate_per_minute_per_address": 1 })).await;
    assert_eq!(server.ask(&initialize("2025-06-18")).await.status, 200);
    let reply = server.ask(&initialize("2025-06-18")).await;
    assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (429, Some("rate_limited")));
    assert!(reply.headers.contains_key("retry-after"));
}

/// Speaks MCP for the suite of the port.
struct Fixture;

impl IngressFixture for Fixture {
    fn driver(&self, bind: SocketAddr) -> Arc<dyn IngressDriver> {
        driver(bind, &json!({}))
    }

    fn secrets(&self) -> BTreeMap<EnvName, Secret> {
        secrets()
    }

    fn send(&self, address: SocketAddr, source: &'static str, payload: String) -> BoxFuture<'_, Told> {
        Box::pin(async move {
            let message = call(
                TOOL,
                &json!({
                    "source": source,
                    "payload": "PAYLOAD",
                    "event_type": "push",
                    "metadata": { "traceparent": TRACEPARENT },
                }),
            );
            let body = message.to_string().replace("\"PAYLOAD\"", &payload);
            let reply = send(address, Method::POST, &[("authorization", "Bearer canary-token")], body).await;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if reply.status != 200 {
                return Told::Refused(text(&reply.body["code"]));
            }
            let told = &reply.body["result"]["structuredContent"];
            match told["status"].as_str().unwrap() {
                "queued" => Told::Stored(text(&told["event_id"])),
                "duplicate" => Told::Duplicate(text(&told["event_id"])),
                "not_routed" => Told::NotRouted,
                "refused" => Told::Refused(text(&told["code"])),
                other => panic!("{other}"),
            }
        })
    }
}

mod conformance {
    hook_testkit::ingress_conformance!(super::Fixture);
}
