//! The drivers of the default build: a plain list. Adding a driver adds a line.

use hook_core::catalog::{Catalog, PlannedDriver};

/// Drivers that contracts may name and this build does not have yet.
const PLANNED: &[(&str, &[&str])] = &[
    ("serve", &["websocket_ingress", "mcp_ingest_exposed", "kafka_ingress"]),
    ("smash", &["mcp_tool_output", "websocket_client_output", "websocket_server_output", "kafka_output"]),
];

/// What the binary `hook` can do.
pub fn default_catalog() -> Catalog {
    Catalog {
        ingress: hook_drivers::ingress(),
        egress: hook_drivers::egress(),
        verifiers: hook_drivers::verify::entries(),
        plugins: hook_drivers::plugins::entries(),
        sources: hook_drivers::verify::builtin_sources(),
        planned: planned(),
    }
}

fn planned() -> Vec<PlannedDriver> {
    let of_side = |&(side, names): &(&'static str, &'static [&'static str])| {
        names.iter().map(move |&name| PlannedDriver { side, name })
    };
    PLANNED.iter().flat_map(of_side).collect()
}
