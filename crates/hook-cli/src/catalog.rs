//! The drivers of the default build: a plain list. Adding a driver adds a line.

use hook_core::catalog::Catalog;

/// What the binary `hook` can do.
pub fn default_catalog() -> Catalog {
    let mut catalog = Catalog {
        ingress: hook_drivers::ingress(),
        egress: hook_drivers::egress(),
        verifiers: hook_drivers::verify::entries(),
        plugins: hook_drivers::plugins::entries(),
        sources: hook_drivers::verify::builtin_sources(),
        planned: Vec::new(),
    };
    add_kafka(&mut catalog);
    add_mcp(&mut catalog);
    catalog
}

#[cfg(feature = "kafka")]
fn add_kafka(catalog: &mut Catalog) {
    catalog.ingress.extend(hook_kafka::adapters::ingress());
    catalog.egress.extend(hook_kafka::adapters::egress());
}

#[cfg(feature = "mcp")]
fn add_mcp(catalog: &mut Catalog) {
    catalog.ingress.extend(hook_mcp::ingress());
    catalog.egress.extend(hook_mcp::egress());
}

/// A build without MCP knows the names, and says how to install one with it.
#[cfg(not(feature = "mcp"))]
fn add_mcp(catalog: &mut Catalog) {
    let install = "`cargo install --locked --path crates/hook-cli --features mcp` installs one that does";
    for (side, name) in [("serve", "mcp_ingest_exposed"), ("smash", "mcp_tool_output")] {
        catalog.planned.push(hook_core::catalog::PlannedDriver { side, name, install: Some(install) });
    }
}

/// A build without Kafka knows the names, and says how to install one with it.
#[cfg(not(feature = "kafka"))]
fn add_kafka(catalog: &mut Catalog) {
    let install = "`cargo install --locked --path crates/hook-cli --features kafka` installs one that does";
    for (side, name) in [("serve", "kafka_ingress"), ("smash", "kafka_output")] {
        catalog.planned.push(hook_core::catalog::PlannedDriver { side, name, install: Some(install) });
    }
}
