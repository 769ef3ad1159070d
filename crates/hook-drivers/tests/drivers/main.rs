//! The drivers through their public doors: settings in, sockets and files out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod conformance;
mod conformance_in;
mod http_in;
mod http_out;
mod openclaw;
mod raw_socket;
mod receiver;
mod tls;
mod websocket_abuse;
mod websocket_in;
mod websocket_out;
mod websocket_server;
mod wire;
