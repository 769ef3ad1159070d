//! The suite for destinations passes one that keeps every promise, and catches those that do not.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use hook_core::{
    BoxFuture,
    envelope::Layout,
    outcome::{FailureClass, Outcome},
    ports::egress::{CheckError, Delivery, EgressDriver, Host},
    secret::Secrets,
};
use hook_testkit::egress_conformance::{self, Behaviour, CANARY, EgressFixture, Received};

/// How a destination breaks a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// It says `Delivered` before it has the event.
    Forgets,
    /// It shows what a sender wrote.
    Shows,
    /// Everything that fails may be tried again.
    ClassifiesNothing,
    /// Nothing bounds an attempt.
    Waits,
    /// What was away once is away for ever.
    GivesUp,
    /// Its questions are deliveries.
    Probes,
    /// Nobody finds what belongs together.
    LosesTraces,
    /// It writes what a sender wrote into the log.
    Logs,
    /// It does not listen when it is told to end.
    RunsOn,
}

/// A destination in memory.
#[derive(Clone)]
struct Memory {
    flaw: Flaw,
    behaviour: Arc<Mutex<Behaviour>>,
    received: Arc<Mutex<Vec<Received>>>,
    has_failed: Arc<Mutex<bool>>,
}

impl Memory {
    fn with(flaw: Flaw) -> Self {
        Self {
            flaw,
            behaviour: Arc::new(Mutex::new(Behaviour::Well)),
            received: Arc::default(),
            has_failed: Arc::default(),
        }
    }

    fn take(&self, delivery: &Delivery<'_>) -> Outcome {
        let envelope = delivery.envelope;
        if self.flaw == Flaw::Logs {
            let payload = String::from_utf8_lossy(envelope.payload.bytes());
            tracing::trace!(target: "hook_memory", %payload, "taken");
        }
        let failed = |class| {
            *self.has_failed.lock().unwrap() = true;
            match self.flaw {
                Flaw::Shows => Outcome::failed(class, String::from_utf8_lossy(envelope.payload.bytes())),
                Flaw::ClassifiesNothing => Outcome::failed(FailureClass::Transient, "it failed"),
                _ => Outcome::failed(class, "it failed"),
            }
        };
        match *self.behaviour.lock().unwrap() {
            Behaviour::Well if self.flaw == Flaw::GivesUp && *self.has_failed.lock().unwrap() => {
                failed(FailureClass::Transient)
            }
            Behaviour::Well => {
                if self.flaw != Flaw::Forgets {
                    let mut received = Received::from_envelope(&envelope.to_json(Layout::Verbatim));
                    if self.flaw == Flaw::LosesTraces {
                        received.trace = None;
                    }
                    self.received.lock().unwrap().push(received);
                }
                Outcome::delivered("kept")
            }
            Behaviour::Refusing => failed(FailureClass::Rejected),
            _ => failed(FailureClass::Unreachable),
        }
    }
}

impl EgressDriver for Memory {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if self.flaw == Flaw::Waits && *self.behaviour.lock().unwrap() != Behaviour::Well {
                std::future::pending::<()>().await;
            }
            self.take(&delivery)
        })
    }

    fn check<'a>(&'a self, _: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            if self.flaw == Flaw::Probes {
                let id = hook_core::event::EventId::generate();
                self.received.lock().unwrap().push(Received { id, payload: b"{}".to_vec(), trace: None });
            }
            match *self.behaviour.lock().unwrap() {
                Behaviour::Well => Ok(()),
                _ => Err(CheckError::Unreachable("nobody is there".into())),
            }
        })
    }

    fn run(&self, host: Host) -> BoxFuture<'_, ()> {
        match self.flaw {
            Flaw::RunsOn => Box::pin(std::future::pending()),
            _ => Box::pin(host.stop),
        }
    }
}

impl EgressFixture for Memory {
    fn driver(&self) -> Arc<dyn EgressDriver> {
        Arc::new(self.clone())
    }

    fn secrets(&self) -> Secrets {
        Arc::new(BTreeMap::new())
    }

    fn behave(&self, behaviour: Behaviour) -> BoxFuture<'_, bool> {
        let can = matches!(behaviour, Behaviour::Well | Behaviour::Away | Behaviour::Refusing);
        if can {
            *self.behaviour.lock().unwrap() = behaviour;
        }
        Box::pin(async move { can })
    }

    fn received(&self) -> BoxFuture<'_, Vec<Received>> {
        Box::pin(async { self.received.lock().unwrap().clone() })
    }
}

mod a_good_one {
    use super::{Flaw, Memory};
    hook_testkit::egress_conformance!(Memory::with(Flaw::None));
}

/// What a check says of a destination with a flaw.
async fn caught(flaw: Flaw, check: impl AsyncFnOnce(&Memory) + Send + 'static) -> String {
    let local = tokio::task::LocalSet::new();
    let checking = local.run_until(async move {
        let memory = Memory::with(flaw);
        tokio::task::spawn_local(async move { check(&memory).await }).await
    });
    let panic = checking.await.expect_err("the flaw is caught").into_panic();
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_flaw_is_caught() {
    use egress_conformance as suite;
    let said = caught(Flaw::Forgets, async |memory| suite::what_is_delivered_is_there(memory).await).await;
    assert!(said.contains('0') || said.contains("[]"), "{said}");
    let said = caught(Flaw::Shows, async |memory| suite::a_failure_says_what_it_means_and_in_time(memory).await).await;
    assert!(said.contains("neither a payload nor a secret") && said.contains(CANARY), "{said}");
    let said =
        caught(Flaw::ClassifiesNothing, async |memory| suite::a_failure_says_what_it_means_and_in_time(memory).await)
            .await;
    assert!(said.contains("Unreachable"), "{said}");
    let said = caught(Flaw::Waits, async |memory| suite::a_failure_says_what_it_means_and_in_time(memory).await).await;
    assert!(said.contains("time-out"), "{said}");
    let said = caught(Flaw::GivesUp, async |memory| {
        suite::a_driver_delivers_again_when_its_counterpart_is_well_again(memory).await;
    })
    .await;
    assert!(said.contains("is delivered"), "{said}");
    let said = caught(Flaw::Probes, async |memory| {
        suite::a_check_tells_whether_it_could_deliver_and_delivers_nothing(memory).await;
    })
    .await;
    assert!(said.contains("no delivery"), "{said}");
    let said = caught(Flaw::LosesTraces, async |memory| suite::an_event_takes_its_trace_along(memory).await).await;
    assert!(said.contains("None"), "{said}");
    let said = caught(Flaw::Logs, async |memory| {
        suite::what_is_logged_shows_no_payload_and_no_secret(memory).await;
    })
    .await;
    assert!(said.contains("is logged"), "{said}");
    let said = caught(Flaw::RunsOn, async |memory| suite::background_work_ends_when_it_is_stopped(memory).await).await;
    assert!(said.contains("runs on"), "{said}");
}
