//! The one place that spawns. Every task has a name, and says what its end means.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use hook_core::{BoxFuture, stop::Stop};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// A task that ran for so long is restarted without a pause.
const HEALTHY: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What the end of a task means, where nobody asked it to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnEnd {
    /// The process cannot go on without it.
    StopProcess,
    /// It is started again, after a pause that grows.
    Restart,
}

/// Makes a run of a task; called again for each restart.
pub(crate) type Start = Box<dyn FnMut(Stop) -> BoxFuture<'static, Result<(), String>> + Send>;

/// A group of tasks that end together.
pub(crate) struct Group {
    token: CancellationToken,
    tasks: JoinSet<()>,
    failed: Arc<watch::Sender<Option<String>>>,
}

impl Group {
    /// A group whose tasks report a fatal end to `failed`.
    pub(crate) fn new(failed: Arc<watch::Sender<Option<String>>>) -> Self {
        Self { token: CancellationToken::new(), tasks: JoinSet::new(), failed }
    }

    /// Starts a task under its name, such as `serve/github` or `smash/core-to-agent/agent`.
    pub(crate) fn spawn(&mut self, name: String, on_end: OnEnd, start: Start) {
        self.tasks.spawn(supervise(name, on_end, start, self.token.clone(), Arc::clone(&self.failed)));
    }

    /// Asks every task to end.
    pub(crate) fn stop(&self) {
        self.token.cancel();
    }

    /// Waits until every task has ended, at most until `deadline`; those that are left are dropped. `false` then.
    pub(crate) async fn ended(&mut self, deadline: Instant) -> bool {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout_at(deadline, all).await.is_ok();
        self.tasks.shutdown().await;
        in_time
    }
}

async fn supervise(
    name: String,
    on_end: OnEnd,
    mut start: Start,
    token: CancellationToken,
    failed: Arc<watch::Sender<Option<String>>>,
) {
    let mut failures = 0u32;
    loop {
        let began = Instant::now();
        let stop = Stop::when(token.clone().cancelled_owned());
        let run = std::panic::AssertUnwindSafe(start(stop)).catch_unwind().await;
        if token.is_cancelled() {
            return;
        }
        let reason = match run {
            Ok(Ok(())) => "it ended without being asked to".to_owned(),
            Ok(Err(error)) => error,
            Err(_) => "it panicked".to_owned(),
        };
        error!(task = %name, error = %reason, "task ended");
        if on_end == OnEnd::StopProcess {
            failed.send_replace(Some(format!("{name}: {reason}")));
            return;
        }
        failures = if began.elapsed() > HEALTHY { 0 } else { failures + 1 };
        let pause = Duration::from_millis(100).saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(pause) => info!(task = %name, "task starts again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn group() -> (Group, watch::Receiver<Option<String>>) {
        let (failed, seen) = watch::channel(None);
        (Group::new(Arc::new(failed)), seen)
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again() {
        let (mut group, _) = group();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let start: Start = Box::new(move |stop| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(run >= 2, "fails twice");
                stop.await;
                Ok(())
            }
            .boxed()
        });
        group.spawn("flaky".into(), OnEnd::Restart, start);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        group.stop();
        assert!(group.ended(Instant::now() + Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_vital_task_is_reported() {
        let (mut group, mut seen) = group();
        group.spawn("vital".into(), OnEnd::StopProcess, Box::new(|_| async { Err("gone".to_owned()) }.boxed()));
        seen.changed().await.unwrap();
        assert_eq!(seen.borrow().as_deref(), Some("vital: gone"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_dropped_at_the_deadline() {
        let (mut group, _) = group();
        group.spawn("deaf".into(), OnEnd::Restart, Box::new(|_| std::future::pending().boxed()));
        group.stop();
        assert!(!group.ended(Instant::now() + Duration::from_secs(1)).await);
    }
}
