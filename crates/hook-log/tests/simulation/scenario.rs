//! What a seed stands for: the settings of a log, and what it will meet.

use std::time::Duration;

use fastrand::Rng;
use hook_log::{Retention, WhenPinned};

use crate::machine::{DirectoryOrder, Weather};

/// The settings of one run.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) segment_bytes: u64,
    pub(crate) retention: Retention,
    pub(crate) max_pinned: Option<u64>,
    pub(crate) when_pinned: WhenPinned,
    /// Whether cursors keep what they have not done.
    pub(crate) pins: bool,
    pub(crate) can_allocate: bool,
    pub(crate) order: DirectoryOrder,
    /// What goes wrong while it storms.
    pub(crate) storm: Weather,
    /// Whether the disk fills up now and then.
    pub(crate) fills: bool,
    /// Whether a bit of what was durable is flipped at the end.
    pub(crate) is_damaged: bool,
    pub(crate) crashes: u32,
    /// Whether there is more reading than writing.
    pub(crate) is_read: bool,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Scenario {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let segment_bytes = *rng.choice(&[300, 300, 1000, 1000, 4096, 16 << 10, 64 << 10]).expect("there are some");
        let max_bytes = (rng.u8(..3) == 0).then(|| segment_bytes * rng.u64(2..12));
        let storms = rng.u8(..2) == 0;
        let odds = |rng: &mut Rng| if storms && rng.bool() { rng.u8(8..128) } else { 0 };
        Self {
            segment_bytes,
            retention: Retention { max_age: *rng.choice(&[HOUR, 24 * 7 * HOUR]).expect("there are some"), max_bytes },
            max_pinned: (rng.u8(..4) == 0).then(|| segment_bytes * rng.u64(4..16)),
            when_pinned: if rng.u8(..3) == 0 { WhenPinned::DropOldest } else { WhenPinned::Block },
            pins: rng.bool(),
            can_allocate: rng.u8(..24) == 0,
            order: if rng.bool() { DirectoryOrder::Journal } else { DirectoryOrder::Any },
            storm: Weather { write: odds(rng), sync: odds(rng), directory: odds(rng) },
            fills: rng.u8(..4) == 0,
            is_damaged: rng.u8(..8) == 0,
            crashes: rng.u32(1..7),
            is_read: rng.u8(..3) == 0,
        }
    }

    /// Whether anything goes wrong now and then.
    pub(crate) fn is_storm(&self) -> bool {
        self.storm != Weather::default()
    }

    /// Whether records may go although nobody counted on it: the oldest when there are too many bytes.
    pub(crate) fn removes_by_bytes(&self) -> bool {
        self.retention.max_bytes.is_some() || (self.max_pinned.is_some() && self.when_pinned == WhenPinned::DropOldest)
    }
}
