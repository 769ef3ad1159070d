//! Exit codes. Scripts rely on them: a code's meaning never changes.

use std::process::ExitCode;

/// All is well; warnings are no failure.
pub const OK: u8 = 0;
/// Something is wrong with the contract, the environment or the run. What, stands on stderr (with `--json`, on stdout).
pub const FAILURE: u8 = 1;
/// The command line cannot be read: an unknown flag, a missing argument.
pub const USAGE: u8 = 2;

/// The log is damaged: `hook log verify` has found it, or `hook log repair` has not repaired it.
pub const DAMAGED: u8 = 3;

/// Why a command ends early. What there was to say has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With [`FAILURE`].
    Failure,
    /// With [`USAGE`].
    Usage,
    /// With [`DAMAGED`].
    Damaged,
    /// Whoever read the output went away, as in `hook events list | head`: they have what they wanted.
    OutputClosed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Failure => FAILURE,
            Exit::Usage => USAGE,
            Exit::Damaged => DAMAGED,
            Exit::OutputClosed => OK,
        })
    }
}
