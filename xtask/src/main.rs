//! Chores of this workspace: `tidy` holds the rules that no compiler knows, `generate` and `man` write what comes from the code,
//! `faults` breaks the running product and counts what is lost.

#[cfg(feature = "faults")]
mod faults;
mod finding;
#[cfg(feature = "generate")]
mod generate;
mod tidy;
mod tree;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{finding::Finding, tree::Tree};

const USAGE: &str = "\
usage: cargo run -p xtask -- <command>

  tidy                 check what no compiler checks; every finding names a file, a line and what to do
  generate             write schemas/, docs/errors/ and docs/reference/ from the code
  generate --check     write nothing; name the files that differ
  man DIR              write a page of the manual for each command
  faults               break the running product, and count what was lost; `faults --help` says more
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["tidy"] => Tree::read().and_then(|tree| tidy::run(&tree)),
        #[cfg(feature = "generate")]
        ["generate"] => Tree::read().and_then(|tree| generate::write(&tree)),
        #[cfg(feature = "generate")]
        ["generate", "--check"] => Tree::read().and_then(|tree| generate::check(&tree)),
        #[cfg(feature = "generate")]
        ["man", directory] => generate::man(directory.as_ref()).map(|()| Vec::new()),
        #[cfg(feature = "faults")]
        ["faults", ref arguments @ ..] => return faults::run(arguments),
        // For `faults`: this program as the product.
        #[cfg(feature = "faults")]
        ["hook", ..] => return faults::hook(),
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(findings) => report(&findings),
        Err(error) => {
            say(&format!("xtask: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn report(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        say(&format!("{finding}\n"));
    }
    match findings.len() {
        0 => ExitCode::SUCCESS,
        1 => fail("\n1 finding\n"),
        many => fail(&format!("\n{many} findings\n")),
    }
}

fn fail(summary: &str) -> ExitCode {
    say(summary);
    ExitCode::FAILURE
}

/// Writes to stderr. Nothing is left to tell where that is gone.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
