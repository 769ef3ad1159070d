//! `hook debug capabilities`: the drivers, verifiers, plugins, sources and logs of this build.

use hook_core::catalog::{Catalog, Entry};
use serde::Serialize;

use crate::{context::Context, exit::Exit, kafka};

/// List the drivers, verifiers, plugins, built-in sources and logs of this build
///
/// Drivers that the contract format knows and this build does not have are listed as planned: a contract may name
/// them, but not activate them.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

/// What this build can do.
#[derive(Serialize)]
struct Capabilities {
    version: &'static str,
    ingress_drivers: Vec<Capability>,
    egress_drivers: Vec<Capability>,
    planned_drivers: Vec<Planned>,
    verifiers: Vec<Capability>,
    plugins: Vec<Capability>,
    sources: Vec<Source>,
    logs: Vec<Capability>,
}

#[derive(Serialize)]
struct Capability {
    name: &'static str,
    about: &'static str,
}

#[derive(Serialize)]
struct Planned {
    side: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
struct Source {
    name: &'static str,
    verifier: &'static str,
    secret_env: &'static str,
}

/// Prints the list.
pub(super) fn run(context: &Context, _: &Arguments) -> Result<(), Exit> {
    let capabilities = Capabilities::of(&context.catalog);
    if context.output.is_json() {
        return context.output.json(&capabilities);
    }
    context.output.line(&format!("hook {}", capabilities.version))?;
    section(context, "Drivers in (serve)", &capabilities.ingress_drivers)?;
    section(context, "Drivers out (smash)", &capabilities.egress_drivers)?;
    context.output.heading("Planned drivers: known by name, not in this build")?;
    let planned: Vec<[String; 2]> =
        capabilities.planned_drivers.iter().map(|planned| [planned.name.into(), planned.side.into()]).collect();
    context.output.table(&planned)?;
    section(context, "Verifiers", &capabilities.verifiers)?;
    section(context, "Plugins", &capabilities.plugins)?;
    context.output.heading("Built-in sources")?;
    let sources: Vec<[String; 2]> = capabilities
        .sources
        .iter()
        .map(|source| [source.name.into(), format!("verified as {}, secret in {}", source.verifier, source.secret_env)])
        .collect();
    context.output.table(&sources)?;
    section(context, "Logs", &capabilities.logs)
}

fn section(context: &Context, heading: &str, capabilities: &[Capability]) -> Result<(), Exit> {
    context.output.heading(heading)?;
    let row = |capability: &Capability| [capability.name.into(), capability.about.into()];
    context.output.table(&capabilities.iter().map(row).collect::<Vec<[String; 2]>>())
}

impl Capabilities {
    fn of(catalog: &Catalog) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            ingress_drivers: capabilities(&catalog.ingress),
            egress_drivers: capabilities(&catalog.egress),
            planned_drivers: catalog
                .planned
                .iter()
                .map(|planned| Planned { side: planned.side, name: planned.name })
                .collect(),
            verifiers: capabilities(&catalog.verifiers),
            plugins: capabilities(&catalog.plugins),
            sources: catalog
                .sources
                .iter()
                .map(|source| Source { name: source.name, verifier: source.verifier, secret_env: source.secret_env })
                .collect(),
            logs: logs(),
        }
    }
}

fn logs() -> Vec<Capability> {
    let embedded = Capability { name: "embedded", about: "Segment files on this machine's disk; needs no service." };
    let about = match kafka::HAS_TLS {
        true => "Apache Kafka, for several processes and machines.",
        false => {
            "Apache Kafka, for several processes and machines. Without TLS and SCRAM: the feature kafka-tls has them."
        }
    };
    let kafka = kafka::IS_BUILT.then_some(Capability { name: "kafka", about });
    [Some(embedded), kafka].into_iter().flatten().collect()
}

fn capabilities<D: ?Sized>(entries: &[Entry<D>]) -> Vec<Capability> {
    entries.iter().map(|entry| Capability { name: entry.name(), about: entry.about() }).collect()
}
