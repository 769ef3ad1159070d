//! The headers that tell of an event.

use hook_core::{
    event::TraceId,
    outcome::{FailureClass, Outcome},
};
use http::HeaderValue;
use uuid::Uuid;

/// W3C Trace Context, section 3.2: the sender's trace, with a new parent of our own.
pub fn traceparent(trace: &TraceId) -> String {
    let (_, random) = Uuid::now_v7().as_u64_pair();
    trace.to_traceparent(random)
}

/// The value of a header. Ids and trace ids are ASCII, so that this fails only where an event in the log is not one of ours.
pub fn text(value: &str) -> Result<HeaderValue, Outcome> {
    HeaderValue::try_from(value).map_err(|_| Outcome::failed(FailureClass::Rejected, "the event's id is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_keeps_the_trace_and_has_a_parent_of_its_own() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let id = TraceId::from_traceparent(&format!("00-{trace}-b7ad6b7169203331-01")).unwrap();
        let (one, other) = (traceparent(&id), traceparent(&id));
        assert_eq!(TraceId::from_traceparent(&one).unwrap().as_str(), trace);
        assert_ne!(one, other);
    }
}
