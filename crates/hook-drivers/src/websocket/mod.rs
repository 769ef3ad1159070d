//! WebSocket, in and out: one text frame an event.
//!
//! | file | says |
//! |---|---|
//! | [`ingress`] | the driver `websocket_ingress`, its settings, and who is let in |
//! | `accept` | the server's end: how a client is let in, and how it is told to leave |
//! | `session` | one client that sends events: frames in, answers out |
//! | `in_flight` | the frames of a client that are on their way, and their answers |
//! | [`client_output`] | the driver `websocket_client_output` and its settings |
//! | [`server_output`] | the driver `websocket_server_output`, its settings, and who is let in |
//! | `wanted`, `stream`, `hub` | what a client asks for, where its events come from, and who hands them out |
//! | `audience` | one client that is sent events |
//! | `handshake` | how a connection is asked for, and what a refusal means |
//! | `link` | one connection: what is sent, what is acknowledged, and whether the other side is there |

mod accept;
mod audience;
pub mod client_output;
mod handshake;
mod hub;
mod in_flight;
pub mod ingress;
mod link;
pub mod server_output;
mod session;
mod stream;
mod wanted;
