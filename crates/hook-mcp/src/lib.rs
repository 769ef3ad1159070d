//! The Model Context Protocol, through its official SDK.
//!
//! | module | says |
//! |---|---|
//! | [`ingest`] | `mcp_ingest_exposed`: a tool whose calls are events |
//! | [`output`] | `mcp_tool_output`: each event a call of a tool |
//! | [`stdio`] | tools for an agent that has started this process |
//!
//! The contract, the roles and the log are unknown here.

pub mod ingest;
pub mod output;
pub mod stdio;

use hook_core::{
    catalog::Entry,
    ports::{egress::EgressDriver, ingress::IngressDriver},
};

/// The drivers through which events come in.
pub fn ingress() -> Vec<Entry<dyn IngressDriver>> {
    vec![Entry::of::<ingest::McpIngest>()]
}

/// The drivers through which events go out.
pub fn egress() -> Vec<Entry<dyn EgressDriver>> {
    vec![Entry::of::<output::McpToolOutput>()]
}
