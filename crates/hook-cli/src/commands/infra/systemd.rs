//! `hook infra systemd`: a unit that runs a contract, and lets the process do nothing else.

use std::path::{Path, PathBuf};

use crate::{context::Context, exit::Exit};

const UNIT: &str = include_str!("hook.service");

const BINARY: &str = "/usr/local/bin/hook";
const CONTRACT: &str = "/etc/hook/contract.toml";
const ENV_FILE: &str = "/etc/hook/hook.env";

/// Print a systemd unit that runs a contract
///
/// The contract is /etc/hook/contract.toml and its secrets are in /etc/hook/hook.env, unless --contract and --env-file name others.
/// `hook infra systemd | sudo tee /etc/systemd/system/hook.service` installs it; docs/guides/systemd.md says what else there is to do.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where this program will stand
    #[arg(long, value_name = "PATH", default_value = BINARY)]
    binary: PathBuf,
}

/// What a unit runs.
struct Paths {
    binary: PathBuf,
    contract: PathBuf,
    env_files: Vec<PathBuf>,
}

/// Prints the unit.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    if context.output.is_json() {
        context.output.error("a unit is no JSON: leave --json out");
        return Err(Exit::Usage);
    }
    let globals = &context.globals;
    let mut paths = Paths { binary: arguments.binary.clone(), ..Paths::usual() };
    if let Some(contract) = &globals.contract {
        paths.contract.clone_from(contract);
    }
    if !globals.env_files.is_empty() {
        paths.env_files.clone_from(&globals.env_files);
    }
    let unit = paths.unit().map_err(|path| {
        let path = path.display();
        context
            .output
            .error(&format!("{path} is no absolute path of plain characters: systemd would read it otherwise"));
        Exit::Usage
    })?;
    context.output.text(&unit)
}

/// The unit as it is printed where nobody names other paths.
pub fn usual_unit() -> String {
    Paths::usual().unit().expect("the usual paths are plain")
}

impl Paths {
    fn usual() -> Self {
        Self { binary: BINARY.into(), contract: CONTRACT.into(), env_files: vec![ENV_FILE.into()] }
    }

    /// Fails with a path that a unit cannot name as it is.
    fn unit(&self) -> Result<String, PathBuf> {
        let env_files: Result<Vec<String>, PathBuf> =
            self.env_files.iter().map(|file| Ok(format!("--env-file {}", plain(file)?))).collect();
        let unit = UNIT.replace("{binary}", plain(&self.binary)?).replace("{contract}", plain(&self.contract)?);
        Ok(unit.replace("{env_files}", &env_files?.join(" ")))
    }
}

/// Nothing that systemd would substitute, split or unescape.
fn plain(path: &Path) -> Result<&str, PathBuf> {
    let is_plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte));
    path.to_str().filter(is_plain).filter(|_| path.is_absolute()).ok_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled_and_a_path_that_means_something_else_is_refused() {
        let unit_of = |contract: &str| Paths { contract: contract.into(), ..Paths::usual() }.unit();
        let unit = unit_of("/srv/hook/contract.toml").unwrap();
        let start =
            "ExecStart=/usr/local/bin/hook up --contract /srv/hook/contract.toml --env-file /etc/hook/hook.env\n";
        assert!(unit.contains(start) && !unit.contains('{'), "{unit}");
        for wrong in ["contract.toml", "/srv/my hook/contract.toml", "/srv/%i.toml", "/srv/$HOME", "/a\"b"] {
            assert_eq!(unit_of(wrong), Err(wrong.into()), "{wrong}");
        }
    }
}
