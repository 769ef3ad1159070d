//! The binary against clients and servers that others have written: what they make of the protocols is what counts.
//!
//! | module | who is there |
//! |---|---|
//! | [`outputs`] | servers of MCP's official SDKs, which `mcp_tool_output` calls |
//! | [`sockets`] | the library `websockets` in Python, and the browser's own WebSocket in headless Chromium |
//! | [`streams`] | the same as listeners, on `websocket_server_output` |
//! | [`tools`] | the clients of MCP's official SDKs, and the command line of its Inspector |
//!
//! They have to be installed, and the suite runs only when it is asked for by name:
//!
//! ```sh
//! scripts/clients install
//! env $(scripts/clients env) cargo test -p hook-cli --test clients
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod outputs;
mod peer;
mod sockets;
mod streams;
#[path = "../pipeline/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the suite of the pipeline uses all of it")]
mod support;
mod tools;

/// What the pipelines run on.
const LOG: support::LogUnderTest = support::LogUnderTest::Embedded;
