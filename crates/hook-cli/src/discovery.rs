//! Which contract is meant, and its text.
//!
//! The first place that is named, or that is there, decides; where a place is named, no other is tried:
//! `--contract`, `--app`, `RELAY_CONTRACT_PATH`, `./contract.toml`, the contract that is part of the program.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use hook_core::{
    names::AppId,
    problem::{Place, Problem, codes},
};

use crate::{
    environment::{Environment, Origin, variables},
    globals::Globals,
    options::relay,
};

/// The contract where there is no other: it needs no service.
const EMBEDDED: &str = include_str!("default-openclaw.toml");
/// What problems call it.
const EMBEDDED_NAME: &str = "default-openclaw (built in)";
/// The contract of the working directory.
const DEFAULT_FILE: &str = "contract.toml";
/// Far more than a contract needs: a wrong path does not fill the memory.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why this contract was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBy {
    /// `--contract`.
    ContractFlag,
    /// `--app`.
    AppFlag(AppId),
    /// `RELAY_CONTRACT_PATH`.
    Variable(Origin),
    /// It is `./contract.toml`.
    WorkingDirectory,
    /// It is part of the program; `RELAY_BIND` may have replaced its address.
    Embedded {
        /// Where `RELAY_BIND` is set.
        bind: Option<Origin>,
    },
    /// It is made of the flags of `hook relay`.
    RelayFlags,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContractFlag => f.write_str("named by --contract"),
            Self::AppFlag(app) => write!(f, "named by --app {app}"),
            Self::Variable(origin) => write!(f, "named by {} ({origin})", variables::CONTRACT_PATH),
            Self::WorkingDirectory => f.write_str("found in the working directory"),
            Self::Embedded { bind: None } => f.write_str("part of this program, used where there is no other"),
            Self::Embedded { bind: Some(origin) } => {
                write!(f, "part of this program, its address from {} ({origin})", variables::BIND)
            }
            Self::RelayFlags => f.write_str("made of the flags of `hook relay`, as there is no other"),
        }
    }
}

/// The text of a contract.
#[derive(Debug, Clone)]
pub struct ContractText {
    /// The file as the user named it.
    pub file: String,
    /// What is in it.
    pub text: String,
    /// Why it was taken.
    pub found_by: FoundBy,
}

/// The contract of a relay whose flags say everything.
pub fn of_relay_flags() -> ContractText {
    let file = "the flags of hook relay".to_owned();
    ContractText { file, text: relay::CONTRACT.to_owned(), found_by: FoundBy::RelayFlags }
}

/// Finds the contract and reads it. `None` where it cannot be read; the problems then say why.
pub fn discover(globals: &Globals, environment: &Environment, problems: &mut Vec<Problem>) -> Option<ContractText> {
    if globals.contract.is_some() && globals.app.is_some() {
        problems.push(Problem::warning(
            &codes::FLAG_UNUSED,
            "--app has no effect: --contract names the contract",
            "give one of the two",
        ));
    }
    let variable = environment.find(variables::CONTRACT_PATH);
    let named = match (&globals.contract, &globals.app, variable) {
        (Some(path), _, _) => Some((path.clone(), FoundBy::ContractFlag)),
        (None, Some(app), _) => Some((path_of(app), FoundBy::AppFlag(app.clone()))),
        (None, None, Some(found)) => {
            // A path that is not UTF-8 ends as one that does not exist, and is shown as far as it can be.
            let path = PathBuf::from(String::from_utf8_lossy(found.value.expose()).into_owned());
            Some((path, FoundBy::Variable(found.origin)))
        }
        (None, None, None) if Path::new(DEFAULT_FILE).exists() => {
            Some((PathBuf::from(DEFAULT_FILE), FoundBy::WorkingDirectory))
        }
        (None, None, None) => None,
    };
    match named {
        Some((path, found_by)) => read(&path, found_by, problems),
        None => embedded(environment, problems),
    }
}

