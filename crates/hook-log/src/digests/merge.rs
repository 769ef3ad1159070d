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
const WIDEST: usize = 8;

/// The runs that should become one, where there are too many. `most_entries` keeps a run from growing so large that dropping
/// it would forget too much at once.
///
/// A run is *full* with more than half of that, and stays as it is. What is newer than the newest full one becomes another
/// full one as soon as there is enough of it; until then, those become one that cost the fewest entries written for each
/// run fewer. So most places are always there for small runs, and an entry is written again a few times only.
pub(super) fn choose(counts: &[u64], most_entries: u64) -> Option<Range<usize>> {
    if counts.len() < MOST_RUNS {
        return None;
    }
    let newer = counts.iter().rposition(|&count| count > most_entries / 2).map_or(0, |full| full + 1);
    next_full(counts, newer, most_entries)
        .or_else(|| cheapest(counts, newer, most_entries))
        .or_else(|| cheapest(counts, 0, most_entries))
}

/// The runs from `start` on that are a full one together.
fn next_full(counts: &[u64], start: usize, most_entries: u64) -> Option<Range<usize>> {
    let fits = |end: &usize| counts[start..*end].iter().sum::<u64>() <= most_entries;
    let end = (start + 2..=counts.len()).take_while(fits).last()?;
    (counts[start..end].iter().sum::<u64>() >= most_entries / 5 * 4).then_some(start..end)
}

/// Of the runs from `start` on, those that cost the least for each run fewer. Too many is worse than too large.
fn cheapest(counts: &[u64], start: usize, most_entries: u64) -> Option<Range<usize>> {
    let windows = (start..counts.len()).flat_map(|at| (at + 2..=counts.len().min(at + WIDEST)).map(move |end| at..end));
    windows.min_by_key(|window| {
        let written = counts[window.clone()].iter().sum::<u64>();
        // In thousandths, so that of many small windows the widest wins.
        if written > most_entries { (true, written) } else { (false, written * 1000 / (window.len() as u64 - 1)) }
    })
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
    use super::*;

    #[test]
    fn small_neighbours_are_merged_first_and_large_runs_stay() {
        assert_eq!(choose(&[10; MOST_RUNS - 1], 1000), None);
        assert_eq!(choose(&[10; MOST_RUNS], 1000), Some(0..WIDEST));
        let mut counts = [1000; MOST_RUNS];
        counts[9..12].fill(10);
        assert_eq!(choose(&counts, 1000), Some(9..12));
        assert_eq!(choose(&[1000; MOST_RUNS], 1000), Some(0..2), "too many is worse than too large");
    }

    /// Seals segments of so many keys, and forgets the oldest run where there are too many. Returns how many times an entry is
    /// written, and the most runs.
    fn simulate(segments: u64, keys: impl Fn(u64) -> u64) -> (f64, usize) {
        const MOST: u64 = 10_000_000;
        let (mut counts, mut sealed, mut merged, mut most_runs) = (Vec::new(), 0, 0, 0);
        for segment in 0..segments {
            sealed += keys(segment);
            counts.push(keys(segment));
            most_runs = most_runs.max(counts.len());
            while counts.iter().sum::<u64>() > MOST {
                counts.remove(0);
            }
            while let Some(range) = choose(&counts, MOST / 8) {
                let sum = counts[range.clone()].iter().sum();
                merged += sum;
                counts.splice(range, [sum]);
            }
        }
        ((sealed + merged) as f64 / sealed as f64, most_runs)
    }

    #[test]
    fn each_entry_is_written_a_few_times_only_however_many_a_segment_has() {
        let uneven = |segment: u64| (segment.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 46) + 1;
        for (keys, segments, most) in
            [(2_000_000, 50, 1.1), (700_000, 100, 1.1), (300_000, 300, 2.1), (100_000, 1500, 2.5)]
        {
            let (written, runs) = simulate(segments, |_| keys);
            assert!(written < most && runs <= MOST_RUNS, "{keys} keys: written {written} times, {runs} runs");
        }
        let (written, runs) = simulate(5000, |_| 10_000);
        assert!(written < 5.5 && runs <= MOST_RUNS, "written {written} times, {runs} runs");
        let (written, runs) = simulate(1500, uneven);
        assert!(written < 2.5 && runs <= MOST_RUNS, "written {written} times, {runs} runs");
    }
}
