//! HTTP for adapters: what is the same for webhooks, WebSocket, MCP and every HTTP destination.
//!
//! | module | says |
//! |---|---|
//! | [`access`] | who is let in: tokens, origins |
//! | [`server`] | a listener that adapters share by path: limits, time-outs, the drain, what is answered |
//! | [`client`] | a client of one destination: no redirect, no proxy of the environment, only addresses that are allowed |
//! | [`networks`] | networks as a contract writes them |
//!
//! No driver is in here: those are in `hook-drivers` and `hook-mcp`.

pub mod access;
pub mod client;
pub mod networks;
pub mod server;
