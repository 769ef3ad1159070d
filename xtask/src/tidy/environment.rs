//! Every variable that the program reads by itself stands in `.env.default`.

use super::rust::Source;
use crate::{finding::Finding, tree::Tree};

const DECLARED: &str = "crates/hook-cli/src/environment/variables.rs";
const EXPLAINED: &str = ".env.default";

/// Findings of the list and of the file.
pub(super) fn check(tree: &Tree, sources: &[Source]) -> Vec<Finding> {
    let explained = tree.file(EXPLAINED).map(|file| file.text.as_str()).unwrap_or_default();
    let declaring = sources.iter().filter(|source| source.path == DECLARED);
    let variables =
        declaring.flat_map(|source| source.lines.iter().zip(1..).filter_map(|(line, at)| Some((name(line)?, at))));
    variables
        .filter(|(name, _)| !explained.lines().any(|line| explains(line, name)))
        .map(|(name, at)| {
            Finding::at(
                DECLARED,
                at,
                format!("{name} is not in {EXPLAINED}: add it there, with a line that says what it does"),
            )
        })
        .collect()
}

/// The variable that a constant names.
fn name(line: &str) -> Option<&str> {
    line.strip_prefix("pub const ")?.split_once(": &str = \"")?.1.strip_suffix("\";")
}

fn explains(line: &str, name: &str) -> bool {
    line.trim_start_matches('#').strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_stands_in_the_file_set_or_not() {
        assert_eq!(name("pub const BIND: &str = \"RELAY_BIND\";"), Some("RELAY_BIND"));
        assert!(explains("#RELAY_BIND=", "RELAY_BIND"));
        assert!(explains("RELAY_BIND=1", "RELAY_BIND"));
        assert!(!explains("#RELAY_BIND_MORE=", "RELAY_BIND"));
    }
}
