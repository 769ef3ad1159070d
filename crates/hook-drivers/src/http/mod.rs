//! HTTP: webhooks in, requests out.
//!
//! | file | says |
//! |---|---|
//! | [`ingress`] | the driver `http_webhook_ingress` and its settings |
//! | `server`, `connection` | the listener and its drain; one connection and its limits |
//! | `receive` | one request: the order of the checks |
//! | `path`, `proxies`, `rate`, `body`, `answer`, `stall` | one concern of a request each |
//! | [`output`] | the driver `http_output` and its settings |
//! | `client` | the client that every outgoing driver shares |
//! | `guard`, `classify`, `credentials`, `headers`, `cloudevents` | one concern of an outgoing request each |

mod answer;
mod body;
pub(crate) mod classify;
pub(crate) mod client;
mod cloudevents;
mod connection;
pub(crate) mod credentials;
pub(crate) mod guard;
pub(crate) mod headers;
pub mod ingress;
mod networks;
pub mod output;
mod path;
mod proxies;
mod rate;
mod receive;
mod server;
mod stall;
