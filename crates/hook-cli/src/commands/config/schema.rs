//! `hook config schema`: the JSON Schema of a contract.

use hook_contract::schema::contract_schema;

use crate::{context::Context, exit::Exit};

/// Print the JSON Schema of a contract, for editors
///
/// The schema has the drivers, verifiers and plugins of this build. Editors that read schemas for TOML, such as those
/// with Taplo, complete and check a contract with it.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

/// Prints the schema: on several lines for people, on one with `--json`.
pub(super) fn run(context: &Context, _: &Arguments) -> Result<(), Exit> {
    let schema = contract_schema(&context.catalog);
    if context.output.is_json() { context.output.json(&schema) } else { context.output.line(&format!("{schema:#}")) }
}
