//! The drivers through which events come in keep the promises of their port.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use hook_core::{BoxFuture, names::EnvName, ports::ingress::IngressDriver, secret::Secret};
use hook_testkit::ingress_conformance::{IngressFixture, LARGEST_PAYLOAD, TRACEPARENT, Told};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest, error::Error},
};

use crate::wire::{Client, post};

fn driver(name: &str, settings: Value) -> Arc<dyn IngressDriver> {
    let entry = hook_drivers::ingress().into_iter().find(|entry| entry.name() == name).unwrap();
    entry.build(settings).ok().unwrap().driver
}

/// What the `code` of an answer says.
fn told(answer: &Value) -> Told {
    let id = || answer["event_id"].as_str().unwrap().to_owned();
    match answer["code"].as_str().unwrap() {
        "accepted" => Told::Stored(id()),
        "duplicate" => Told::Duplicate(id()),
        "not_routed" => Told::NotRouted,
        code => Told::Refused(code.to_owned()),
    }
}

struct Webhooks;

impl IngressFixture for Webhooks {
    fn driver(&self, bind: SocketAddr) -> Arc<dyn IngressDriver> {
        driver("http_webhook_ingress", json!({ "bind": bind, "max_body_bytes": LARGEST_PAYLOAD }))
    }

    /// Its sources have secrets, and it has none.
    fn secrets(&self) -> BTreeMap<EnvName, Secret> {
        BTreeMap::new()
    }

    fn send(&self, address: SocketAddr, source: &'static str, payload: String) -> BoxFuture<'_, Told> {
        Box::pin(async move {
            let mut client = Client::connect(address).await;
            let trace = format!("traceparent: {TRACEPARENT}");
            client.push(post(&format!("/webhook/{source}"), &[&trace], &payload)).await;
            client.try_receive().await.map_or(Told::Nothing, |answer| told(&answer.json()))
        })
    }
}

mod webhooks {
    hook_testkit::ingress_conformance!(super::Webhooks);
}

struct Frames;

impl IngressFixture for Frames {
    fn driver(&self, bind: SocketAddr) -> Arc<dyn IngressDriver> {
        let settings = json!({
            "bind": bind,
            "auth_mode": "bearer",
            "token_env": "TOKEN",
            "max_frame_bytes": LARGEST_PAYLOAD,
        });
        driver("websocket_ingress", settings)
    }

    fn secrets(&self) -> BTreeMap<EnvName, Secret> {
        BTreeMap::from([(EnvName::new("TOKEN").unwrap(), Secret::new("canary-token"))])
    }

    fn send(&self, address: SocketAddr, source: &'static str, payload: String) -> BoxFuture<'_, Told> {
        Box::pin(async move {
            let mut request = format!("ws://{address}/ingest/ws/{source}").into_client_request().unwrap();
            request.headers_mut().insert("authorization", "Bearer canary-token".parse().unwrap());
            request.headers_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
            let stream = TcpStream::connect(address).await.unwrap();
            let mut socket = match client_async(request, stream).await {
                Ok((socket, _)) => socket,
                Err(Error::Http(response)) => {
                    return told(&serde_json::from_slice(response.body().as_ref().unwrap()).unwrap());
                }
                Err(error) => panic!("{error}"),
            };
            let frame = format!("{{\"id\":\"1\",\"event_type\":\"push\",\"payload\":{payload}}}");
            // A frame that is too large is not read to its end.
            let _ = socket.send(Message::text(frame)).await;
            loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => return told(&serde_json::from_str(text.as_str()).unwrap()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(_) | Err(_)) | None => return Told::Nothing,
                }
            }
        })
    }
}

mod frames {
    hook_testkit::ingress_conformance!(super::Frames);
}
