//! Latencies: a histogram of them, and what is read from it.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// An hour. What took longer counts as this long.
const LONGEST_US: u64 = 3_600_000_000;

/// A histogram of latencies: from a microsecond to an hour, to three digits.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u32>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3);
        Self(histogram.expect("the bounds are those that the histogram permits"))
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US).max(1));
    }

    /// Counts all of another histogram.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The percentiles that reports show.
    pub fn summary(&self) -> Summary {
        let ms = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        let max_ms = self.0.max() as f64 / 1000.0;
        Summary { count: self.count(), p50_ms: ms(0.5), p99_ms: ms(0.99), p999_ms: ms(0.999), max_ms }
    }
}

/// Percentiles of a histogram, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many latencies there are.
    pub count: u64,
    /// Half of them are at most this.
    pub p50_ms: f64,
    /// 99 of 100 are at most this.
    pub p99_ms: f64,
    /// 999 of 1,000 are at most this.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_right_to_three_digits() {
        let (mut odd, mut even) = (Latencies::default(), Latencies::default());
        for ms in 1..=1000 {
            if ms % 2 == 0 { &mut even } else { &mut odd }.record(Duration::from_millis(ms));
        }
        odd.add(&even);
        let summary = odd.summary();
        assert_eq!(summary.count, 1000);
        for (measured, expected) in [(summary.p50_ms, 500.0), (summary.p99_ms, 990.0), (summary.max_ms, 1000.0)] {
            assert!((measured / expected - 1.0_f64).abs() < 0.001, "{measured} is not {expected}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_counts_as_the_bound() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::from_secs(100_000));
        assert_eq!(latencies.count(), 2);
        assert!(latencies.summary().max_ms >= 3_600_000.0);
    }
}
