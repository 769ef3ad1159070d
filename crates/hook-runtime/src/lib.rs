//! The roles and their supervision: a plan, a log and secrets in; a running process out. Names no driver and no log.
//!
//! | module | holds |
//! |---|---|
//! | [`runtime`] | start and drain |
//! | `serve` | from an adapter into the log |
//! | `relay` | from source topics into one |
//! | `smash` | from the log to destinations: lanes, retry, breaker |
//! | [`travel`] | stored events again |
//! | [`rehearsal`] | what would become of an event |
//! | [`journal`], [`metrics`], [`status`] | what can be asked |
//! | `chain` | plugins, on either side of the log |
//! | `supervisor` | tasks and what their end means |

mod chain;
pub mod cursors;
pub mod journal;
pub mod lag;
pub mod metrics;
pub mod rehearsal;
mod relay;
pub mod runtime;
mod serve;
mod smash;
pub mod status;
mod supervisor;
pub mod travel;

pub use runtime::{Handle, Start, StartError, start};
pub use serve::copy_keys;
pub use smash::{DestinationState, DestinationStatus, WaitingKey};
