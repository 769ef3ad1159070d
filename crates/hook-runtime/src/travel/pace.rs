//! How many events a second.

use std::{fmt, num::NonZeroUsize, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How fast a job may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// At most so many events in a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// To a URL, so many at once: one after the other within an ordering key.
    pub at_once: NonZeroUsize,
}

impl Default for Speed {
    fn default() -> Self {
        Self { rate: None, at_once: NonZeroUsize::MIN }
    }
}

/// A rate: `200/s`, `600/m`, or `200`, which is a second's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    events: u32,
    per: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Rate {
    fn per_second(self) -> f64 {
        let seconds = match self.per {
            Unit::Second => 1.0,
            Unit::Minute => 60.0,
            Unit::Hour => 3600.0,
        };
        f64::from(self.events) / seconds
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a rate such as `200/s` or `600/m`, found `{text}`");
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let per = match unit.trim() {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(wrong()),
        };
        let events: u32 = number.trim().parse().map_err(|_| wrong())?;
        if events == 0 { Err(wrong()) } else { Ok(Self { events, per }) }
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(f, "{}/{unit}", self.events)
    }
}

/// A batch is of no more than so many seconds.
const BATCH_SECONDS: f64 = 6.0;

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

    /// How many events are sent before that is written down: of a few seconds, so that whoever looks sees that it is at work.
    pub(super) fn batch(&self, most: usize) -> usize {
        let seconds = |rate: Rate| (rate.per_second() * BATCH_SECONDS).clamp(1.0, most as f64) as usize;
        self.rate.map_or(most, seconds)
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
        for (text, per_second, shown) in
            [("200/s", 200.0, "200/s"), ("90/m", 1.5, "90/m"), ("30", 30.0, "30/s"), ("9/h", 0.0025, "9/h")]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.per_second(), rate.to_string().as_str()), (per_second, shown));
            assert_eq!(serde_json::from_value::<Rate>(serde_json::json!(rate)).unwrap(), rate);
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
        assert_eq!((pace.batch(512), Pace::new(None).piece(512), Pace::new(None).batch(512)), (512, 512, 512));
        let slow = Pace::new(Some("20/m".parse().unwrap()));
        assert_eq!((slow.piece(512), slow.batch(512)), (1, 2));
    }
}
