//! Drivers, grouped by the system that they speak to. None knows a role, a retry policy or the contract.

pub mod file;
pub mod http;
pub mod openclaw;
pub mod plugins;
pub mod verify;
pub mod websocket;

use hook_core::{
    catalog::Entry,
    ports::{egress::EgressDriver, ingress::IngressDriver},
};

/// The drivers through which events come in.
pub fn ingress() -> Vec<Entry<dyn IngressDriver>> {
    vec![Entry::of::<http::ingress::HttpWebhookIngress>(), Entry::of::<websocket::ingress::WebSocketIngress>()]
}

/// The drivers through which events go out.
pub fn egress() -> Vec<Entry<dyn EgressDriver>> {
    vec![
        Entry::of::<file::output::FileOutput>(),
        Entry::of::<http::output::HttpOutput>(),
        Entry::of::<openclaw::output::OpenClawOutput>(),
        Entry::of::<websocket::client_output::WebSocketClientOutput>(),
        Entry::of::<websocket::server_output::WebSocketServerOutput>(),
    ]
}
