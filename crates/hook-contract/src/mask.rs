//! The text of a contract as it may be shown beside its problems.

use hook_core::problem::{Problem, codes};

use crate::secrets;

/// The text with every secret replaced by `*`, byte by byte, so that all places stay right: what a check found, and
/// what looks like a secret where the text could not be read.
pub fn masked(text: &str, problems: &[Problem]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let found = problems.iter().filter(|problem| problem.code == &codes::SECRET_IN_FILE);
    let found = found.filter_map(|problem| problem.place.as_ref()).map(|place| place.span.clone());
    for span in found.chain(secrets::spans_to_mask(text)) {
        let end = span.end.min(bytes.len());
        for byte in bytes.get_mut(span.start.min(end)..end).unwrap_or_default() {
            if !matches!(byte, b'\n' | b'\r' | b'"' | b'\'') {
                *byte = b'*';
            }
        }
    }
    // A span that begins inside a letter would leave half of it.
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
