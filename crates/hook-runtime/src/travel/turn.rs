//! Whose turn it is at a job. On a log that several processes share, two of them could go on with it at once, and each would send
//! what the other sends.

use std::time::Duration;

use hook_contract::plan::BackboneDriver;
use hook_core::{SignedDuration, Timestamp, job::JobEnd, journal::Step};
use uuid::Uuid;

use super::{
    Ground, TravelError,
    jobs::{self, JobState, Resumed},
    run::write,
};

/// Who is at a job is heard of more often than this: of each batch, which is of a few seconds.
const SILENCE: SignedDuration = SignedDuration::from_secs(20);

/// A job that has something left to do.
pub(super) async fn unfinished(ground: &Ground, id: Uuid) -> Result<JobState, TravelError> {
    let state = jobs::find(&ground.log, &ground.plan.journal, id).await?.ok_or(TravelError::NoJob(id))?;
    match state.end {
        Some(JobEnd::Finished) => Err(TravelError::Finished(id)),
        Some(JobEnd::Stopped { .. }) | None => Ok(state),
    }
}

/// Takes the turn at a job, and writes that down. Where another process may be at it, nothing must be heard of it for a while; of
/// two that take it at once the first in the journal has it.
pub(super) async fn take(ground: &Ground, id: Uuid, by: String) -> Result<JobState, TravelError> {
    let is_shared = matches!(ground.plan.backbone.driver, BackboneDriver::Kafka(_));
    let state = match is_shared {
        true => silent(ground, id).await?,
        false => unfinished(ground, id).await?,
    };
    let at = write_resumed(ground, id, by.clone()).await?;
    if is_shared {
        let now = unfinished(ground, id).await?;
        let mine = Resumed { by, at };
        if now.resumed.get(state.resumed.len()).is_some_and(|first| *first != mine) {
            return Err(busy(ground, &now));
        }
    }
    Ok(state)
}

/// The job, once nothing was heard of it for long enough.
async fn silent(ground: &Ground, id: Uuid) -> Result<JobState, TravelError> {
    let state = unfinished(ground, id).await?;
    let is_stopped = state.end.is_some();
    let left = SILENCE - ground.clock.now().duration_since(state.heard_at);
    let Some(left) = Duration::try_from(left).ok().filter(|left| !is_stopped && !left.is_zero()) else {
        return Ok(state);
    };
    tokio::time::sleep(left).await;
    let now = unfinished(ground, id).await?;
    if now.heard_at == state.heard_at || now.end.is_some() { Ok(now) } else { Err(busy(ground, &now)) }
}

async fn write_resumed(ground: &Ground, id: Uuid, by: String) -> Result<Timestamp, TravelError> {
    Ok(write(ground, id, vec![Step::JobResumed { by }]).await?)
}

fn busy(ground: &Ground, state: &JobState) -> TravelError {
    let by = state.resumed.last().map_or(&state.job.by, |resumed| &resumed.by).clone();
    let heard = ground.clock.now().duration_since(state.heard_at).as_secs().max(0);
    TravelError::Busy { id: state.job.id, by, heard }
}