fn path_of(app: &AppId) -> PathBuf {
    Path::new("apps").join(app.as_str()).join(DEFAULT_FILE)
}

fn read(path: &Path, found_by: FoundBy, problems: &mut Vec<Problem>) -> Option<ContractText> {
    let file = path.display().to_string();
    let unreadable = |error: String| {
        let message = format!("could not read the contract {file}, {found_by}: {error}");
        Problem::error(&codes::CONTRACT_UNREADABLE, message, help_for(&found_by))
    };
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(unreadable(error.to_string()));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(ContractText { file, text, found_by }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..at]);
            let place = Place::in_text(&file, &text, at..at);
            problems.push(unreadable("it is not UTF-8 from here on".into()).at(place));
            None
        }
    }
}

/// The bytes of a file of at most 1 MiB.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn help_for(found_by: &FoundBy) -> String {
    let apps = match found_by {
        FoundBy::AppFlag(_) => apps(),
        _ => Vec::new(),
    };
    match found_by {
        FoundBy::AppFlag(_) if apps.is_empty() => {
            "there are no apps/*/contract.toml in the working directory; name the contract with --contract".into()
        }
        FoundBy::AppFlag(_) => format!("the apps here are: {}", apps.join(", ")),
        _ => "name a readable text file of at most 1 MiB".into(),
    }
}

/// The apps of the working directory, sorted; as many as help.
fn apps() -> Vec<String> {
    let entries = std::fs::read_dir("apps").into_iter().flatten().flatten();
    let with_contract = entries.filter(|entry| entry.path().join(DEFAULT_FILE).is_file());
    let mut apps: Vec<String> = with_contract.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    apps.sort();
    apps.truncate(20);
    apps
}

fn embedded(environment: &Environment, problems: &mut Vec<Problem>) -> Option<ContractText> {
    let mut text = EMBEDDED.to_owned();
    let bind = environment.find(variables::BIND);
    if let Some(found) = &bind {
        let shown = String::from_utf8_lossy(found.value.expose()).into_owned();
        match shown.parse::<SocketAddr>() {
            Ok(address) => text = with_bind(&text, address),
            Err(_) => {
                problems.push(Problem::error(
                    &codes::ENVIRONMENT_VALUE,
                    format!("{} is `{shown}` ({})", variables::BIND, found.origin),
                    "expected an address and a port, such as `127.0.0.1:8080`",
                ));
                return None;
            }
        }
    }
    let found_by = FoundBy::Embedded { bind: bind.map(|found| found.origin) };
    Some(ContractText { file: EMBEDDED_NAME.into(), text, found_by })
}

/// The contract with the address of its ingress adapter replaced.
fn with_bind(text: &str, address: SocketAddr) -> String {
    let mut is_in_adapter = false;
    let lines = text.lines().map(|line| {
        if line.trim_start().starts_with('[') {
            is_in_adapter = line.trim() == "[[serve.ingress_adapters]]";
        }
        let is_bind = line.split_once('=').is_some_and(|(key, _)| key.trim() == "bind");
        if is_in_adapter && is_bind { format!("bind = \"{address}\"\n") } else { format!("{line}\n") }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_contract_has_one_address_to_replace() {
        let address: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        let replaced = with_bind(EMBEDDED, address);
        assert_eq!(replaced.matches("bind = \"127.0.0.1:4711\"").count(), 1);
        let differing = EMBEDDED.lines().zip(replaced.lines()).filter(|(before, after)| before != after).count();
        assert_eq!((differing, EMBEDDED.lines().count()), (1, replaced.lines().count()));
    }

    #[test]
    fn a_contract_over_the_limit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("contract.toml");
        std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(read_bounded(&path).is_err());
        std::fs::write(&path, vec![b'#'; 1024 * 1024]).unwrap();
        assert!(read_bounded(&path).is_ok());
    }
}
