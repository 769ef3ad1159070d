//! `require_payload_field`: refuses an event that lacks a field.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    ports::plugin::{Draft, Plugin, Verdict},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of `require_payload_field`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// A JSON pointer (RFC 6901) to the field, such as `/issue/number`. A field that is null is there.
    pub pointer: String,
}

/// The plugin `require_payload_field`.
pub struct RequirePayloadField {
    pointer: String,
}

impl Kind for RequirePayloadField {
    const NAME: &'static str = "require_payload_field";
    const ABOUT: &'static str = "Refuses the event where a field of the payload is missing.";
    type Settings = Settings;
    type Driver = dyn Plugin;

    fn build(Settings { pointer }: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        match check(&pointer) {
            Some(message) => {
                let help = "write a JSON pointer such as `/issue/number`; inside a name, `~0` is `~` and `~1` is `/`";
                Err(vec![Fault::at("/pointer", message, help)])
            }
            None => Ok(Arc::new(Self { pointer })),
        }
    }
}

/// What is wrong with a pointer to a field (RFC 6901, section 3).
fn check(pointer: &str) -> Option<&'static str> {
    if pointer.is_empty() {
        return Some("an empty pointer is the whole payload, which is never missing");
    }
    if !pointer.starts_with('/') {
        return Some("a JSON pointer begins with `/`");
    }
    let is_escape = |after: &str| after.starts_with(['0', '1']);
    let are_escapes = pointer.split('~').skip(1).all(is_escape);
    (!are_escapes).then_some("in a JSON pointer, `~` is followed by `0` or `1`")
}

impl Plugin for RequirePayloadField {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        match draft.payload.pointer(&self.pointer) {
            Some(_) => Verdict::Keep,
            None => Verdict::Refuse { reason: format!("the payload has no field at `{}`", self.pointer) },
        }
    }
}
