//! HTTP: webhooks in, requests out. The listener and the client stand in `hook-http`.
//!
//! | file | says |
//! |---|---|
//! | [`ingress`] | the driver `http_webhook_ingress` and its settings |
//! | `receive` | one request: the order of the checks |
//! | `path`, `proxies` | one concern of a request each |
//! | [`output`] | the driver `http_output` and its settings |
//! | `headers`, `cloudevents` | one concern of an outgoing request each |

mod cloudevents;
mod headers;
pub mod ingress;
pub mod output;
pub(crate) mod path;
mod proxies;
mod receive;
