//! What the tests stand on: a pipeline in a process of its own, senders, a receiver.

pub(crate) mod contract;
pub(crate) mod home;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod sign;

use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use contract::Contract;
pub(crate) use home::Home;
pub(crate) use log::LogUnderTest;
pub(crate) use process::Pipeline;
pub(crate) use receiver::{Receiver, Reply};

/// How long anything may take that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = crate::LOG.patience();

/// Asks again, after a short pause, until there is an answer. For what nobody notifies us of.
#[track_caller]
pub(crate) fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        pause(Duration::from_millis(15));
    }
}

/// Asks again until it is so.
#[track_caller]
pub(crate) fn poll_until(what: &str, mut is_so: impl FnMut() -> bool) {
    poll(what, || is_so().then_some(()));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pause of a poll, or of a part that a test plays: nothing relies on it"
)]
pub(crate) fn pause(duration: Duration) {
    // tidy-allow(no-sleep): the processes under test run on real time, and some of what they do notifies nobody
    std::thread::sleep(duration);
}

/// The text at a pointer.
#[track_caller]
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer} of {value}"))
}

/// The keys of an object, sorted.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
