//! WebSocket: one text frame an event.
//!
//! | file | says |
//! |---|---|
//! | [`client_output`] | the driver `websocket_client_output` and its settings |
//! | `handshake` | how a connection is asked for, and what a refusal means |
//! | `link` | one connection: what is sent, what is acknowledged, and whether the other side is there |

pub mod client_output;
mod handshake;
mod link;
