//! `hook config schema`: the JSON Schema of a contract.

use crate::{context::Context, exit::Exit};

/// Print the JSON Schema of a contract, for editors
///
/// The schema has the drivers, verifiers and plugins of this build. Editors that read schemas for TOML, such as those
/// with Taplo, complete and check a contract with it.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

/// Prints the schema: on several lines for people, on one with `--json`.
pub(super) fn run(context: &Context, _: &Arguments) -> Result<(), Exit> {
    todo!()
}
