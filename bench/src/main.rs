//! Measurements of `hook`, end to end. Each case measures its own baseline in the same run and prints a ratio.

mod isolation;
mod percentile;
mod pipeline;

use std::process::ExitCode;

use clap::Parser;

/// Measurements of hook, end to end.
#[derive(Debug, Parser)]
#[command(name = "hook-bench")]
enum Case {
    /// Is a good destination held up by a dead and a slow one beside it?
    Isolation(isolation::Arguments),
    /// Run `hook` itself, so that the pipeline is a process of its own.
    #[command(hide = true, disable_help_flag = true)]
    Hook {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

fn main() -> ExitCode {
    match Case::parse() {
        Case::Isolation(arguments) => isolation::run(&arguments),
        Case::Hook { arguments } => {
            let name = std::iter::once("hook".into());
            hook_cli::run(hook_cli::catalog::default_catalog(), name.chain(arguments))
        }
    }
}
