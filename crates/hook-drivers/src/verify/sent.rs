//! When a verified event was sent: read again from where its scheme signs the time.

use hook_core::{Timestamp, payload::Payload};
use http::HeaderMap;

/// Unix seconds in a header.
pub(super) fn in_header(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    seconds(headers.get(name)?.to_str().ok()?)
}

/// Unix seconds in the only element of a header that begins so.
pub(super) fn in_element(headers: &HeaderMap, name: &str, prefix: &str) -> Option<Timestamp> {
    let value = headers.get(name)?.to_str().ok()?;
    let mut elements = value.split(',').filter_map(|element| element.trim().strip_prefix(prefix));
    // Of several, which one was signed is not to be guessed here.
    let only = elements.next().filter(|_| elements.next().is_none())?;
    seconds(only)
}

/// Unix milliseconds in the body.
pub(super) fn in_body(payload: &Payload, pointer: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(payload.scalar(pointer)?.parse().ok()?).ok()
}

fn seconds(text: &str) -> Option<Timestamp> {
    Timestamp::from_second(text.trim().parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_where_it_was_signed_and_only_there() {
        let at = Timestamp::from_second(1_700_000_000).ok();
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(http::HeaderName::from_static(name), http::HeaderValue::from_static(value))])
        };
        assert_eq!(in_header(&headers("webhook-timestamp", "1700000000"), "webhook-timestamp"), at);
        assert_eq!(in_header(&headers("webhook-timestamp", "soon"), "webhook-timestamp"), None);
        let of_stripe = |value| in_element(&headers("stripe-signature", value), "Stripe-Signature", "t=");
        assert_eq!(of_stripe("t=1700000000,v1=ab,v0=cd"), at);
        assert_eq!(of_stripe("t=1700000000,t=1,v1=ab"), None, "two times");
        assert_eq!(of_stripe("v1=ab"), None);
        let payload = |text: &'static str| Payload::parse(bytes::Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(in_body(&payload("{\"at\":1700000000000}"), "/at"), at);
        assert_eq!(in_body(&payload("{}"), "/at"), None);
    }
}
