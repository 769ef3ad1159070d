//! Every problem code is listed once, has a page, and is provoked by a test.

use std::collections::BTreeMap;

use super::rust::Source;
use crate::{finding::Finding, tree::Tree};

const CODES: &str = "crates/hook-core/src/problem/";
const PAGES: &str = "docs/errors/";

/// A code as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Code {
    /// The name of its static.
    name: String,
    /// Its stable id.
    id: String,
    /// Whether it shows a contract that provokes it. One test runs all of those.
    has_example: bool,
    path: String,
    line: usize,
}

/// Findings of the list, of the pages, and of what tests name.
pub(super) fn check(tree: &Tree, sources: &[Source]) -> Vec<Finding> {
    let declaring: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with(CODES)).collect();
    let codes: Vec<Code> = declaring.iter().flat_map(|source| codes_of(source)).collect();
    let mut findings = Vec::new();
    let mut seen = BTreeMap::new();
    for code in &codes {
        let mut find = |message: String| findings.push(Finding::at(&code.path, code.line, message));
        if let Some(first) = seen.insert(&code.id, &code.name) {
            find(format!("{} has the id of {first}: take the next one that is free", code.name));
        }
        if !declaring.iter().any(|source| source.code.iter().any(|line| lists(line, &code.name))) {
            find(format!("{} is not in ALL: list it, or no page is generated for it", code.name));
        }
        if !tree.holds(&format!("{PAGES}{}.md", code.id)) {
            find(format!("{} has no page: run `cargo run -p xtask -- generate`", code.id));
        }
        if !is_tested(code, sources) {
            find(format!("no test provokes {}: name {} in one, or give `wrong` and `right`", code.id, code.name));
        }
    }
    findings.extend(pages_without_code(tree, &codes));
    findings
}

fn codes_of(source: &Source) -> Vec<Code> {
    let mut codes: Vec<Code> = Vec::new();
    for (at, line) in source.lines.iter().enumerate() {
        if source.is_test[at] {
            continue;
        }
        if let Some(name) = line.trim().strip_prefix("pub static ").and_then(|rest| rest.split_once(": Code ")) {
            let (path, name) = (source.path.clone(), name.0.to_owned());
            codes.push(Code { name, id: String::new(), has_example: false, path, line: at + 1 });
        }
        let Some(code) = codes.last_mut() else { continue };
        if let Some(id) = line.trim().strip_prefix("id: \"") {
            code.id = id.trim_end_matches("\",").to_owned();
        }
        code.has_example |= line.trim().starts_with("wrong: ") && line.trim() != "wrong: \"\",";
    }
    codes
}

/// Whether a line of the list names the static.
fn lists(line: &str, name: &str) -> bool {
    line.split(',').any(|item| item.trim().trim_start_matches("&").rsplit("::").next() == Some(name))
        && line.trim_start().starts_with('&')
}

fn is_tested(code: &Code, sources: &[Source]) -> bool {
    let is_named = |source: &Source| {
        let lines = source.lines.iter().zip(&source.is_test);
        lines.filter(|(_, is_test)| **is_test).any(|(line, _)| {
            has_word(line, &code.name) || line.contains(&code.id) || (code.has_example && has_word(line, "codes::ALL"))
        })
    };
    sources.iter().any(is_named)
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

fn pages_without_code(tree: &Tree, codes: &[Code]) -> Vec<Finding> {
    tree.matching(PAGES, ".md")
        .filter(|page| {
            let name = page.path.trim_start_matches(PAGES).trim_end_matches(".md");
            name.starts_with("HOOK") && !codes.iter().any(|code| code.id == name)
        })
        .map(|page| Finding::at(&page.path, 1, "no code has this page: remove it; an id is never given twice"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pub static ALL: &[&Code] = &[\n    &SYNTAX,\n];\n\npub static SYNTAX: Code = Code {\n    \
                        id: \"HOOK0100\",\n    wrong: \"[app\\n\",\n};\npub static OTHER: Code = Code {\n    \
                        id: \"HOOK0101\",\n    wrong: \"\",\n};\n";

    fn codes() -> Vec<Code> {
        codes_of(&Source::of("crates/hook-core/src/problem/codes.rs", TEXT))
    }

    #[test]
    fn codes_are_read_from_the_list() {
        let found: Vec<_> = codes().into_iter().map(|code| (code.name, code.id, code.has_example, code.line)).collect();
        assert_eq!(
            found,
            [("SYNTAX".into(), "HOOK0100".into(), true, 5), ("OTHER".into(), "HOOK0101".into(), false, 9)]
        );
        assert!(lists("    &SYNTAX,", "SYNTAX"));
        assert!(lists("&contract::SYNTAX, &contract::OTHER,", "OTHER"));
        assert!(!lists("    &SYNTAX_ERROR,", "SYNTAX"));
    }

    #[test]
    fn a_code_is_tested_by_name_or_by_its_example() {
        let [syntax, other] = codes().try_into().unwrap();
        let tests = |text| vec![Source::of("crates/x/tests/a.rs", text)];
        assert!(is_tested(&syntax, &tests("for code in codes::ALL {}\n")));
        assert!(!is_tested(&other, &tests("for code in codes::ALL {}\n")));
        assert!(is_tested(&other, &tests("check(&codes::OTHER);\n")));
        assert!(is_tested(&other, &tests("check(\"HOOK0101\");\n")));
        assert!(!is_tested(&other, &tests("check(&codes::OTHER_ONE);\n")));
    }
}
