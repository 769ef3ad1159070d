//! Names of run files.

use std::ops::RangeInclusive;

const SUFFIX: &str = ".digests";

/// The file name of the run of these segments.
pub(super) fn run_name(segments: &RangeInclusive<u64>) -> String {
    format!("{:012}-{:012}{SUFFIX}", segments.start(), segments.end())
}

/// The segments whose run a file name means.
pub(super) fn run_segments(name: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let segments = number(first)?..=number(last)?;
    (!segments.is_empty()).then_some(segments)
}
