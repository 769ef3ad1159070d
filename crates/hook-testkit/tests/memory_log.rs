//! The memory log keeps the promises of the port.

use std::sync::Arc;

use hook_core::{BoxFuture, clock::SharedClock, ports::log::Log};
use hook_testkit::{
    ManualClock, MemoryLog,
    log_conformance::{self, EVENTS, LogFixture, append_events, record},
};

#[derive(Default)]
struct Fixture {
    clock: Arc<ManualClock>,
}

impl LogFixture for Fixture {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Log>> {
        let clock: SharedClock = self.clock.clone();
        Box::pin(async move { Arc::new(MemoryLog::new(clock)) as Arc<dyn Log> })
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

hook_testkit::log_conformance!(Fixture::default());

#[tokio::test]
async fn a_log_that_was_made_to_fail_refuses_and_recovers() {
    let log = MemoryLog::new(Arc::new(ManualClock::default()));
    log.fail_with("full");
    let refused = log.append(hook_core::ports::log::Append::one(record(EVENTS, "a"))).await;
    assert_eq!(refused.unwrap_err().to_string(), "the log is not available: full");
    log.note(record(EVENTS, "dropped"));
    assert_eq!((log.state().partitions.len(), log.state().dropped_notes), (0, 1));
    log.recover();
    assert_eq!(append_events(&log, ["b".to_owned()]).await[0].offset, 0);
    assert_eq!(log_conformance::topic(EVENTS).as_str(), EVENTS);
}
