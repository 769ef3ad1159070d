//! Where the log is kept.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use hook_core::{
    names::AppId,
    problem::{Problem, codes},
};

use crate::environment::{Environment, Found, Origin, variables};

/// `--data-dir`, for every command that touches the log.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flag {
    /// Where the log is kept
    ///
    /// Without it: HOOK_DATA_DIR, systemd's STATE_DIRECTORY, or hook/APP_ID below XDG_STATE_HOME (~/.local/state).
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// The directory of the log. It may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Who says so.
    pub chosen_by: ChosenBy,
}

/// Who says where the log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChosenBy {
    /// `--data-dir`.
    Flag,
    /// A variable.
    Variable(&'static str, Origin),
    /// The user's home.
    Home,
}

impl fmt::Display for ChosenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("--data-dir"),
            Self::Variable(name, origin) => write!(f, "{name} ({origin})"),
            Self::Home => f.write_str("the default"),
        }
    }
}

/// Finds the directory: `--data-dir`, `HOOK_DATA_DIR`, systemd's `STATE_DIRECTORY`, `$XDG_STATE_HOME/hook/<app id>`,
/// and `~/.local/state/hook/<app id>` where that is not set.
pub fn locate(flag: &Flag, environment: &Environment, app: &AppId) -> Result<DataDirectory, Problem> {
    if let Some(path) = &flag.data_dir {
        return Ok(DataDirectory { path: path.clone(), chosen_by: ChosenBy::Flag });
    }
    let of = |name, place: fn(&Path, &AppId) -> PathBuf| {
        let found = environment.find(name)?;
        let path = place(&path_of(&found)?, app);
        Some(DataDirectory { path, chosen_by: ChosenBy::Variable(name, found.origin) })
    };
    of(variables::DATA_DIRECTORY, |path, _| path.to_owned())
        // systemd separates several directories with colons; the first is the unit's own.
        .or_else(|| of(variables::STATE_DIRECTORY, |path, _| first_of_list(path)))
        .or_else(|| of(variables::XDG_STATE_HOME, below_state_home))
        .or_else(|| {
            let home = path_of(&environment.find("HOME")?)?;
            let path = below_state_home(&home.join(".local/state"), app);
            Some(DataDirectory { path, chosen_by: ChosenBy::Home })
        })
        .ok_or_else(|| {
            Problem::error(
                &codes::ENVIRONMENT_MISSING,
                "nothing says where to keep the log: HOME is not set",
                "give --data-dir, or set HOOK_DATA_DIR",
            )
        })
}

fn below_state_home(home: &Path, app: &AppId) -> PathBuf {
    home.join("hook").join(app.as_str())
}

fn first_of_list(list: &Path) -> PathBuf {
    list.to_str().and_then(|list| list.split(':').next()).map_or_else(|| list.to_owned(), PathBuf::from)
}

fn path_of(found: &Found) -> Option<PathBuf> {
    found.value.expose_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, flag: Option<&str>, expected: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.env");
        let nothing = "HOOK_DATA_DIR=\nSTATE_DIRECTORY=\nXDG_STATE_HOME=\nHOME=/home/me\n";
        std::fs::write(&path, nothing).unwrap();
        let second = directory.path().join("b.env");
        std::fs::write(&second, file).unwrap();
        let (environment, _) = Environment::read(&[path, second]);
        let found =
            locate(&Flag { data_dir: flag.map(PathBuf::from) }, &environment, &AppId::new("my-app").unwrap()).unwrap();
        assert_eq!(found.path, Path::new(expected));
    }

    #[test]
    fn the_flag_comes_first_and_home_last() {
        check("", None, "/home/me/.local/state/hook/my-app");
        check("XDG_STATE_HOME=/state", None, "/state/hook/my-app");
        check("XDG_STATE_HOME=/state\nSTATE_DIRECTORY=/var/lib/hook:/var/lib/other", None, "/var/lib/hook");
        check("STATE_DIRECTORY=/var/lib/hook\nHOOK_DATA_DIR=/data", None, "/data");
        check("HOOK_DATA_DIR=/data", Some("flag"), "flag");
    }
}
