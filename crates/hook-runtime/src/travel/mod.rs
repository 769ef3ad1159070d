//! Stored events and dead letters again: counted first, sent by a job that can be interrupted, and written down in the journal.
//!
//! ```text
//! log ──scan──▶ Selector ──▶ Addressing ──▶ batch ──append──▶ log          (or a driver, for a URL: some at once)
//!                 which?       where to?      │
//!                                             └─ JobReached ──▶ journal     after each batch: where a resumed job begins
//! ```
//!
//! Everything is streamed: a job holds one batch of events, whatever it has to send.

mod address;
mod count;
mod error;
mod jobs;
mod keep;
mod pace;
mod reader;
mod redriven;
mod run;
mod select;
mod send;
mod turn;

pub use count::{Count, Group, count};
pub use error::TravelError;
pub use jobs::{JobState, Resumed, list};
pub(crate) use keep::keep;
pub use keep::write_again;
pub use pace::{Rate, Speed};
pub use redriven::Redriven;
pub use run::{Order, Run, Start, Step};
pub use send::ToUrl;

use std::sync::Arc;

use hook_contract::plan::Plan;
use hook_core::{
    clock::SharedClock,
    ports::log::{Log, LogError},
};

/// What a job stands on.
#[derive(Clone)]
pub struct Ground {
    /// The plan, which says what routes and destinations there are.
    pub plan: Arc<Plan>,
    /// Where events rest.
    pub log: Arc<dyn Log>,
    /// The wall clock.
    pub clock: SharedClock,
}

/// A log may have to ask others where a scan begins.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LogError::Unavailable(format!("the work was given up: {error}")))?
}
