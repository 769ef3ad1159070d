//! The chain of plugins on either side of the log, and what of an event still holds behind it.

use std::sync::Arc;

use hook_core::{
    envelope::Meta,
    ports::plugin::{Draft, Plugin, Verdict},
};

/// Why a plugin keeps an event back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is not as it has to be.
    Refused(String),
    /// It is left out on purpose.
    Dropped(String),
}

/// Runs plugins in their order; the first that does not keep the event ends it. Of what they write into `meta` the flags alone
/// are taken over.
pub(crate) fn apply(plugins: &[Arc<dyn Plugin>], mut draft: Draft) -> Result<Draft, Unfit> {
    if plugins.is_empty() {
        return Ok(draft);
    }
    let (source, mut meta) = (draft.source.clone(), draft.meta.clone());
    for plugin in plugins {
        let before = draft.payload.bytes().clone();
        match plugin.apply(&mut draft) {
            Verdict::Keep => {}
            Verdict::Drop { reason } => return Err(Unfit::Dropped(reason)),
            Verdict::Refuse { reason } => return Err(Unfit::Refused(reason)),
        }
        if *draft.payload.bytes() != before {
            forget(&mut meta, plugin.keeps_places());
        }
    }
    meta.flags = std::mem::take(&mut draft.meta.flags);
    Ok(Draft { source, meta, ..draft })
}

/// What no longer holds of another payload. The body as received has all that was taken out of it; and where values have moved,
/// nobody knows which of them users wrote.
fn forget(meta: &mut Meta, keeps_places: bool) {
    meta.received_body = None;
    if let Some(trust) = meta.trust.as_mut().filter(|trust| !keeps_places && !trust.user_text.is_empty()) {
        trust.user_text = vec![String::new()];
    }
}

#[cfg(test)]
mod tests {
    use hook_core::{
        envelope::Trust,
        names::{EventType, SourceName},
        payload::Payload,
    };

    use super::*;

    /// Makes another payload, or the same.
    struct Makes {
        payload: &'static str,
        keeps_places: bool,
    }

    impl Plugin for Makes {
        fn apply(&self, draft: &mut Draft) -> Verdict {
            draft.payload = Payload::parse(self.payload.into()).unwrap();
            draft.meta = Meta { flags: vec!["seen".into()], ..Meta::default() };
            Verdict::Keep
        }

        fn keeps_places(&self) -> bool {
            self.keeps_places
        }
    }

    fn meta_behind(payload: &'static str, keeps_places: bool, user_text: &[&str]) -> Meta {
        let user_text = user_text.iter().map(|&pointer| pointer.to_owned()).collect();
        let draft = Draft {
            source: SourceName::new("slack").unwrap(),
            event_type: EventType::unknown(),
            meta: Meta {
                delivery_id: Some("d-1".into()),
                received_body: Some("a=1".into()),
                trust: Some(Trust { user_text, ..Trust::default() }),
                ..Meta::default()
            },
            payload: Payload::parse(r#"{"a":"1"}"#.into()).unwrap(),
        };
        apply(&[Arc::new(Makes { payload, keeps_places })], draft).unwrap().meta
    }

    #[test]
    fn a_plugin_adds_flags_and_nothing_else_to_what_is_known() {
        let meta = meta_behind(r#"{"a":"1"}"#, false, &["/a"]);
        assert_eq!((meta.delivery_id.as_deref(), meta.flags), (Some("d-1"), vec!["seen".to_owned()]));
        assert_eq!(meta.received_body.as_deref(), Some("a=1"), "the payload is the same");
        assert_eq!(meta.trust.unwrap().user_text, ["/a"]);
    }

    #[test]
    fn the_body_as_received_does_not_outlive_what_a_plugin_takes_out() {
        for keeps_places in [true, false] {
            assert_eq!(meta_behind(r#"{"a":"x"}"#, keeps_places, &[]).received_body, None);
        }
    }

    #[test]
    fn where_values_have_moved_all_of_the_payload_counts_as_written_by_users() {
        let user_text =
            |keeps_places, before: &[&str]| meta_behind(r#"{"b":"1"}"#, keeps_places, before).trust.unwrap().user_text;
        assert_eq!(user_text(false, &["/a"]), [""]);
        assert_eq!(user_text(true, &["/a"]), ["/a"]);
        assert!(user_text(false, &[]).is_empty(), "there was none");
    }
}
