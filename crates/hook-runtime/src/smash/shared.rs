//! What a destination is, for as long as the process runs: what its worker and its attempts share, unchanging.

use std::{sync::Arc, time::Duration};

use hook_contract::plan::{EgressAdapter, RetryPlan, SmashRoute};
use hook_core::{
    clock::SharedClock,
    names::TopicName,
    ports::log::{Cursor, Log},
    secret::Secrets,
};

use super::status::StatusCell;
use crate::{journal::Journal, metrics::Metrics};

/// How long a destination that is not required may be shut before its events are dropped unseen.
pub(crate) const OPTIONAL_MAX_AGE: Duration = Duration::from_secs(3600);

/// What a worker and its attempts share, unchanging.
pub(crate) struct Shared {
    /// `route/adapter`.
    pub(crate) name: String,
    pub(crate) cursor: Cursor,
    pub(crate) route: SmashRoute,
    pub(crate) required: bool,
    pub(crate) adapter: EgressAdapter,
    pub(crate) dead_letters: TopicName,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) secrets: Secrets,
    pub(crate) clock: SharedClock,
    pub(crate) status: StatusCell,
    pub(crate) seed: u64,
}

impl Shared {
    /// The retry settings, with a bound of its own for a destination that is not required.
    pub(crate) fn retry(&self) -> RetryPlan {
        let max_age = self.adapter.retry.max_age.or((!self.required).then_some(OPTIONAL_MAX_AGE));
        RetryPlan { max_age, ..self.adapter.retry }
    }
}
