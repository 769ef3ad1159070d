//! A time on the command line: a point in time, or a duration back from now.

use std::str::FromStr;

use hook_core::{SignedDuration, Timestamp, duration::HumanDuration};

/// A time in the past.
#[derive(Debug, Clone, Copy)]
pub struct Since(pub Timestamp);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self(at));
        }
        let wrong =
            || format!("expected a time such as 2026-01-31T08:00:00Z, or a duration such as 1h, found `{text}`");
        let back = text.parse::<HumanDuration>().map_err(|_| wrong())?;
        let back = SignedDuration::try_from(back.get()).map_err(|_| wrong())?;
        Timestamp::now().checked_sub(back).map(Self).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_a_duration_is_a_since_and_nothing_else_is() {
        assert_eq!("1970-01-01T00:00:00Z".parse::<Since>().unwrap().0, Timestamp::UNIX_EPOCH);
        assert!("1h".parse::<Since>().unwrap().0 < Timestamp::now());
        assert!("yesterday".parse::<Since>().is_err());
    }
}
