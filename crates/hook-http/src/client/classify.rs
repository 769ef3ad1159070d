//! What an HTTP answer, or its absence, means for the next attempt.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use hook_core::outcome::{Failure, FailureClass, Outcome};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use super::guard::Forbidden;

/// A destination that asks for more patience than this is asked again after it.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
/// No cause needs more characters than this to be recognised.
const LONGEST_CAUSE: usize = 200;

/// The outcome of an attempt that was answered.
pub fn answer(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Outcome {
    if status.is_success() {
        return Outcome::delivered(status.to_string());
    }
    let class = class_of(status);
    let waits = matches!(class, FailureClass::Throttled | FailureClass::Transient);
    Outcome::Failed(Failure {
        class,
        error: explain(status),
        retry_after: waits.then(|| retry_after(headers, now)).flatten(),
    })
}

fn class_of(status: StatusCode) -> FailureClass {
    match status.as_u16() {
        300..=399 | 401 | 403 => FailureClass::Misconfigured,
        429 => FailureClass::Throttled,
        408 => FailureClass::Transient,
        400..=499 => FailureClass::Rejected,
        _ => FailureClass::Transient,
    }
}

fn explain(status: StatusCode) -> String {
    match status.as_u16() {
        300..=399 => {
            format!("the destination answered {status}; redirects are not followed, set url to the final address")
        }
        401 | 403 => format!("the destination answered {status}; check the token"),
        _ => format!("the destination answered {status}"),
    }
}

/// RFC 9110, section 10.2.3: seconds, or a date.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        // More seconds than 64 bits hold are still a number.
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => LONGEST_RETRY_AFTER,
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// The outcome of an attempt that was not answered.
pub fn error(error: &reqwest::Error, limit: Duration) -> Outcome {
    if let Some(forbidden) = causes(error).find_map(|cause| cause.downcast_ref::<Forbidden>()) {
        return Outcome::failed(FailureClass::Misconfigured, forbidden.to_string());
    }
    let (class, text) = if error.is_connect() && error.is_timeout() {
        (FailureClass::Unreachable, "no connection in time".to_owned())
    } else if error.is_connect() {
        (FailureClass::Unreachable, format!("could not connect: {}", root_cause(error)))
    } else if error.is_timeout() {
        (FailureClass::Transient, format!("no answer within {} s", limit.as_secs()))
    } else if error.is_builder() {
        (FailureClass::Misconfigured, "the request could not be built".to_owned())
    } else {
        (FailureClass::Transient, format!("the connection was lost: {}", root_cause(error)))
    };
    Outcome::failed(class, text)
}

/// The innermost cause. The outer ones name the URL, whose query may hold a secret.
pub fn root_cause(error: &reqwest::Error) -> String {
    let text = causes(error).last().map_or_else(|| "unknown cause".to_owned(), ToString::to_string);
    text.chars().filter(|character| !character.is_control()).take(LONGEST_CAUSE).collect()
}

fn causes<'e>(error: &'e reqwest::Error) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT

    fn check(status: u16, after: Option<&str>) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, after.parse().unwrap());
        }
        answer(StatusCode::from_u16(status).unwrap(), &headers, SystemTime::UNIX_EPOCH + NOW)
    }

    fn class(status: u16) -> Option<FailureClass> {
        match check(status, None) {
            Outcome::Delivered { .. } => None,
            Outcome::Failed(failure) => Some(failure.class),
        }
    }

    #[test]
    fn every_status_has_one_meaning() {
        use FailureClass::{Misconfigured, Rejected, Throttled, Transient};
        for (statuses, expected) in [
            (&[200, 201, 202, 204, 299][..], None),
            (&[300, 301, 302, 304, 307, 308, 401, 403], Some(Misconfigured)),
            (&[429], Some(Throttled)),
            (&[408, 500, 501, 502, 503, 504, 599, 999], Some(Transient)),
            (&[400, 402, 404, 405, 409, 410, 413, 415, 418, 422, 451, 499], Some(Rejected)),
        ] {
            for &status in statuses {
                assert_eq!(class(status), expected, "{status}");
            }
        }
    }

    #[test]
    fn a_wish_for_patience_is_read_in_seconds_and_as_a_date_and_is_bounded() {
        let seconds = |text: &str| match check(503, Some(text)) {
            Outcome::Failed(failure) => failure.retry_after.map(|wait| wait.as_secs()),
            Outcome::Delivered { .. } => panic!(),
        };
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(seconds("Sunday, 06-Nov-94 08:50:37 GMT"), Some(60));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999999"), Some(86_400));
        assert_eq!(seconds("Fri, 31 Dec 2100 00:00:00 GMT"), Some(86_400));
        for unreadable in ["", "-1", "soon", "1.5"] {
            assert_eq!(seconds(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn only_a_destination_that_may_take_it_later_can_ask_for_patience() {
        for (status, waits) in [(429, true), (503, true), (408, true), (400, false), (401, false), (302, false)] {
            let Outcome::Failed(failure) = check(status, Some("5")) else { panic!() };
            assert_eq!(failure.retry_after.is_some(), waits, "{status}");
        }
    }
}
