//! Names of the files of a chain.

/// What the name of a file ends with while it is being made.
pub(crate) const NEW_SUFFIX: &str = ".new";
const SEGMENT_SUFFIX: &str = ".log";
const INDEX_SUFFIX: &str = ".index";

/// The file name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:012}{SEGMENT_SUFFIX}")
}

/// The file name of the index of a sealed segment.
pub(crate) fn index_name(number: u64) -> String {
    format!("{number:012}{INDEX_SUFFIX}")
}

/// The name that a file has while it is being made.
pub(crate) fn unfinished_name(name: &str) -> String {
    format!("{name}{NEW_SUFFIX}")
}

/// The number of the segment that a file name means.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    number(name, SEGMENT_SUFFIX)
}

/// The number of the segment whose index a file name means.
pub(crate) fn indexed_number(name: &str) -> Option<u64> {
    number(name, INDEX_SUFFIX)
}

fn number(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
