//! Every Rust file begins with a sentence that says what it is for.

use super::rust::Source;
use crate::finding::Finding;

/// Openings that say nothing yet.
const EMPTY: &[&str] = &["placeholder", "being written", "tbd", "wip"];

/// Findings of all files.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().filter_map(|source| Some(Finding::at(&source.path, 1, fault(source)?))).collect()
}

fn fault(source: &Source) -> Option<&'static str> {
    let opening = source.lines.first().map(String::as_str).unwrap_or_default();
    let Some(sentence) = opening.strip_prefix("//! ") else {
        return Some("the file begins without a `//!` sentence: say in one what it is for");
    };
    let sentence = sentence.trim().trim_end_matches('.').to_lowercase();
    EMPTY.contains(&sentence.as_str()).then_some("the first sentence says nothing: say what the file is for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_begins_with_a_sentence() {
        let fault_of = |text| fault(&Source::of("a.rs", text)).is_some();
        assert!(!fault_of("//! Says it.\n"));
        assert!(fault_of("use a;\n"));
        assert!(fault_of("//! Being written.\n"));
        assert!(fault_of(""));
    }
}
