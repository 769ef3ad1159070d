//! Whether a signed time is near enough to now.

use std::time::Duration;

use hook_core::{Timestamp, catalog::Fault, duration::HumanDuration, ports::verifier::Refusal};

/// From here on a number is read as milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// With nanoseconds and an offset.
const LONGEST_RFC3339: usize = 35;

/// Refuses a time that is unreadable, or further from now than `tolerance`: in the future too, because a time far ahead
/// would stay fresh for as long.
pub(crate) fn check(time: &str, now: Timestamp, tolerance: Duration) -> Result<(), Refusal> {
    let signed_at = parse(time).ok_or(Refusal::MissingTimestamp)?;
    match now.duration_since(signed_at).unsigned_abs() <= tolerance {
        true => Ok(()),
        false => Err(Refusal::StaleTimestamp),
    }
}

/// Unix seconds or milliseconds, in decimal digits and nothing else; or a time as RFC 3339 has it.
pub(crate) fn parse(time: &str) -> Option<Timestamp> {
    if !time.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_at = |place, byte| time.as_bytes().get(place) == Some(&byte);
        let is_rfc3339 = time.len() <= LONGEST_RFC3339 && is_at(4, b'-') && is_at(10, b'T') && !time.contains('[');
        return is_rfc3339.then(|| time.parse().ok()).flatten();
    }
    let number: i64 = time.parse().ok()?;
    match number < FIRST_MILLISECONDS {
        true => Timestamp::from_second(number).ok(),
        false => Timestamp::from_millisecond(number).ok(),
    }
}

/// The tolerance of a contract, or what is wrong with it.
pub(crate) fn tolerance(written: HumanDuration) -> Result<Duration, Fault> {
    match written.get() {
        Duration::ZERO => Err(Fault::at(
            "/tolerance",
            "a tolerance of zero refuses every event",
            "write how old a signature may be, such as `5m`",
        )),
        tolerance => Ok(tolerance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_inclusive_and_the_same_on_both_sides_of_now() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let check = |time: &str| check(time, now, Duration::from_secs(300));
        for fresh in ["1700000000", "1699999700", "1700000300", "1699999700000", "1700000300000"] {
            assert_eq!(check(fresh), Ok(()), "{fresh}");
        }
        for fresh in ["2023-11-14T22:13:20Z", "2023-11-14T22:08:20.000000000Z", "2023-11-14T23:18:20+01:00"] {
            assert_eq!(check(fresh), Ok(()), "{fresh}");
        }
        for stale in ["2023-11-14T22:08:19Z", "2023-11-14T22:18:21Z"] {
            assert_eq!(check(stale), Err(Refusal::StaleTimestamp), "{stale}");
        }
        for stale in ["1699999699", "1700000301", "1699999699999", "1700000300001", "0", "99999999999"] {
            assert_eq!(check(stale), Err(Refusal::StaleTimestamp), "{stale}");
        }
    }

    #[test]
    fn what_is_not_plain_digits_of_a_time_is_no_time() {
        let huge = "9".repeat(100_000);
        for wrong in [
            "",
            " ",
            "+1700000000",
            "-1",
            "1.7e9",
            "1700000000 ",
            "0x1",
            "9223372036854775807",
            &huge,
            "2023-11-14",
            "2023-11-14 22:13:20Z",
            "2023-11-14T22:13:20",
            "023-11-14T22:13:20Z",
            "2023-11-14T22:13:20Z[UTC]",
        ] {
            let answer = check(wrong, Timestamp::UNIX_EPOCH, Duration::MAX);
            assert_eq!(answer, Err(Refusal::MissingTimestamp), "{}", &wrong[..wrong.len().min(20)]);
        }
    }

    #[test]
    fn a_tolerance_of_zero_is_a_fault_at_its_key() {
        assert_eq!(tolerance(HumanDuration::from_secs(0)).unwrap_err().pointer, "/tolerance");
        assert_eq!(tolerance(HumanDuration::from_secs(1)), Ok(Duration::from_secs(1)));
    }
}
