//! Nothing in the repository names the machine that it was written on.

use crate::{finding::Finding, tree::Tree};

/// Folders that exist on somebody's machine, and hosts that stand between it and the public registry. In halves, so that
/// this list does not find itself.
const NAMES: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/Us", "ers/"),
    ("/tmp/ba", "sh_jobs"),
    ("arti", "factory"),
    ("ne", "xus."),
    ("regi", "stry.internal"),
];

/// Findings of all text files.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (line, at) in file.text.lines().zip(1..) {
            if let Some(name) = named(line).filter(|name| !is_example(&file.path, name)) {
                findings.push(Finding::at(
                    &file.path,
                    at,
                    format!("`{name}` names a machine: write what holds anywhere"),
                ));
            }
        }
    }
    findings
}

/// A test of where state is kept needs somebody's home.
fn is_example(path: &str, name: &str) -> bool {
    path.ends_with(".rs") && (name.starts_with("/ho") || name.starts_with("/Us"))
}

fn named(line: &str) -> Option<String> {
    // `docs/work/` is a folder of ours, and `$HOME/x` is anybody's.
    let is_inside = |before: &str| before.ends_with(|char: char| char.is_alphanumeric() || "._-*}".contains(char));
    NAMES.iter().map(|(start, end)| format!("{start}{end}")).find(|name| {
        let is_path = name.starts_with('/');
        line.match_indices(name.as_str()).any(|(at, _)| !is_path || !is_inside(&line[..at]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_own_paths_are_found() {
        let path = |start: &str| format!("see {start}ork/main");
        assert!(named(&path("/w")).is_some());
        assert!(named(&path("docs/w")).is_none());
        assert!(named("see docs/decisions").is_none());
    }
}
