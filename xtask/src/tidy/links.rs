//! Links in Markdown that point into the repository lead somewhere, headings included.

use crate::{finding::Finding, tree::Tree};

/// Findings of all Markdown files.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.matching("", ".md") {
        for (line, target) in targets(&file.text) {
            if let Some(message) = fault(tree, &file.path, target) {
                findings.push(Finding::at(&file.path, line, message));
            }
        }
    }
    findings
}

fn fault(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let path = if path.is_empty() { Some(from.to_owned()) } else { resolve(from, path) };
    let Some(path) = path.filter(|path| tree.holds(path)) else {
        return Some(format!(
            "the link `{target}` leads nowhere: name a file of this repository, from this file's folder"
        ));
    };
    let heading = heading?;
    let page = tree.file(&path).filter(|page| page.path.ends_with(".md"))?;
    let has_heading = headings(&page.text).any(|found| found == heading);
    (!has_heading).then(|| format!("the link `{target}` leads nowhere: {path} has no such heading"))
}

/// A path beside a file, from the root. `None` where it leaves the repository.
fn resolve(from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The targets of inline links and of link definitions, each with its line. Code is not looked at.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (line, at) in prose(text) {
        let mut is_code = false;
        for (index, part) in line.split('`').enumerate() {
            // Between an odd and an even back-tick stands code, but a link's own text may be code too.
            let is_target = part.starts_with("](");
            is_code = index % 2 == 1 && !is_target;
            if !is_code {
                found.extend(part.split("](").skip(1).filter_map(|rest| Some((at, rest.split_once(')')?.0))));
            }
        }
        if !is_code
            && line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            found.push((at, target.trim()));
        }
    }
    found
}

/// The headings as GitHub names them in links.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter(|(line, _)| line.starts_with('#')).map(|(line, _)| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
        kept.map(|char| if char == ' ' { '-' } else { char }).collect()
    })
}

/// The lines outside code blocks, each with its number.
fn prose(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut is_code = false;
    text.lines().zip(1..).filter(move |(line, _)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "[a](b.md) and [`c`](d.md#e)\n`[x](y)`\n```\n[f](g)\n```\n[h]: i.md\n";
        assert_eq!(targets(text), [(1, "b.md"), (1, "d.md#e"), (6, "i.md")]);
    }

    #[test]
    fn a_path_is_resolved_beside_its_file() {
        assert_eq!(resolve("docs/a.md", "../README.md").as_deref(), Some("README.md"));
        assert_eq!(resolve("docs/a.md", "./b/").as_deref(), Some("docs/b"));
        assert_eq!(resolve("README.md", "../outside"), None);
    }

    #[test]
    fn headings_are_named_as_in_links() {
        let found: Vec<_> = headings("# Add a driver: three files\n```\n# no\n```\n## `serve`, `smash`\n").collect();
        assert_eq!(found, ["add-a-driver-three-files", "serve-smash"]);
    }
}
