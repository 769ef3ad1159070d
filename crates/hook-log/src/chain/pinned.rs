//! Refuses appends while cursors that pin keep too much from going.

use crate::{
    chain::Writer,
    options::WhenPinned,
    state::{first_needed, pinned_bytes},
};

/// Pinned bytes are counted again after so many new ones.
const COUNT_EVERY: u64 = 1 << 20;

impl Writer {
    /// Counts pinned bytes again, where enough has changed.
    pub(super) fn count_pinned(&mut self) {
        let max = self.chain.limits.max_pinned;
        let is_recent = self.counted_at_end.is_some_and(|end| self.active.end < end + COUNT_EVERY.min(max));
        if is_recent && self.blocked.is_none() {
            return;
        }
        self.counted_at_end = Some(self.active.end);
        let pinned = {
            let state = self.chain.state();
            pinned_bytes(&state, first_needed(&state, self.chain.kind))
        };
        match self.chain.limits.when_pinned {
            _ if pinned <= max => self.block(None),
            WhenPinned::Block => self.block(Some(format!(
                "undelivered events take {pinned} bytes of the {} chain, and `max_pinned` allows {max}",
                self.chain.kind.folder()
            ))),
            WhenPinned::DropOldest => self.chain.ask_keeper(),
        }
    }
}
