//! Names of segment files.

/// What the name of a segment ends with while it is being made.
pub(crate) const NEW_SUFFIX: &str = ".new";
const SUFFIX: &str = ".log";

/// The file name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:012}{SUFFIX}")
}

/// The file name of a segment that is being made.
pub(crate) fn unfinished_name(number: u64) -> String {
    format!("{number:012}{NEW_SUFFIX}")
}

/// The number of the segment that a file name means.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
