//! `hook completions`: a script that completes the command line.

use clap_complete::Shell;

use crate::{context::Context, exit::Exit};

/// Print a script that completes `hook` in a shell
///
/// For bash: hook completions bash > ~/.local/share/bash-completion/completions/hook
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    if context.output.is_json() {
        context.output.error("a completion script is no JSON: leave --json out");
        return Err(Exit::Usage);
    }
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::command(), "hook", &mut script);
    context.output.text(&String::from_utf8_lossy(&script))
}
