//! Looks at a log from outside: what it consists of, whether every byte of it is right, and how a damaged one opens again.
//!
//! Nothing here needs a log that opens, and nothing but a repair needs to own it.
//!
//! | module | says |
//! |---|---|
//! | `window` | a part of a file in memory |
//! | `walk` | one segment, whatever is in it |
//! | `head` | the beginning of a segment, also where it is hurt |
//! | `fold` | ends, cursors, and which offsets are missing |
//! | `chain` | one chain, and what a repair has to write |
//! | `verify` | every byte of a log |
//! | `repair` | writes damaged segments anew |
//! | `survey` | what a log consists of, at a glance |
//! | `report` | what was found |

mod chain;
mod fold;
mod head;
mod repair;
mod report;
mod survey;
mod verify;
mod walk;
mod window;

use std::path::Path;

pub use chain::OnProgress;
pub use repair::{Repair, Repaired};
pub use report::{ChainReport, Finding, Lost, Report, TornTail};
pub use survey::{ChainSurvey, survey};
pub use verify::verify;

use crate::{format::ChainKind, owner};

/// Whether a directory is the data directory of a log. Any other one would look like an empty log without damage.
pub fn is_log(dir: &Path) -> bool {
    dir.join(owner::LOCK).is_file() || ChainKind::ALL.into_iter().any(|kind| dir.join(kind.folder()).is_dir())
}
