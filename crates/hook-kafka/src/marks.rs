//! What is done above a low watermark, as the text that stands beside a committed offset.
//!
//! The text is `h1:` and base64 of variable-length integers, in pairs: how many offsets are not done, then how many are,
//! counted from the watermark. A broker takes 4096 bytes; the lowest ranges go first, and what does not fit is
//! delivered again after a restart.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use hook_core::progress::Progress;

const PREFIX: &str = "h1:";
/// `offset.metadata.max.bytes` of a broker that nobody has configured.
const MOST_TEXT: usize = 4096;
/// What fits behind the prefix, before base64 makes four bytes of three.
const MOST_BYTES: usize = (MOST_TEXT - PREFIX.len()) / 4 * 3;

/// The text, and how many offsets it does not hold.
pub(crate) fn encode(progress: &Progress) -> (String, u64) {
    if progress.above().is_empty() {
        return (String::new(), 0);
    }
    let mut bytes = Vec::new();
    let (mut at, mut held) = (progress.watermark(), 0);
    for range in progress.above().iter() {
        let before = bytes.len();
        put(range.start - at, &mut bytes);
        put(range.end - range.start, &mut bytes);
        if bytes.len() > MOST_BYTES {
            bytes.truncate(before);
            break;
        }
        held += range.end - range.start;
        at = range.end;
    }
    let text = format!("{PREFIX}{}", STANDARD_NO_PAD.encode(&bytes));
    (text, progress.above().count() - held)
}

/// The progress at a committed offset. A text that is not ours says nothing: then everything from the offset on is open.
pub(crate) fn decode(watermark: u64, text: &str) -> Progress {
    ranges(watermark, text).unwrap_or_else(|| Progress::at(watermark))
}

fn ranges(watermark: u64, text: &str) -> Option<Progress> {
    let bytes = STANDARD_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
    let mut rest = bytes.as_slice();
    let (mut progress, mut at) = (Progress::at(watermark), watermark);
    while !rest.is_empty() {
        let start = at.checked_add(take(&mut rest)?)?;
        at = start.checked_add(take(&mut rest)?)?;
        progress.finish(start..at);
    }
    Some(progress)
}

fn put(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(watermark: u64, done: &[std::ops::Range<u64>]) {
        let mut progress = Progress::at(watermark);
        done.iter().for_each(|range| progress.finish(range.clone()));
        let (text, lost) = encode(&progress);
        assert_eq!((decode(watermark, &text), lost), (progress, 0));
    }

    #[test]
    fn what_is_done_comes_back() {
        check(0, &[]);
        check(0, &[1..2, 3..4]);
        check(7, &[9..10, 300..100_000, 1 << 40..1 << 41]);
        check(u64::MAX - 9, &[u64::MAX - 7..u64::MAX - 6, u64::MAX - 5..u64::MAX]);
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_above() {
        let mut progress = Progress::at(10);
        (0..5000).for_each(|number| progress.finish(12 + 2 * number..13 + 2 * number));
        let (text, lost) = encode(&progress);
        assert!((4000..=MOST_TEXT).contains(&text.len()), "{} bytes", text.len());
        let read = decode(10, &text);
        assert_eq!(read.above().count() + lost, 5000);
        assert!(read.is_done(12) && !read.is_done(11) && !read.is_done(12 + 2 * 4999));
    }

    #[test]
    fn a_text_of_somebody_else_says_nothing() {
        for text in ["", "made by hand", "h1:***", "h1:AQ", "h1:////////////////", "h2:AQE"] {
            assert_eq!(decode(5, text), Progress::at(5), "{text}");
        }
    }
}
