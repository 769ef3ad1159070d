//! The environment in layers: the profile's values over env files, later files first, over the process environment.
//!
//! Flags come before all of them; a command reads its flags itself. Every value knows where it came from and what it
//! hides, and none is ever shown by `Debug`.

mod file;
pub mod variables;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use hook_core::{
    names::EnvName,
    problem::Problem,
    secret::{Secret, SecretStore},
};
use serde::{Serialize, Serializer};

/// The env file that is read where none is named.
const DEFAULT_FILE: &str = ".env";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The `env` of the selected profile.
    Profile(String),
    /// A line of an env file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The process environment.
    Process,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Process => f.write_str("process environment"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A variable that is set.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its value, which is not empty.
    pub value: Secret,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a variable is set: the layer that decides first, then those that it hides.
pub type Origins = Vec<Origin>;

/// The layered environment. A reload reads the env files again; whoever holds this sees the new values.
pub struct Environment {
    files: Vec<PathBuf>,
    /// The lowest layer first.
    layers: RwLock<Vec<Layer>>,
}

#[derive(Clone)]
struct Layer {
    entries: BTreeMap<String, Entry>,
    is_file: bool,
}

#[derive(Clone)]
struct Entry {
    value: Secret,
    origin: Origin,
}

impl Environment {
    /// Reads the process environment and the env files: those that are named, or `./.env` where none is and it exists.
    /// Files are read as far as they can be; what cannot be read is among the problems.
    pub fn read(named: &[PathBuf]) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let files = files_to_read(named);
        let mut layers = vec![process_layer()];
        layers.extend(file_layers(&files, &mut problems));
        (Self { files, layers: RwLock::new(layers) }, problems)
    }

    /// The same environment under the values of a profile.
    #[must_use]
    pub fn with_profile(&self, name: &str, values: &BTreeMap<EnvName, String>) -> Self {
        let entry =
            |value: &String| Entry { value: Secret::new(value.as_bytes()), origin: Origin::Profile(name.to_owned()) };
        let entries = values.iter().map(|(name, value)| (name.to_string(), entry(value))).collect();
        let mut layers = self.layers();
        layers.push(Layer { entries, is_file: false });
        Self { files: self.files.clone(), layers: RwLock::new(layers) }
    }

    /// Reads the env files again, and names the variables that have another value now. Where a file cannot be read as it is
    /// written, or `faults` finds something wrong with what they say together, everything stays as it was.
    pub fn reload(&self, faults: impl FnOnce(&Self) -> Vec<Problem>) -> Result<Vec<String>, Vec<Problem>> {
        let mut problems = Vec::new();
        // A file that was read before and is gone is a problem, and not a file that says nothing.
        let files = files_to_read(&self.files);
        let read = file_layers(&files, &mut problems);
        problems.retain(Problem::is_error);
        let mut layers = self.layers();
        layers.retain(|layer| !layer.is_file);
        // Above the process environment, and below the profile.
        layers.splice(1..1, read);
        let next = Self { files, layers: RwLock::new(layers) };
        if problems.is_empty() {
            problems = faults(&next);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let changed = self.differences(&next);
        *self.layers.write().unwrap_or_else(PoisonError::into_inner) = next.layers();
        Ok(changed)
    }

    /// The names of what has another value there.
    fn differences(&self, other: &Self) -> Vec<String> {
        let layers = [self.layers(), other.layers()].concat();
        let names: BTreeSet<&String> = layers.iter().flat_map(|layer| layer.entries.keys()).collect();
        let value = |environment: &Self, name: &str| environment.find(name).map(|found| found.value);
        names.into_iter().filter(|name| value(self, name) != value(other, name)).cloned().collect()
    }

    /// The value of a variable; `None` where it is not set, or set to nothing by the layer that decides.
    pub fn find(&self, name: &str) -> Option<Found> {
        let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner);
        let entry = layers.iter().rev().find_map(|layer| layer.entries.get(name))?;
        let found = Found { value: entry.value.clone(), origin: entry.origin.clone() };
        Some(found).filter(|found| !found.value.expose().is_empty())
    }

    /// The value as text; `None` where it is not set, empty, or not UTF-8. For variables that are no secrets.
    pub fn text(&self, name: &str) -> Option<String> {
        Some(self.find(name)?.value.expose_str()?.to_owned())
    }

    /// Everywhere that a variable is set, to nothing included: the one that decides first.
    pub fn origins(&self, name: &str) -> Origins {
        let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner);
        layers.iter().rev().filter_map(|layer| Some(layer.entries.get(name)?.origin.clone())).collect()
    }

    /// Every variable that an env file or a profile takes from the process environment, with where it is set.
    pub fn overrides(&self) -> BTreeMap<String, Origins> {
        let layers = self.layers();
        let above = layers.iter().flat_map(|layer| layer.entries.iter());
        let names = above.filter(|(_, entry)| entry.origin != Origin::Process).map(|(name, _)| name);
        names
            .map(|name| (name.clone(), self.origins(name)))
            .filter(|(_, origins)| origins.len() > 1 && origins.contains(&Origin::Process))
            .collect()
    }

    fn layers(&self) -> Vec<Layer> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SecretStore for Environment {
    fn get(&self, name: &EnvName) -> Option<Secret> {
        self.find(name.as_str()).map(|found| found.value)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The process environment. Names that are not UTF-8 are nobody's: nothing here can ask for them.
fn process_layer() -> Layer {
    let entry =
        |value: std::ffi::OsString| Entry { value: Secret::new(value.into_encoded_bytes()), origin: Origin::Process };
    let entries = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, entry(value))));
    Layer { entries: entries.collect(), is_file: false }
}

