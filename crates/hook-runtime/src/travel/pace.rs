//! How many events a second.

use std::{fmt, str::FromStr, time::Duration};

use tokio::time::Instant;

/// A rate: `200/s`, `600/m`, or `200`, which is a second's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

impl Rate {
    fn per_second(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a rate such as `200/s` or `600/m`, found `{text}`");
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let number: u32 = number.trim().parse().map_err(|_| wrong())?;
        if number == 0 { Err(wrong()) } else { Ok(Self(f64::from(number) / seconds)) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(per_second) = self;
        match per_second {
            1.0.. => write!(f, "{}/s", per_second.round()),
            _ => write!(f, "{}/h", (per_second * 3600.0).round()),
        }
    }
}

/// Lets pieces go at a rate.
pub(super) struct Pace {
    rate: Option<Rate>,
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self { rate, next: None }
    }

    /// How many events go at once: a quarter of a second's, so that a destination sees a stream and no bursts.
    pub(super) fn piece(&self, most: usize) -> usize {
        let quarter = |rate: Rate| (rate.per_second() / 4.0).clamp(1.0, most as f64) as usize;
        self.rate.map_or(most, quarter)
    }

    /// Waits until the next piece may go, and counts it.
    pub(super) async fn wait_for(&mut self, events: usize) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let at = self.next.unwrap_or(now);
        if at > now {
            tokio::time::sleep_until(at).await;
        }
        self.next = Some(at.max(now) + Duration::from_secs_f64(events as f64 / rate.per_second()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_with_a_unit_and_nothing_else_is() {
        for (text, per_second, shown) in [("200/s", 200.0, "200/s"), ("600/m", 10.0, "10/s"), ("30", 30.0, "30/s")] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.per_second(), rate.to_string().as_str()), (per_second, shown));
        }
        for wrong in ["", "0", "0/s", "-1", "1/d", "fast", "1.5"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_has_as_many_events_as_the_rate_says() {
        let mut pace = Pace::new(Some("100/s".parse().unwrap()));
        let began = Instant::now();
        let mut sent = 0;
        while sent < 1000 {
            let piece = pace.piece(512);
            assert_eq!(piece, 25);
            pace.wait_for(piece).await;
            sent += piece;
        }
        let took = began.elapsed();
        assert!((Duration::from_millis(9_700)..=Duration::from_secs(10)).contains(&took), "{took:?}");
        assert_eq!(Pace::new(None).piece(512), 512);
    }
}
