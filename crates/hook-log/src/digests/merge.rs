//! Which runs are merged, and how: adjacent ones only, the newer entry of a digest wins, what has expired stays behind.

use std::{cmp::Reverse, collections::BinaryHeap, io, ops::Range, path::Path, sync::Arc};

use super::{
    Entry,
    run::{Run, RunError, RunWriter},
};
use crate::{disk::Disk, format::ChainKind};

/// So many runs may be live: each costs a look into its filter for every new event.
pub(super) const MOST_RUNS: usize = 16;
/// So many are merged at once, where they are small enough: fewer merges, and each entry is written fewer times.
const WIDEST: usize = 4;

/// The runs that should become one, where there are too many. `most_entries` keeps a run from growing so large that dropping
/// it would forget too much at once.
pub(super) fn choose(counts: &[u64], most_entries: u64) -> Option<Range<usize>> {
    if counts.len() < MOST_RUNS {
        return None;
    }
    let cheapest = |width: usize| {
        let windows = counts.windows(width).enumerate();
        windows
            .map(|(at, window)| (window.iter().sum::<u64>(), at..at + width))
            .min_by_key(|(sum, range)| (*sum, range.start))
    };
    let fitting = (2..=WIDEST).rev().filter_map(cheapest).find(|(sum, _)| *sum <= most_entries);
    fitting.or_else(|| cheapest(2)).map(|(_, range)| range)
}

/// Merges adjacent runs, oldest first. Gives up where `is_ending` says so.
pub(super) fn merge(
    disk: &dyn Disk,
    dir: &Path,
    chain: ChainKind,
    runs: &[Arc<Run>],
    now_us: i64,
    is_ending: impl Fn() -> bool,
) -> Result<Run, RunError> {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { unreachable!("two runs or more are merged") };
    let segments = *first.segments.start()..=*last.segments.end();
    let at_most = runs.iter().map(|run| run.count).sum();
    let since_us = runs.iter().map(|run| run.since_us).min().unwrap_or(i64::MAX);
    let io = |source: io::Error| RunError::Io { path: first.path.clone(), source };
    let mut writer = RunWriter::begin(disk, dir, chain, segments, at_most, since_us).map_err(io)?;
    let mut sources: Vec<_> = runs.iter().map(|run| run.entries()).collect();
    // The smallest digest first, and of equal ones that of the newest run.
    let mut heads = BinaryHeap::new();
    let mut heads_of: Vec<Option<Entry>> = vec![None; runs.len()];
    for (at, source) in sources.iter_mut().enumerate() {
        if let Some(entry) = source.next().transpose()? {
            heads_of[at] = Some(entry);
            heads.push(Reverse((entry.digest, Reverse(at))));
        }
    }
    let mut latest = None;
    let mut taken = 0_u64;
    while let Some(Reverse((digest, Reverse(at)))) = heads.pop() {
        let entry = heads_of[at].take();
        if let Some(next) = sources[at].next().transpose()? {
            heads_of[at] = Some(next);
            heads.push(Reverse((next.digest, Reverse(at))));
        }
        let is_overruled = latest.replace(digest) == Some(digest);
        if let Some(entry) = entry.filter(|entry| !is_overruled && entry.first.expires_at_us > now_us) {
            writer.push(&entry).map_err(io)?;
        }
        taken += 1;
        if taken.is_multiple_of(4096) && is_ending() {
            return Err(io(io::ErrorKind::Interrupted.into()));
        }
    }
    writer.finish().map_err(io)
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn small_neighbours_are_merged_first_and_large_runs_stay() {
        assert_eq!(choose(&[10; MOST_RUNS - 1], 1000), None);
        assert_eq!(choose(&[10; MOST_RUNS], 1000), Some(0..4));
        let mut counts = [1000; MOST_RUNS];
        counts[9..12].fill(10);
        assert_eq!(choose(&counts, 1000), Some(9..12));
        assert_eq!(choose(&[1000; MOST_RUNS], 1000), Some(0..2), "too many is worse than too large");
    }

    #[test]
    fn each_entry_is_written_a_few_times_only() {
        let (mut counts, mut written, sealed) = (Vec::new(), 0_u64, 120);
        for keys in iter::repeat_n(100_u64, sealed) {
            counts.push(keys);
            while let Some(range) = choose(&counts, 1_250) {
                let sum = counts[range.clone()].iter().sum();
                written += sum;
                counts.splice(range, [sum]);
            }
        }
        assert!(written < sealed as u64 * 100 * 4, "{written}");
        assert!(counts.len() < MOST_RUNS);
    }
}
