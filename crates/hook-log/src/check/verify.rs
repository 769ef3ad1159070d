//! Reads every byte of a log.

use std::path::Path;

use super::{
    chain::{Checked, OnProgress, check},
    report::{Finding, Report},
};
use crate::{
    digests::damaged_runs,
    disk::{Disk, RealDisk},
    error::OpenError,
    format::{ChainKind, segment_name},
};

/// Reads every byte of the log in a data directory and says what is damaged, whether the log opens or not. Takes no lock
/// and writes nothing; an owner may be at work. An error means that it could not be read at all.
pub fn verify(dir: &Path, on_progress: OnProgress<'_>) -> Result<Report, OpenError> {
    let checked = check_all(&RealDisk, dir, on_progress)?;
    Ok(Report { chains: checked.into_iter().map(|(_, checked)| checked.report).collect() })
}

/// Checks chain by chain.
pub(super) fn check_all(
    disk: &dyn Disk,
    dir: &Path,
    on_progress: OnProgress<'_>,
) -> Result<Vec<(ChainKind, Checked)>, OpenError> {
    let total = ChainKind::ALL.into_iter().map(|kind| bytes(disk, &dir.join(kind.folder()))).sum();
    let mut done = 0;
    let mut read = |bytes: u64| {
        done += bytes;
        on_progress(done, total);
    };
    let of_chain = |kind: ChainKind| {
        let dir = dir.join(kind.folder());
        let mut checked = check(disk, &dir, kind, &mut read)?;
        for damage in damaged_runs(disk, &dir, kind)? {
            checked.report.damages.push(Finding::of_run(damage));
        }
        Ok((kind, checked))
    };
    ChainKind::ALL.into_iter().map(of_chain).collect()
}

/// About how many bytes there are to read: what cannot be asked now is found by the check itself.
fn bytes(disk: &dyn Disk, dir: &Path) -> u64 {
    let numbers = super::chain::numbers(disk, dir).unwrap_or_default();
    let length = |number: &u64| disk.open_read_only(&dir.join(segment_name(*number))).and_then(|file| file.len());
    numbers.iter().filter_map(|number| length(number).ok()).sum()
}
