//! `require_payload_field`: refuses an event that lacks a field.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    ports::plugin::{Draft, Plugin, Verdict},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pointer;

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
        match pointer::check(&pointer) {
            Some(message) => Err(vec![Fault::at("/pointer", message, pointer::HELP)]),
            None => Ok(Arc::new(Self { pointer })),
        }
    }
}

impl Plugin for RequirePayloadField {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        match draft.payload.pointer(&self.pointer) {
            Some(_) => Verdict::Keep,
            None => Verdict::Refuse { reason: format!("the payload has no field at `{}`", self.pointer) },
        }
    }
}
