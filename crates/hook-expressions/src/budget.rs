//! How much work one evaluation may do, counted in steps.

use std::cell::Cell;

use thiserror::Error;

/// Steps of one evaluation. A step is an operation, or so many bytes that were looked at or made: the number of steps bounds
/// time and memory alike.
pub(crate) const STEPS: u64 = 2_000_000;
/// Looking at so many bytes is one step.
const BYTES_A_STEP: usize = 8;

/// An evaluation has done as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it takes more work than one evaluation may do")]
pub struct Spent;

/// The steps that are left to one evaluation.
#[derive(Debug)]
pub struct Budget {
    all: u64,
    left: Cell<u64>,
}

impl Default for Budget {
    /// What every evaluation of a running process gets.
    fn default() -> Self {
        Self::of(STEPS)
    }
}

impl Budget {
    /// So many steps.
    pub fn of(steps: u64) -> Self {
        Self { all: steps, left: Cell::new(steps) }
    }

    /// How many steps have been taken.
    pub fn used(&self) -> u64 {
        self.all - self.left.get()
    }

    /// Takes steps. Once they are used up, nothing more is done.
    pub(crate) fn spend(&self, steps: u64) -> Result<(), Spent> {
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(Spent)
            }
        }
    }

    /// Takes the steps that so many bytes cost, one at least.
    pub(crate) fn spend_bytes(&self, bytes: usize) -> Result<(), Spent> {
        self.spend(1 + (bytes / BYTES_A_STEP) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_stays_spent() {
        let budget = Budget::of(10);
        assert_eq!(budget.spend_bytes(64), Ok(()));
        assert_eq!(budget.used(), 9);
        assert_eq!(budget.spend(2), Err(Spent));
        assert_eq!(budget.spend(1), Err(Spent), "a smaller step does not go on where a larger one could not");
        assert_eq!(budget.used(), 10);
    }
}
