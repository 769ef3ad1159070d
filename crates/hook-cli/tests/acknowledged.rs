//! 202 means durable: over HTTP, on a disk whose syncs are held back or fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[allow(dead_code, reason = "the log's own tests use the rest of it")]
#[path = "../../hook-log/tests/common/disk.rs"]
mod disk;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use disk::TestDisk;
use hook_cli::{
    catalog::default_catalog,
    lab::{
        sample,
        sender::{self, Answer, Webhook},
    },
    pipeline::log_options,
};
use hook_contract::plan::{Plan, Role};
use hook_core::{
    clock::{SharedClock, SystemClock},
    names::EnvName,
    ports::log::Log,
    secret::{Secret, Secrets},
};
use hook_log::EmbeddedLog;
use hook_runtime::{Handle, Start};
use tempfile::TempDir;

const CONTRACT: &str = include_str!("../src/lab/contract.toml");
const SECRET: &str = "a secret of the test";

/// The role `serve` on a disk that does as the test says.
struct Served {
    handle: Handle,
    disk: TestDisk,
    _directory: TempDir,
}

impl Served {
    async fn start() -> Self {
        let text = CONTRACT.replace("RECEIVER", "127.0.0.1:9");
        let checked = hook_contract::check("contract.toml", &text, &default_catalog(), &Default::default());
        let plan: Plan = checked.plan.unwrap();
        let (directory, disk) = (tempfile::tempdir().unwrap(), TestDisk::default());
        let clock: SharedClock = Arc::new(SystemClock);
        let options = log_options(&plan, &directory.path().join("log"), &clock);
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open_on(options, disk.clone()).unwrap());
        let secret = (EnvName::new("HMAC_SECRET_GITHUB").unwrap(), Secret::new(SECRET));
        let secrets: Secrets = Arc::new(BTreeMap::from([secret]));
        let start = Start { plan, roles: vec![Role::Serve], log, secrets, clock, seed: 1, instance: None };
        Self { handle: hook_runtime::start(start).await.unwrap(), disk, _directory: directory }
    }

    /// Sends a signed event under this delivery id.
    async fn send(&self, delivery_id: &str) -> Answer {
        let url = format!("http://{}/webhook/github", self.handle.listeners()[0].address.unwrap()).parse().unwrap();
        let sample = sample::of("github", "issues.opened", delivery_id, 0);
        let webhook = Webhook {
            url,
            verifier: &*self.handle.plan().sources["github"].verifier,
            event_name: &sample.event_name,
            delivery_id,
            stated: Default::default(),
            body: sample.body,
            secret: &Secret::new(SECRET),
        };
        sender::send(&sender::client(None).unwrap(), webhook).await.unwrap()
    }

    fn stored(&self) -> u64 {
        self.handle.log().state().partitions.iter().map(|partition| partition.end).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_202_is_sent_before_the_sync() {
    let served = Served::start().await;
    served.disk.hold_syncs();
    {
        let mut sending = std::pin::pin!(served.send("delivery-1"));
        // The sync of this event has begun, and nothing can end it but the test.
        let early = async {
            while served.disk.held() == 0 {
                tokio::task::yield_now().await;
            }
            tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>()).await
        };
        tokio::select! {
            answer = &mut sending => panic!("answered before the sync: {}", answer.status),
            _ = early => {}
        }
        assert_eq!(served.stored(), 0, "nobody sees what is not durable");
        served.disk.release_syncs();
        assert_eq!(sending.await.status, 202);
    }
    assert_eq!(served.stored(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_is_answered_with_503_and_leaves_no_mark() {
    let served = Served::start().await;
    served.disk.fail_syncs(true);
    let answer = served.send("delivery-1").await;
    assert_eq!((answer.status.as_u16(), answer.text("code")), (503, "log_unavailable"));
    assert!(!served.handle.status().ready);
    served.disk.fail_syncs(false);
    // The sender's own retry: a new event, not a copy of one that was never stored.
    let again = served.send("delivery-1").await;
    assert_eq!((again.status.as_u16(), again.text("code")), (202, "accepted"));
    assert_eq!(served.send("delivery-1").await.text("event_id"), again.text("event_id"));
    assert_eq!(served.stored(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_with_503_until_there_is_room() {
    let served = Served::start().await;
    // What is allocated already may still be written: the limit is met within that.
    served.disk.fill(true);
    served.disk.fail_writes(true);
    assert_eq!(served.send("delivery-1").await.status, 503);
    served.disk.fail_writes(false);
    assert_eq!(served.send("delivery-2").await.status, 503, "a new segment finds no room");
    served.disk.fill(false);
    assert_eq!(served.send("delivery-3").await.status, 202);
    assert_eq!(served.stored(), 1);
}
