//! Percentiles of small samples, exact.

use std::time::Duration;

/// The value below which so many hundredths of the sample lie (nearest rank). Sorts the sample.
pub(crate) fn percentile(sample: &mut [Duration], hundredths: usize) -> Duration {
    sample.sort_unstable();
    let rank = (sample.len() * hundredths).div_ceil(100).max(1);
    sample.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_of_the_sample() {
        let mut sample: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut sample, 99), Duration::from_millis(99));
        assert_eq!(percentile(&mut sample, 50), Duration::from_millis(50));
        assert_eq!(percentile(&mut sample[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&mut [], 99), Duration::ZERO);
    }
}
