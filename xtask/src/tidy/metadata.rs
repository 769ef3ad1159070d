//! The packages of the workspace, as cargo describes them.

use std::process::Command;

use serde_json::Value;

use crate::tree::{Tree, output_of};

/// A package of the workspace.
#[derive(Debug, Clone)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: String,
    /// Its manifest, from the root of the workspace.
    pub(super) manifest: String,
    /// The manifest's text, to find lines in.
    pub(super) text: String,
    /// What it depends on.
    pub(super) dependencies: Vec<Dependency>,
}

/// What a package depends on.
#[derive(Debug, Clone)]
pub(super) struct Dependency {
    /// The package depended on.
    pub(super) name: String,
    /// Whether only tests and examples need it.
    pub(super) is_dev: bool,
}

impl Package {
    /// The folder of the package, with a `/` at its end.
    pub(super) fn folder(&self) -> &str {
        self.manifest.strip_suffix("Cargo.toml").unwrap_or(&self.manifest)
    }

    /// The line of the manifest that names a dependency; 1 where none does.
    pub(super) fn line_of(&self, dependency: &str) -> usize {
        let names = |line: &str| {
            let rest = line.trim_start().strip_prefix(dependency);
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        };
        self.text.lines().position(names).map_or(1, |at| at + 1)
    }
}

/// Reads the packages. Needs no network: only the workspace's own manifests are looked at.
pub(super) fn read(tree: &Tree) -> Result<Vec<Package>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let text = output_of(Command::new(cargo).args(arguments).current_dir(&tree.root))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let root = metadata["workspace_root"].as_str().unwrap_or_default().to_owned() + "/";
    Ok(items(&metadata["packages"]).map(|package| package_of(tree, &root, package)).collect())
}

fn package_of(tree: &Tree, root: &str, package: &Value) -> Package {
    let manifest = text(&package["manifest_path"]);
    let manifest = manifest.strip_prefix(root).unwrap_or(&manifest).to_owned();
    let dependency = |value: &Value| Dependency { name: text(&value["name"]), is_dev: value["kind"] == "dev" };
    Package {
        name: text(&package["name"]),
        text: tree.file(&manifest).map(|file| file.text.clone()).unwrap_or_default(),
        manifest,
        dependencies: items(&package["dependencies"]).map(dependency).collect(),
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
