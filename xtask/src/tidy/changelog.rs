//! Changelog fragments have the form that `changelog.d/README.md` describes.

use crate::{
    finding::Finding,
    tree::{File, Tree},
};

const FOLDER: &str = "changelog.d/";
const CATEGORIES: &[&str] = &["added", "changed", "fixed"];

/// Findings of all fragments.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.matching(FOLDER, "")
        .filter(|file| file.path != "changelog.d/README.md")
        .filter_map(|file| {
            let (line, message) = fault(file)?;
            Some(Finding::at(&file.path, line, message))
        })
        .collect()
}

fn fault(file: &File) -> Option<(usize, &'static str)> {
    if !is_name(file.path.trim_start_matches(FOLDER)) {
        return Some((1, "name a fragment `<area>-<slug>.md`, in lower case, such as `serve-rate-limits.md`"));
    }
    let mut lines = file.text.lines();
    if !lines.next().is_some_and(|first| CATEGORIES.contains(&first)) {
        return Some((1, "the first line is one word: `added`, `changed` or `fixed`"));
    }
    if lines.next() != Some("") {
        return Some((2, "the second line is empty"));
    }
    let is_text = lines.next().is_some_and(|text| !text.trim().is_empty() && !text.starts_with('#'));
    (!is_text).then_some((3, "say from the third line on what a user can do now, in a sentence or two"))
}

fn is_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.strip_suffix(".md").is_some_and(|name| name.contains('-') && name.split('-').all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_fault(name: &str, text: &str, expected: Option<usize>) {
        let file = File { path: format!("{FOLDER}{name}"), text: text.to_owned() };
        assert_eq!(fault(&file).map(|(line, _)| line), expected, "{name} {text}");
    }

    #[test]
    fn a_fragment_has_a_name_a_category_and_a_text() {
        check_fault("serve-limits.md", "added\n\nLimits.\n", None);
        check_fault("limits.md", "added\n\nLimits.\n", Some(1));
        check_fault("Serve-limits.md", "added\n\nLimits.\n", Some(1));
        check_fault("serve-limits.txt", "added\n\nLimits.\n", Some(1));
        check_fault("serve-limits.md", "new\n\nLimits.\n", Some(1));
        check_fault("serve-limits.md", "added\nLimits.\n", Some(2));
        check_fault("serve-limits.md", "added\n\n", Some(3));
    }
}
