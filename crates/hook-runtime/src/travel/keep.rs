//! Keeps redrives in mind for as long as the dead letters that they were about: the journal forgets sooner.

use std::time::Duration;

use hook_core::{SignedDuration, job::JobKind, journal::Step, ports::log::LogError, stop::Stop};
use tracing::warn;

use super::{
    Ground,
    jobs::{self, JobState},
    run::write,
};

/// A start has better things to do.
const FIRST_LOOK: Duration = Duration::from_secs(600);
/// At most so long between two looks; it is less where the journal is kept for less than some days.
const LOOK: Duration = Duration::from_secs(12 * 3600);

/// Writes down again, until `stop`, what the journal would soon forget.
pub(crate) async fn keep(ground: Ground, mut stop: Stop) {
    let mut wait = FIRST_LOOK;
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(wait) => {}
        }
        if let Err(error) = write_again(&ground).await {
            warn!(%error, "redrives were not written down again");
        }
        wait = LOOK.min(ground.plan.log.journal.max_age / 8).max(Duration::from_secs(1));
    }
}

/// Writes down again which redrives have ended, where the journal would forget them before the dead letters are gone.
pub async fn write_again(ground: &Ground) -> Result<(), LogError> {
    for state in jobs::list(&ground.log, &ground.plan.journal).await? {
        if is_due(ground, &state) {
            write(ground, state.job.id, entries(state)).await?;
        }
    }
    Ok(())
}

/// Whether a redrive is past half of its time in the journal, and may still be about dead letters. One that has not ended may be
/// at work elsewhere, and further than is known here.
fn is_due(ground: &Ground, state: &JobState) -> bool {
    let (now, log) = (ground.clock.now(), &ground.plan.log);
    let is_older = |at, age: Duration| SignedDuration::try_from(age).is_ok_and(|age| now.duration_since(at) > age);
    state.job.kind == JobKind::Redrive
        && state.end.is_some()
        && is_older(state.written_at, log.journal.max_age / 2)
        && !is_older(state.job.at, log.dead_letters.max_age)
}

/// The whole of a job, as it stands.
fn entries(state: JobState) -> Vec<Step> {
    let JobState { job, reached, end, .. } = state;
    let (tails, tally) = (reached.tails.clone(), reached.tally);
    let mut entries = vec![Step::JobStarted { job: Box::new(job), tails }, Step::JobReached { reached }];
    entries.extend(end.map(|end| Step::JobEnded { end, tally }));
    entries
}
