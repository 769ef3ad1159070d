//! The binary `hook`: the default catalog, and nothing else of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    hook_cli::run(hook_cli::catalog::default_catalog(), std::env::args_os())
}
