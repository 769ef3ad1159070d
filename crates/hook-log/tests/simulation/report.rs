//! What happened in many runs, counted.

use std::fmt;

use crate::machine::Counts;

/// What happened, counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Report {
    pub(crate) runs: u64,
    pub(crate) power_losses: u64,
    pub(crate) kills: u64,
    pub(crate) closes: u64,
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused_in_storms: u64,
    pub(crate) flips: u64,
    pub(crate) damage_found: u64,
    disk: Counts,
}

impl Report {
    pub(crate) fn crashes(&self) -> u64 {
        self.power_losses + self.kills
    }

    /// A log has ended.
    pub(crate) fn ended(&mut self, is_closed: bool, is_power_loss: bool) {
        match (is_closed, is_power_loss) {
            (true, _) => self.closes += 1,
            (_, true) => self.power_losses += 1,
            _ => self.kills += 1,
        }
    }

    /// A run has ended.
    pub(crate) fn count(&mut self, disk: &Counts) {
        self.runs = 1;
        self.disk = *disk;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.runs, other.runs),
            (&mut self.power_losses, other.power_losses),
            (&mut self.kills, other.kills),
            (&mut self.closes, other.closes),
            (&mut self.acked, other.acked),
            (&mut self.refused, other.refused),
            (&mut self.duplicates, other.duplicates),
            (&mut self.refused_in_storms, other.refused_in_storms),
            (&mut self.flips, other.flips),
            (&mut self.damage_found, other.damage_found),
            (&mut self.disk.operations, other.disk.operations),
            (&mut self.disk.write_errors, other.disk.write_errors),
            (&mut self.disk.sync_errors, other.disk.sync_errors),
            (&mut self.disk.directory_errors, other.disk.directory_errors),
            (&mut self.disk.full, other.disk.full),
        ];
        pairs.into_iter().for_each(|(sum, count)| *sum += count);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, power_losses, kills, closes, acked, refused, duplicates, .. } = self;
        writeln!(
            f,
            "{runs} logs, {} crashes: {power_losses} power losses, {kills} kills; {closes} closed",
            self.crashes()
        )?;
        writeln!(f, "{acked} appends acked, {refused} refused, {duplicates} events stored twice")?;
        let Counts { operations, write_errors, sync_errors, directory_errors, full } = self.disk;
        writeln!(
            f,
            "{operations} changes to disks; failed: {write_errors} writes, {sync_errors} syncs, {directory_errors} in directories; {full} times full"
        )?;
        let Self { refused_in_storms, flips, damage_found, .. } = self;
        write!(
            f,
            "{refused_in_storms} times not opened while the disk failed; {flips} logs with a flipped bit, {damage_found} of them refused"
        )
    }
}
