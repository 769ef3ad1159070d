//! The files of the checkout: what git tracks, and what it would track if it were added.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A text file of the checkout.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// From the root of the workspace, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// The text files of the checkout, by path.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// The root of the workspace.
    pub(crate) root: PathBuf,
    /// Every text file.
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads the checkout that this program was built in.
    pub(crate) fn read() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent directory")?.to_owned();
        let listed = output_of(
            Command::new("git")
                .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
                .current_dir(&root),
        )?;
        let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        // A file that git still lists and that is gone, or that is not text, has nothing to be checked.
        let file = |path: &str| Some(File { path: path.into(), text: std::fs::read_to_string(root.join(path)).ok()? });
        let files = paths.into_iter().filter_map(file).collect();
        Ok(Self { root, files })
    }

    /// The file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is a file or a folder at a path. The empty path is the root.
    pub(crate) fn holds(&self, path: &str) -> bool {
        path.is_empty() || self.root.join(path).exists()
    }

    /// The files whose path has this beginning and this end.
    pub(crate) fn matching<'a>(&'a self, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.starts_with(start) && file.path.ends_with(end))
    }
}

/// What a program prints on stdout, or why it failed.
pub(crate) fn output_of(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("could not run {program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} printed what is not UTF-8"))
}