/// The files that are named, or the default one where none is and it is there.
fn files_to_read(named: &[PathBuf]) -> Vec<PathBuf> {
    match named {
        [] if Path::new(DEFAULT_FILE).exists() => vec![PathBuf::from(DEFAULT_FILE)],
        named => named.to_vec(),
    }
}

fn file_layers(files: &[PathBuf], problems: &mut Vec<Problem>) -> Vec<Layer> {
    files.iter().map(|path| file_layer(path, problems)).collect()
}

fn file_layer(path: &Path, problems: &mut Vec<Problem>) -> Layer {
    let lines = file::read(path, problems).into_iter();
    let entries = lines.map(|line| {
        let origin = Origin::File { path: path.to_owned(), line: line.number };
        (line.name.to_string(), Entry { value: Secret::new(line.value), origin })
    });
    Layer { entries: entries.collect(), is_file: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_profile_wins_over_later_files_and_those_over_earlier_ones_and_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let first = file(directory.path(), "a.env", "A=a\nB=a\nPATH=a");
        let second = file(directory.path(), "b.env", "A=b\nB=b");
        let (environment, problems) = Environment::read(&[first.clone(), second.clone()]);
        assert!(problems.is_empty());
        let profile = BTreeMap::from([(EnvName::new("A").unwrap(), "p".to_owned())]);
        let environment = environment.with_profile("dev", &profile);

        assert_eq!(environment.text("A").as_deref(), Some("p"));
        assert_eq!(environment.text("B").as_deref(), Some("b"));
        let line = |path: &PathBuf| Origin::File { path: path.clone(), line: 1 };
        assert_eq!(environment.origins("A"), [Origin::Profile("dev".into()), line(&second), line(&first)]);
        let overrides = environment.overrides();
        assert_eq!(overrides.keys().collect::<Vec<_>>(), ["PATH"]);
    }

    #[test]
    fn an_empty_value_hides_what_is_below_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), "a.env", "PATH=");
        let (environment, _) = Environment::read(&[path]);
        assert!(environment.find("PATH").is_none());
        assert_eq!(environment.origins("PATH").len(), 2);
    }

    #[test]
    fn a_reload_reads_the_files_again_below_the_profile_and_names_what_is_different() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), "a.env", "A=1\nB=1\nC=1");
        let (environment, _) = Environment::read(std::slice::from_ref(&path));
        let environment =
            environment.with_profile("dev", &BTreeMap::from([(EnvName::new("B").unwrap(), "p".to_owned())]));
        std::fs::write(&path, "A=2\nB=2\nC=1\nD=1").unwrap();
        assert_eq!(environment.reload(|_| Vec::new()).unwrap(), ["A", "D"]);
        assert_eq!((environment.text("A").as_deref(), environment.text("B").as_deref()), (Some("2"), Some("p")));
        assert_eq!(environment.reload(|_| Vec::new()).unwrap(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), "a.env", "A=1");
        let (environment, _) = Environment::read(std::slice::from_ref(&path));
        std::fs::write(&path, "A=2\nnonsense").unwrap();
        assert!(environment.reload(|_| Vec::new()).is_err());
        std::fs::write(&path, "A=3").unwrap();
        let lacks = |next: &Environment| {
            assert_eq!(next.text("A").as_deref(), Some("3"), "it is asked about what would be");
            vec![Problem::error(&hook_core::problem::codes::ENVIRONMENT_MISSING, "B is not set", "set it")]
        };
        assert_eq!(environment.reload(lacks).unwrap_err().len(), 1);
        std::fs::remove_file(&path).unwrap();
        assert!(environment.reload(|_| Vec::new()).is_err(), "a file that is gone has not become empty");
        assert_eq!(environment.text("A").as_deref(), Some("1"));
    }

    #[test]
    fn debug_shows_no_value() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), "a.env", "A=canary-secret");
        let (environment, _) = Environment::read(&[path]);
        let shown = format!("{environment:?} {:?}", environment.find("A"));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
