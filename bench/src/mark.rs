//! What an event says about itself: which run, which key, which number, sent when.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Times in marks count from here. Load and sink are in one process, so that steps of the system's clock change nothing.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Before a mark, in a body.
const BEGIN: &[u8] = b"\"mark\":\"";
/// A mark's length, in bytes. It is the same for all, so that requests differ in bytes and not in length.
const BYTES: usize = 8 + 1 + 8 + 1 + 16 + 1 + 16;
/// A mark is looked for among so many last bytes: behind a payload, an envelope has only its `meta`.
const SEARCHED: usize = 2048;

/// The mark of an event, written into its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Tells runs apart.
    pub run: u32,
    /// The number of its ordering key.
    pub key: u32,
    /// Its number. Of two events with the same key, the one with the lower number was acknowledged before the other was
    /// sent.
    pub number: u64,
    /// When it was sent, or was meant to be sent where the load keeps a rate.
    pub sent: Instant,
}

impl Mark {
    /// Writes the mark as it stands in a body: `"mark":"…"`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(BEGIN);
        write_hex(out, u64::from(self.run), 8);
        out.push(b'-');
        write_hex(out, u64::from(self.key), 8);
        out.push(b'-');
        write_hex(out, self.number, 16);
        out.push(b'-');
        let sent = self.sent.saturating_duration_since(*EPOCH).as_nanos();
        write_hex(out, u64::try_from(sent).unwrap_or(u64::MAX), 16);
        out.push(b'"');
    }

    /// Finds the mark in a body, whether it is the body that was sent or something around it.
    pub fn find(body: &[u8]) -> Option<Self> {
        let searched = &body[body.len().saturating_sub(SEARCHED)..];
        let at = searched.windows(BEGIN.len()).rposition(|window| window == BEGIN)?;
        let text = searched.get(at + BEGIN.len()..)?.get(..BYTES)?;
        let field = |from: usize, to: usize| u64::from_str_radix(std::str::from_utf8(&text[from..to]).ok()?, 16).ok();
        Some(Self {
            run: u32::try_from(field(0, 8)?).ok()?,
            key: u32::try_from(field(9, 17)?).ok()?,
            number: field(18, 34)?,
            sent: *EPOCH + Duration::from_nanos(field(35, 51)?),
        })
    }
}

/// A number for a run. Unlike every other of this process, and very likely unlike those of others.
pub fn new_run() -> u32 {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
        LazyLock::force(&EPOCH);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        AtomicU32::new(now.as_millis() as u32)
    });
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Writes so many hexadecimal digits.
pub(crate) fn write_hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend((0..digits).rev().map(|digit| DIGITS[(value >> (4 * digit) & 15) as usize]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_inside_an_envelope() {
        let mark = Mark { run: new_run(), key: 9_999, number: 1 << 40, sent: Instant::now() };
        let mut body = b"{\"payload\":{\"mark\":\"not this one\",".to_vec();
        mark.write(&mut body);
        body.extend_from_slice(b"},\"meta\":{\"flags\":[]}}");
        assert_eq!(Mark::find(&body), Some(mark));
    }

    #[test]
    fn what_is_no_mark_is_not_taken_for_one() {
        for body in ["", "{}", "{\"mark\":\"\"}", "{\"mark\":\"zzzzzzzz-zzzzzzzz-zzzzzzzzzzzzzzzz-zzzzzzzzzzzzzzzz\"}"]
        {
            assert_eq!(Mark::find(body.as_bytes()), None, "{body}");
        }
    }
}
