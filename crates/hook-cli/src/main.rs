//! The binary `hook`: the default catalog, and nothing else of its own.

use std::process::ExitCode;

/// Events are made by one thread and freed by another, which is what the system's allocator is slowest at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hook_cli::run(hook_cli::catalog::default_catalog(), std::env::args_os())
}
