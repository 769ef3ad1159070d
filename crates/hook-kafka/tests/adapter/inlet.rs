//! An inlet that takes what a test lets it take, and remembers it.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use hook_core::{
    BoxFuture,
    event::{EventId, RawEvent, RequestId},
    names::{AdapterId, SourceName},
    ports::ingress::{Accepted, Inlet, Poison, Refused, Rejection, RejectionKind},
};
use hook_testkit::fake_inlet::stored;
use tokio::sync::Notify;

/// An inlet; a log that is away is `is_away`.
#[derive(Default)]
pub(crate) struct Inlets {
    pub(crate) taken: Mutex<Vec<RawEvent>>,
    pub(crate) set_aside: Mutex<Vec<Poison>>,
    pub(crate) refusals: Mutex<Vec<Refused>>,
    pub(crate) is_away: AtomicBool,
    changed: Notify,
}

impl Inlets {
    /// Waits until something holds of what was taken and set aside.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), wait).await;
        assert!(in_time.is_ok(), "{what}: {} taken, {} set aside", self.taken(), self.set_aside.lock().unwrap().len());
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        let text = |event: &RawEvent| String::from_utf8(event.body.to_vec()).unwrap();
        self.taken.lock().unwrap().iter().map(text).collect()
    }

    pub(crate) fn go_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    fn refused(kind: RejectionKind, code: &'static str) -> Refused {
        Refused { kind, code, message: "why".into(), retry_after: None }
    }

    fn reject(&self, refused: Refused) -> Rejection {
        self.refusals.lock().unwrap().push(refused.clone());
        self.changed.notify_waiters();
        Rejection { refused, request_id: RequestId::generate() }
    }

    fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
}

impl Inlet for Inlets {
    fn source(&self, _: &AdapterId, name: &str) -> Option<SourceName> {
        SourceName::new(name).ok()
    }

    fn accept(&self, event: RawEvent) -> BoxFuture<'_, Result<Accepted, Rejection>> {
        Box::pin(async move {
            // Others go on meanwhile, as while a disk is synced.
            tokio::task::yield_now().await;
            if self.is_away() {
                return Err(self.reject(Self::refused(RejectionKind::Unavailable, "log_unavailable")));
            }
            if !event.body.starts_with(b"{") {
                return Err(self.reject(Self::refused(RejectionKind::Malformed, "malformed_body")));
            }
            self.taken.lock().unwrap().push(event);
            self.changed.notify_waiters();
            Ok(Accepted::Stored(stored()))
        })
    }

    fn refuse(&self, _: &AdapterId, _: Option<&SourceName>, refused: Refused) -> Rejection {
        self.reject(refused)
    }

    fn set_aside(&self, poison: Poison) -> BoxFuture<'_, Result<EventId, Refused>> {
        Box::pin(async move {
            if self.is_away() {
                return Err(Self::refused(RejectionKind::Unavailable, "log_unavailable"));
            }
            self.set_aside.lock().unwrap().push(poison);
            self.changed.notify_waiters();
            Ok(EventId::generate())
        })
    }
}
