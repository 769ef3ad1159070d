//! A page per problem code, and one that lists them: Markdown made from the codes.

use std::fmt::Write as _;

use hook_core::problem::{Code, codes};

/// The pages: the name of each file, and its text.
pub fn error_pages() -> Vec<(String, String)> {
    let index = ("README.md".to_owned(), index());
    let pages = codes::ALL.iter().map(|code| (format!("{}.md", code.id), page(code)));
    std::iter::once(index).chain(pages).collect()
}

fn index() -> String {
    let mut page = String::from(
        "# Problem codes\n\nEvery problem that `hook` finds has a stable code. `hook config explain CODE` shows the same \
         pages on a terminal.\n\n| code | what it is | with `--force` or in debug mode |\n|---|---|---|\n",
    );
    for code in codes::ALL {
        let row = format!("| [{0}]({0}.md) | {1} | {2} |\n", code.id, code.title, leniency(code));
        page.push_str(&row);
    }
    page
}

fn leniency(code: &Code) -> &'static str {
    if code.is_security_critical { "stops the start" } else { "is reported" }
}

fn page(code: &Code) -> String {
    let mut page = format!("# {}: {}\n\n{}\n\n", code.id, code.title, code.about);
    let severity = match code.is_security_critical {
        true => "It stops the start in every mode, with `--force` too.",
        false => "It is reported in debug mode and with `--force`, and stops nothing there.",
    };
    page.push_str(severity);
    page.push('\n');
    for (heading, text) in [("Wrong", code.wrong), ("Right", code.right)] {
        if !text.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(page, "\n## {heading}\n\n```toml\n{}\n```\n", text.trim_matches('\n'));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_that_the_index_names() {
        let pages = error_pages();
        assert_eq!(pages.len(), codes::ALL.len() + 1);
        let (name, index) = &pages[0];
        assert_eq!(name, "README.md");
        for (name, text) in &pages[1..] {
            assert!(index.contains(&format!("({name})")), "{name}");
            assert!(text.starts_with("# HOOK") && text.ends_with('\n') && !text.contains("\n\n\n"), "{name}:\n{text}");
        }
    }
}
