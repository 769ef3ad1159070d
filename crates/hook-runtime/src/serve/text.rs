//! What an event's text says to an agent, who vouches for the event, and where nobody does.

use hook_core::{envelope::Trust, event::VerifiedEvent, names::EventType, payload::Payload};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use super::source::Source;

/// From so many bytes on the inspection takes milliseconds, and other events do not wait for it.
const LARGE: usize = 64 * 1024;

/// How an event is called whose adapter knows who sent it, where no secret does.
const BY_ADAPTER: &str = "adapter";

/// The flags of a payload, and how far it is to be trusted. Nothing of it is changed, and nothing refuses it.
pub(super) fn inspect(
    source: &Source,
    event: &VerifiedEvent,
    event_type: &EventType,
    payload: &Payload,
) -> (Vec<String>, Trust) {
    let verifier = source.plan.verifier_name.as_str();
    let table = [verifier, source.plan.name.as_str()]
        .iter()
        .find_map(|provider| hook_sanitize::table(provider, event_type.as_str()));
    // A payload is JSON, and that is UTF-8.
    let json = std::str::from_utf8(payload.bytes()).unwrap_or_default();
    let report = aside(json.len(), || hook_sanitize::inspect(json, table));
    let is_proven = event.raw().stated.as_ref().is_some_and(|stated| stated.is_sender_proven);
    let authenticated_by = match source.plan.verifier.needs_secret() {
        true => Some(verifier.to_owned()),
        false => is_proven.then(|| BY_ADAPTER.to_owned()),
    };
    let trust = Trust { authenticated_by, secret_slot: event.verified().slot, user_text: report.user_text };
    (report.flags.names().map(str::to_owned).collect(), trust)
}

/// Lets the other tasks of this thread go on elsewhere where the work is long. A runtime of one thread has no elsewhere.
fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let has_elsewhere =
        || Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    match bytes >= LARGE && has_elsewhere() {
        true => block_in_place(work),
        false => work(),
    }
}
