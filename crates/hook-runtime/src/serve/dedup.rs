//! By which keys copies of a delivery are recognised.

use hook_contract::plan::{DedupBy, DedupPlan, SourcePlan};
use hook_core::{
    SignedDuration, Timestamp,
    envelope::EventHeader,
    names::SourceName,
    ports::{log::DedupKey, verifier::DeliveryId},
};
use sha2::{Digest, Sha256};

/// What a verified event says of its delivery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'a> {
    /// The sender's name for it.
    pub(crate) id: Option<&'a DeliveryId>,
    /// Whether such names are signed at this source. Where they are not, whoever captured a body may leave the name out.
    pub(crate) ids_are_signed: bool,
    /// Whether nothing says who sent the delivery and chose its name: then the name means something beside the body alone.
    pub(crate) anybody_names_it: bool,
    pub(crate) body_digest: &'a [u8; 32],
    pub(crate) received_at: Timestamp,
}

/// The keys of one delivery; none where its copies cannot be told from new events.
pub(crate) fn keys(plan: &DedupPlan, source: &SourceName, delivery: &Delivery<'_>) -> Vec<DedupKey> {
    let window = SignedDuration::try_from(plan.window).unwrap_or(SignedDuration::MAX);
    let expires_at = delivery.received_at.checked_add(window).unwrap_or(Timestamp::MAX);
    let key = |kind: &str, value: &[u8]| DedupKey { digest: digest(source, kind, value), expires_at };
    let by_body = || key("body", delivery.body_digest);
    let by_id = |id: &DeliveryId| key("id", id.value.as_bytes());
    let by_both = |id: &DeliveryId| key("id+body", &[id.value.as_bytes(), delivery.body_digest].concat());
    match (plan.by, delivery.id) {
        (DedupBy::Body, _) => vec![by_body()],
        (DedupBy::Delivery, None) if !delivery.ids_are_signed => vec![by_body()],
        (DedupBy::Delivery, Some(id)) if delivery.anybody_names_it => vec![by_both(id)],
        (DedupBy::Delivery, Some(id)) if !id.is_signed => vec![by_id(id), by_body()],
        (_, Some(id)) => vec![by_id(id)],
        (_, None) => Vec::new(),
    }
}

/// The keys of an event that is stored, as the contract has them now; none where it was sent again by an operator. Whether
/// its delivery's id was signed is not stored: where the contract says where the id stands, the id alone is a key, so that
/// two events of one body never become one. Neither is it stored whether an adapter knew who named the delivery: where the
/// source verifies nothing, the event is known by both.
pub fn copy_keys(source: &SourcePlan, header: &EventHeader) -> Vec<DedupKey> {
    let meta = &header.meta;
    let Some(body_digest) = meta.body_sha256.as_deref().filter(|_| meta.replay.is_none()).and_then(unhex) else {
        return Vec::new();
    };
    let ids_are_signed = source.verifier.signs_delivery_id();
    let is_signed = ids_are_signed || source.delivery_id.is_some();
    let id = meta.delivery_id.as_ref().map(|id| DeliveryId { value: id.clone(), is_signed });
    let received_at = header.received_at;
    let keys = |anybody_names_it| {
        let id = id.as_ref();
        let delivery = Delivery { id, ids_are_signed, anybody_names_it, body_digest: &body_digest, received_at };
        keys(&source.dedup, &header.source, &delivery)
    };
    let mut known = keys(false);
    if !source.verifier.needs_secret() {
        known.extend(keys(true));
        known.dedup_by_key(|key| key.digest);
    }
    known
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Whether copies of an event without an ordering key meet in the partition of the delivery's id; else in that of its body.
pub(crate) fn copies_share_their_id(plan: &DedupPlan, id: &DeliveryId) -> bool {
    match plan.by {
        DedupBy::Body => false,
        DedupBy::Delivery => id.is_signed,
        DedupBy::DeliveryIdOnly => true,
    }
}

/// Sixteen bytes of SHA-256 over what identifies the delivery; no field can run into the next.
fn digest(source: &SourceName, kind: &str, value: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(source.as_str());
    hasher.update([0]);
    hasher.update(kind);
    hasher.update([0]);
    hasher.update(value);
    let whole: [u8; 32] = hasher.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn keys_of(by: DedupBy, id: Option<(&str, bool)>, body: u8) -> Vec<[u8; 16]> {
        let plan = DedupPlan { by, window: Duration::from_secs(60) };
        let id = id.map(|(value, is_signed)| DeliveryId { value: value.into(), is_signed });
        let source = SourceName::new("github").unwrap();
        let delivery = Delivery {
            id: id.as_ref(),
            ids_are_signed: id.as_ref().is_none_or(|id| id.is_signed),
            anybody_names_it: false,
            body_digest: &[body; 32],
            received_at: Timestamp::UNIX_EPOCH,
        };
        keys(&plan, &source, &delivery).iter().map(|key| key.digest).collect()
    }

    #[test]
    fn an_unsigned_id_is_backed_by_the_body() {
        let first = keys_of(DedupBy::Delivery, Some(("a", false)), 1);
        let captured = keys_of(DedupBy::Delivery, Some(("b", false)), 1);
        assert_eq!(first.len(), 2);
        assert_ne!(first[0], captured[0]);
        assert_eq!(first[1], captured[1]);
    }

    #[test]
    fn a_digest_is_read_from_the_hex_that_is_stored() {
        assert_eq!(unhex(&"0a".repeat(32)), Some([10; 32]));
        for bent in ["", "0a", &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(unhex(bent), None, "{bent}");
        }
    }

    #[test]
    fn copies_meet_where_they_are_told() {
        let share = |by, is_signed| {
            let plan = DedupPlan { by, window: Duration::from_secs(60) };
            copies_share_their_id(&plan, &DeliveryId { value: "a".into(), is_signed })
        };
        assert!(share(DedupBy::Delivery, true) && share(DedupBy::DeliveryIdOnly, false));
        assert!(!share(DedupBy::Delivery, false) && !share(DedupBy::Body, true));
    }

    #[test]
    fn leaving_an_unsigned_id_out_is_no_way_around() {
        let plan = DedupPlan { by: DedupBy::Delivery, window: Duration::from_secs(60) };
        let source = SourceName::new("github").unwrap();
        let delivery = Delivery {
            id: None,
            ids_are_signed: false,
            anybody_names_it: false,
            body_digest: &[1; 32],
            received_at: Timestamp::UNIX_EPOCH,
        };
        let without = keys(&plan, &source, &delivery)[0].digest;
        assert!(keys_of(DedupBy::Delivery, Some(("a", false)), 1).contains(&without));
    }

    #[test]
    fn a_signed_id_stands_alone() {
        assert_eq!(keys_of(DedupBy::Delivery, Some(("a", true)), 1), keys_of(DedupBy::Delivery, Some(("a", true)), 2));
        assert_eq!(keys_of(DedupBy::DeliveryIdOnly, Some(("a", false)), 1).len(), 1);
    }

    #[test]
    fn without_an_id_only_an_explicit_choice_deduplicates() {
        assert!(keys_of(DedupBy::Delivery, None, 1).is_empty());
        assert_eq!(keys_of(DedupBy::Body, None, 1).len(), 1);
    }
}
