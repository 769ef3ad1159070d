//! The embedded durable log: segment files, one writer thread a chain, one sync for everybody who waits.
//!
//! It stores bytes with keys and offsets, and does not know what an event is. `docs/reference/log-format.md` draws the files.
//!
//! | module | says |
//! |---|---|
//! | `options` | where the log is and how long it keeps what it has |
//! | `format` | segment headers and frames, to and from bytes |
//! | [`disk`] | file access as a port, so that tests can hold, fail and fill a disk |
//! | `state` | what a chain is: the fold over its batches |
//! | `digests` | deduplication keys: a map, then sorted runs with filters, merged in the background |
//! | `recover` | opens a chain: checks everything, cuts a torn tail, refuses damage |
//! | `chain` | queue, writer thread, segments and retention of one chain |
//! | `keeper` | indexes of sealed segments, retention, and a paced look at what nobody reads |
//! | `read` | subscriptions, scans and single records |
//! | `salt` | what makes a segment differ from anything that a stranger could write |
//! | `steps` | a log without threads, for simulations: it works when it is told to |
//! | [`check`] | a log from outside: survey, verify, repair |
//! | `embedded` | [`EmbeddedLog`]: the port, over three chains |

mod chain;
pub mod check;
mod digests;
pub mod disk;
mod embedded;
mod error;
mod format;
mod keeper;
mod options;
mod owner;
mod read;
mod recover;
mod salt;
mod state;
mod steps;
mod timer;

pub use embedded::EmbeddedLog;
pub use error::{Damage, OpenError};
pub use options::{Options, Retention, WhenPinned};
pub use steps::Steps;
