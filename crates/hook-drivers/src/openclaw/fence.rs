//! A fence around text that others wrote, so that a reader sees where it begins and ends whatever it says.

use hmac::{Hmac, Mac};
use hook_core::secret::Secret;
use sha2::Sha256;

/// 128 bits, in hex.
const BOUNDARY_DIGITS: usize = 32;

/// A boundary that the author of `text` could not guess and that does not occur in it.
///
/// It is derived from the gateway's token and the event's id, and not drawn at random: a gateway recognises a repeated
/// delivery only where the message is the same to the byte, also after a restart of ours.
pub(super) fn boundary(token: &Secret, event: &str, text: &str) -> String {
    (0u64..)
        .map(|number| derive(token, event, number))
        .find(|boundary| !text.contains(boundary.as_str()))
        .expect("a text is finite, and boundaries are not")
}

fn derive(token: &Secret, event: &str, number: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.expose()).expect("HMAC takes a key of any length");
    mac.update(b"hook/openclaw/fence\0");
    mac.update(event.as_bytes());
    mac.update(&number.to_be_bytes());
    let mut digits = hex::encode(mac.finalize().into_bytes());
    digits.truncate(BOUNDARY_DIGITS);
    digits
}

/// The text between two lines that name the boundary.
pub(super) fn enclose(boundary: &str, text: &str) -> String {
    format!("<<<DATA {boundary}\n{text}\nDATA {boundary}>>>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_the_same_for_every_attempt_and_another_for_every_event_and_token() {
        let (token, other) = (Secret::new("token"), Secret::new("other"));
        let one = boundary(&token, "event-1", "text");
        assert_eq!(one.len(), 32);
        assert_eq!(one, boundary(&token, "event-1", "text"));
        assert_ne!(one, boundary(&token, "event-2", "text"));
        assert_ne!(one, boundary(&other, "event-1", "text"));
    }

    #[test]
    fn a_boundary_that_occurs_in_the_text_is_not_used() {
        let token = Secret::new("token");
        let guessed = format!("{}{}", boundary(&token, "e", ""), derive(&token, "e", 1));
        assert_eq!(boundary(&token, "e", &guessed), derive(&token, "e", 2));
    }
}
