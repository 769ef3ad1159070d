//! HTTP: webhooks in, requests out.
//!
//! | file | says |
//! |---|---|
//! | [`ingress`] | the driver `http_webhook_ingress` and its settings |
//! | `server`, `connection` | the listener and its drain; one connection and its limits |
//! | `front` | an address that several adapters share |
//! | `receive` | one request: the order of the checks |
//! | `path`, `proxies`, `rate`, `body`, `answer`, `stall` | one concern of a request each |
//! | [`output`] | the driver `http_output` and its settings |
//! | `client` | the client that every outgoing driver shares |
//! | `guard`, `classify`, `credentials`, `headers`, `cloudevents` | one concern of an outgoing request each |

pub(crate) mod answer;
mod body;
pub(crate) mod classify;
pub(crate) mod client;
mod cloudevents;
mod connection;
pub(crate) mod credentials;
pub(crate) mod front;
pub(crate) mod guard;
pub(crate) mod headers;
pub mod ingress;
mod networks;
pub mod output;
pub(crate) mod path;
mod proxies;
pub(crate) mod rate;
mod receive;
pub(crate) mod server;
pub(crate) mod stall;
