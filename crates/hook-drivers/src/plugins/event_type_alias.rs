//! `event_type_alias`: gives one event type another name.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    names::EventType,
    ports::plugin::{Draft, Plugin, Verdict},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of `event_type_alias`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The event type to rename. It has to be equal as a whole: this is no pattern.
    pub from: EventType,
    /// Its new name.
    pub to: EventType,
}

/// The plugin `event_type_alias`.
pub struct EventTypeAlias(Settings);

impl Kind for EventTypeAlias {
    const NAME: &'static str = "event_type_alias";
    const ABOUT: &'static str = "Renames the event type where it equals `from` exactly.";
    type Settings = Settings;
    type Driver = dyn Plugin;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        if settings.from == settings.to {
            let help = "write another name, or leave the plugin out";
            return Err(vec![Fault::at("/to", "this is the name that the event has already", help)]);
        }
        Ok(Arc::new(Self(settings)))
    }
}

impl Plugin for EventTypeAlias {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        if draft.event_type == self.0.from {
            draft.event_type = self.0.to.clone();
        }
        Verdict::Keep
    }
}
