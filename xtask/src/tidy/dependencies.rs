//! Every dependency is used, and has its reason in `docs/decisions/dependencies.md`.

use std::collections::BTreeMap;

use super::{metadata::Package, rust::Source};
use crate::{finding::Finding, tree::Tree};

const MANIFEST: &str = "Cargo.toml";
const REASONS: &str = "docs/decisions/dependencies.md";

/// Findings of the table, of its page and of all packages.
pub(super) fn check(tree: &Tree, packages: &[Package], sources: &[Source]) -> Vec<Finding> {
    let manifest = tree.file(MANIFEST).map(|file| file.text.as_str()).unwrap_or_default();
    let page = tree.file(REASONS).map(|file| file.text.as_str()).unwrap_or_default();
    let mut findings = compare(&declared(manifest), &explained(page));
    findings.extend(nobody_uses(&declared(manifest), packages));
    findings.extend(packages.iter().flat_map(|package| unused(package, sources)));
    findings
}

/// Other people's crates in the workspace's table, each with its line.
fn declared(manifest: &str) -> BTreeMap<&str, usize> {
    let mut is_in_table = false;
    let mut found = BTreeMap::new();
    for (at, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            is_in_table = line.trim() == "[workspace.dependencies]";
        }
        let Some((name, value)) = line.split_once('=') else { continue };
        if is_in_table && !line.starts_with('#') && !value.contains("path = ") {
            found.insert(name.trim(), at + 1);
        }
    }
    found
}

/// The crates in the rows of the page's first column, each with its line.
fn explained(page: &str) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    let is_refused = page.lines().position(|line| line.starts_with("## Refused")).unwrap_or(usize::MAX);
    for (at, line) in page.lines().enumerate().take_while(|(at, _)| *at < is_refused) {
        let Some(cell) = line.strip_prefix('|').and_then(|row| row.split('|').next()) else { continue };
        found.extend(cell.split('`').skip(1).step_by(2).map(|name| (name, at + 1)));
    }
    found
}

fn compare(declared: &BTreeMap<&str, usize>, explained: &BTreeMap<&str, usize>) -> Vec<Finding> {
    let without_reason = declared
        .iter()
        .filter(|(name, _)| !explained.contains_key(*name))
        .map(|(name, line)| Finding::at(MANIFEST, *line, format!("`{name}` has no reason: add its row to {REASONS}")));
    let without_crate = explained.iter().filter(|(name, _)| !declared.contains_key(*name)).map(|(name, line)| {
        Finding::at(REASONS, *line, format!("`{name}` is no dependency of the workspace: remove its row"))
    });
    without_reason.chain(without_crate).collect()
}

fn nobody_uses(declared: &BTreeMap<&str, usize>, packages: &[Package]) -> Vec<Finding> {
    let is_used = |name: &str| packages.iter().flat_map(|package| &package.dependencies).any(|used| used.name == name);
    declared
        .iter()
        .filter(|(name, _)| !is_used(name))
        .map(|(name, line)| {
            Finding::at(MANIFEST, *line, format!("no crate uses `{name}`: remove it from the workspace's table"))
        })
        .collect()
}

/// Dependencies of a package that none of its files names.
fn unused(package: &Package, sources: &[Source]) -> Vec<Finding> {
    let own: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with(package.folder())).collect();
    package
        .dependencies
        .iter()
        .filter(|dependency| {
            let name = dependency.name.replace('-', "_");
            !own.iter().flat_map(|source| &source.code).any(|line| names(line, &name))
        })
        .map(|dependency| {
            let message = format!("{} does not use `{}`: remove it", package.name, dependency.name);
            Finding::at(&package.manifest, package.line_of(&dependency.name), message)
        })
        .collect()
}

/// Whether a line of code names a crate: as the head of a path, in a `use`, or in an attribute.
fn names(line: &str, name: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(name).any(|(at, _)| {
        let after = &line[at + name.len()..];
        !line[..at].ends_with(is_part) && (after.starts_with("::") || after.starts_with([';', ' ']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST_TEXT: &str =
        "[workspace.dependencies]\n# note = 1\nown = { path = \"own\" }\nserde = \"1\"\n[x]\ny = 1\n";

    #[test]
    fn the_table_holds_other_peoples_crates() {
        assert_eq!(declared(MANIFEST_TEXT), BTreeMap::from([("serde", 4)]));
    }

    #[test]
    fn a_row_may_explain_several_crates_and_refused_ones_do_not_count() {
        let page = "| crate | why |\n|---|---|\n| `sha1`, `sha2` | `x` |\n## Refused\n| `sled` | y |\n";
        assert_eq!(explained(page), BTreeMap::from([("sha1", 3), ("sha2", 3)]));
    }

    #[test]
    fn table_and_page_hold_the_same_crates() {
        let findings = compare(&declared(MANIFEST_TEXT), &explained("| `hex` | why |\n"));
        let found: Vec<_> = findings.iter().map(|finding| (finding.path.as_str(), finding.line)).collect();
        assert_eq!(found, [(MANIFEST, 4), (REASONS, 1)]);
    }

    #[test]
    fn a_crate_is_named_by_a_path() {
        assert!(names("use serde::Serialize;", "serde"));
        assert!(names("#[tokio::test]", "tokio"));
        assert!(!names("serde_json::to_vec(a)", "serde"));
        assert!(!names("let a = my_serde::b;", "serde"));
    }
}
