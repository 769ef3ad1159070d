//! What every command is given.

use std::sync::Arc;

use hook_core::{catalog::Catalog, problem::Problem};
use serde::Serialize;

use crate::{discovery::ContractText, exit::Exit, globals::Globals, output::Output, report};

/// What every command is given.
pub struct Context {
    /// What this build can do.
    pub catalog: Arc<Catalog>,
    /// The flags that every command takes.
    pub globals: Globals,
    /// Where to write.
    pub output: Output,
}

/// Problems for programs.
#[derive(Serialize)]
struct Answer<'a> {
    problems: &'a [Problem],
}

impl Context {
    /// Says why a command cannot go on, and how it ends then: with `--json` on stdout, otherwise for people on stderr.
    pub fn refuse(&self, problems: &[Problem], contract: Option<&ContractText>) -> Exit {
        if self.output.is_json() {
            return self.answer(problems).err().unwrap_or(Exit::Failure);
        }
        self.show(problems, contract);
        Exit::Failure
    }

    /// Shows problems to people, on stderr. The contract is what they are shown in.
    pub fn show(&self, problems: &[Problem], contract: Option<&ContractText>) {
        if !problems.is_empty() {
            self.output.note(&report::render(problems, contract, self.output.stderr_has_color()));
        }
    }

    /// Writes problems for programs: `{"problems":[…]}` on stdout.
    pub fn answer(&self, problems: &[Problem]) -> Result<(), Exit> {
        self.output.json(&Answer { problems })
    }
}
